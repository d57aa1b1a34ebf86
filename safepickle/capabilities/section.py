"""One module's part of a block of the capability table; see :mod:`.layout`."""

from __future__ import annotations

from .capability import Capability, Reach
from .layout import BRIEF, CALL, DIGITS, FORMS, MAKE, MODULE_FLAGS, READ, TAMPER, fingerprint
from .sinks import EFFECTS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .table import Table

_DERIVED = frozenset((MAKE, TAMPER, READ))


def integer(owner: Table, digits: str, base: int = 10) -> int:
    """A number of the table's text."""
    try:
        return int(digits, base)
    except ValueError:
        owner.damaged(f"{digits[:20]!r} is not a number")


class Section:
    """One module's part of a block."""

    def __init__(self, owner: Table, name: str, text: str, start: int, fingerprints: bytes) -> None:
        self.name = name
        self._owner = owner
        self._text = text
        self._start = text.find("\n", start + 1)
        end = text.find("\n:", start + 1)
        self._end = end + 1 if end >= 0 else len(text)
        fields = text[start + 2 : self._start].split("\t") if self._start > 0 else ()
        if len(fields) != 7 or fields[1].strip(MODULE_FLAGS):
            owner.damaged(f"the section of {name} is not one")
        _, self.flags, self._package, self._bits, begin, counts, self._reaches = fields
        self.package = owner.package(self._package)
        self._begin = integer(owner, begin)
        self._counts = counts
        self._groups: list[tuple[int, int, int, str]] | None = None
        self._fingerprints = fingerprints
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

    def brief(self, qualname: str) -> str:
        """What the fingerprint of a name says of it, one of :data:`~.layout.BRIEF`; nothing if there is none."""
        if self._groups is None:
            self._groups = self._read_groups()
        for width, begin, end, flags in self._groups:
            wanted = fingerprint(qualname, width)
            at = self._fingerprints.find(wanted, begin, end)
            while at >= 0 and (at - begin) % width:
                at = self._fingerprints.find(wanted, at + 1, end)
            if at >= 0:
                return flags
        return ""

    def _read_groups(self) -> list[tuple[int, int, int, str]]:
        """Where the fingerprints of each kind are: width, begin, end and what they say, the widest first."""
        groups: list[tuple[int, int, int, str]] = []
        begin = self._begin
        for count, (flags, width) in zip(self._counts.split(",") if self._counts else (), BRIEF, strict=False):
            end = begin + width * integer(self._owner, count)
            if end > begin:
                groups.append((width, begin, end, flags))
            begin = end
        groups.sort(key=lambda group: -group[0])
        return groups

    def unlisted(self, qualname: str, flags: str) -> Capability:
        """The capability of a name of which there is only a fingerprint."""
        return Capability(
            f"{self.name}.{qualname}", self._status, "class" if "t" in flags else "", inert="i" in flags,
            unknown="u" in flags, calls="c" in flags, package=self.package, versions=self.versions(""), path=self._path,
        )  # fmt: skip

    def capability(self, qualname: str, entry: str = "") -> Capability:
        """The capability of a listed name, or of the module itself if there is no `entry`."""
        if not entry:
            entry = f"v{self.flags}\t0\t\t\t{self._reaches}"
            if "n" in self.flags:
                return Capability(self.name, "native", "module", unknown=True, package=self.package)
        fields = entry.split("\t")
        if len(fields) != 5 or fields[0][:1] not in FORMS:
            self._owner.damaged(f"what it says of {self.name}.{qualname} cannot be read")
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
            tuple(derived), self.package, self.versions(bits), self._path, integer(self._owner, line),
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
                    owner.damaged(f"the reaches of something in {self.name} cannot be read")
                found.append(Reach(kind, depth, letter.isupper(), implicit, number))
                codes = codes[3 if implicit else 2 :]
        if len(found) > 1:
            found.sort(key=owner.rank)
        return found
