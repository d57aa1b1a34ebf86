"""TensorFlow's SavedModel: a graph of operators, some of which read and write files when it is run.

What these do is told as the pickle that would do the same. Which other operators there are, and what a library that
adds some does, is not known here, so that the model stays incomplete. See ``saved_model.proto``, ``graph.proto`` and
``function.proto`` of TensorFlow.
"""

from __future__ import annotations

from .program import Program
from .protobuf import Damaged, fields, text_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..bytecode.trace import Place
    from .source import Source
    from .survey import Survey

_MESSAGES: dict[str, dict[int, str]] = {
    "model": {2: "meta graph"},
    "meta graph": {2: "graph"},
    "graph": {1: "node", 2: "library"},
    "library": {1: "function"},
    "function": {3: "node"},
}
"""Messages that are looked into: number of a field -> the message that it holds."""
_FILES = {"ReadFile": "rb", "WriteFile": "wb", "WholeFileReaderV2": "rb", "FixedLengthRecordReaderV2": "rb"}
"""Operators that open the file that their first input names, and how."""
_PYTHON = frozenset(("PyFunc", "PyFuncStateless", "EagerPyFunc"))
"""Operators that call a function of Python, which is registered in the program that runs the graph."""
_NAME, _OPERATOR, _INPUT, _ATTRIBUTE = 1, 2, 3, 5
_TENSOR, _TEXT = 8, 8
_MOST_FIELDS = 4_000_000
_MOST_OPENED = 1000


def read(source: Source, place: Place, survey: Survey) -> None:
    """Tell of the files that running the graph opens."""
    survey.fail("unsupported-format", place, 0, "which operators a graph may have is not known")
    if source.partial:
        return
    graph = SavedModel()
    try:
        graph.read(source)
    except Damaged as error:
        survey.fail("saved-model-damaged", place, 0, str(error))
    for name in sorted(graph.python):
        survey.odd("calls-python", place, 0, f"{name} calls a function of the program that runs the graph")
    if graph.opened:
        program = _Files()
        program.open(graph)
        program.tell(place, survey)


class _Files(Program):
    """Opens what operators open."""

    step = "graph"

    def open(self, graph: SavedModel) -> None:
        """Open every file, those that are written first, what was opened as one tuple."""
        self.opcodes += b"("
        written_first = sorted(graph.opened, key=lambda found: _FILES[found[0]] != "wb")
        for operator, given in written_first[:_MOST_OPENED]:
            self.named("io", "open")
            self.plain(graph.texts.get(given))
            self.text(_FILES[operator])
            self.opcodes += b"\x86R"
        self.opcodes += b"t"


class SavedModel:
    """Operators of a graph, and of the functions in it, that reach beyond it.

    Attributes
    ----------
    opened
        Operators that open files, each with the name of the node that names the file.
    texts
        Constant texts by the name of their node.
    python
        Operators that call Python.
    """

    def __init__(self) -> None:
        self.opened: list[tuple[str, str]] = []
        self.texts: dict[str, str] = {}
        self.python: set[str] = set()
        self._left = _MOST_FIELDS

    def read(self, source: Source) -> None:
        """Walk the whole model.

        Raises
        ------
        Damaged
            Where it is no message, or has more fields than are read.
        """
        pending = [("model", 0, source.size)]
        while pending:
            message, start, end = pending.pop()
            if message == "node":
                self._node(source, start, end)
                continue
            for number, begin, stop in self._fields(source, start, end):
                inner = _MESSAGES[message].get(number)
                if inner is not None:
                    pending.append((inner, begin, stop))

    def _fields(self, source: Source, start: int, end: int) -> list[tuple[int, int, int]]:
        found = [field for field in fields(source, start, end) if field[2] >= 0]
        self._left -= len(found)
        if self._left < 0:
            raise Damaged(f"more than {_MOST_FIELDS:,} fields")
        return found

    def _node(self, source: Source, start: int, end: int) -> None:
        name = operator = given = ""
        attributes = []
        for number, begin, stop in self._fields(source, start, end):
            if number == _NAME:
                name = text_of(source, begin, stop)
            elif number == _OPERATOR:
                operator = text_of(source, begin, stop)
            elif number == _INPUT:
                given = given or text_of(source, begin, stop).partition(":")[0]
            elif number == _ATTRIBUTE:
                attributes.append((begin, stop))
        if operator in _FILES:
            self.opened.append((operator, given))
        elif operator in _PYTHON:
            self.python.add(operator)
        elif operator == "Const":
            for begin, stop in attributes:
                self._constant(name, source, begin, stop)

    def _constant(self, name: str, source: Source, start: int, end: int) -> None:
        """The text that an attribute holds, if it holds one: key, value -> tensor -> text."""
        wanted = [(start, end)]
        for number in (2, _TENSOR, _TEXT):
            wanted = [
                (begin, stop)
                for outer in wanted
                for found, begin, stop in self._fields(source, *outer)
                if found == number
            ]
        for begin, stop in wanted[:1]:
            self.texts[name] = text_of(source, begin, stop)
