"""Root sinks: the one hand-written table of dangerous things.

A root sink is where Python hands control or data to something outside the model file: executing code,
starting a process, importing, opening files, reaching the network, loading native code, deserialising. What
else reaches them is derived from source or learned, never listed.
"""

from __future__ import annotations

KINDS = ("exec", "process", "import", "native", "deserialize", "file", "network")
"""Kinds of sinks, worst first."""

EFFECTS = {
    "exec": "runs Python code",
    "process": "starts a process",
    "import": "imports a module by name",
    "native": "loads native code",
    "deserialize": "loads another serialised object",
    "file": "opens or changes files",
    "network": "opens a network connection",
}
"""What each kind does, in words."""

DERIVED_EFFECTS = {
    "make": "makes code without running it",
    "call": "calls a callable that it is given",
    "tamper": "changes how the interpreter works from then on",
    "read": "reads files",
}
"""Kinds that have no root sinks of their own and are told only of what was analysed, in words."""

LOOKUP = "builtins.getattr"
"""Where ways to an import end that import nothing, but find by its name what is imported already."""

_ROOTS = {
    "exec": """
        builtins.exec builtins.eval builtins.compile builtins.execfile builtins.breakpoint types.CodeType
        types.FunctionType sys.remote_exec _interpreters.exec _interpreters.run_func _interpreters.run_string
        _xxsubinterpreters.run_string
    """,
    "process": """
        os.system os.popen os.execl os.execle os.execlp os.execlpe os.execv os.execve os.execvp os.execvpe os.spawnl
        os.spawnle os.spawnlp os.spawnlpe os.spawnv os.spawnve os.spawnvp os.spawnvpe os.posix_spawn os.posix_spawnp
        os.fork os.forkpty os.startfile os.kill subprocess.Popen subprocess.run subprocess.call subprocess.check_call
        subprocess.check_output subprocess.getoutput subprocess.getstatusoutput _posixsubprocess.fork_exec
        _winapi.CreateProcess pty.spawn
    """,
    "import": "builtins.__import__ importlib.import_module importlib.__import__ importlib.reload imp.load_source",
    "native": """
        ctypes.CDLL ctypes.PyDLL ctypes.WinDLL ctypes.OleDLL ctypes.cdll.LoadLibrary _ctypes.dlopen _imp.create_dynamic
    """,
    "deserialize": """
        pickle.loads pickle.load pickle.Unpickler pickle._Unpickler marshal.loads marshal.load shelve.open
    """,
    "file": """
        builtins.open io.open io.FileIO io.open_code os.open os.remove os.unlink os.rename os.renames os.replace
        os.rmdir os.removedirs os.mkdir os.makedirs os.symlink os.link os.chmod os.chown os.truncate os.write os.listdir
        os.scandir
    """,
    "network": """
        socket.socket socket.create_connection socket.getaddrinfo socket.gethostbyname socket.gethostbyaddr
        urllib.request.OpenerDirector.open
    """,
}  # fmt: skip

_TWINS = {
    "posix": "os", "nt": "os", "_io": "io", "_pickle": "pickle", "_socket": "socket", "_pyio": "io",
    "_frozen_importlib": "importlib", "importlib._bootstrap": "importlib", "cPickle": "pickle", "_ctypes": "ctypes",
}  # fmt: skip
"""Modules in C or for one platform, and the public module that re-exports their names."""

MAKERS = frozenset(("types.CodeType", "types.FunctionType", "builtins.compile"))
"""Roots that make code without running it: what they make runs when it is called. What reaches them is of kind
``make``, so that it does not hide a longer way to what runs code."""

SINKS: dict[str, str] = {name: kind for kind, names in _ROOTS.items() for name in names.split()}
"""Root sink -> kind."""

_LONGEST = 1 + max(name.count(".") for name in (*SINKS, *(f"{twin}.name" for twin in _TWINS)))
"""Parts of the longest name of a sink: those further to the left of a name need not be looked at."""

_REMEMBERED = 4096
_kinds: dict[str, str] = {}  # the same few names come up again and again, in one file and from file to file

