"""ONNX: a graph of operators and the tensors that they use; it carries no code.

What a loader does with it by itself is to read tensors that lie in other files, so that each of these that leads out of
the model's folder is told as the pickle that opens it. Operators of domains that are not ONNX's own are run by a
library that has to be there, which nobody here can read: such a model is incomplete. See ``onnx.proto``, and
``load_external_data_for_model`` of the package onnx.
"""

from __future__ import annotations

from .program import tell_opened
from .protobuf import Damaged, Fields
from .survey import Spent, listed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeVar

    from ..bytecode.trace import Place
    from .source import Source
    from .survey import Survey

    Name = TypeVar("Name", str, tuple[str, str])

_STANDARD = frozenset(("", "ai.onnx", "ai.onnx.ml", "ai.onnx.training", "ai.onnx.preview.training"))
"""Domains of operators that the ONNX specification defines."""
_RUNTIME = "com.microsoft"
"""Domain, and parent of domains, of operators that ONNX Runtime brings along."""
_MESSAGES: dict[str, dict[int, str]] = {
    "model": {7: "graph", 8: "operators", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 9: "operators", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
    "operators": {},
}
"""Messages that are looked into: number of a field -> the message that it holds."""
_COMPILED = "EPContext"
"""Operator of the runtime that holds, or names a file of, what was compiled for one processor."""
_NAMES = {"node": (4, 7), "function": (1, 10)}
"""Fields with the name of an operator, or of the function that it is, and with its domain."""
_EXTERNAL = ("tensor", 13)
_KEY, _VALUE = 1, 2


def read(source: Source, place: Place, survey: Survey) -> None:
    """Tell of the files that a model makes its loader open; what cannot be read leaves it incomplete."""
    if source.partial:
        survey.fail("unsupported-format", place, 0, "only the beginning of the model was unpacked")
        return
    model = OnnxModel(place, survey)
    try:
        model.read(source)
    except Spent:
        pass
    except Damaged as error:
        survey.fail("onnx-damaged", place, 0, str(error))
    if foreign := model.foreign():
        why = f"a library that is not read runs the operators of {listed(foreign)}"
        survey.fail("unsupported-format", place, 0, why)
    outside = [(location, "rb") for location in sorted(model.locations) if _leads_out(location)]
    tell_opened("external-data", outside, place, survey)


def _leads_out(location: str) -> bool:
    """Whether a path, on any system, leaves the folder that it is relative to."""
    parts = location.replace("\\", "/").split("/")
    return ".." in parts or parts[0] == "" or parts[0].endswith(":") or parts[0][1:2] == ":"


class OnnxModel:
    """What a model names beyond its own bytes.

    Parameters
    ----------
    place, survey
        Where it is, and what is left of the budgets.

    Attributes
    ----------
    used
        Operators that neither ONNX nor its runtime defines: name and domain.
    own
        Functions that the model defines: name and domain.
    locations
        Files that tensors lie in.
    """

    def __init__(self, place: Place, survey: Survey) -> None:
        self._place = place
        self._survey = survey
        self.used: set[tuple[str, str]] = set()
        self.own: set[tuple[str, str]] = set()
        self.locations: set[str] = set()

    def read(self, source: Source) -> None:
        """Walk the whole model.

        Raises
        ------
        Damaged
            Where it is no message, or has no graph.
        Spent
            When the time is up, or there are more names than members that may be opened.
        """
        read = Fields(source, self._place, self._survey)
        graph = False
        for message, number, begin, stop in read.walk(_MESSAGES, "model"):
            inner = _MESSAGES[message].get(number, "")
            graph = graph or inner == "graph"
            if inner in _NAMES and begin < stop:
                name, domain = read.texts(begin, stop, *_NAMES[inner])
                if inner == "function":
                    self._remember(self.own, (name, domain))
                elif domain not in _STANDARD and (name == _COMPILED or not f"{domain}.".startswith(_RUNTIME + ".")):
                    self._remember(self.used, (name, domain))
            elif (message, number) == _EXTERNAL:
                key, location = read.texts(begin, stop, _KEY, _VALUE)
                if key == "location":
                    self._remember(self.locations, location)
        if not graph:
            raise Damaged("a model without a graph")

    def foreign(self) -> list[str]:
        """Domains of operators that neither ONNX, its runtime nor the model itself defines."""
        return sorted({domain for _name, domain in self.used - self.own})

    def _remember(self, known: set[Name], name: Name) -> None:
        if name not in known:
            if not self._survey.take_member(self._place):
                raise Spent
            known.add(name)
