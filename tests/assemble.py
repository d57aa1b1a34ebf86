"""Assembled pickle streams for tests: see :mod:`pipelines.assemble`."""

from __future__ import annotations

from pipelines.assemble import Assembler, Named, push
from pipelines.assemble.reach import call, nested, value

__all__ = ["Assembler", "Named", "call", "nested", "push", "value"]
