"""Files out of a tar archive, as it streams by: ustar, GNU and pax headers, not compressed."""

from __future__ import annotations

import tarfile

from .pieces import Closed, MalformedArchive, Opened, Piece, Skipped

BLOCK = 512
MAX_EXTENSION = 64 * 1024
MAX_SKIPPED_EXTENSIONS = 16

_FILES = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE)
_WORDS = {
    tarfile.LNKTYPE: "a hard link",
    tarfile.SYMTYPE: "a symbolic link",
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
    tarfile.FIFOTYPE: "a named pipe",
}


class MalformedTar(MalformedArchive):
    """The body is not a tar archive that can be read as it comes."""


class TarStream:
    """Reads members one after another. Only files are handed on; folders are passed over, the rest is skipped.

    Raises
    ------
    MalformedTar
        From both methods.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._left = 0  # bytes of the member's data still to come
        self._padding = 0
        self._state = "header"
        self._extension = bytearray()
        self._extensions = 0
        self._type = b""
        self._name: str | None = None
        self._size: int | None = None

    def feed(self, chunk: bytes) -> list[Piece]:
        """Take the next bytes of the body; return what they hold."""
        self._buffer += chunk
        pieces: list[Piece] = []
        while self._step(pieces):
            pass
        return pieces

    def finish(self) -> None:
        """Call it at the end of the body."""
        if self._state != "end":
            raise MalformedTar("the archive ended before its end mark")

    def _step(self, pieces: list[Piece]) -> bool:
        """Do one thing with what is there; False when more is needed."""
        if self._state == "end":
            self._buffer.clear()  # padding of the last record
            return False
        if self._state == "header":
            if len(self._buffer) < BLOCK:
                return False
            block = bytes(self._buffer[:BLOCK])
            del self._buffer[:BLOCK]
            self._header(block, pieces)
            return True
        if self._left:
            return self._data(pieces)
        if len(self._buffer) < self._padding:
            return False
        del self._buffer[: self._padding]
        self._member_ends(pieces)
        return True

    def _header(self, block: bytes, pieces: list[Piece]) -> None:
        if not block.strip(b"\0"):
            self._state = "end"
            return
        if self._name is None and self._size is None and (plain := _plain_file(block)) is not None:
            name, self._left = plain
            self._padding = -self._left % BLOCK
            self._extensions = 0
            self._state = "file"
            pieces.append(Opened(name))
            return
        try:
            header = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        except (tarfile.HeaderError, ValueError) as error:
            raise MalformedTar(f"a header of the archive is damaged: {error}") from None
        size = header.size if self._size is None or header.type not in _FILES else self._size
        if size < 0:
            raise MalformedTar("a member of the archive has a negative size")
        self._type = header.type
        # Links, folders and devices have no data, whatever their size says.
        has_data = header.type not in (*_WORDS, tarfile.DIRTYPE)
        self._left = size if has_data else 0
        self._padding = -self._left % BLOCK
        self._extension.clear()
        if header.type in (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK):
            self._extensions += 1
            if size > MAX_EXTENSION or self._extensions > MAX_SKIPPED_EXTENSIONS:
                raise MalformedTar("a header of the archive is too long")
            self._state = "extension"
            return
        name = header.name if self._name is None else self._name
        self._extensions = 0
        self._name = self._size = None
        if header.type in _FILES:
            self._state = "file"
            pieces.append(Opened(name))
        elif header.type == tarfile.DIRTYPE:
            self._state = "other"
        elif header.type in _WORDS:
            self._state = "other"
            pieces.append(Skipped(name, f"it is {_WORDS[header.type]}"))
        else:
            raise MalformedTar(f"a member has the type {header.type!r}, which is not read; send plain files")

    def _data(self, pieces: list[Piece]) -> bool:
        if not self._buffer:
            return False
        data = bytes(self._buffer[: self._left])
        del self._buffer[: len(data)]
        self._left -= len(data)
        if self._state == "file":
            pieces.append(data)
        elif self._state == "extension":
            self._extension += data
        return True

    def _member_ends(self, pieces: list[Piece]) -> None:
        if self._state == "file":
            pieces.append(Closed())
        elif self._state == "extension":
            self._read_extension()
        self._state = "header"

    def _read_extension(self) -> None:
        if self._type == tarfile.GNUTYPE_LONGNAME:
            self._name = bytes(self._extension).partition(b"\0")[0].decode("utf-8", "surrogateescape")
        elif self._type in (tarfile.XHDTYPE, tarfile.XGLTYPE):
            records = _pax_records(bytes(self._extension))
            if self._type == tarfile.XGLTYPE:
                if {"path", "size"} & records.keys():
                    raise MalformedTar("a global pax header names or sizes all members")
                return
            if any(keyword.startswith("GNU.sparse") for keyword in records):
                raise MalformedTar("the archive has a sparse file; make it without --sparse")
            if "path" in records:
                self._name = records["path"]
            if "size" in records:
                size = records["size"]
                if not (size.isascii() and size.isdecimal() and len(size) < 19):
                    raise MalformedTar("a pax header has a size that is no number")
                self._size = int(size)


def _plain_file(block: bytes) -> tuple[str, int] | None:
    """Name and size by a header as nearly all are, ten times as fast; None for :mod:`tarfile` to see to it."""
    name, size, checksum = block[:100], block[124:135], block[148:154]
    # A prefix makes the name longer; what comes behind the numbers is a NUL or a blank.
    if block[156:157] != tarfile.REGTYPE or block[257:262] != b"ustar" or block[345] or block[135] not in b"\0 ":
        return None
    if not (size.isdigit() and checksum.isdigit() and block[154] in b"\0 "):
        return None
    try:
        if int(checksum, 8) != 256 + sum(block) - sum(block[148:156]):
            return None
        return name.partition(b"\0")[0].decode("utf-8", "surrogateescape"), int(size, 8)
    except ValueError:
        return None


def _pax_records(data: bytes) -> dict[str, str]:
    """Records ``LENGTH KEYWORD=VALUE\\n`` of a pax header."""
    records: dict[str, str] = {}
    while data:
        length, blank, _ = data.partition(b" ")
        if not blank or not length.isdigit() or len(length) > 6 or not len(length) + 3 < int(length) <= len(data):
            raise MalformedTar("a pax header is damaged")
        record, data = data[len(length) + 1 : int(length)], data[int(length) :]
        keyword, equals, value = record.partition(b"=")
        if not equals or not value.endswith(b"\n"):
            raise MalformedTar("a pax header is damaged")
        records[keyword.decode("utf-8", "replace")] = value[:-1].decode("utf-8", "surrogateescape")
    return records
