"""What is known of names before a file is looked at: how usual they are, and what they can reach."""

from __future__ import annotations

from ..bytecode.literals import MODEL
from ..bytecode.names import is_stdlib
from ..bytecode.trace import CARRIED, Call
from ..capabilities.capability import Capability
from ..capabilities.sinks import sink_kind
from ..capabilities.table import lookup
from .prevalence import CALL, Prevalence, calls_result

TAME = 0.3
"""Most that a name can be new which was analysed and can do nothing but what it is handed can."""
LOADING = frozenset(("deserialize", "import", "file"))
"""What a loader does with a file that it is handed; of one that was read, the streams in it tell what becomes of it."""
_PLAIN = frozenset(("none", "bool", "int"))
_CALLING = ("REDUCE", "OBJ", "INST", CARRIED)
"""Opcodes that call functions; the others call classes."""
_REMEMBERED = 8192


class Name:
    """What is asked again and again of a name that files import or call.

    Attributes
    ----------
    novelty, module, package
        How new the name is, its module, and its package.
    stdlib
        Whether it is of the standard library.
    sink
        Kind of the root sink that it is, if any.
    capability
        What it can do, as far as that is known.
    called, result_called
        How new it is to call it, and to call what it returns; the latter is below 0 until it was asked for.
    """

    __slots__ = ("called", "capability", "module", "novelty", "package", "result_called", "sink", "stdlib")

    def __init__(self, name: str, known: Knowledge) -> None:
        self.novelty = known.novelty(name)
        self.module = known.novelty(name.rpartition(".")[0] + ".*")
        self.package = known.novelty(name.partition(".")[0] + ".**")
        self.stdlib = is_stdlib(name)
        self.sink = sink_kind(name)
        self.capability = known.capability(name)
        called = known.novelty(name + CALL) if name else 1.0
        self.called = TAME if name and called > TAME and known.is_tame(name) else called
        self.result_called = -1.0


class Knowledge:
    """Answers, kept from file to file.

    Parameters
    ----------
    prevalence
        How usual names are among benign training files.
    part
        Part of the groups that is left out of the counts, for files that are learned from.
    """

    def __init__(self, prevalence: Prevalence, part: int | None = None) -> None:
        self._prevalence = prevalence
        self._part = part
        self._novelties: dict[str, float] = {}
        self._names: dict[str, Name] = {}

    def about(self, name: str) -> Name:
        """What is known of a name, all at once."""
        known = self._names.get(name)
        if known is None:
            if len(self._names) >= _REMEMBERED:
                self._names.clear()
            known = self._names[name] = Name(name, self)
        return known

    def novelty(self, name: str) -> float:
        """1 for a name that no benign group uses, falling to 0; a module is ``module.*``, a package ``package.**``.

        What has no name is new; what is known to be tame is not, however seldom it is used.
        """
        known = self._novelties.get(name)
        if known is None:
            if len(self._novelties) >= _REMEMBERED:
                self._novelties.clear()
            known = self._prevalence.novelty(name, self._part) if name else 1.0
            if known > TAME and self.is_tame(name):
                known = TAME
            self._novelties[name] = known
        return known

    def is_tame(self, name: str) -> bool:
        """Whether a callable was understood and reaches no sink; only a class may call what it is handed."""
        found = self.capability(name)
        if found is None or any(reach.kind == "tamper" or reach.flows for reach in found.derived):
            return False
        if found.inert:
            return True
        return found.form == "class" and not found.unknown and not found.reaches

    def novelty_of_call(self, call: Call) -> float:
        """How new it is to call what this call calls, in the way it does."""
        known = self.about(call.callee.name)
        if not calls_result(call):
            return known.called
        if known.result_called < 0.0:
            known.result_called = self.novelty(call.callee.name + CALL * 2) if call.callee.name else 1.0
        return known.result_called

    def usual(self, name: str) -> int:
        """Groups of benign training files that use the name."""
        return self._prevalence.groups_with(name)

    def is_function(self, call: Call) -> bool:
        """Whether a call is a function's, as far as is known."""
        if call.opcode not in _CALLING:
            return False
        found = self.about(call.callee.name).capability
        return is_function(call, found.form if found is not None else "")

    def capability(self, name: str) -> Capability | None:
        """What the capability map has of a name; None for what was never analysed."""
        return lookup(name) if name else None


def loads_model(call: Call) -> bool:
    """Whether a call is handed a model file, all of which was understood, and nothing else that could be loaded."""
    return (
        bool(call.args)
        and all(argument.looks == MODEL or argument.type in _PLAIN for argument in call.args)
        and any(argument.looks == MODEL for argument in call.args)
    )


def is_function(call: Call, form: str = "") -> bool:
    """Whether a call is a function's; where its `form` is not known, one of a name whose last part is in lower case."""
    if call.opcode not in _CALLING:
        return False
    last = call.callee.name.rpartition(".")[2].lstrip("_")
    return form == "function" if form else last[:1].islower()
