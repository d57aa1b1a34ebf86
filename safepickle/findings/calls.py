"""What a call gives away: which root sink it is or reaches, what it hands over, what is not known of it."""

from __future__ import annotations

from ..bytecode.folding import FOLDABLE
from ..bytecode.names import is_stdlib
from ..bytecode.trace import CHANGING, flattened
from ..capabilities.layout import MAKE
from ..capabilities.sinks import EFFECTS, LOOKUP, MAKERS, effect_of, sink_kind
from ..features.knowledge import LOADING, Knowledge, is_function, loads_model
from ..features.prevalence import CALL, called
from .finding import Finding, place_text
from .wording import LOOKS, expression

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..bytecode.trace import Call, Trace
    from ..capabilities.capability import Capability, Reach

_CALLED = {
    "exec": "critical", "process": "critical", "native": "critical", "import": "high", "deserialize": "high",
    "network": "high", "file": "high",
}  # fmt: skip
_LESS = {"critical": "high", "high": "medium", "medium": "low", "low": "info", "info": "info"}
_CALLS = frozenset(("REDUCE", "OBJ", "INST", "NEWOBJ", "NEWOBJ_EX"))
_NAMED = frozenset(("global", "attribute", "carrier", "getter", "method"))
_CARRIERS = frozenset(("functools.partial", "_functools.partial"))
_BY_NAME = frozenset(("builtins.__import__", "importlib.import_module", "importlib.__import__"))
"""Roots that import a module and do nothing else: what GLOBAL does too."""
_NAMES = ("identifier", "dotted")
_GUESSES = frozenset(("computed-callee", "result-callee", "unknown-function", "unknown-with-argument"))
"""Rules that say little of a reading that joblib, whose arrays the file has, would not make."""
_CONTAINED = ("literal", "argument")


