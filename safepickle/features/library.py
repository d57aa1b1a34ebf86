"""Which library a file is of, for rates and reports by library."""

from __future__ import annotations

from ..bytecode.names import is_stdlib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..bytecode.trace import FileTrace

UNKNOWN_LIBRARY = "none"


def library_of(trace: FileTrace) -> str:
    """Return the package outside the standard library that a file names most, ``none`` without any."""
    packages: dict[str, int] = {}
    for stream in trace.walk():
        for entry in stream.imports:
            if entry.name and not is_stdlib(entry.name) and entry.name.isprintable():
                package = entry.name.partition(".")[0]
                packages[package] = packages.get(package, 0) + 1
    return min(packages, key=lambda package: (-packages[package], package)) if packages else UNKNOWN_LIBRARY
