"""What becomes of a value in an HDF5 file: texts that Keras builds from, and pickles."""

from __future__ import annotations

from . import keras_config
from .json_program import MOST_BYTES
from .pickle_walk import walk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..bytecode.trace import Place
    from .contents import Buffer
    from .source import Source
    from .survey import Survey

_BLANKS = b" \t\r\n"
_HEAD_BYTES = 64


class Values:
    """Looks at values, each that lies in the file once.

    Parameters
    ----------
    data, survey
        The file, and what is found.

    Attributes
    ----------
    understood
        Whether all that was looked at was read whole.
    """

    def __init__(self, data: Buffer, survey: Survey) -> None:
        self._data = data
        self._survey = survey
        self._known: set[tuple[int, int]] = set()
        self.understood = True

    def look(self, value: Source, place: Place) -> bool:
        """Look at a value; whether it became streams, which it does only once."""
        if value.data is self._data:
            span = value.start, value.end
            if span in self._known:
                return False
            self._known.add(span)
        known = len(self._survey.regions)
        head = value.read(0, _HEAD_BYTES).lstrip(_BLANKS) or value.read(0, MOST_BYTES).lstrip(_BLANKS)
        if head[:1] in (b"{", b"[") and self._configures(value, place):
            return len(self._survey.regions) > known
        found = self._survey.explore(value, place)
        if not found and self._is_dotted_pickle(value):
            self._survey.region(value, place, "pickle")
        return len(self._survey.regions) > known

    def _configures(self, value: Source, place: Place) -> bool:
        """Whether Keras builds something from a text."""
        if value.size > MOST_BYTES:
            self.understood = False
            self._survey.fail("unsupported-format", place, 0, f"more than {MOST_BYTES >> 20} MB of a text are not read")
            return True
        text = value.read(0, value.size).partition(b"\0")[0]
        return keras_config.read_value(text, place, self._survey)

    def _is_dotted_pickle(self, value: Source) -> bool:
        """Whether PyTables unpickles it, and would come to import something."""
        tail = value.read(value.size - _HEAD_BYTES, _HEAD_BYTES).rstrip(b"\0")
        return tail[-1:] == b"." and walk(value.data, value.start, value.end).named
