"""Reports: what a scan found, written for people (text, HTML) and for programs (JSON, SARIF)."""

from __future__ import annotations

from ..record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from ..batch import FileObject

    class Format(Protocol):
        """A report is written piece by piece, as the files are done."""

        def begin(self, model: str) -> str: ...

        def file(self, scanned: FileObject) -> str: ...

        def end(self, summary: Summary) -> str: ...


FORMATS = ("text", "json", "jsonl", "sarif", "html")


class Summary(Record):
    """How many files had which verdict, and their bytes."""

    files: int = 0
    malicious: int = 0
    suspicious: int = 0
    incomplete: int = 0
    benign: int = 0
    bytes: int = 0

    def plus(self, scanned: FileObject) -> Summary:
        """The summary with one more file."""
        verdict = scanned["verdict"]
        changes = {verdict: getattr(self, verdict) + 1}
        return self.replace(files=self.files + 1, bytes=self.bytes + scanned["size"], **changes)

    def exit_code(self, fail_on: str) -> int:
        """0 nothing to object to, 1 a verdict at or over `fail_on`, 3 something incomplete and nothing worse."""
        if self.malicious or (self.suspicious and fail_on == "suspicious"):
            return 1
        return 3 if self.incomplete else 0


def make_format(name: str, colour: bool = False) -> Format:
    """The format called `name`; `colour` is for text alone."""
    if name == "text":
        from .text import Text

        return Text(colour)
    if name == "sarif":
        from .sarif import Sarif

        return Sarif()
    if name == "html":
        from .html import Html

        return Html()
    from .json import Json, JsonLines

    return Json() if name == "json" else JsonLines()
