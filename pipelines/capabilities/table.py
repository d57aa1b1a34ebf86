"""Writes the capability table (:mod:`safepickle.capabilities.layout`): the same bytes for the same input."""

from __future__ import annotations

import zlib
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from safepickle.capabilities.layout import (
    BRIEF,
    DIGITS,
    FORMS,
    KIND_LETTERS,
    MAGIC,
    MAX_DEPTH,
    NAMES_IN_BLOCK,
    fingerprint,
    padding,
)

from .entries import REACHED, Entry, ModuleEntries, Way

BLOCK = 3072
"""Bytes of text in a block, about: what is unpacked for one look."""
DICTIONARY = 32000
"""Bytes; deflate looks back no further than 32768."""
_LETTER = {form: letter for letter, form in FORMS.items()}


def write_table(modules: Iterable[ModuleEntries], packages: Mapping[str, Sequence[str]]) -> bytes:
    """The table of `modules`.

    Parameters
    ----------
    modules
        Every module once.
    packages
        Package -> its versions, oldest first: what the bits in :attr:`Entry.versions` mean.
    """
    ordered = sorted(modules, key=lambda module: module.name)
    writer = _Writer(ordered, packages)
    texts = [writer.sections(module) for module in ordered]
    chunks = list(_chunks(writer.names))
    names = [_lines(chunk) for chunk in chunks]
    dictionary = _dictionary((text for sections in texts for text, _ in sections), chunks)
    directory: list[tuple[int, int, int]] = []
    blocks: list[bytes] = []
    waiting: list[tuple[str, bytes]] = []
    for module, sections in zip(ordered, texts, strict=True):
        if len(sections) > 1 or sum(len(text) for text, _ in waiting) + len(sections[0][0]) > BLOCK:
            blocks += _block(waiting)
            waiting = []
        directory.append((zlib.crc32(module.name.encode()), len(blocks), len(sections)))
        if len(sections) > 1:
            for section in sections:
                blocks += _block([section])
        else:
            waiting.append(sections[0])
    blocks += _block(waiting)
    return _assemble(sorted(directory), blocks, names, writer.texts(), dictionary)


def _assemble(
    directory: list[tuple[int, int, int]], blocks: list[bytes], names: list[bytes], texts: bytes, dictionary: bytes
) -> bytes:
    packed = [_deflate(block, dictionary) for block in [*blocks, *names]]
    ends = array("I")
    for block in packed:
        ends.append((ends[-1] if ends else 0) + len(block))
    arrays = [
        array("I", [entry[0] for entry in directory]),
        array("H", [entry[1] for entry in directory]),
        array("B", [entry[2] for entry in directory]),
        ends,
        array("H", [zlib.crc32(block) & 0xFFFF for block in packed]),
    ]
    parts = [*(item.tobytes() for item in arrays), texts + dictionary]
    head = b"".join(part + bytes(padding(len(part))) for part in parts)
    sizes = array("I", [len(directory), len(blocks), len(names), len(texts), len(dictionary), zlib.crc32(head)])
    return b"".join([MAGIC, sizes.tobytes(), head, *packed])


def _deflate(data: bytes, dictionary: bytes) -> bytes:
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15, 9, zlib.Z_DEFAULT_STRATEGY, dictionary)
    return deflate.compress(data) + deflate.flush()


def _chunks(names: list[str]) -> Iterator[list[str]]:
    for at in range(0, len(names), NAMES_IN_BLOCK):
        yield names[at : at + NAMES_IN_BLOCK]


def _lines(names: list[str]) -> bytes:
    return _with_length("".join("\n" + name for name in names).encode(), b"")


def _block(sections: list[tuple[str, bytes]]) -> list[bytes]:
    """A block of whole sections, whose fingerprints are put one after the other; none of nothing."""
    if not sections:
        return []
    text: list[str] = []
    fingerprints = b""
    for section, own in sections:
        text.append(section.replace(START, str(len(fingerprints)), 1))
        fingerprints += own
    return [_with_length("".join([*text, "\n"]).encode(), fingerprints)]


START = "\0"
"""Stands for the place of a section's first fingerprint until the block is put together."""


def _with_length(text: bytes, fingerprints: bytes) -> bytes:
    return len(text).to_bytes(4, "little") + text + fingerprints


def _dictionary(texts: Iterable[str], names: Iterable[Sequence[str]]) -> bytes:
    """What many blocks have, the most usual last, where it is cheapest: ends of lines, beginnings and ends of names.

    Parameters
    ----------
    texts
        Of all sections.
    names
        Of each block of names.
    """
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(set(_pieces(text)))
    for block in names:
        counts.update({piece for name in block for piece in _ends(name)})
    chosen: list[str] = []
    size = 0
    for piece, count in sorted(counts.items(), key=lambda item: (-item[1] * (len(item[0]) - 2), item[0])):
        if count < 8:
            continue
        if size + len(piece) > DICTIONARY:
            break
        chosen.append(piece)
        size += len(piece)
    return "".join(reversed(chosen)).encode()


