"""Functions of modules that are imported when they are first called: most files need few of the readers."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def later(module: str, name: str) -> Any:
    """A function of a module of this package."""

    def call(*arguments: object) -> Any:
        return getattr(__import__(f"{__package__}.{module}", fromlist=[name]), name)(*arguments)

    return call
