"""What a pickle stream would do when loaded, as facts: the unit of data of the whole project.

Features, detectors, the database, feedback and retraining all work on these records and never on the
file. They are versioned, canonical (same stream, same JSON) and bounded (calls are aggregated by shape).
The redacted form, which datasets and databases keep, has no literal of the file in it: a string becomes
its type, length, class and entropy. Names of callables stay.
"""

from __future__ import annotations

from ..record import Record
from .opcodes import CODES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, TypeVar

    R = TypeVar("R", bound=Record)
    T = TypeVar("T")

SCHEMA = 1
"""Version of the JSON form. Readers keep a loader for every older version."""

FILLING = frozenset(("append", "extend", "setitem", "add"))
"""Opcodes of the implicit calls that put something into an object."""
CHANGING = FILLING | {"BUILD"}
"""Opcodes of calls that change an object that is there."""
CARRIED = "carried"
"""Opcode of a call that another call makes."""

Place = tuple[tuple[str, str], ...]
"""Steps from the file to a stream: ``(("zip", "archive/data.pkl"), ("gzip", ""))``."""


class Descriptor(Record):
    """One argument of a call, described rather than kept.

    Parameters
    ----------
    type
        ``none bool int float str bytes tuple list dict set global result object unknown``.
    length
        Characters, bytes or items; the value's bit length for ``int``; 0 where it has no meaning.
    looks
        For ``str`` and ``bytes``: ``empty identifier dotted path url host shell code base64 hex pickle
        bytecode number text binary``; otherwise empty. See :mod:`safepickle.bytecode.literals`.
    entropy
        Shannon entropy of a ``str`` or ``bytes`` in bits per symbol, rounded to two places.
    ref
        What a ``global``, ``result`` or ``object`` stands for.
    items
        Descriptions of the first items of a container (two levels at the most).
    literal
        The value itself, capped; empty in redacted Traces.
    """

    type: str
    length: int = 0
    looks: str = ""
    entropy: float = 0.0
    ref: Ref | None = None
    items: tuple[Descriptor, ...] = ()
    literal: str = ""


class Ref(Record):
    """Something that can be called or built upon, by the name it resolves to.

    Parameters
    ----------
    kind
        ``global`` (named in the stream), ``attribute`` (of a resolved object, reached by getattr or a
        dotted name), ``result`` (what a call of `name` returned), ``carrier`` (a partial or the like that
        holds the callable `name`), ``getter`` (an attrgetter), ``persistent`` (persistent id), ``extension``
        (EXT registry), ``computed`` (its name is not a literal of the stream), ``unknown``.
    name
        Canonical dotted name, Python 2 names translated: ``builtins.eval``; empty when unknown.
    steps
        How it was reached, in order: opcode names and the callables that were folded.
    """

    kind: str
    name: str = ""
    steps: tuple[str, ...] = ()


def flattened(descriptors: tuple[Descriptor, ...]) -> list[Descriptor]:
    """Descriptors and the items within them."""
    found: list[Descriptor] = []
    for descriptor in descriptors:
        found.append(descriptor)
        if descriptor.items:
            found += flattened(descriptor.items)
    return found


class Import(Record):
    """A global that loading imports: resolved `name`, `written` as in the stream (``module name``)."""

    name: str
    written: str
    opcode: str
    offset: int
    count: int = 1

    @property
    def computed(self) -> bool:
        """Whether a part of the name is no literal of the stream."""
        return "?" in self.written.split(" ")


class Call(Record):
    """A call that loading makes, aggregated over call sites of the same shape.

    Parameters
    ----------
    opcode
        ``REDUCE INST OBJ NEWOBJ NEWOBJ_EX BUILD``, or the implicit ``append extend setitem add
        persistent_load ext``; ``carried`` for a call that another call at this offset makes of a callable that it was
        handed, whose steps say how.
    callee
        What is called; for ``BUILD`` the object that is built upon.
    args
        One description for each positional argument (for ``BUILD``: the state).
    result
        What becomes of the result at any of the sites: a sorted subset of ``built dropped returned stored
        used``.
    offset
        Byte offset of the first site in the stream's bytes.
    count
        Number of sites.
    depth
        Open marks around the first site.
    """

    opcode: str
    callee: Ref
    args: tuple[Descriptor, ...]
    result: tuple[str, ...]
    offset: int
    count: int = 1
    depth: int = 0


