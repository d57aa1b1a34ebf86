# cython: annotation_typing=False
"""From the machine's abstract values to the records of a Trace.

Every call has its arguments described, so that this file is compiled where a compiler was at hand, with the C types of
``describe.pxd`` beside it.
"""

from __future__ import annotations

from .folding import RESOLVERS
from .literals import MODEL, entropy, looks_like, looks_like_bytes
from .machine import MADE, NOTHING, RESULT_USES
from .names import shortened
from .opcodes import NAMES
from .trace import CARRIED, Call, Descriptor, Import, Oddity, Ref
from .values import UNKNOWN, Reference, Shared

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Set
    from typing import Any

    from .machine import Machine
    from .values import CallSite

ITEMS = 16
"""Arguments described per call, and items per container; callables behind them are described as well."""
LOOKED_AT = 4096
"""Bytes of a text of which its look is told where it is one of many."""
DESCRIPTORS = 100_000
"""Descriptors per stream; calls beyond are described without the items of their arguments."""
LITERAL = 256
"""Characters of a literal kept in an unredacted Trace."""
_IMPLICIT = {
    "PERSID": "persistent_load", "BINPERSID": "persistent_load", "EXT1": "ext",
    "APPEND": "append", "APPENDS": "extend", "SETITEM": "setitem", "SETITEMS": "setitem", "ADDITEMS": "add",
}  # fmt: skip


_KINDS = {"literal": "unknown", "method": "attribute"}
_SIMPLE = frozenset((type(None), bool, int, str, bytes))
_UNKNOWN = Descriptor("unknown")
_TEXT, _NODE = 2, 5
"""Tags of the machine's values: below the first are numbers and constants, below the other what has no items."""
_LITERALS = (2, 3, 7)
"""Tags of text, of bytes, and of either far behind."""
_FILE_IN_MEMORY = "_io.BytesIO"
_SHORT = 64
_REMEMBERED = 4096
_described: dict[tuple[type, Any], Descriptor] = {}
_numbers: dict[int, Descriptor] = {}
"""Descriptions of the machine's values that are numbers or constants, which mean the same in every stream."""
_refs: dict[tuple[str, str, tuple[str, ...]], Ref] = {}
_USES = [tuple(name for bit, name in RESULT_USES if uses & bit) for uses in range(32)]