class CallEvidence:
    """Finds the evidence in the calls and imports of one stream."""

    def __init__(self, trace: Trace, known: Knowledge) -> None:
        self.trace = trace
        self.known = known
        self.place = place_text(trace.place)
        self.doubtful = any(oddity.kind == "read-differs-without-arrays" for oddity in trace.oddities)

    def of_call(self, call: Call) -> Iterator[Finding]:
        """Evidence in one call."""
        kind, name = call.callee.kind, call.callee.name
        usual = self.known.usual(called(call))
        if call.opcode == "persistent_load":
            return
        if kind == "extension":
            yield self._finding(call, "extension-callee", "medium", f"uses the extension registry ({name})",
                                "What it names depends on the program that loads the file.")  # fmt: skip
        elif call.opcode in CHANGING:
            yield from self._of_method(call, usual)
        elif kind in ("computed", "unknown"):
            yield from self._of_unknown_callee(call)
        elif kind == "result":
            yield from self._of_result(call, usual)
        else:
            root = self.known.about(name).sink
            if root:
                yield from self._of_root(call, root)
            else:
                yield from self._of_library(call, usual)
        yield from self._handed(call)

    def of_imports(self) -> Iterator[Finding]:
        """Root sinks that are named, and neither called nor handed over."""
        sinks = [(entry, kind) for entry in self.trace.imports if (kind := self.known.about(entry.name).sink)]
        if not sinks:
            return
        used = {call.callee.name for call in self.trace.calls if call.opcode in _CALLS}
        idle = [(entry, kind) for entry, kind in sinks if entry.name not in used and self.known.usual(entry.name) <= 2]
        handed: set[str] = set()
        looked_up: set[str] = set()
        for call in self.trace.calls:
            names = {argument.ref.name for argument in flattened(call.args) if argument.ref is not None}
            (looked_up if _only_resolves(call) else handed).update(names)
        for entry, kind in idle:
            if entry.name in handed:
                continue
            only = entry.name in looked_up
            yield Finding(
                f"import-{kind}", "info" if only else "low", f"names {entry.name}",
                f"It {EFFECTS[kind]} when it is called, which loading the file does not do"
                + ("; only an attribute of it is looked up." if only else "."),
                self.place, self.trace.offset + entry.offset, entry.name, count=entry.count,
            )  # fmt: skip

    # --- callees ---------------------------------------------------------------------------------

    def _of_root(self, call: Call, kind: str) -> Iterator[Finding]:
        name = call.callee.name
        if name in MAKERS:
            yield self._makes_code(call)
            return
        severity, why = _CALLED[kind], f"Loading the file {EFFECTS[kind]}."
        if kind == "import" and name in _BY_NAME and _names_module(call):
            severity, why = "info", "It imports a module that it names, as every pickle does that names a class."
        elif kind == "deserialize" and self._was_read(call):
            severity, why = "info", "It loads an object from a literal, which was read as well."
        yield self._finding(call, f"call-{kind}", severity, f"{EFFECTS[kind]}: {expression(call)}", why, EFFECTS[kind])

    def _of_library(self, call: Call, usual: int) -> Iterator[Finding]:
        capability = self.known.about(call.callee.name).capability
        reaches = _executed(call, capability)
        for reach in reaches:
            yield from self._of_reach(call, reach, usual)
        if reaches or _is_understood(capability):
            return
        if call.callee.name.startswith("__main__.") and not is_function(call):
            yield self._finding(
                call, "own-class", "info", f"needs {call.callee.name} of the program that loads it",
                "A class of the script that wrote the file; it must be there when it is loaded.",
            )  # fmt: skip
        elif usual == 0 and not _only_resolves(call):
            yield from self._of_unknown_code(call)

    def _of_reach(self, call: Call, reach: Reach, usual: int) -> Iterator[Finding]:
        if reach.kind == MAKE:
            if not usual:
                yield self._makes_code(call)
            return
        witness = reach.witness
        root = witness[-1].name if witness else ""
        kind, severity = reach.kind, _LESS[_CALLED[reach.kind]]
        if (
            (kind == "import" and root in _BY_NAME and _names_module(call))
            or (kind == "deserialize" and self._was_read(call))
            or (kind in LOADING and loads_model(call))
        ):
            severity = "info"
        elif kind == "import" and root == LOOKUP:
            severity = _LESS[severity]
        if usual:
            severity = _LESS[severity]
        if usual > 2 and severity in ("low", "info"):
            return  # benign models do so every day
        effect = effect_of(kind, root)
        way = " -> ".join([call.callee.name, *(step.name for step in witness)])
        why = (
            f"It hands on what it is given: {way}." if witness else f"{call.callee.name}, written in C, does so itself."
        )
        yield self._finding(
            call, f"reach-{kind}", severity, f"{effect}: {expression(call)}",
            why + _usual(usual), effect,
            tuple(f"{step.name} ({step.path}:{step.line})" if step.path else step.name for step in witness),
        )  # fmt: skip

    def _of_unknown_code(self, call: Call) -> Iterator[Finding]:
        looks = [LOOKS[argument.looks] for argument in flattened(call.args) if argument.looks in LOOKS]
        if looks and (is_function(call) or call.callee.kind == "attribute"):
            yield self._finding(
                call, "unknown-with-argument", "medium", f"calls unknown code with {looks[0]}: {expression(call)}",
                "No benign training file calls it, and what it does is not known.",
            )  # fmt: skip
        elif is_function(call):
            yield self._finding(
                call, "unknown-function", "medium" if is_stdlib(call.callee.name) else "low",
                f"calls an unknown function: {expression(call)}",
                "No benign training file calls it: code of a library or project that is not known here.",
            )  # fmt: skip

    def _of_unknown_callee(self, call: Call) -> Iterator[Finding]:
        computed = call.callee.kind == "computed"
        yield self._finding(
            call, "computed-callee", "high" if computed else "medium",
            f"calls something that is only known at load time: {expression(call)}",
            "The file itself computes what is called." if computed else "What is called is no name, and may be nothing "
            "that can be called.",
        )  # fmt: skip

    def _of_result(self, call: Call, usual: int) -> Iterator[Finding]:
        if self._is_code_maker(call.callee.name):
            yield self._finding(
                call, "runs-made-code", "critical", f"runs code that is in the file: {expression(call)}",
                "It makes a function from code that the file carries, and calls it.", EFFECTS["exec"],
            )  # fmt: skip
        elif usual == 0:
            yield self._finding(
                call, "result-callee", "medium", f"calls what another call returned: {expression(call)}",
                "No benign training file calls a result of it; what runs depends on that result.",
            )  # fmt: skip

    def _of_method(self, call: Call, usual: int) -> Iterator[Finding]:
        name = call.callee.name
        if call.callee.kind in ("global", "attribute"):
            yield self._finding(
                call, "build-on-global", "high", f"changes {name} of the program that loads it: {expression(call)}",
                "What is planted on a class, function or module stays there after loading.", "changes the program",
            )  # fmt: skip
        elif call.opcode == "BUILD":
            for reach in _implicit(self.known.about(name).capability):
                yield from self._of_reach(call, reach, usual)

    def _makes_code(self, call: Call) -> Finding:
        return self._finding(
            call, "makes-code", "info", f"makes functions from code in the file: {call.callee.name}(...)",
            "Loading it does not run that code; whoever calls the functions later does.",
        )  # fmt: skip

    # --- arguments -------------------------------------------------------------------------------

    def _handed(self, call: Call) -> Iterator[Finding]:
        if not call.args:
            return
        name = call.callee.name
        given = [(argument, argument.ref.name) for argument in flattened(call.args) if argument.ref is not None]
        if not given or _only_resolves(call):
            return
        capability = self.known.about(name).capability
        keeps = capability is not None and _is_understood(capability) and not capability.calls
        for argument, handed in given:
            if argument.type == "global" and (kind := sink_kind(handed)) and handed not in MAKERS:
                severity = "low" if keeps else _LESS[_CALLED[kind]]
                yield self._finding(
                    call, f"passes-{kind}", severity, f"hands over {handed}: {expression(call)}",
                    f"{'It keeps' if keeps else 'It may call'} what it is handed; {handed} {EFFECTS[kind]}.",
                    EFFECTS[kind],
                )  # fmt: skip
            elif (
                argument.type == "result" and not keeps and self._is_code_maker(handed)
                and call.opcode in _CALLS and not self._is_code_maker(name) and not self.known.usual(name + CALL)
                and call.callee.kind in _NAMED and name.partition(".")[0] != handed.partition(".")[0]
            ):  # fmt: skip
                yield self._finding(
                    call, "runs-made-code", "high", f"hands over a function made of its code: {expression(call)}",
                    "What it is handed to may call it while the file is loaded.", EFFECTS["exec"],
                )  # fmt: skip

    def _is_code_maker(self, name: str) -> bool:
        """Whether a callable makes functions from code that it is given."""
        if name in MAKERS:
            return True
        capability = self.known.capability(name)
        return capability is not None and any(reach.kind == MAKE and reach.flows for reach in capability.derived)

    def _was_read(self, call: Call) -> bool:
        """Whether what the call loads is a literal of the stream, and all that was found in such was understood."""
        carried = [child for child in self.trace.children if child.place[-1:] and child.place[-1][0] in _CONTAINED]
        literal = any(argument.type in ("bytes", "str") and argument.length for argument in flattened(call.args))
        made = any(argument.type == "result" for argument in flattened(call.args))
        return (
            bool(carried)
            and (literal or made)
            and all(child.coverage.state == "complete" for child in carried)
            and not any(oddity.kind.startswith("budget:") for oddity in self.trace.oddities)
        )

    def _written(self, name: str) -> str:
        """A name as the stream has it."""
        spellings = [entry.written for entry in self.trace.imports if entry.name == name]
        return spellings[-1].replace(" ", ".") if spellings else name

    def _finding(self, call: Call, rule: str, severity: str, title: str, why: str, effect: str = "",
                 witness: tuple[str, ...] = ()) -> Finding:  # fmt: skip
        name = call.callee.name
        written = self._written(name)
        if self.doubtful and rule in _GUESSES:
            severity = "info"
        steps = (*call.callee.steps, *((f"written as {written}",) if written != name else ()))
        return Finding(
            rule, severity, title, why, self.place, self.trace.offset + call.offset, name, effect, call.count, steps,
            witness,
        )  # fmt: skip