class Oddity(Record):
    """Something a well-formed file would not have, or a budget that ran out (``budget:<name>``)."""

    kind: str
    offset: int
    count: int = 1
    detail: str = ""


class Coverage(Record):
    """How much was understood: `state` is ``complete``, ``stopped`` (`reason`, `offset`) or ``limited``.

    `understood` and `present` count bytes.
    """

    state: str
    reason: str = ""
    offset: int = 0
    understood: int = 0
    present: int = 0


class Trace(Record):
    """One pickle stream, from its first opcode to STOP or to where understanding ended.

    `opcodes` counts executed opcodes by name, `protocol` is (declared or -1, highest used), `offset` and
    `length` locate the stream in the bytes that `place` leads to, `children` are pickles inside its
    literals or its raw arrays.
    """

    place: Place
    offset: int
    length: int
    protocol: tuple[int, int]
    opcodes: Mapping[str, int]
    coverage: Coverage
    imports: tuple[Import, ...] = ()
    calls: tuple[Call, ...] = ()
    oddities: tuple[Oddity, ...] = ()
    children: tuple[Trace, ...] = ()


class FileTrace(Record):
    """A whole file: its streams and what the container readers noticed.

    Parameters
    ----------
    size
        Bytes of the file.
    container
        Kind found by content: ``pickle``, ``torch-zip``, ``joblib``, ``npz``, ``gzip(pickle)`` ...;
        ``unknown`` when no reader knows it.
    complete
        Whether every part that a loader could execute was understood to its end.
    streams
        Pickle streams in file order.
    oddities
        Of the containers; `detail` names the member.
    """

    size: int
    container: str
    complete: bool
    streams: tuple[Trace, ...] = ()
    oddities: tuple[Oddity, ...] = ()

    def walk(self) -> list[Trace]:
        """Every stream, nested ones after the stream that carries them."""
        found: list[Trace] = []
        pending = list(reversed(self.streams))
        while pending:
            trace = pending.pop()
            found.append(trace)
            pending.extend(reversed(trace.children))
        return found

    def redacted(self) -> FileTrace:
        """A copy without any literal of the file (also drops nested literals)."""
        return self.replace(
            streams=tuple(_redact_trace(trace) for trace in self.streams),
        )

    def to_json(self) -> str:
        """Canonical JSON: equal records give equal text."""
        import json

        return json.dumps({"schema": SCHEMA, **_plain(self)}, sort_keys=True, separators=(",", ":"))

    @staticmethod
    def from_json(text: str) -> FileTrace:
        """Read :meth:`to_json`'s text.

        Raises
        ------
        ValueError
            When the text is not a Trace or its schema is newer than this package knows.
        """
        import json

        try:
            plain = json.loads(text)
            schema = plain.pop("schema")
            if type(schema) is not int or schema not in LOADERS:
                raise ValueError(f"schema {schema!r:.20}")
            _check_depth(plain)
            return LOADERS[schema](plain)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError(f"not a Trace of schema <= {SCHEMA}: {error}") from None


# --- redaction -----------------------------------------------------------------------------------


def _redact_descriptor(descriptor: Descriptor) -> Descriptor:
    return descriptor.replace(literal="", items=tuple(_redact_descriptor(item) for item in descriptor.items))


def _redact_trace(trace: Trace) -> Trace:
    calls = tuple(call.replace(args=tuple(_redact_descriptor(arg) for arg in call.args)) for call in trace.calls)
    return trace.replace(calls=calls, children=tuple(_redact_trace(child) for child in trace.children))


# --- JSON ----------------------------------------------------------------------------------------


def _plain(value: Any) -> Any:
    """Record -> dict without the fields that hold their default."""
    if isinstance(value, Record):
        cls = type(value)
        missing = object()
        return {name: _plain(field) for name, field in value.__dict__.items() if field != getattr(cls, name, missing)}
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    return value


