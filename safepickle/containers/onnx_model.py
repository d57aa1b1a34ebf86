"""ONNX: a graph of operators and the tensors that they use; it carries no code.

What a loader does with it by itself is to read tensors that lie in other files, so that each of these that leads out of
the model's folder is told as the pickle that opens it. Operators of domains that are not ONNX's own are run by a
library that has to be there, which nobody here can read: such a model is incomplete. See ``onnx.proto``, and
``load_external_data_for_model`` of the package onnx.
"""

from __future__ import annotations

from .program import tell_opened
from .protobuf import Damaged, Fields, fields, text_of
from .survey import listed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..bytecode.trace import Place
    from .source import Source
    from .survey import Survey

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
_GRAPH = 7
_DOMAIN = {"node": 7, "function": 10}
_EXTERNAL = ("tensor", 13)
_KEY, _VALUE = 1, 2


def read(source: Source, place: Place, survey: Survey) -> None:
    """Tell of the files that a model makes its loader open; what cannot be read leaves it incomplete."""
    if source.partial:
        survey.fail("unsupported-format", place, 0, "only the beginning of the model was unpacked")
        return
    model = OnnxModel()
    try:
        model.read(source)
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
    return ".." in parts or parts[0] == "" or parts[0].endswith(":")


class OnnxModel:
    """What a model names beyond its own bytes.

    Attributes
    ----------
    domains
        Of the operators that it uses.
    own
        Domains of functions that it defines.
    locations
        Files that tensors lie in.
    """

    def __init__(self) -> None:
        self.domains: set[str] = set()
        self.own: set[str] = set()
        self.locations: set[str] = set()

    def read(self, source: Source) -> None:
        """Walk the whole model.

        Raises
        ------
        Damaged
            Where it is no message, has no graph, or has more fields than are read.
        """
        if all(number != _GRAPH for number, _, _ in fields(source, 0, source.size)):
            raise Damaged("a model without a graph")
        read = Fields(source)
        for message, number, begin, stop in read.walk(_MESSAGES, "model", source.size):
            if number == _DOMAIN.get(message):
                (self.domains if message == "node" else self.own).add(text_of(source, begin, stop))
            elif (message, number) == _EXTERNAL:
                self._external(read, source, begin, stop)

    def foreign(self) -> list[str]:
        """Domains of operators that neither ONNX, its runtime nor the model itself defines."""
        known = _STANDARD | self.own
        return sorted(name for name in self.domains - known if not f"{name}.".startswith(_RUNTIME + "."))

    def _external(self, read: Fields, source: Source, start: int, end: int) -> None:
        key = value = ""
        for number, begin, stop in read.spans(start, end):
            if number == _KEY:
                key = text_of(source, begin, stop)
            elif number == _VALUE:
                value = text_of(source, begin, stop)
        if key == "location":
            self.locations.add(value)
