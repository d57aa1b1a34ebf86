# Types of the machine for checkers; in machine.py they are Cython's.
import mmap
from collections.abc import Callable, Container
from typing import Any, Final

from ..limits import Limits

BUILT: Final = 1
DROPPED: Final = 2
RETURNED: Final = 4
STORED: Final = 8
USED: Final = 16
RESULT_USES: tuple[tuple[int, str], ...]
NOTHING: int

class Unknown: ...

UNKNOWN: Unknown

class Stop(Exception):
    reason: str
    offset: int
    def __init__(self, reason: str, offset: int) -> None: ...

class Reference:
    kind: str
    name: str
    steps: tuple[str, ...]
    def __init__(self, kind: str, name: str, steps: tuple[str, ...] = ()) -> None: ...

class Literal:
    value: Any
    steps: tuple[str, ...]
    def __init__(self, value: Any, steps: tuple[str, ...] = ()) -> None: ...

class Instance:
    callee: str
    arguments: Any
    state: Any
    def __init__(self, callee: str, arguments: Any, state: Any) -> None: ...

class CallSite:
    opcode: int
    callee: int
    arguments: int
    offset: int
    depth: int
    count: int
    uses: int

class Machine:
    data: bytes | mmap.mmap
    start: int
    end: int
    position: int
    executed: int
    nodes: int
    limits: Limits
    declared: int
    result: int
    objects: list[Any]
    imports: list[list[Any]]
    calls: list[CallSite]
    oddities: dict[str, list[Any]]
    literals: list[tuple[int, int]]
    def __init__(
        self,
        data: bytes | mmap.mmap,
        start: int,
        end: int,
        limits: Limits,
        deadline: float,
        splice: Callable[[Machine, int, int], int] | None = None,
        fold: Callable[[Reference, Any], Any] | None = None,
        foldable: Container[str] = ...,
        carriers: Container[str] = ...,
    ) -> None: ...
    def run(self) -> str: ...
    @property
    def stopped_at(self) -> int: ...
    @property
    def opcode_counts(self) -> dict[int, int]: ...
    def note(self, kind: str, offset: int, detail: str = "") -> None: ...
    def literal(self, value: int) -> str | bytes: ...
    def callee_name(self, value: int) -> str: ...
    def reference(self, value: int) -> tuple[str, str, tuple[str, ...]]: ...
    def parts(self, value: int) -> tuple[str, list[int], bool]: ...
    def value(self, value: int, depth: int = 3) -> Any: ...
