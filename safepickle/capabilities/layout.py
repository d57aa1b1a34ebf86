"""How the capability table lies in its file; what writes it and what reads it agree here.

The file, little-endian::

    magic        MAGIC
    sizes        u32 of: modules, blocks, blocks of names, bytes of the texts, bytes of the dictionary,
                 crc32 of all that follows up to the blocks
    modules      u32 crc32 of each module's name, ascending; u16 its first block; u8 its number of blocks
    blocks       u32 end of each block, then of each block of names, counted from the first; u16 checksum of each
    texts        kinds of sinks, worst first; then a line a package: name and versions, oldest first; all between TABs
    dictionary   what deflate starts from in each block
    blocks, blocks of names   raw deflate

All arrays begin at a multiple of four. A block unpacks to the length of its text (u32), the text and
fingerprints (upper bytes of the crc32 of names). The text holds sections of modules, and ends with LF::

    LF :MODULE TAB FLAGS TAB PACKAGE TAB VERSIONS TAB START TAB COUNTS TAB REACHES
    LF QUALNAME TAB ENTRY

``FLAGS`` are :data:`MODULE_FLAGS`; ``VERSIONS`` bits, hexadecimal, of the package's versions. At byte
``START`` of the fingerprints begin those of the names of which there is no more to tell than :data:`BRIEF` says:
``COUNTS`` of each kind, with commas between; zeros at the end are left out. A module of several blocks has a section in
each; a name is in the block that the crc32 of its first component chooses.

``ENTRY`` is ``=`` and the number of the name that it leads to, or :data:`FORMS` and :data:`FLAGS` and then, each
after a TAB, line, versions (empty: the module's), numbers of the bases with commas between, and reaches. ``REACHES``
are separated by blanks: for each a letter of :data:`KIND_LETTERS` (upper case: flows), a digit for the depth and ``!``
if implicit; then ``:`` and the number of the name that comes next, none if the depth is 0. Numbers of names are
written in base 64 and count the lines of all blocks of names.
"""

from __future__ import annotations

import zlib

MAGIC = b"SafePickle capabilities 2\n\0\0\0\0\0\0"
SIZES = 6
NAMES_IN_BLOCK = 64
DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz+-"
MAX_DEPTH = len(DIGITS) - 1

MAKE, TAMPER, READ, CALL = "make", "tamper", "read", "call"
"""Kinds that have no root sinks of their own: makes code, changes the interpreter, reads files, calls what it is
passed."""

KIND_LETTERS = "abcdefghijklmnop"

FORMS = {"f": "function", "c": "class", "v": "value"}
FLAGS = "iu"
"""Inert; does something not understood."""

BRIEF = (
    ("i", 3), ("k", 3), ("c", 3), ("u", 2), ("cu", 2), ("it", 3), ("kt", 3), ("ct", 3), ("ut", 2), ("cut", 2),
)  # fmt: skip
"""What is told of a name by its fingerprint alone, and bytes of that: inert; known and hands nothing on; calls what
it is passed; does something not understood; both. With ``t`` it is a class. Where two fit the longer one holds."""

MODULE_FLAGS = "picdn"
"""A package; inert when imported; written in C and told by signatures; makes names at run time; not read at all."""


def padding(size: int) -> int:
    """Bytes that are missing to a multiple of four."""
    return -size % 4


def fingerprint(name: str, width: int) -> bytes:
    """What stands for a name: the upper bytes of its crc32."""
    return zlib.crc32(name.encode("utf-8", "replace")).to_bytes(4, "big")[:width]