class Describer:
    """Makes the records of one stream, whose first byte is `start`; offsets become relative to it.

    `models` has where the literals begin that are model files of which everything was understood.
    """

    def __init__(self, machine: Machine, start: int, models: Set[int] = frozenset()) -> None:
        self.machine = machine
        self.start = start
        self.models = models
        self.left = DESCRIPTORS
        self.known: dict[int, Descriptor] = {}

    def import_(self, entry: list[Any]) -> Import:
        """Record of one import of the machine."""
        resolved, written, opcode, offset, count, _steps = entry
        return Import(shortened(resolved), shortened(written), NAMES[opcode], offset - self.start, count)

    def call(self, site: CallSite) -> Call:
        """Record of one call shape."""
        opcode = CARRIED if site.opcode == MADE else NAMES[site.opcode]
        persistent = opcode in ("PERSID", "BINPERSID")
        depth = 2 if self.left > 0 else 0
        if depth == 0:
            self.machine.note("budget:calls", site.offset)
        if opcode == "BUILD" or persistent:
            arguments: tuple[Descriptor, ...] = (self._describe(site.arguments, depth),)
        else:
            arguments = self._arguments(site.arguments, depth)
        return Call(
            _IMPLICIT.get(opcode, opcode),
            Ref("persistent") if persistent else self._ref(site.callee),
            arguments,
            _USES[site.uses],
            site.offset - self.start,
            site.count,
            site.depth,
        )

    def oddities(self) -> tuple[Oddity, ...]:
        """The machine's oddities, by kind."""
        return tuple(
            Oddity(kind, offset - self.start, count, detail)
            for kind, (offset, count, detail) in sorted(self.machine.oddities.items())
        )

    def _ref(self, value: int) -> Ref:
        kind, name, steps = self.machine.reference(value)
        if kind == "result" and name in RESOLVERS:
            kind = "computed"
        found = _refs.get((kind, name, steps))
        if found is None:
            found = Ref(_KINDS.get(kind, kind), shortened(name), tuple(steps[:8]))
            if not steps and len(name) <= _SHORT:
                if len(_refs) >= _REMEMBERED:
                    _refs.clear()
                _refs[kind, name, steps] = found
        return found

    def _arguments(self, value: int, depth: int) -> tuple[Descriptor, ...]:
        if value & 7 == 5:
            kind, kept, _cut = self.machine.parts(value)
            if kind == "tuple":
                return self._items(kept, depth)
        described = self._describe(value, depth)
        return () if described.type == "tuple" and described.length == 0 else (described,)

    def _items(self, kept: list[int], depth: int) -> tuple[Descriptor, ...]:
        machine = self.machine
        shown = kept[:ITEMS] + [item for item in kept[ITEMS:] if machine.holds_callable(item) or self._is_code(item)]
        return tuple([self._simple(item) if item & 7 < _NODE else self._describe(item, depth) for item in shown])

    def _simple(self, value: int) -> Descriptor:
        """Description of a value without items: a stream has the same ones over and over."""
        known = _numbers if value & 7 < _TEXT else self.known
        found = known.get(value)
        if found is not None:
            self.left -= 1
            return found
        if len(known) >= _REMEMBERED:
            known.clear()
        found = known[value] = self._describe(value, 0)
        return found

    def _holds(self, value: int) -> str:
        """What a file in memory looks like that holds nothing but a model file."""
        if not self.models or self._ref(value).name != _FILE_IN_MEMORY:
            return ""
        state = self.machine.built_with(value)
        if state & 7 != _NODE:
            return ""
        kind, kept, _cut = self.machine.parts(state)
        return MODEL if kind == "tuple" and kept and self._describe(kept[0], 0).looks == MODEL else ""

    def _is_code(self, value: int) -> bool:
        """Whether a value is a text that reads like a program."""
        return value & 7 == 2 and looks_like(str(self.machine.literal(value, LOOKED_AT))) == "code"

    def _describe(self, value: int, depth: int) -> Descriptor:
        """Description of an abstract value, its items `depth` levels down."""
        self.left -= 1
        tag = value & 7
        if value == NOTHING:
            return _UNKNOWN
        if tag == 4:
            return Descriptor("global", ref=self._ref(value))
        if tag == 5:
            return self._describe_node(value, depth)
        known = self.machine.value(value)
        if isinstance(known, Reference):
            return Descriptor("global", ref=self._ref(value))
        described = _short(known) or _describe_literal(known, depth)
        if self.models and tag in _LITERALS and self.machine.span(value)[0] in self.models:
            return described.replace(looks=MODEL)
        return described

    def _describe_node(self, value: int, depth: int) -> Descriptor:
        kind, kept, _cut = self.machine.parts(value)
        if kind == "result":
            return Descriptor("result", looks=self._holds(value), ref=self._ref(value))
        if depth == 0:
            return Descriptor(kind, len(kept))
        return Descriptor(kind, len(kept), items=self._items(kept, depth - 1))


def _short(known: Any) -> Descriptor | None:
    """The description of a short literal, remembered as most of them are met in file after file."""
    kind = type(known)
    if kind not in _SIMPLE or (kind is int and known.bit_length() > 64):
        return None
    if (kind is str or kind is bytes) and len(known) > _SHORT:
        return None
    key = kind, known
    found = _described.get(key)
    if found is None:
        if len(_described) >= _REMEMBERED:
            _described.clear()
        found = _described[key] = _describe_literal(known, 0)
    return found


def _describe_items(items: Any, depth: int) -> tuple[Descriptor, ...]:
    return tuple([_short(item) or _describe_literal(item, depth - 1) for item in items[:ITEMS]])


def _describe_literal(known: Any, depth: int) -> Descriptor:
    if known is UNKNOWN:
        return _UNKNOWN
    if isinstance(known, Reference):
        return Descriptor("global", ref=Ref(_KINDS.get(known.kind, known.kind), shortened(known.name), known.steps[:8]))
    if isinstance(known, (bytes, bytearray)):
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
    if isinstance(known, Shared):
        items = _describe_items(known.items, depth) if depth else ()
        return Descriptor(known.kind, len(known.items), items=items)
    if isinstance(known, (tuple, list)):
        items = _describe_items(known, depth) if depth else ()
        return Descriptor("tuple" if isinstance(known, tuple) else "list", len(known), items=items)
    return Descriptor("unknown")
