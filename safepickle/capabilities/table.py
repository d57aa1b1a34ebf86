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
from .layout import (
    CALL,
    DIGITS,
    FORMS,
    KIND_LETTERS,
    MAGIC,
    MAKE,
    MODULE_FLAGS,
    NAMES_IN_BLOCK,
    READ,
    SIZES,
    TAMPER,
    padding,
)
from .sinks import EFFECTS, sink_kind

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

_DERIVED = frozenset((MAKE, TAMPER, READ))
_table: Table | None = None


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
    return table().find(name)


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
            self._damaged("it does not begin like one")
        modules, blocks, names, texts, dictionary, checksum = view[len(MAGIC) : at].cast("I")
        begin = at
        arrays: list[memoryview] = []
        for code, width, count in (("I", 4, modules), ("H", 2, modules), ("B", 1, modules), ("I", 4, blocks + names),
                                   ("H", 2, blocks + names)):  # fmt: skip
            size = width * count
            if at + size > len(view):
                self._damaged("it ends in its directory")
            arrays.append(view[at : at + size].cast(code))  # type: ignore[call-overload]  # one of three codes
            at += size + padding(size)
        self._hashes, self._first, self._count, self._ends, self._checks = arrays
        self._blocks = blocks
        self._body = at + texts + dictionary + padding(texts + dictionary)
        if self._body + (self._ends[-1] if len(self._ends) else 0) != len(view):
            self._damaged("its length is not what its directory says")
        if zlib.crc32(view[begin : self._body]) != checksum:
            self._damaged("its directory does not have its checksum")
        self._dictionary = bytes(view[at + texts : at + texts + dictionary])
        kinds, *lines = bytes(view[at : at + texts]).decode("utf-8", "replace").split("\n")
        self.packages = [line.split("\t") for line in lines]
        """Name and versions, oldest first, of each package."""
        self.kinds = dict(zip(KIND_LETTERS, kinds.split("\t"), strict=False))
        """Kind by its letter, worst first."""
        self._ranks = {kind: rank for rank, kind in enumerate(self.kinds.values())}
        self._unpacked: dict[int, tuple[str, bytes]] = {}
        self._sections: dict[tuple[int, str], _Section] = {}
        self._versions: dict[str, tuple[str, ...]] = {}

    def _damaged(self, what: str) -> NoReturn:
        raise TableError(f"the capability table {self.path} is damaged: {what}; install safepickle again")

    # --- names ---------------------------------------------------------------------------------------

    def find(self, name: str, hops: int = MAX_HOPS) -> Capability | None:
        """What is known of a name; see :func:`lookup`."""
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

    def _within(self, section: _Section, name: str, parts: list[str], hops: int) -> Capability | str:
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
            if not entry:
                inert = section.fingerprint(qualname)
                if inert and not rest:
                    return section.unlisted(qualname, inert)
                if not inert:
                    continue
            if rest == ["__call__"] and entry[:1] != "c":
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

    def _inherited(self, section: _Section, entry: str, rest: list[str], hops: int) -> Capability | None:
        """An attribute of a class that one of its bases has; dynamic if a base is not known."""
        fields = entry.split("\t")
        doubtful = None
        for number in fields[3].split(",") if len(fields) > 3 and fields[3] else ():
            if hops <= 0:
                return Capability(".".join(rest), "dynamic", unknown=True)
            found = self.find(".".join([self.name(number), *rest]), hops - 1)
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
            self._damaged(f"there is no name {number[:9]!r}")
        lines = self._unpack(self._blocks + block)[0].split("\n")
        if line + 1 >= len(lines):
            self._damaged(f"there is no name {number[:9]!r}")
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

    def _section(self, module: str, first: str) -> _Section | None:
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
                self._damaged("a module lies outside it")
            known = self._sections.get((block, module))
            if known is not None:
                return known
            text, fingerprints = self._unpack(block)
            start = text.find(f"\n:{module}\t")
            if start >= 0:
                if len(self._sections) >= REMEMBERED:
                    self._sections.clear()
                found = self._sections[block, module] = _Section(self, module, text, start, fingerprints)
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
            self._damaged("a block lies outside it")
        packed = self._data[begin:end]
        if zlib.crc32(packed) & 0xFFFF != self._checks[block]:
            self._damaged("a block does not have its checksum")
        try:
            inflate = zlib.decompressobj(-15, self._dictionary)
            data = inflate.decompress(packed, LARGEST_BLOCK)
            size = int.from_bytes(data[:4], "little")
            text = data[4 : 4 + size].decode("utf-8")
            if not inflate.eof or 4 + size > len(data):
                raise ValueError("a block ends too early")
            known = (text, data[4 + size :])
        except (zlib.error, ValueError) as error:
            self._damaged(str(error))
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
            mask = _number(self, bits, 16)
            _, *versions = self._package(package)
            known = tuple([version for at, version in enumerate(versions) if mask >> at & 1])
            self._versions[f"{package}\t{bits}"] = known
        return known

    def _package(self, number: str) -> list[str]:
        at = _number(self, number)
        if not 0 <= at < len(self.packages):
            self._damaged(f"there is no package {number[:9]}")
        return self.packages[at]


