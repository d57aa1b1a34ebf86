"""Assembled pickle streams: bytes for tests and training data, written opcode by opcode and never loaded."""

from .literals import Named, push
from .stream import Assembler

__all__ = ["Assembler", "Named", "push"]