def _pieces(text: str) -> Iterator[str]:
    for line in text.split("\n"):
        name, _, entry = line.partition("\t")
        yield f".{name.rpartition('.')[2]}\t"
        if entry[:1] == "=":
            yield f"\n{line}\n"


def _ends(name: str) -> Iterator[str]:
    parts = name.split(".")
    for length in range(2, min(5, len(parts))):
        yield f"\n{'.'.join(parts[:length])}."
    yield f".{parts[-1]}\n"


class _Writer:
    """Numbers the names and packages of all modules, and writes their sections."""

    def __init__(self, modules: list[ModuleEntries], packages: Mapping[str, Sequence[str]]) -> None:
        mentioned: set[str] = set()
        for module in modules:
            for entry in (module.itself, *module.names.values()):
                mentioned.update(entry.bases)
                mentioned.update(way.following for way in entry.ways.values() if way.following)
                if entry.target:
                    mentioned.add(entry.target)
        self.names = sorted(mentioned)
        self._numbers = {name: _digits(number) for number, name in enumerate(self.names)}
        self._versions = packages
        self._packages = {package: number for number, package in enumerate(sorted(packages))}

    def texts(self) -> bytes:
        lines = ["\t".join(REACHED), *("\t".join([package, *self._versions[package]]) for package in self._packages)]
        return "\n".join(lines).encode()

    def sections(self, module: ModuleEntries) -> list[tuple[str, bytes]]:
        """The sections of a module, as text and fingerprints: one if it is small, and of it all names."""
        lines = {name: self._line(name, entry, module) for name, entry in module.names.items()}
        size = sum(len(line) or 3 for line in lines.values())
        count = min(255, 1 + size // BLOCK)
        parts: list[list[str]] = [[] for _ in range(count)]
        for name in sorted(lines):
            parts[zlib.crc32(name.partition(".")[0].encode()) % count].append(name)
        return [self._section(module, [(name, lines[name]) for name in part]) for part in parts]

    def _section(self, module: ModuleEntries, lines: list[tuple[str, str]]) -> tuple[str, bytes]:
        briefs: dict[str, list[str]] = {flags: [] for flags, _ in BRIEF}
        listed: list[str] = []
        taken: dict[bytes, str] = {}
        for name, line in lines:  # what has the fingerprint of another that says something else must be listed
            brief = "" if line else module.names[name].brief
            if brief and taken.setdefault(fingerprint(name, 3), brief) == brief:
                briefs[brief].append(name)
            else:
                listed.append(line or self._listed(name, module.names[name], module))
        data = [sorted({fingerprint(name, width) for name in briefs[flags]}) for flags, width in BRIEF]
        while data and not data[-1]:
            data.pop()
        counts = ",".join(str(len(part)) for part in data)
        header = [f"\n:{module.name}", module.flags, str(self._packages[module.package]), f"{module.itself.versions:x}"]
        header += [START, counts, self._ways(module.itself)]
        return "\t".join(header) + "".join(listed), b"".join(b"".join(part) for part in data)

    def _line(self, name: str, entry: Entry, module: ModuleEntries) -> str:
        """What is written of a name; nothing if its fingerprint will do."""
        return "" if entry.brief else self._listed(name, entry, module)

    def _listed(self, name: str, entry: Entry, module: ModuleEntries) -> str:
        if entry.target:
            return f"\n{name}\t={self._numbers[entry.target]}"
        flags = _LETTER[entry.form] + "i" * entry.inert + "u" * entry.unknown
        versions = f"{entry.versions:x}" if entry.versions != module.itself.versions else ""
        bases = ",".join(self._numbers[base] for base in entry.bases)
        return f"\n{name}\t{flags}\t{entry.line}\t{versions}\t{bases}\t{self._ways(entry)}"

    def _ways(self, entry: Entry) -> str:
        groups: dict[str, str] = {}
        for way in sorted(entry.ways.values(), key=lambda way: REACHED.index(way.kind)):
            groups[way.following] = groups.get(way.following, "") + _code(way)
        return " ".join(f"{codes}:{self._numbers.get(following, '')}" for following, codes in groups.items())


def _code(way: Way) -> str:
    letter = KIND_LETTERS[REACHED.index(way.kind)]
    return f"{letter.upper() if way.flows else letter}{DIGITS[min(way.depth, MAX_DEPTH)]}{'!' * way.implicit}"


def _digits(number: int) -> str:
    digits = DIGITS[number % 64]
    while number := number // 64:
        digits = DIGITS[number % 64] + digits
    return digits