def _number(owner: Table, digits: str, base: int = 10) -> int:
    try:
        return int(digits, base)
    except ValueError:
        owner._damaged(f"{digits[:20]!r} is not a number")


class _Section:
    """One module's part of a block."""

    def __init__(self, owner: Table, name: str, text: str, start: int, fingerprints: bytes) -> None:
        self.name = name
        self._owner = owner
        self._text = text
        self._start = text.find("\n", start + 1)
        end = text.find("\n:", start + 1)
        self._end = end + 1 if end >= 0 else len(text)
        fields = text[start + 2 : self._start].split("\t") if self._start > 0 else ()
        if len(fields) != 8 or fields[1].strip(MODULE_FLAGS):
            owner._damaged(f"the section of {name} is not one")
        _, self.flags, self._package, self._bits, begin, inert, unclear, self._reaches = fields
        self.package = owner.package(self._package)
        first, self._inert = _number(owner, begin), _number(owner, inert)
        self._fingerprints = fingerprints[3 * first : 3 * (first + self._inert + _number(owner, unclear))]
        self._status = "native" if "c" in self.flags else "analysed"
        self._path = ""
        if self._status == "analysed":
            self._path = name.replace(".", "/") + ("/__init__.py" if "p" in self.flags else ".py")

    def versions(self, bits: str) -> tuple[str, ...]:
        return self._owner.versions(self._package, bits or self._bits)

    def entry(self, qualname: str) -> str:
        """What the section says of a name, or nothing."""
        if "\n" in qualname or "\t" in qualname:
            return ""
        at = self._text.find(f"\n{qualname}\t", self._start, self._end)
        if at < 0:
            return ""
        at += len(qualname) + 2
        end = self._text.find("\n", at)
        return self._text[at : end if end >= 0 else self._end]

    def fingerprint(self, qualname: str) -> str:
        """``i`` for a name known inert, ``u`` for one that is not clear, or nothing."""
        wanted = (zlib.crc32(qualname.encode("utf-8", "replace")) >> 8).to_bytes(3, "big")
        at = self._fingerprints.find(wanted)
        while at > 0 and at % 3:
            at = self._fingerprints.find(wanted, at + 1)
        if at < 0:
            return ""
        return "i" if at < 3 * self._inert else "u"

    def unlisted(self, qualname: str, flag: str) -> Capability:
        """The capability of a name of which there is only a fingerprint."""
        return Capability(
            f"{self.name}.{qualname}", self._status, inert=flag == "i", unknown=flag == "u",
            package=self.package, versions=self.versions(""), path=self._path,
        )  # fmt: skip

    def capability(self, qualname: str, entry: str = "") -> Capability:
        """The capability of a listed name, or of the module itself if there is no `entry`."""
        if not entry:
            entry = f"v{self.flags}\t0\t\t\t{self._reaches}"
            if "n" in self.flags:
                return Capability(self.name, "native", "module", unknown=True, package=self.package)
        fields = entry.split("\t")
        if len(fields) != 5 or fields[0][:1] not in FORMS:
            self._owner._damaged(f"what it says of {self.name}.{qualname} cannot be read")
        flags, line, bits, _, ways = fields
        reaches: list[Reach] = []
        derived: list[Reach] = []
        calls = False
        for reach in self._read_reaches(ways) if ways else ():
            if reach.kind in EFFECTS:
                reaches.append(reach)
            elif reach.kind in _DERIVED:
                derived.append(reach)
            elif reach.kind == CALL and reach.flows:
                calls = True
        return Capability(
            f"{self.name}.{qualname}" if qualname else self.name, self._status,
            FORMS[flags[0]] if qualname else "module", tuple(reaches), "i" in flags[1:], "u" in flags[1:], calls,
            tuple(derived), self.package, self.versions(bits), self._path, _number(self._owner, line),
        )  # fmt: skip

    def _read_reaches(self, text: str) -> list[Reach]:
        owner = self._owner
        found: list[Reach] = []
        for group in text.split(" "):
            codes, _, number = group.partition(":")
            while codes:
                letter, implicit = codes[0], codes[2:3] == "!"
                kind, depth = owner.kinds.get(letter.lower()), DIGITS.find(codes[1:2])
                if kind is None or depth < 0 or bool(number) != bool(depth):
                    owner._damaged(f"the reaches of something in {self.name} cannot be read")
                found.append(Reach(kind, depth, letter.isupper(), implicit, number))
                codes = codes[3 if implicit else 2 :]
        if len(found) > 1:
            found.sort(key=owner.rank)
        return found
