"""Looks names up in the capability table, a file that is mapped and read where a name leads to; see :mod:`.layout`."""

from __future__ import annotations

import mmap
import os
import sys
import zlib
from bisect import bisect_left

from ..bytecode.names import canonical
from ..errors import TableError
from .capability import Capability, Reach, Step
from .layout import DIGITS, KIND_LETTERS, MAGIC, NAMES_IN_BLOCK, SIZES, padding
from .section import Section, integer
from .sinks import sink_kind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import NoReturn

PATH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "table.bin")

LARGEST_BLOCK = 1 << 20
"""Bytes that one block may unpack to."""
MAX_HOPS = 12
"""Re-exports and bases followed for one name."""
REMEMBERED = 256
"""Unpacked blocks that are kept."""
ANSWERS = 4096
LONGEST = 200
"""Answers that are kept, of names up to this length: files of a kind name the same few callables."""

_table: Table | None = None
_UNASKED = object()


def lookup(name: str) -> Capability | None:
    """What is known of the callable or module that a full dotted name leads to.

    Parameters
    ----------
    name
        ``module.attribute``, canonical or not: re-exports (``random._os.system``), C twins (``posix.system``),
        Python 2 names (``__builtin__.eval``) and inherited methods lead to what they really are.

    Returns
    -------
    Capability or None
        None when the module was never analysed, so that nothing is known. A name that its analysed module does
        not have is a fact: its status is ``unresolvable``.

    Raises
    ------
    TableError
        When the table is missing or damaged.

    Examples
    --------
    >>> lookup("posix.system").status, lookup("posix.system").reaches[0].kind
    ('root', 'process')
    """
    return (_table or table()).find(name)


def follow(reach: Reach) -> tuple[Step, ...]:
    """The steps of a reach, up to and including the root sink."""
    return table().follow(reach)


def table() -> Table:
    """The table that came with the package, mapped when first asked for.

    Raises
    ------
    TableError
        When it is missing or damaged.
    """
    global _table
    if _table is None:
        _table = open_table(PATH)
    return _table


def open_table(path: str) -> Table:
    """Map the table in a file.

    Raises
    ------
    TableError
        When it is missing or damaged.
    """
    try:
        with open(path, "rb") as file:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:
        raise TableError(f"cannot read the capability table {path}: {error}; install safepickle again") from None
    return Table(data, path)


