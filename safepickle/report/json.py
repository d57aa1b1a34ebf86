"""Reports for programs: one JSON document, or one JSON object a line."""

from __future__ import annotations

import json

from .. import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..batch import FileObject
    from . import Summary


class Json:
    """``{"safepickle", "model", "files": [...], "summary"}``, written as it grows, one file a line."""

    def __init__(self) -> None:
        self._between = "\n"

    def begin(self, model: str) -> str:
        return f'{{"safepickle": {_dump(__version__)}, "model": {_dump(model)}, "files": ['

    def file(self, scanned: FileObject) -> str:
        between, self._between = self._between, ",\n"
        return between + _dump(scanned)

    def end(self, summary: Summary) -> str:
        return f'\n], "summary": {_dump(summary.__dict__)}}}\n'


class JsonLines:
    """One file object a line, and nothing else."""

    def begin(self, model: str) -> str:
        return ""

    def file(self, scanned: FileObject) -> str:
        return _dump(scanned) + "\n"

    def end(self, summary: Summary) -> str:
        return ""


def _dump(value: object) -> str:
    # ASCII only, and no DEL: a report shown on a terminal carries no sequence of a hostile name.
    return json.dumps(value, ensure_ascii=True, allow_nan=False).replace("\x7f", "\\u007f")
