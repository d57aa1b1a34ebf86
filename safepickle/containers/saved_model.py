"""TensorFlow's SavedModel: a graph of operators, some of which read and write files when it is run.

What these do is told as the pickle that would do the same. Which other operators there are, and what a library that
adds some does, is not known here, so that the model stays incomplete. See ``saved_model.proto``, ``graph.proto`` and
``function.proto`` of TensorFlow.
"""

from __future__ import annotations

from .program import tell_opened
from .protobuf import Damaged, Fields, is_text, text_of
from .survey import Spent

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..bytecode.trace import Place
    from .source import Source
    from .survey import Survey

_MESSAGES: dict[str, dict[int, str]] = {
    "model": {2: "meta graph"},
    "meta graph": {2: "graph"},
    "graph": {2: "library"},
    "library": {1: "function"},
    "function": {},
}
"""Messages that are looked into: number of a field -> the message that it holds."""
_FILES = {"ReadFile": "rb", "WriteFile": "wb", "WholeFileReaderV2": "rb", "FixedLengthRecordReaderV2": "rb"}
"""Operators that open the file that their first input names, and how."""
_PYTHON = frozenset(("PyFunc", "PyFuncStateless", "EagerPyFunc"))
"""Operators that call a function of Python, which is registered in the program that runs the graph."""
_NAME, _OPERATOR, _INPUT, _ATTRIBUTE = 1, 2, 3, 5
_NODES = (("graph", 1), ("function", 3))
_TEXT_OF_ATTRIBUTE = (2, 8, 8)
"""Numbers of the fields that lead from an attribute to a text in it: value, tensor, text."""
_MOST_OPENED = 1000


def read(source: Source, place: Place, survey: Survey) -> None:
    """Tell of the files that running the graph opens."""
    survey.fail("unsupported-format", place, 0, "which operators a graph may have is not known")
    if source.partial:
        return
    graph = SavedModel(place, survey)
    try:
        graph.read(source)
    except Spent:
        pass
    except Damaged as error:
        survey.fail("saved-model-damaged", place, 0, str(error))
    for name in sorted(graph.python):
        survey.odd("calls-python", place, 0, f"{name} calls a function of the program that runs the graph")
    written_first = sorted(graph.opened, key=lambda found: _FILES[found[0]] != "wb")[:_MOST_OPENED]
    files = [(graph.texts.get(given), _FILES[operator]) for operator, given in written_first]
    tell_opened("graph", files, place, survey)


class SavedModel:
    """Operators of a graph, and of the functions in it, that reach beyond it.

    Parameters
    ----------
    place, survey
        Where it is, and what is left of the budgets.

    Attributes
    ----------
    opened
        Operators that open files, each with the name of the node that names the file.
    texts
        Constant texts by the name of their node.
    python
        Operators that call Python.
    """

    def __init__(self, place: Place, survey: Survey) -> None:
        self._place = place
        self._survey = survey
        self.opened: list[tuple[str, str]] = []
        self.texts: dict[str, str] = {}
        self.python: set[str] = set()

    def read(self, source: Source) -> None:
        """Walk the whole model.

        Raises
        ------
        Damaged
            Where it is no message.
        Spent
            When the time is up, or it has more texts and operators on files than members that may be opened.
        """
        read = Fields(source, self._place, self._survey)
        for message, number, begin, stop in read.walk(_MESSAGES, "model"):
            if (message, number) in _NODES:
                self._node(read, source, begin, stop)

    def _node(self, read: Fields, source: Source, start: int, end: int) -> None:
        name = operator = given = ""
        for number, begin, stop in read.spans(start, end):
            if number == _NAME:
                name = text_of(source, begin, stop)
            elif number == _OPERATOR:
                operator = text_of(source, begin, stop)
            elif number == _INPUT:
                given = given or text_of(source, begin, stop).partition(":")[0]
        if operator in _FILES:
            self._take()
            self.opened.append((operator, given))
        elif operator in _PYTHON:
            self.python.add(operator)
        elif operator == "Const":
            for begin, stop in _inner(read, start, end, _ATTRIBUTE):
                for first in _inner(read, begin, stop, *_TEXT_OF_ATTRIBUTE):
                    if is_text(*first):
                        self._take()
                        self.texts[name] = text_of(source, *first)
                    break

    def _take(self) -> None:
        if not self._survey.take_member(self._place):
            raise Spent


def _inner(read: Fields, start: int, end: int, *numbers: int) -> Iterator[tuple[int, int]]:
    """Where the fields lie that some numbers lead to, one after the other."""
    for number, begin, stop in read.spans(start, end):
        if number == numbers[0]:
            if len(numbers) == 1:
                yield begin, stop
            else:
                yield from _inner(read, begin, stop, *numbers[1:])
