"""Facts about single calls, combined by maximum: adding calls to a file can only raise them.

Each call is looked at alone: what is called (a root sink, something computed, something no benign file uses)
and with what (a shell command, code, a URL, a callable ...). What counts is the worst call, so that a payload
weighs the same in ten opcodes as in a hundred thousand.
"""

from __future__ import annotations

from math import log1p

from ..bytecode.trace import FILLING, Call, Import, Trace, flattened
from ..capabilities.sinks import KINDS
from .highest import HighestOfFile, places
from .knowledge import Knowledge
from .prevalence import calls_result

LOOKS = ("shell", "code", "url", "path", "host", "dotted", "base64", "hex", "pickle", "bytecode", "text", "identifier")
_TELLING = frozenset(("shell", "code", "url", "path", "host", "pickle", "bytecode", "base64", "hex"))

NAMES = (
    *(f"calls_sink_{kind}" for kind in KINDS),
    *(f"passes_sink_{kind}" for kind in KINDS),
    *(f"imports_sink_{kind}" for kind in KINDS),
    "computed_callee", "result_callee", "carrier_callee",
    "extension_callee", "unknown_callee", "build_on_global", "persistent_odd",
    "implicit_on_result", "passes_callable", "calls_attribute", "log_distinct_callees", "longest_steps",
    "novel_callee", "novel_import", "novel_module", "novel_package", "novel_stdlib_callee", "novel_stdlib_import",
    "novel_function_call", "novel_class_call", "novel_passed", "novel_built", "novel_implicit", "novel_dropped",
    "log_novel_callees", "novel_computed",
    *(f"novel_with_{looks}" for looks in LOOKS),
    *(f"stdlib_with_{looks}" for looks in LOOKS),
    *(f"function_with_{looks}" for looks in ("shell", "code", "url", "path", "host", "dotted", "bytecode")),
    "novel_string_entropy", "novel_only_text_arguments",
)  # fmt: skip
MONOTONE = NAMES
_INDEX = {name: index for index, name in enumerate(NAMES)}
_CALLS, _PASSES, _IMPORTS = (places(_INDEX, f"{what}_sink", KINDS) for what in ("calls", "passes", "imports"))
_ODD_CALLEES = {kind: _INDEX[f"{kind}_callee"] for kind in ("computed", "carrier", "extension", "unknown")}
_NOVEL_WITH, _STDLIB_WITH, _FUNCTION_WITH = (
    places(_INDEX, f"{what}_with", LOOKS) for what in ("novel", "stdlib", "function")
)


def values(traces: list[Trace], knowledge: Knowledge) -> list[float]:
    """Row of this group."""
    row = _Row(knowledge)
    row.see(traces)
    row.finish()
    return row.values


