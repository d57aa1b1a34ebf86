"""One row for each call and import that is not ordinary, for the detector that judges them one by one.

What is said of a call does not depend on the rest of the file, so that a payload reads the same in any host, and the
highest score of a file's rows cannot fall when something is added.
"""

from __future__ import annotations

from math import log1p

from ..bytecode.trace import CARRIED, FILLING, Call, Descriptor, Import, Trace, flattened
from ..capabilities.capability import Capability
from ..capabilities.sinks import KINDS
from .calls import LOOKS
from .highest import Highest, places
from .knowledge import LOADING, Knowledge, loads_model

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

ORDINARY = 0.34
"""Novelty from which on a call has a row of its own: fewer than 14 benign groups make it."""

_CALLEES = ("global", "attribute", "result", "carrier", "getter", "extension", "computed", "unknown")
_OPCODES = ("REDUCE", "NEWOBJ", "BUILD", "INST", CARRIED)
_TYPES = ("none", "int", "str", "bytes", "tuple", "list", "dict", "global", "result", "object", "unknown")

NAMES = (
    "is_import", "is_implicit",
    *(f"opcode_{name.lower()}" for name in _OPCODES),
    *(f"callee_{kind}" for kind in _CALLEES),
    "novelty", "name_novelty", "module_novelty", "package_novelty", "stdlib", "function", "dunder", "main",
    "computed_name", "steps",
    *(f"sink_{kind}" for kind in KINDS),
    *(f"flows_{kind}" for kind in KINDS),
    *(f"reaches_{kind}" for kind in KINDS),
    "inert", "unclear", "unresolvable", "unanalysed", "native",
    "log_arguments", "only_text", "longest_text", "highest_entropy",
    *(f"argument_{kind}" for kind in _TYPES),
    *(f"looks_{looks}" for looks in LOOKS),
    "passed_novelty",
    *(f"passes_sink_{kind}" for kind in KINDS),
    *(f"passes_flow_{kind}" for kind in KINDS),
    "passes_live",
)  # fmt: skip
_INDEX = {name: index for index, name in enumerate(NAMES)}
_OPCODE = places(_INDEX, "opcode", (name.lower() for name in _OPCODES))
_CALLEE, _TYPE, _LOOK = (
    places(_INDEX, prefix, kinds) for prefix, kinds in (("callee", _CALLEES), ("argument", _TYPES), ("looks", LOOKS))
)
_SINK, _FLOWS, _REACHES, _PASSES_SINK, _PASSES_FLOW = (
    places(_INDEX, prefix, KINDS) for prefix in ("sink", "flows", "reaches", "passes_sink", "passes_flow")
)
_IMPLICIT = FILLING | {"ext"}


def rows(traces: list[Trace], knowledge: Knowledge) -> list[tuple[float, ...]]:
    """Rows of a file, equal ones once, in the order in which they are met.

    What becomes of a call's result is not told: it is another in another place, and calls of one shape, which one Call
    tells together, may differ in it.
    """
    return list(dict.fromkeys(row for row, _trace, _entry in telling(traces, knowledge)))


def telling(traces: list[Trace], knowledge: Knowledge) -> Iterator[tuple[tuple[float, ...], Trace, Call | Import]]:
    """Row of each call and import that is not ordinary, the stream that it is in, and what it is the row of."""
    seen: set[tuple[str, bool]] = set()
    for trace in traces:
        for entry in trace.imports:
            computed = entry.computed
            if (entry.name, computed) not in seen:
                seen.add((entry.name, computed))
                if computed or knowledge.novelty(entry.name) >= ORDINARY:
                    yield _Values(knowledge).imported(entry, computed), trace, entry
        for call in trace.calls:
            if call.opcode != "persistent_load" and _is_telling(call, knowledge):
                yield _Values(knowledge).called(call), trace, call


def _is_telling(call: Call, knowledge: Knowledge) -> bool:
    """Whether a call is new, is handed something new, or is usual but of something that does what it is told."""
    if knowledge.novelty_of_call(call) >= ORDINARY:
        return True
    for argument in flattened(call.args) if call.args else ():
        ref = argument.ref if argument.type == "global" else None
        if ref is not None and knowledge.about(ref.name).novelty >= ORDINARY:
            return True
    found = knowledge.about(call.callee.name).capability
    if found is not None:
        for reach in found.reaches:
            if reach.flows:
                return True
    return False


