"""CPython's own unpicklers with nothing real in their reach: the process behind :mod:`tests.bytecode.oracle`.

Every global, extension code and persistent id is answered by an inert stand-in that only notes what is done to it.
Files, sockets, processes and imports are out of reach: there are no file descriptors left to open anything with, and
an audit hook ends the process at the first attempt. Runs in Python 3.7 and later, from standard input to standard
output: batches of a count and as many streams with their lengths, answered by a line of JSON for each stream.

An event is ``[what, name, count]``. `what` is ``import``; ``call`` of a global and ``call result`` of what a call
returned; ``build`` by __setstate__; ``state`` by __dict__ or setattr; ``append``, ``extend``, ``setitem``, ``add``;
``persistent_load``; ``touch`` when a stand-in is hashed, compared, tested or iterated over. `name` leads back to
the global that all came from, `count` is the number of arguments. No more than `MOST` of one stream are kept.
"""

import _pickle
import codecs
import copyreg
import io
import json
import os
import pickle
import pickletools
import resource
import signal
import struct
import sys
import warnings

MOST = 1500
SECONDS = 5
MEMORY = 128 << 20
TOUCHED = 70
"""What the process ends with when something outside it was reached for."""
LOADS = 3
"""Streams that are read behind each other in the same bytes."""
ALLOWED = frozenset(("builtins.id", "sys.unraisablehook", "sys.excepthook"))
"""Audit events that are of no consequence."""
BETWEEN = "\x1e\x1f"
"""Between module and attribute in the name of an event, as names may have anything else in them."""
EXTENSIONS = {
    1: ("vendor", "extended"),
    2: ("vendor.ext", "b"),
    300: ("vendor.far", "Extended"),
    70_000: ("a.far", "b"),
}
PLAIN, LIST_LIKE = "plain", "listlike"
"""Names that begin so stand for what has no method of its own, and for what has append but not extend."""
WARMING = (b"cvendor\nf\n)R.", b"S'\\z\xe9'\n.", b"V\\u00\n.", b"I0x\n.", b"\x82\xff.", b"\x80\x04\x8c\x01\xff.", b"")
ENCODINGS = ("latin-1", "latin-1", "latin-1", "latin-1", "ASCII", "bytes")

EVENTS = []


def note(what, name, count):
    if len(EVENTS) < MOST:
        EVENTS.append((what, name, count))


# --- stand-ins -----------------------------------------------------------------------------------


class Noting:
    """An attribute that, found on a stand-in or its class, notes that it was called."""

    def __init__(self, what):
        self.what = what

    def __get__(self, instance, owner):
        name = (owner if instance is None else instance).stands_for

        def noted(*arguments):
            note(self.what, name, len(arguments))

        return noted


class ClassOfStandIns(type):
    def __call__(cls, *arguments, **_named):
        note("call", cls.stands_for, len(arguments))
        return object.__new__(cls)

    def __setattr__(cls, _name, _value):
        note("state", cls.stands_for, 1)


class ClassOfContainers(ClassOfStandIns):
    def __setitem__(cls, _key, _value):
        note("setitem", cls.stands_for, 2)


class Plain(metaclass=ClassOfStandIns):
    stands_for = ""

    def __new__(cls, *arguments, **_named):
        # pickle._Unpickler also lets NEWOBJ call __new__ of what is no class
        note("call" if isinstance(cls, type) else "call result", cls.stands_for, len(arguments))
        return object.__new__(cls if isinstance(cls, type) else type(cls))

    def __call__(self, *arguments, **_named):
        note("call result", self.stands_for, len(arguments))
        return object.__new__(type(self))

    @property
    def __dict__(self):
        note("state", self.stands_for, 1)
        return {}

    def __setattr__(self, _name, _value):
        note("state", self.stands_for, 1)

    def __iter__(self):
        note("touch", self.stands_for, 0)
        return iter(())

    def keys(self):
        note("touch", self.stands_for, 0)
        return ()

    items = keys

    def __bool__(self):
        note("touch", self.stands_for, 0)
        return True

    def __hash__(self):
        note("touch", self.stands_for, 0)
        return 7

    def __eq__(self, other):
        note("touch", self.stands_for, 1)
        return self is other


class ListLike(Plain):
    append = Noting("append")


class Container(ListLike, metaclass=ClassOfContainers):
    extend = Noting("extend")
    add = Noting("add")
    __setstate__ = Noting("build")

    def __setitem__(self, _key, _value):
        note("setitem", self.stands_for, 2)


KNOWN = {}


def stand_in(name, base):
    """A class, made once, as nothing that a stream does changes it."""
    found = KNOWN.get(name)
    if found is None:
        if len(KNOWN) > 5_000:
            KNOWN.clear()
        found = KNOWN[name] = type(base)("StandIn", (base,), {"stands_for": name})
    return found