class _Row(HighestOfFile):
    def __init__(self, knowledge: Knowledge) -> None:
        super().__init__(len(NAMES))
        self.knowledge = knowledge
        self.callees: set[str] = set()
        self.novel: set[str] = set()

    def see_import(self, entry: Import) -> None:
        known = self.knowledge.about(entry.name)
        novelty = known.novelty
        self.raise_to(_INDEX["novel_import"], novelty)
        self.raise_to(_INDEX["novel_module"], known.module)
        self.raise_to(_INDEX["novel_package"], known.package)
        if known.stdlib:
            self.raise_to(_INDEX["novel_stdlib_import"], novelty)
        if known.sink:
            self.raise_to(_IMPORTS[known.sink], max(novelty, 0.1))
        if entry.computed:
            self.raise_to(_INDEX["novel_computed"], 1.0)

    def see_call(self, call: Call) -> None:
        callee = call.callee
        self.callees.add(callee.name)
        if callee.steps:
            self.raise_to(_INDEX["longest_steps"], len(callee.steps))
        novelty = self.knowledge.novelty_of_call(call)
        known = self.knowledge.about(callee.name)
        self._kind_of_callee(call, novelty)
        if known.sink and callee.kind != "result":
            self.raise_to(_CALLS[known.sink], max(novelty, 0.1))
        if call.opcode == "persistent_load":
            self._persistent(call)
            return
        if novelty > 0.0:  # what no benign file does; what all of them do raises nothing
            self._novel_callee(call, known.stdlib, novelty)
        if call.args:
            self._arguments(call, known.stdlib, novelty)

    def _kind_of_callee(self, call: Call, novelty: float) -> None:
        kind = call.callee.kind
        if kind in _ODD_CALLEES:
            self.raise_to(_ODD_CALLEES[kind], 1.0)
        elif calls_result(call):
            self.raise_to(_INDEX["result_callee"], novelty)
        elif kind == "attribute":
            self.raise_to(_INDEX["calls_attribute"], novelty)
        if call.opcode == "BUILD":
            if kind in ("global", "attribute", "extension", "carrier"):
                self.raise_to(_INDEX["build_on_global"], 1.0)
        elif call.opcode in FILLING:
            self.raise_to(_INDEX["implicit_on_result"], novelty)
            self.raise_to(_INDEX["novel_implicit"], novelty)

    def _persistent(self, call: Call) -> None:
        ordinary = bool(call.args) and call.args[0].type in ("tuple", "str", "int")
        self.raise_to(_INDEX["persistent_odd"], 0.0 if ordinary else 1.0)

    def _novel_callee(self, call: Call, stdlib: bool, novelty: float) -> None:
        if novelty == 1.0:
            self.novel.add(call.callee.name)
        if call.opcode == "BUILD":
            self.raise_to(_INDEX["novel_built"], novelty)
            return
        self.raise_to(_INDEX["novel_callee"], novelty)
        if stdlib:
            self.raise_to(_INDEX["novel_stdlib_callee"], novelty)
        function = self.knowledge.is_function(call)
        self.raise_to(_INDEX["novel_function_call"] if function else _INDEX["novel_class_call"], novelty)
        if "dropped" in call.result:
            self.raise_to(_INDEX["novel_dropped"], novelty)
        texts = 0
        for argument in call.args:
            texts += argument.type in ("str", "bytes")
        if texts and texts == len(call.args):
            self.raise_to(_INDEX["novel_only_text_arguments"], novelty)

    def _arguments(self, call: Call, stdlib: bool, novelty: float) -> None:
        looks: set[str] = set()
        entropy = 0.0
        for one in flattened(call.args):
            if one.type == "global" and one.ref is not None:
                self._passed(one.ref.name, novelty)
            if novelty > 0.0 and one.looks:
                looks.add(one.looks)
                if one.looks in _TELLING and one.entropy > entropy:
                    entropy = one.entropy
        if not looks:
            return
        function = self.knowledge.is_function(call)
        for look in looks:
            self._look(look, stdlib, function, novelty)
        self.raise_to(_INDEX["novel_string_entropy"], novelty * entropy)

    def _passed(self, name: str, novelty: float) -> None:
        known = self.knowledge.about(name)
        own = known.novelty
        self.raise_to(_INDEX["passes_callable"], own)
        self.raise_to(_INDEX["novel_passed"], min(1.0, own + novelty) / 2)
        if known.sink:
            self.raise_to(_PASSES[known.sink], max(own, 0.1))

    def _look(self, look: str, stdlib: bool, function: bool, novelty: float) -> None:
        if look not in _NOVEL_WITH:
            return
        self.raise_to(_NOVEL_WITH[look], novelty)
        if stdlib:
            self.raise_to(_STDLIB_WITH[look], novelty)
        if function and look in _FUNCTION_WITH:
            self.raise_to(_FUNCTION_WITH[look], novelty)

    def finish(self) -> None:
        self.values[_INDEX["log_distinct_callees"]] = log1p(len(self.callees))
        self.values[_INDEX["log_novel_callees"]] = log1p(len(self.novel))
