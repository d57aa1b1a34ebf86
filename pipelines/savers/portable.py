"""Savers write where code came from into the file; here that is made the same on every machine."""

from __future__ import annotations

from pathlib import Path
from types import CodeType, FunctionType, ModuleType

ROOT = Path(__file__).resolve().parents[2]


def relocate(module: ModuleType) -> None:
    """Make a module, its functions and its classes' methods name their source file relative to the checkout.

    Sources are then found by whoever runs in the checkout, as every stage does.
    """
    module.__file__ = _relative(module.__file__ or "")
    for found in list(vars(module).values()):
        if isinstance(found, FunctionType):
            found.__code__ = _relocated(found.__code__)
        elif isinstance(found, type) and found.__module__ == module.__name__:
            for method in vars(found).values():
                if isinstance(method, FunctionType):
                    method.__code__ = _relocated(method.__code__)


def _relocated(code: CodeType) -> CodeType:
    constants = tuple(_relocated(item) if isinstance(item, CodeType) else item for item in code.co_consts)
    return code.replace(co_filename=_relative(code.co_filename), co_consts=constants)


def _relative(path: str) -> str:
    return path.removeprefix(f"{ROOT}/")
