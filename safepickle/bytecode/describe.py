"""From the machine's abstract values to the records of a Trace."""

from __future__ import annotations

from .literals import entropy, looks_like, looks_like_bytes
from .machine import NOTHING, RESULT_USES, UNKNOWN, Reference
from .opcodes import NAMES
from .trace import Call, Descriptor, Import, Oddity, Ref

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .machine import CallSite, Machine

ITEMS = 16
"""Arguments described per call, and items per container."""
LITERAL = 256
"""Characters of a literal kept in an unredacted Trace."""
RESOLVERS = frozenset(
    ("builtins.getattr", "operator.attrgetter", "_operator.attrgetter", "operator.itemgetter", "_operator.itemgetter",
     "operator.getitem", "_operator.getitem", "operator.methodcaller", "_operator.methodcaller",
     "importlib.import_module", "builtins.__import__", "pkgutil.resolve_name", "pydoc.locate",
     "builtins.object.__getattribute__", "inspect.getattr_static")
)  # fmt: skip
"""Callables whose result is some other object by name: calling that result is calling a computed callee."""

_IMPLICIT = {
    "PERSID": "persistent_load", "BINPERSID": "persistent_load", "EXT1": "ext",
    "APPEND": "append", "APPENDS": "extend", "SETITEM": "setitem", "SETITEMS": "setitem", "ADDITEMS": "add",
}  # fmt: skip


def describe_import(entry: list[Any], start: int) -> Import:
    """Record of one import of the machine; offsets become relative to `start`."""
    resolved, written, opcode, offset, count, _steps = entry
    return Import(resolved, written[:512], NAMES[opcode], offset - start, count)


def describe_call(machine: Machine, site: CallSite, start: int) -> Call:
    """Record of one call shape."""
    arguments: tuple[Descriptor, ...]
    opcode = NAMES[site.opcode]
    callee = _callee(machine, site)
    if site.opcode == 0x62 or opcode in ("PERSID", "BINPERSID"):
        arguments = (describe(machine, site.arguments, 2),)
    else:
        arguments = _arguments(machine, site.arguments)
    uses = tuple(name for bit, name in RESULT_USES if site.uses & bit)
    return Call(_IMPLICIT.get(opcode, opcode), callee, arguments, uses, site.offset - start, site.count, site.depth)


def describe_oddities(machine: Machine, start: int) -> tuple[Oddity, ...]:
    """The machine's oddities, by kind."""
    return tuple(
        Oddity(kind, offset - start, count, detail)
        for kind, (offset, count, detail) in sorted(machine.oddities.items())
    )


def _callee(machine: Machine, site: CallSite) -> Ref:
    if NAMES[site.opcode] in ("PERSID", "BINPERSID"):
        return Ref("persistent")
    return _ref(machine, site.callee)


def _ref(machine: Machine, value: int) -> Ref:
    kind, name, steps = machine.reference(value)
    if kind == "result" and name in RESOLVERS:
        kind = "computed"
    if kind == "literal":
        kind = "unknown"
    return Ref(kind, name[:512], tuple(steps[:8]))


def _arguments(machine: Machine, value: int) -> tuple[Descriptor, ...]:
    if value & 7 == 5:
        kind, kept, _cut = machine.parts(value)
        if kind == "tuple":
            return tuple(describe(machine, item, 2) for item in kept[:ITEMS])
    described = describe(machine, value, 2)
    return () if described.type == "tuple" and described.length == 0 else (described,)


def describe(machine: Machine, value: int, depth: int) -> Descriptor:
    """Description of an abstract value, its items `depth` levels down."""
    tag = value & 7
    if value == NOTHING:
        return Descriptor("unknown")
    if tag == 4:
        return Descriptor("global", ref=_ref(machine, value))
    if tag == 5:
        return _describe_node(machine, value, depth)
    known = machine.value(value)
    if isinstance(known, Reference):
        return Descriptor("global", ref=_ref(machine, value))
    return _describe_literal(known)


def _describe_node(machine: Machine, value: int, depth: int) -> Descriptor:
    kind, kept, _cut = machine.parts(value)
    if kind == "result":
        return Descriptor("result", ref=_ref(machine, value))
    if depth == 0:
        return Descriptor(kind, len(kept))
    return Descriptor(kind, len(kept), items=tuple(describe(machine, item, depth - 1) for item in kept[:ITEMS]))


def _describe_literal(known: Any) -> Descriptor:
    if known is UNKNOWN:
        return Descriptor("unknown")
    if isinstance(known, bytes):
        head = known[:LITERAL]
        return Descriptor("bytes", len(known), looks_like_bytes(known), entropy(known[:4096]), literal=head.hex())
    if isinstance(known, str):
        data = known[:4096].encode("utf-8", "replace")
        return Descriptor("str", len(known), looks_like(known), entropy(data), literal=known[:LITERAL])
    if known is None:
        return Descriptor("none")
    if isinstance(known, bool):
        return Descriptor("bool", literal=str(known))
    if isinstance(known, int):
        return Descriptor("int", known.bit_length(), literal=str(known)[:LITERAL])
    if isinstance(known, (tuple, list)):
        return Descriptor("tuple" if isinstance(known, tuple) else "list", len(known))
    return Descriptor("unknown")