class Table:
    """A capability table.

    Parameters
    ----------
    data
        The whole file.
    path
        Named in errors.

    Raises
    ------
    TableError
        Here when the directory is damaged, later when a block is.
    """

    def __init__(self, data: bytes | mmap.mmap, path: str) -> None:
        self.path = path
        self._data = data
        view = memoryview(data)
        at = len(MAGIC) + 4 * SIZES
        if sys.byteorder != "little" or len(view) < at or view[: len(MAGIC)] != MAGIC:
            self.damaged("it does not begin like one")
        modules, blocks, names, texts, dictionary, checksum = view[len(MAGIC) : at].cast("I")
        begin = at
        arrays: list[memoryview] = []
        for code, width, count in (("I", 4, modules), ("H", 2, modules), ("B", 1, modules), ("I", 4, blocks + names),
                                   ("H", 2, blocks + names)):  # fmt: skip
            size = width * count
            if at + size > len(view):
                self.damaged("it ends in its directory")
            arrays.append(view[at : at + size].cast(code))  # type: ignore[call-overload]  # one of three codes
            at += size + padding(size)
        self._hashes, self._first, self._count, self._ends, self._checks = arrays
        self._blocks = blocks
        self._body = at + texts + dictionary + padding(texts + dictionary)
        if self._body + (self._ends[-1] if len(self._ends) else 0) != len(view):
            self.damaged("its length is not what its directory says")
        if zlib.crc32(view[begin : self._body]) != checksum:
            self.damaged("its directory does not have its checksum")
        self._dictionary = bytes(view[at + texts : at + texts + dictionary])
        kinds, *lines = bytes(view[at : at + texts]).decode("utf-8", "replace").split("\n")
        self.packages = [line.split("\t") for line in lines]
        """Name and versions, oldest first, of each package."""
        self.kinds = dict(zip(KIND_LETTERS, kinds.split("\t"), strict=False))
        """Kind by its letter, worst first."""
        self._ranks = {kind: rank for rank, kind in enumerate(self.kinds.values())}
        self._unpacked: dict[int, tuple[str, bytes]] = {}
        self._sections: dict[tuple[int, str], Section] = {}
        self._versions: dict[str, tuple[str, ...]] = {}
        self._answers: dict[str, Capability | None] = {}

    def damaged(self, what: str) -> NoReturn:
        raise TableError(f"the capability table {self.path} is damaged: {what}; install safepickle again")

    # --- names ---------------------------------------------------------------------------------------

    def find(self, name: str) -> Capability | None:
        """What is known of a name; see :func:`lookup`."""
        known = self._answers.get(name, _UNASKED)
        if known is not _UNASKED:
            return known  # type: ignore[return-value]  # what is not that object is an answer
        if len(self._answers) >= ANSWERS:
            self._answers.clear()
        found = self._find(name, MAX_HOPS)
        if len(name) <= LONGEST:
            self._answers[name] = found
        return found

    def _find(self, name: str, hops: int) -> Capability | None:
        head, dot, rest = name.partition(".")
        name = canonical(head, rest) if dot else name
        for _ in range(hops):
            hops -= 1
            kind = sink_kind(name)
            if kind:
                return Capability(name, "root", reaches=(Reach(kind, 0, True, False),))
            parts = name.split(".")
            section = None
            for cut in range(len(parts), 0, -1):
                section = self._section(".".join(parts[:cut]), parts[cut] if cut < len(parts) else "")
                if section is not None:
                    break
            if section is None:
                return None
            if cut == len(parts):
                shadowed = self._section(".".join(parts[:-1]), parts[-1]) if cut > 1 else None
                entry = shadowed.entry(parts[-1]) if shadowed is not None else ""
                if not entry or self._target(entry, ()) == name:
                    return section.capability("")
                assert shadowed is not None
                section, cut = shadowed, cut - 1
            found = self._within(section, name, parts[cut:], hops)
            if not isinstance(found, str):
                return found
            name = found
        return Capability(name, "dynamic", unknown=True)

    def _within(self, section: Section, name: str, parts: list[str], hops: int) -> Capability | str:
        """What a module has under a path of attributes: a capability, or the name to go on with."""
        if "n" in section.flags:
            return Capability(name, "native", unknown=True, package=section.package, versions=section.versions(""))
        for cut in range(len(parts), 0, -1):
            qualname = ".".join(parts[:cut])
            entry = section.entry(qualname)
            if entry[:1] == "=":
                return self._target(entry, parts[cut:])
            rest = parts[cut:]
            if entry and not rest:
                return section.capability(qualname, entry)
            brief = "" if entry else section.brief(qualname)
            if not entry:
                if brief and not rest:
                    return section.unlisted(qualname, brief)
                if "u" in brief:
                    return Capability(name, "dynamic", unknown=True, package=section.package)
                if not brief:
                    continue
            if rest == ["__call__"] and entry[:1] != "c" and "t" not in brief:
                return f"{section.name}.{qualname}"
            inherited = self._inherited(section, entry, rest, hops)
            if inherited is not None:
                return inherited
            if entry[:1] == "v" or rest[0][:2] == "__" or "d" in section.flags:
                return Capability(name, "dynamic", unknown=True, package=section.package)
            break
        if "d" in section.flags or parts[0][:2] == "__":
            return Capability(name, "dynamic", unknown=True, package=section.package, versions=section.versions(""))
        return Capability(name, "unresolvable", package=section.package, versions=section.versions(""))

    def _inherited(self, section: Section, entry: str, rest: list[str], hops: int) -> Capability | None:
        """An attribute of a class that one of its bases has; dynamic if a base is not known."""
        fields = entry.split("\t")
        doubtful = None
        for number in fields[3].split(",") if len(fields) > 3 and fields[3] else ():
            if hops <= 0:
                return Capability(".".join(rest), "dynamic", unknown=True)
            found = self._find(".".join([self.name(number), *rest]), hops - 1)
            if found is None or found.status == "dynamic" or (found.status == "native" and found.unknown):
                doubtful = doubtful or Capability(".".join(rest), "dynamic", unknown=True, package=section.package)
            elif found.status != "unresolvable":
                return found
        return doubtful

    def _target(self, entry: str, rest: list[str] | tuple[str, ...]) -> str:
        return ".".join([self.name(entry[1:]), *rest]) if entry[:1] == "=" else ""

    def name(self, number: str) -> str:
        """The name that has a number, given in base 64."""
        value = 0
        for digit in number:
            value = value * 64 + DIGITS.find(digit)
        block, line = divmod(value, NAMES_IN_BLOCK)
        if not number or value < 0 or self._blocks + block >= len(self._ends):
            self.damaged(f"there is no name {number[:9]!r}")
        lines = self._unpack(self._blocks + block)[0].split("\n")
        if line + 1 >= len(lines):
            self.damaged(f"there is no name {number[:9]!r}")
        return lines[line + 1]

    def follow(self, reach: Reach) -> tuple[Step, ...]:
        """See :func:`follow`."""
        steps: list[Step] = []
        kind, number = reach.kind, reach.hop
        while number and len(steps) <= reach.depth:
            name = self.name(number)
            found = self.find(name)
            if found is None or found.status not in ("analysed", "native"):
                steps.append(Step(name))
                break
            version = found.versions[-1] if found.versions else ""
            steps.append(Step(name, found.package, version, found.path, found.line))
            onward = next((onward for onward in (*found.reaches, *found.derived) if onward.kind == kind), None)
            number = onward.hop if onward is not None else ""
        return tuple(steps)

    # --- blocks --------------------------------------------------------------------------------------

    def _section(self, module: str, first: str) -> Section | None:
        """The section of a module in which `first`, the first component of a qualified name, would be."""
        try:
            hashed = zlib.crc32(module.encode())
        except UnicodeEncodeError:
            return None
        at = bisect_left(self._hashes, hashed)
        while at < len(self._hashes) and self._hashes[at] == hashed:
            count = self._count[at]
            block = self._first[at] + (zlib.crc32(first.encode("utf-8", "replace")) % count if count > 1 else 0)
            if block >= self._blocks:
                self.damaged("a module lies outside it")
            known = self._sections.get((block, module))
            if known is not None:
                return known
            text, fingerprints = self._unpack(block)
            start = text.find(f"\n:{module}\t")
            if start >= 0:
                if len(self._sections) >= REMEMBERED:
                    self._sections.clear()
                found = self._sections[block, module] = Section(self, module, text, start, fingerprints)
                return found
            at += 1
        return None

    def texts(self) -> Iterator[str]:
        """The texts of all blocks, for those who want to see everything."""
        for block in range(self._blocks):
            yield self._unpack(block)[0]

    def _unpack(self, block: int) -> tuple[str, bytes]:
        known = self._unpacked.get(block)
        if known is not None:
            return known
        begin = self._body + (self._ends[block - 1] if block else 0)
        end = self._body + self._ends[block]
        if not begin <= end <= len(self._data):
            self.damaged("a block lies outside it")
        packed = self._data[begin:end]
        if zlib.crc32(packed) & 0xFFFF != self._checks[block]:
            self.damaged("a block does not have its checksum")
        try:
            inflate = zlib.decompressobj(-15, self._dictionary)
            data = inflate.decompress(packed, LARGEST_BLOCK)
            size = int.from_bytes(data[:4], "little")
            text = data[4 : 4 + size].decode("utf-8")
            if not inflate.eof or 4 + size > len(data):
                raise ValueError("a block ends too early")
            known = (text, data[4 + size :])
        except (zlib.error, ValueError) as error:
            self.damaged(str(error))
        if len(self._unpacked) >= REMEMBERED:
            self._unpacked.clear()
        self._unpacked[block] = known
        return known

    def rank(self, reach: Reach) -> int:
        """How bad the kind of a reach is, 0 being the worst."""
        return self._ranks[reach.kind]

    def package(self, number: str) -> str:
        """The name of a package."""
        return self._package(number)[0]

    def versions(self, package: str, bits: str) -> tuple[str, ...]:
        """Those of a package's versions that are set in hexadecimal `bits`."""
        known = self._versions.get(f"{package}\t{bits}")
        if known is None:
            mask = integer(self, bits, 16)
            _, *versions = self._package(package)
            known = tuple([version for at, version in enumerate(versions) if mask >> at & 1])
            self._versions[f"{package}\t{bits}"] = known
        return known

    def _package(self, number: str) -> list[str]:
        at = integer(self, number)
        if not 0 <= at < len(self.packages):
            self.damaged(f"there is no package {number[:9]}")
        return self.packages[at]
