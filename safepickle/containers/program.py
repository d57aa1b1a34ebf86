"""What loading a file of another format does, told as the pickle that would do the same.

Everything that is known of pickles, from the machine to the evidence, then holds for it as it is.
"""

from __future__ import annotations

from struct import pack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from ..bytecode.trace import Place
    from .survey import Survey


class Unreadable(ValueError):
    """The program is none that its framework could run."""


def tell_opened(step: str, files: Sequence[tuple[str | None, str]], place: Place, survey: Survey) -> None:
    """Add that files are opened, each by its path, None where that is not known, and how; they become one tuple."""
    if not files:
        return
    program = Program()
    program.step = step
    program.opcodes += b"("
    for path, how in files:
        program.named("io", "open")
        program.plain(path)
        program.text(how)
        program.opcodes += b"\x86R"
    program.opcodes += b"t"
    program.tell(place, survey)


class Program:
    """Opcodes of a pickle of protocol 4, in the order in which a framework would do the same.

    Attributes
    ----------
    step
        The framework or format, as it stands in a place.
    """

    step = ""

    def __init__(self) -> None:
        self.opcodes = bytearray(b"\x80\x04")

    def tell(self, place: Place, survey: Survey) -> None:
        """Add the whole stream to what was found in the file."""
        inside = (*place, (self.step, ""))
        if survey.take_unpacked(len(self.opcodes), inside):
            survey.region(survey.keep(bytes(self.opcodes + b"."), inside), inside, "pickle")

    def named(self, module: str, name: str) -> None:
        """Push what ``module`` has by a name."""
        self.text(module)
        self.text(name)
        self.opcodes += b"\x93"

    def plain(self, value: Any) -> None:
        """Push a value of JSON that holds no others."""
        if value is None:
            self.opcodes += b"N"
        elif isinstance(value, bool):
            self.opcodes += b"\x88" if value else b"\x89"
        elif isinstance(value, str):
            self.text(value)
        elif isinstance(value, float):
            self.opcodes += b"G" + pack(">d", value)
        elif -0x80000000 <= value < 0x80000000:
            self.opcodes += b"J" + pack("<i", value)
        else:
            self.text(str(value))

    def text(self, text: str) -> None:
        """Push a text."""
        data = text.encode("utf-8", "surrogatepass")
        self.opcodes += (b"\x8c" + pack("<B", len(data)) if len(data) < 256 else b"X" + pack("<I", len(data))) + data

    def binary(self, data: bytes) -> None:
        """Push bytes."""
        self.opcodes += b"B" + pack("<I", len(data)) + data
