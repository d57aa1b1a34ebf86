"""ONNX: a graph of operators and the tensors that they use; it carries no code.

What a loader does with it by itself is to read tensors that lie in other files, so that each of these that leads out of
the model's folder is told as the pickle that opens it. Operators of domains that are not ONNX's own are run by a
library that has to be there, which nobody here can read: such a model is incomplete. See ``onnx.proto``, and
``load_external_data_for_model`` of the package onnx.
"""

from __future__ import annotations

from .program import Program
from .protobuf import Damaged, fields, text_of

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
    "tensor": {13: "external"},
}
"""Messages that are looked into: number of a field -> the message that it holds."""
_GRAPH = 7
_DOMAIN = {"node": 7, "function": 10}
_KEY, _VALUE = 1, 2
_MOST_FIELDS = 4_000_000
_SHOWN = 8


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
    foreign = model.foreign()
    if foreign:
        shown = ", ".join(foreign[:_SHOWN]) + (", ..." if len(foreign) > _SHOWN else "")
        survey.fail("unsupported-format", place, 0, f"a library that is not read runs the operators of {shown}")
    outside = _Outside()
    for location in sorted(model.locations):
        if _leads_out(location):
            outside.open(location)
    if len(outside.opcodes) > outside.empty:
        outside.tell(place, survey)


class _Outside(Program):
    """Opens files beyond the folder of the model."""

    step = "external-data"

    def __init__(self) -> None:
        super().__init__()
        self.opcodes += b"("
        self.empty = len(self.opcodes)

    def open(self, location: str) -> None:
        """Read one file."""
        self.named("io", "open")
        self.text(location)
        self.text("rb")
        self.opcodes += b"\x86R"

    def tell(self, place: Place, survey: Survey) -> None:
        """Add it, what was opened as one tuple."""
        self.opcodes += b"t"
        super().tell(place, survey)


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
        pending = [("model", 0, source.size)]
        left = _MOST_FIELDS
        while pending:
            message, start, end = pending.pop()
            inner = _MESSAGES.get(message, {})
            if message == "external":
                self._external(source, start, end)
                continue
            for number, begin, stop in fields(source, start, end):
                left -= 1
                if left < 0:
                    raise Damaged(f"more than {_MOST_FIELDS:,} fields")
                if stop < 0:
                    continue
                if number in inner:
                    pending.append((inner[number], begin, stop))
                elif number == _DOMAIN.get(message):
                    name = text_of(source, begin, stop)
                    (self.domains if message == "node" else self.own).add(name)

    def foreign(self) -> list[str]:
        """Domains of operators that neither ONNX, its runtime nor the model itself defines."""
        known = _STANDARD | self.own
        return sorted(name for name in self.domains - known if not f"{name}.".startswith(_RUNTIME + "."))

    def _external(self, source: Source, start: int, end: int) -> None:
        key = value = ""
        for number, begin, stop in fields(source, start, end):
            if number == _KEY and stop >= 0:
                key = text_of(source, begin, stop)
            elif number == _VALUE and stop >= 0:
                value = text_of(source, begin, stop)
        if key == "location":
            self.locations.add(value)
