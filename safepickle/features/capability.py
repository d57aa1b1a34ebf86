"""What the callees of single calls can reach, weighed by how unusual they are and combined by maximum.

Neither half decides alone: many usual callables reach a file or an import, and most unusual ones reach nothing.
A callable that was analysed and reaches nothing counts as known however seldom it is used.
"""

from __future__ import annotations

from math import log1p

from ..bytecode.trace import CHANGING, Call, Import, Ref, Trace
from ..capabilities.capability import Capability
from ..capabilities.sinks import KINDS
from .highest import HighestOfFile, places
from .knowledge import LOADING, Knowledge, loads_model

_LOOKS = ("shell", "code", "url", "path", "host", "base64", "hex", "pickle", "bytecode")

NAMES = (
    *(f"flows_{kind}" for kind in KINDS),
    *(f"reaches_{kind}" for kind in KINDS),
    *(f"passes_flow_{kind}" for kind in KINDS),
    *(f"import_reaches_{kind}" for kind in KINDS),
    "nearest_flow",
    "unresolvable_callee", "unresolvable_import",
    "unanalysed_callee", "unanalysed_function_call", "unanalysed_class_call", "unanalysed_passed",
    "unclear_callee",
    "live_callee", "live_function_call", "live_class_call", "live_filled", "live_passed", "fills_global",
    *(f"live_with_{looks}" for looks in _LOOKS),
    "log_live_callees",
)  # fmt: skip
MONOTONE = NAMES
_INDEX = {name: index for index, name in enumerate(NAMES)}
_FLOWS, _REACHES, _PASSES, _IMPORTS = (
    places(_INDEX, prefix, KINDS) for prefix in ("flows", "reaches", "passes_flow", "import_reaches")
)
_LIVE_WITH = places(_INDEX, "live_with", _LOOKS)


def values(traces: list[Trace], knowledge: Knowledge) -> list[float]:
    """Row of this group."""
    row = _Row(knowledge)
    row.see(traces)
    row.values[_INDEX["log_live_callees"]] = log1p(len(row.live))
    return row.values


class _Row(HighestOfFile):
    def __init__(self, knowledge: Knowledge) -> None:
        super().__init__(len(NAMES))
        self.knowledge = knowledge
        self.live: set[str] = set()
        self.modules: set[str] = set()

    def see_import(self, entry: Import) -> None:
        name = entry.name
        if not name:
            return
        known = self.knowledge.about(name)
        if known.capability is not None and known.capability.status == "unresolvable":
            self.raise_to(_INDEX["unresolvable_import"], known.novelty)
        module = name.rpartition(".")[0]
        if module in self.modules:
            return
        self.modules.add(module)
        imported = self.knowledge.capability(module)
        if imported is not None and imported.form == "module":
            for reach in imported.reaches:
                self.raise_to(_IMPORTS[reach.kind], known.module / (1 + reach.depth))

    def see_call(self, call: Call) -> None:
        if call.opcode == "persistent_load":
            return
        if call.opcode in CHANGING and call.callee.kind in ("global", "attribute"):
            self.raise_to(_INDEX["fills_global"], 1.0)  # not something that the file made, but something of the program
        novelty = self.knowledge.novelty_of_call(call)
        if novelty > 0.0:
            self._callee(call, self.knowledge.about(call.callee.name).capability, novelty)
        for argument in call.args:
            if argument.type == "global" and argument.ref is not None and argument.ref.name:
                self._passed(argument.ref)

    def _callee(self, call: Call, found: Capability | None, novelty: float) -> None:
        filled = call.opcode in CHANGING
        if found is None:
            self.raise_to(_INDEX["unanalysed_callee"], novelty)
            function = self.knowledge.is_function(call)
            self.raise_to(_INDEX["unanalysed_function_call"] if function else _INDEX["unanalysed_class_call"], novelty)
        elif found.status == "unresolvable":
            self.raise_to(_INDEX["unresolvable_callee"], novelty)
        else:
            self._reaches(found, novelty, filled, loads_model(call))
            if found.unknown:
                self.raise_to(_INDEX["unclear_callee"], novelty)
        if found is None or not found.inert:
            self._live(call, novelty, filled)

    def _reaches(self, found: Capability, novelty: float, filled: bool, told: bool) -> None:
        for reach in found.reaches:
            if (reach.implicit and not filled) or (told and reach.kind in LOADING):
                continue
            if reach.flows:
                self.raise_to(_FLOWS[reach.kind], novelty)
                self.raise_to(_INDEX["nearest_flow"], novelty / (1 + reach.depth))
            else:
                self.raise_to(_REACHES[reach.kind], novelty / (1 + reach.depth))

    def _live(self, call: Call, novelty: float, filled: bool) -> None:
        if novelty == 1.0:
            self.live.add(call.callee.name)
        if filled:
            self.raise_to(_INDEX["live_filled"], novelty)
            return
        self.raise_to(_INDEX["live_callee"], novelty)
        function = self.knowledge.is_function(call)
        self.raise_to(_INDEX["live_function_call"] if function else _INDEX["live_class_call"], novelty)
        for argument in call.args:
            self._look(argument.looks, novelty)
            for item in argument.items:
                self._look(item.looks, novelty)

    def _look(self, looks: str, novelty: float) -> None:
        if looks in _LIVE_WITH:
            self.raise_to(_LIVE_WITH[looks], novelty)

    def _passed(self, ref: Ref) -> None:
        known = self.knowledge.about(ref.name)
        novelty, found = known.novelty, known.capability
        if novelty == 0.0 or (found is not None and found.inert):
            return
        self.raise_to(_INDEX["live_passed"], novelty)
        if found is None:
            self.raise_to(_INDEX["unanalysed_passed"], novelty)
            return
        for reach in found.reaches:
            if reach.flows and not reach.implicit:
                self.raise_to(_PASSES[reach.kind], novelty)
