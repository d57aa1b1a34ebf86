"""What loading a stream does, statement by statement, as Python would write it; for people, off the path of a scan."""

from .interpreter import Decompiled, decompile
from .reading import Reading, read_file

__all__ = ["Decompiled", "Reading", "decompile", "read_file"]