DEEPEST = 100
"""Levels of lists and objects in a stored Trace; three for each stream within a stream."""
LONGEST = 8192
"""Characters of any text in a Trace; what is written is shorter."""


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > LONGEST:
        raise ValueError("a text is none, or too long")
    return value


def _count(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 1 << 63:
        raise ValueError("a number of bytes, opcodes or sites is none")
    return value


def _bits(value: Any) -> float:
    if type(value) not in (int, float) or not 0 <= value <= 64:
        raise ValueError("an entropy is none")
    return float(value)


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("a truth value is none")
    return value


def _many(load: Callable[[Any], T]) -> Callable[[Any], tuple[T, ...]]:
    def load_all(value: Any) -> tuple[T, ...]:
        if not isinstance(value, list):
            raise ValueError("a list is none")
        return tuple([load(item) for item in value])

    return load_all


def _check_depth(plain: Any) -> None:
    """Streams within streams are few; whatever walks a Trace may rely on it."""
    level, depth = [plain], 0
    while level:
        depth += 1
        if depth > DEEPEST:
            raise ValueError(f"more than {DEEPEST} levels")
        inner = [value.values() if isinstance(value, dict) else value for value in level]
        level = [value for values in inner for value in values if isinstance(value, (dict, list))]


def _place(value: Any) -> Place:
    return tuple((_text(step), _text(member)) for step, member in _many(list)(value))


def _protocol(value: Any) -> tuple[int, int]:
    declared, highest = value
    if declared != -1:
        _count(declared)
    return declared, _count(highest)


def _opcodes(value: Any) -> dict[str, int]:
    if not isinstance(value, dict) or not value.keys() <= CODES.keys():
        raise ValueError("opcodes are none")
    return {name: _count(count) for name, count in value.items()}


def _made(record: type[R], fields: Mapping[str, Callable[[Any], Any]]) -> Callable[[Any], R]:
    """Loads a record, whose fields are loaded by `fields`."""

    def load(plain: Any) -> R:
        if not isinstance(plain, dict) or not plain.keys() <= fields.keys():
            raise ValueError(f"damaged {record.__name__}")
        return record(**{name: fields[name](value) for name, value in plain.items()})

    return load


_ref = _made(Ref, {"kind": _text, "name": _text, "steps": _many(_text)})
_descriptor_fields: dict[str, Callable[[Any], Any]] = {
    "type": _text, "length": _count, "looks": _text, "entropy": _bits, "ref": _ref, "literal": _text,
}  # fmt: skip
_descriptor = _made(Descriptor, _descriptor_fields)
_descriptor_fields["items"] = _many(_descriptor)
_call = _made(
    Call,
    {
        "opcode": _text, "callee": _ref, "args": _many(_descriptor), "result": _many(_text), "offset": _count,
        "count": _count, "depth": _count,
    },
)  # fmt: skip
_import = _made(Import, {"name": _text, "written": _text, "opcode": _text, "offset": _count, "count": _count})
_oddity = _made(Oddity, {"kind": _text, "offset": _count, "count": _count, "detail": _text})
_coverage = _made(
    Coverage, {"state": _text, "reason": _text, "offset": _count, "understood": _count, "present": _count}
)
_trace_fields: dict[str, Callable[[Any], Any]] = {
    "place": _place, "offset": _count, "length": _count, "protocol": _protocol, "opcodes": _opcodes,
    "coverage": _coverage, "imports": _many(_import), "calls": _many(_call), "oddities": _many(_oddity),
}  # fmt: skip
_trace = _made(Trace, _trace_fields)
_trace_fields["children"] = _many(_trace)

LOADERS: dict[int, Callable[[Any], FileTrace]] = {
    1: _made(
        FileTrace,
        {
            "size": _count, "container": _text, "complete": _flag, "streams": _many(_trace),
            "oddities": _many(_oddity),
        },
    ),
}  # fmt: skip
"""Schema -> what reads it."""