def _only_resolves(call: Call) -> bool:
    """Whether a call looks things up or computes with literals, and calls nothing that it is handed."""
    name = call.callee.name
    if name == "builtins.type":
        return len(call.args) == 1  # the class of its argument; with three it makes one
    return name in FOLDABLE and name not in _CARRIERS


def _is_understood(capability: Capability | None) -> bool:
    """Whether it is known what a callable does."""
    return capability is not None and capability.status in ("analysed", "native") and not capability.unknown


def _executed(call: Call, capability: Capability | None) -> list[Reach]:
    """What the call itself sets off: NEWOBJ calls no ``__init__``, and BUILD is a call of its own."""
    if capability is None or not (capability.reaches or capability.derived):
        return []
    constructs = call.opcode in ("NEWOBJ", "NEWOBJ_EX")
    return [] if constructs else [reach for reach in _told(capability) if not reach.implicit]


def _implicit(capability: Capability | None) -> list[Reach]:
    if capability is None or not (capability.reaches or capability.derived):
        return []
    return [reach for reach in _told(capability) if reach.implicit]


def _told(capability: Capability) -> Iterator[Reach]:
    """What a callable does with what it is passed, as far as there is a rule for it."""
    for reach in (*capability.reaches, *capability.derived):
        if reach.flows and (reach.kind in EFFECTS or reach.kind == MAKE):
            yield reach


def _names_module(call: Call) -> bool:
    """Whether the module to import is written out."""
    texts = [argument for argument in call.args if argument.type == "str"]
    return bool(texts) and all(text.looks in _NAMES for text in texts[:1])


def _usual(usual: int) -> str:
    return f" {usual} {'group' if usual == 1 else 'groups'} of benign training files do so too." if usual else ""