class _Values(Highest):
    def __init__(self, knowledge: Knowledge) -> None:
        super().__init__(len(NAMES))
        self.knowledge = knowledge

    def imported(self, entry: Import, computed: bool) -> tuple[float, ...]:
        self.raise_to(_INDEX["is_import"])
        if computed:
            self.raise_to(_INDEX["computed_name"])
        self._name(entry.name, self.knowledge.novelty(entry.name), filled=False)
        return tuple(self.values)

    def called(self, call: Call) -> tuple[float, ...]:
        filled = call.opcode == "BUILD" or call.opcode in _IMPLICIT
        if call.opcode in _IMPLICIT:
            self.raise_to(_INDEX["is_implicit"])
        else:
            self.raise_to(_OPCODE[_opcode(call.opcode)])
        if call.callee.kind in _CALLEE:
            self.raise_to(_CALLEE[call.callee.kind])
        self._name(call.callee.name, self.knowledge.novelty_of_call(call), filled, loads_model(call))
        if self.knowledge.is_function(call):
            self.raise_to(_INDEX["function"])
        self.raise_to(_INDEX["steps"], float(len(call.callee.steps)))
        self._arguments(call)
        return tuple(self.values)

    def _name(self, name: str, novelty: float, filled: bool, told: bool = False) -> None:
        self.raise_to(_INDEX["novelty"], novelty)
        known = self.knowledge.about(name)
        self.raise_to(_INDEX["name_novelty"], known.novelty)
        self.raise_to(_INDEX["module_novelty"], known.module)
        self.raise_to(_INDEX["package_novelty"], known.package)
        if known.stdlib:
            self.raise_to(_INDEX["stdlib"])
        if name.startswith("__main__."):
            self.raise_to(_INDEX["main"])
        if name.rpartition(".")[2].startswith("__"):
            self.raise_to(_INDEX["dunder"])
        if known.sink:
            self.raise_to(_SINK[known.sink])
        found = known.capability
        if found is None:
            self.raise_to(_INDEX["unanalysed"])
            return
        self._capability(found, filled, told)

    def _capability(self, found: Capability, filled: bool, told: bool) -> None:
        for flag, holds in (
            ("inert", found.inert),
            ("unclear", found.unknown),
            ("unresolvable", found.status == "unresolvable"),
            ("native", found.status == "native"),
        ):
            if holds:
                self.raise_to(_INDEX[flag])
        for reach in found.reaches:
            if reach.implicit <= filled and not (told and reach.kind in LOADING):
                self.raise_to((_FLOWS if reach.flows else _REACHES)[reach.kind], 1.0 / (1 + reach.depth))

    def _arguments(self, call: Call) -> None:
        self.raise_to(_INDEX["log_arguments"], log1p(len(call.args)))
        texts = 0
        for argument in call.args:
            texts += argument.type in ("str", "bytes")
        if texts and texts == len(call.args):
            self.raise_to(_INDEX["only_text"])
        for argument in flattened(call.args):
            self._argument(argument)

    def _argument(self, argument: Descriptor) -> None:
        if argument.type in _TYPE:
            self.raise_to(_TYPE[argument.type])
        if argument.looks in _LOOK:
            self.raise_to(_LOOK[argument.looks])
        if argument.type in ("str", "bytes"):
            self.raise_to(_INDEX["longest_text"], log1p(argument.length))
            self.raise_to(_INDEX["highest_entropy"], argument.entropy)
        if argument.type == "global" and argument.ref is not None:
            self._passed(argument.ref.name)

    def _passed(self, name: str) -> None:
        known = self.knowledge.about(name)
        self.raise_to(_INDEX["passed_novelty"], known.novelty)
        if known.sink:
            self.raise_to(_PASSES_SINK[known.sink])
        found = known.capability
        if found is None or not found.inert:
            self.raise_to(_INDEX["passes_live"])
        for reach in found.reaches if found is not None else ():
            if reach.flows and not reach.implicit:
                self.raise_to(_PASSES_FLOW[reach.kind])


def _opcode(name: str) -> str:
    """The opcodes that call a class's ``__new__`` are one, as are those that call a global with a marked list."""
    return {"NEWOBJ_EX": "newobj", "OBJ": "inst"}.get(name, name.lower())
