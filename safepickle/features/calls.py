"""Facts about single calls, combined by maximum: adding calls to a file can only raise them.

Each call is looked at alone: what is called (a root sink, something computed, something no benign file uses)
and with what (a shell command, code, a URL, a callable ...). What counts is the worst call, so that a payload
weighs the same in ten opcodes as in a hundred thousand.
"""

from __future__ import annotations

from math import log1p

from ..bytecode.names import is_stdlib
from ..bytecode.trace import FILLING, Call, Import, Trace, flattened
from ..capabilities.sinks import KINDS, sink_kind
from .highest import HighestOfFile
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


def values(traces: list[Trace], knowledge: Knowledge) -> list[float]:
    """Row of this group."""
    row = _Row(knowledge)
    row.see(traces)
    row.finish()
    return row.values


class _Row(HighestOfFile):
    def __init__(self, knowledge: Knowledge) -> None:
        super().__init__(_INDEX)
        self.novelty = knowledge.novelty
        self.novelty_of_call = knowledge.novelty_of_call
        self.is_function = knowledge.is_function
        self.callees: set[str] = set()
        self.novel: set[str] = set()

    def see_import(self, entry: Import) -> None:
        name = entry.name
        novelty = self.novelty(name)
        self.raise_to("novel_import", novelty)
        self.raise_to("novel_module", self.novelty(name.rpartition(".")[0] + ".*"))
        self.raise_to("novel_package", self.novelty(name.partition(".")[0] + ".**"))
        if is_stdlib(name):
            self.raise_to("novel_stdlib_import", novelty)
        kind = sink_kind(name)
        if kind:
            self.raise_to(f"imports_sink_{kind}", max(novelty, 0.1))
        if entry.computed:
            self.raise_to("novel_computed", 1.0)

    def see_call(self, call: Call) -> None:
        name = call.callee.name
        self.callees.add(name)
        self.raise_to("longest_steps", len(call.callee.steps))
        novelty = self.novelty_of_call(call)
        self._kind_of_callee(call, novelty)
        kind = sink_kind(name) if call.callee.kind != "result" else ""
        if kind:
            self.raise_to(f"calls_sink_{kind}", max(novelty, 0.1))
        if call.opcode == "persistent_load":
            self._persistent(call)
            return
        if novelty > 0.0:  # what no benign file does; what all of them do raises nothing
            self._novel_callee(call, novelty)
        self._arguments(call, novelty)

    def _kind_of_callee(self, call: Call, novelty: float) -> None:
        kind = call.callee.kind
        if kind in ("computed", "carrier", "extension", "unknown"):
            self.raise_to(f"{kind}_callee", 1.0)
        elif calls_result(call):
            self.raise_to("result_callee", novelty)
        elif kind == "attribute":
            self.raise_to("calls_attribute", novelty)
        if call.opcode == "BUILD" and kind in ("global", "attribute", "extension", "carrier"):
            self.raise_to("build_on_global", 1.0)
        if call.opcode in FILLING:
            self.raise_to("implicit_on_result", novelty)
            self.raise_to("novel_implicit", novelty)

    def _persistent(self, call: Call) -> None:
        ordinary = bool(call.args) and call.args[0].type in ("tuple", "str", "int")
        self.raise_to("persistent_odd", 0.0 if ordinary else 1.0)

    def _novel_callee(self, call: Call, novelty: float) -> None:
        name = call.callee.name
        if novelty == 1.0:
            self.novel.add(name)
        if call.opcode == "BUILD":
            self.raise_to("novel_built", novelty)
            return
        self.raise_to("novel_callee", novelty)
        if is_stdlib(name):
            self.raise_to("novel_stdlib_callee", novelty)
        self.raise_to("novel_function_call" if self.is_function(call) else "novel_class_call", novelty)
        if "dropped" in call.result:
            self.raise_to("novel_dropped", novelty)
        texts = [argument for argument in call.args if argument.type in ("str", "bytes")]
        if texts and len(texts) == len(call.args):
            self.raise_to("novel_only_text_arguments", novelty)

    def _arguments(self, call: Call, novelty: float) -> None:
        arguments = flattened(call.args)
        for name in {one.ref.name for one in arguments if one.ref is not None and one.type == "global"}:
            self._passed(name, novelty)
        if novelty == 0.0:
            return
        for looks in {one.looks for one in arguments}.intersection(LOOKS):
            self._look(call, looks, novelty)
        entropies = [one.entropy for one in arguments if one.looks in _TELLING]
        if entropies:
            self.raise_to("novel_string_entropy", novelty * max(entropies))

    def _passed(self, name: str, novelty: float) -> None:
        own = self.novelty(name)
        self.raise_to("passes_callable", own)
        self.raise_to("novel_passed", min(1.0, own + novelty) / 2)
        kind = sink_kind(name)
        if kind:
            self.raise_to(f"passes_sink_{kind}", max(own, 0.1))

    def _look(self, call: Call, looks: str, novelty: float) -> None:
        self.raise_to(f"novel_with_{looks}", novelty)
        if is_stdlib(call.callee.name):
            self.raise_to(f"stdlib_with_{looks}", novelty)
        if self.is_function(call) and f"function_with_{looks}" in _INDEX:
            self.raise_to(f"function_with_{looks}", novelty)

    def finish(self) -> None:
        self.values[_INDEX["log_distinct_callees"]] = log1p(len(self.callees))
        self.values[_INDEX["log_novel_callees"]] = log1p(len(self.novel))
