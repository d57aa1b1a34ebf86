# Types of the machine for checkers; in machine.py they are Cython's.
import mmap
from collections.abc import Callable, Container
from typing import Any, Final

from ..limits import Limits
from .folding import Folded
from .values import CallSite, Instance, Reference

BUILT: Final = 1
DROPPED: Final = 2
RETURNED: Final = 4
STORED: Final = 8
USED: Final = 16
RESULT_USES: tuple[tuple[int, str], ...]
NOTHING: int
MADE: Final = 256

class Machine:
    data: bytes | mmap.mmap
    start: int
    end: int
    position: int
    executed: int
    searched: int
    frame_at: int
    frame_end: int
    straddled: int
    straddled_frame: tuple[int, int]
    nodes: int
    limits: Limits
    declared: int
    result: int
    objects: list[Any]
    imports: list[list[Any]]
    calls: list[CallSite]
    oddities: dict[str, list[Any]]
    literals: list[tuple[int, int]]
    encoded: list[tuple[int, int]]
    def __init__(
        self,
        data: bytes | mmap.mmap,
        start: int,
        end: int,
        limits: Limits,
        deadline: float,
        splice: Callable[[Machine, int, int], int] | None = None,
        fold: Callable[[Reference | Instance, Any, bool], Folded] | None = None,
        foldable: Container[str] = ...,
        carriers: Container[str] = ...,
        makers: Container[str] = ...,
    ) -> None: ...
    def run(self) -> str: ...
    def run_on(self) -> str: ...
    @property
    def at_stop(self) -> bool: ...
    @property
    def stopped_at(self) -> int: ...
    def opcode_counts(self) -> tuple[dict[str, int], int]: ...
    def note(self, kind: str, offset: int, detail: str = "") -> None: ...
    def literal(self, value: int, limit: int = 0) -> str | bytes: ...
    def span(self, value: int) -> tuple[int, int]: ...
    def argument(self, value: int, limit: int) -> str | bytes: ...
    def callee_name(self, value: int) -> str: ...
    def reference(self, value: int) -> tuple[str, str, tuple[str, ...]]: ...
    def parts(self, value: int) -> tuple[str, list[int], bool]: ...
    def built_with(self, value: int) -> int: ...
    def fingerprint(self, value: int, depth: int) -> bytes | tuple[int, ...] | None: ...
    def holds_callable(self, value: int) -> bool: ...
    def value(self, value: int, depth: int = 3) -> Any: ...