ARGUMENTS: dict[str, tuple[int | str, ...]] = {
    "builtins.exec": (0, "source"), "builtins.eval": (0, "source"), "builtins.compile": (0, "source"),
    "builtins.breakpoint": (), "types.CodeType": tuple(range(18)), "types.FunctionType": (0, "code"),
    "subprocess.Popen": (0, "args", 2, "executable"), "subprocess.run": (0, "args", "executable"),
    "subprocess.call": (0, "args", "executable"), "subprocess.check_call": (0, "args", "executable"),
    "subprocess.check_output": (0, "args", "executable"), "subprocess.getoutput": (0, "cmd"),
    "subprocess.getstatusoutput": (0, "cmd"), "_posixsubprocess.fork_exec": (0, 1), "pty.spawn": (0, "argv"),
    "os.system": (0, "command"), "os.popen": (0, "cmd"), "os.kill": (), "os.fork": (), "os.forkpty": (),
    "builtins.__import__": (0, "name"), "importlib.import_module": (0, 1, "name", "package"),
    "importlib.__import__": (0, "name"), "ctypes.CDLL": (0, "name"), "ctypes.PyDLL": (0, "name"),
    "pickle.loads": (0, "data"), "pickle.load": (0, "file"), "pickle.Unpickler": (0, "file"),
    "pickle._Unpickler": (0, "file"),
    "marshal.loads": (0,), "marshal.load": (0,), "shelve.open": (0, "filename"),
    "builtins.open": (0, "file"), "io.open": (0, "file"), "io.FileIO": (0, "file"), "io.open_code": (0, "path"),
    "os.open": (0, "path"), "os.mkdir": (0, "path"), "os.makedirs": (0, "name"), "os.chmod": (0, "path"),
    "os.chown": (0, "path"), "os.truncate": (0, "path"), "os.write": (), "os.remove": (0, "path"),
    "os.unlink": (0, "path"), "os.rmdir": (0, "path"), "os.listdir": (0, "path"), "os.scandir": (0, "path"),
    "socket.socket": (), "socket.create_connection": (0, "address"), "socket.getaddrinfo": (0, "host"),
    "urllib.request.OpenerDirector.open": (0, 1, "fullurl"),
}  # fmt: skip
"""Arguments of a root sink that matter, by position and keyword; of others every argument does."""

PREPARING = frozenset(["builtins.compile"])
"""Root sinks that do nothing until another one uses their result: not what calls them reaches something, but what
runs the result. (``ast.parse`` is such a call.)"""

MODES: dict[str, tuple[int, str]] = {"builtins.open": (1, "mode"), "io.open": (1, "mode"), "io.FileIO": (1, "mode")}
"""Root sinks that only read when the argument at this position or of this keyword says so, or is left out."""

READERS = frozenset(["io.open_code", "os.listdir", "os.scandir"])
"""Root sinks of kind ``file`` that change nothing."""

CONTAINERS = frozenset(
    """
    builtins copyreg.dispatch_table copyreg._extension_registry copyreg._inverted_registry copyreg._extension_cache
    importlib._bootstrap_external._path_importer_cache logging.Logger.handlers logging._handlers logging.root
    os.environ sys.displayhook sys.excepthook sys.meta_path sys.modules sys.path sys.path_hooks
    sys.path_importer_cache sys.stderr sys.stdin sys.stdout sys.unraisablehook threading.excepthook warnings.filters
    """.split()
)
"""Objects that the interpreter or everybody's code consults: who changes them changes what later code does."""

SWITCHES = frozenset(
    """
    sys.addaudithook sys.setprofile sys.settrace os.putenv os.unsetenv posix.putenv posix.unsetenv
    _warnings._filters_mutated
    """.split()
)
"""Functions that do the same."""

CODE_ATTRIBUTES = frozenset(["__code__", "__globals__", "__builtins__"])
"""Attributes of a function that make it another one."""


def root_kind(name: str) -> str:
    """Kind of the root sink that is called exactly `name`, or so in a module in C; ``""`` for all else.

    >>> root_kind("posix.system"), root_kind("random._os.system")
    ('process', '')
    """
    return _direct(name.split("."))


def sink_kind(name: str) -> str:
    """Kind of the root sink that a dotted name leads to, or ``""``.

    A name may reach a sink through other modules (``random._os.system``, ``pathlib.os.system``) or through an
    attribute of the sink (``builtins.eval.__call__``).

    >>> sink_kind("posix.system"), sink_kind("random._os.system"), sink_kind("builtins.eval.__call__")
    ('process', 'process', 'exec')
    >>> sink_kind("builtins.eval.__doc__"), sink_kind("collections.OrderedDict")
    ('', '')
    """
    known = _kinds.get(name)
    if known is None:
        if len(_kinds) >= _REMEMBERED:
            _kinds.clear()
        known = _kinds[name] = _kind_of(name)
    return known


def _kind_of(name: str) -> str:
    if not name:
        return ""
    parts = name.split(".")
    if parts[-1] == "__call__":
        del parts[-1]
    for first in range(max(0, len(parts) - _LONGEST), len(parts) - 1):
        kind = _direct(parts[first:])
        if kind:
            return kind
        stripped = parts[first].lstrip("_")
        if first and stripped and stripped != parts[first]:
            kind = _direct([stripped, *parts[first + 1 :]])
            if kind:
                return kind
    return ""


def _direct(parts: list[str]) -> str:
    name = ".".join(parts)
    if name in SINKS:
        return SINKS[name]
    module = ".".join(parts[:-1])
    if module in _TWINS:
        return SINKS.get(f"{_TWINS[module]}.{parts[-1]}", "")
    if module in ("__builtins__", "__builtin__"):
        return SINKS.get(f"builtins.{parts[-1]}", "")
    return ""


def effect_of(kind: str, root: str) -> str:
    """What a way of a kind does, in words; `root` is the last name on it, empty where there is none."""
    if kind == "import" and root == LOOKUP:
        return "looks something up by its name"
    return EFFECTS.get(kind) or DERIVED_EFFECTS[kind]
