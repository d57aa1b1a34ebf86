"""The record of one piece of evidence."""

from __future__ import annotations

from ..record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..bytecode.trace import Place

SEVERITIES = ("info", "low", "medium", "high", "critical")


class Finding(Record):
    """One piece of evidence.

    Parameters
    ----------
    rule
        Stable id, one of :data:`safepickle.findings.rules.RULES`.
    severity
        One of :data:`SEVERITIES`.
    title
        What it is, in one line: ``starts a process: os.system('echo inert')``.
    why
        Why it matters, in one or two sentences.
    stream
        Steps from the file to the stream: ``zip:archive/data.pkl``; empty for the file itself.
    offset
        Byte offset in what the steps lead to.
    callee
        Name of what is called or imported; empty where nothing is.
    effect
        What it would do, in words; empty where that is unknown.
    count
        How often the file does this.
    steps
        How the callee was reached: opcodes and callables that resolve names.
    witness
        The way from the callee to the root sink, each step with its file and line.
    """

    rule: str
    severity: str
    title: str
    why: str
    stream: str = ""
    offset: int = 0
    callee: str = ""
    effect: str = ""
    count: int = 1
    steps: tuple[str, ...] = ()
    witness: tuple[str, ...] = ()


def place_text(place: Place) -> str:
    """Steps to a stream as one line: ``zip:archive/data.pkl > literal:120``."""
    return " > ".join(f"{step}:{member}" if member else step for step, member in place)