class Answers:
    """What an unpickler asks for."""

    def find_class(self, module, name):
        note("import", module + BETWEEN + name, 0)
        base = Plain if name.startswith(PLAIN) else ListLike if name.startswith(LIST_LIKE) else Container
        return stand_in(module + BETWEEN + name, base)

    def persistent_load(self, _pid):
        note("persistent_load", "", 1)
        return stand_in("persistent" + BETWEEN, Container)


class InC(Answers, _pickle.Unpickler):
    pass


class InPython(Answers, pickle._Unpickler):
    pass


class Counting(dict):
    """The opcodes' functions; counts how many of them are asked for."""

    executed = 0

    def __getitem__(self, code):
        found = dict.__getitem__(self, code)
        self.executed += 1
        return found


InPython.dispatch = COUNTED = Counting(pickle._Unpickler.dispatch)

# --- readings ------------------------------------------------------------------------------------


def in_file(data):
    """A file that is read by exactly as many bytes as asked for."""
    return io.BytesIO(data)


def looked_ahead(data):
    """A file that can be looked into ahead, so that what lies behind a frame is at hand."""
    return io.BufferedReader(io.BytesIO(data), 1 << 16)


READERS = (("c", InC, in_file), ("c-ahead", InC, looked_ahead), ("python", InPython, in_file))


def opened(unpickler, file, data):
    buffers = {"buffers": iter([b"abc", bytearray(b"def")] * 50)} if sys.version_info >= (3, 8) else {}
    return unpickler(file, encoding=ENCODINGS[len(data) % len(ENCODINGS)], **buffers)


def load(reader, file, name):
    """One reading: ``[name, start, end or -1, opcodes executed or -1, error, events]``."""
    start = file.tell()
    EVENTS.clear()
    COUNTED.executed = 0
    copyreg._extension_cache.clear()
    error = ""
    try:
        reader.load()
        end = file.tell()
    except BaseException as raised:
        if isinstance(raised, (KeyboardInterrupt, SystemExit)):
            raise
        end, error = -1, type(raised).__name__
    return [name, start, end, COUNTED.executed if name.startswith("python") else -1, error, list(EVENTS)]


def readings(data):
    found = []
    for name, unpickler, opener in READERS:
        file = opener(data)
        for _ in range(LOADS):
            found.append(load(opened(unpickler, file, data), file, name))
            if not found[-1][1] < found[-1][2] < len(data):
                break
        if name == "c-ahead" or found[-1][1] == 0:
            continue
        # One unpickler that is asked to load again keeps its memo.
        file = opener(data)
        again = opened(unpickler, file, data)
        repeated = [load(again, file, name + "-again")]
        while len(repeated) < LOADS and repeated[-1][1] < repeated[-1][2] < len(data):
            repeated.append(load(again, file, name + "-again"))
        found.extend(repeated[1:])
    return found


def lexed(data, start):
    """What pickletools makes of a stream: ``[start, end or -1, opcodes by name]``."""
    counts = {}
    file = io.BytesIO(data)
    file.seek(start)
    try:
        for opcode, _argument, at in pickletools.genops(file):
            counts[opcode.name] = counts.get(opcode.name, 0) + 1
            if opcode.name == "STOP":
                return [start, at + 1, counts]
    except (ValueError, OverflowError, MemoryError):
        pass
    return [start, -1, counts]


def read(data):
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        found = readings(data)
        starts = sorted({reading[1] for reading in found})
        return {"readings": found, "lexed": [lexed(data, start) for start in starts]}
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


# --- the process ---------------------------------------------------------------------------------


def close_off():
    """Leave this process nothing but its standard streams, some memory, and itself."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
    if hasattr(sys, "addaudithook"):

        def refuse(event, _arguments):
            if event not in ALLOWED:
                os.write(2, b"the sandbox was touched: " + event.encode() + b"\n")
                os._exit(TOUCHED)

        sys.addaudithook(refuse)


def serve():
    warnings.simplefilter("ignore")
    # The unpickler in C complains of its own bytearrays.
    sys.unraisablehook = sys.excepthook = lambda *_error: None
    copyreg._inverted_registry.update(EXTENSIONS)

    def stop(_signal, _frame):
        raise TimeoutError

    signal.signal(signal.SIGPROF, stop)
    source, sink = sys.stdin.buffer, sys.stdout
    for codec in ("latin-1", "ascii", "utf-8", "raw-unicode-escape", "unicode-escape"):
        codecs.lookup(codec)
    for data in WARMING:  # so that whatever they import is imported by now
        json.dumps(read(data))
    close_off()
    head = source.read(4)
    while len(head) == 4:
        streams = []
        for _ in range(struct.unpack("<I", head)[0]):
            streams.append(source.read(struct.unpack("<I", source.read(4))[0]))
        for data in streams:
            sink.write(json.dumps(read(data), separators=(",", ":")) + "\n")
        sink.flush()
        head = source.read(4)


if __name__ == "__main__":
    serve()
