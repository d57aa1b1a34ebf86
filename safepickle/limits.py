"""The one limits object: a budget for every loop over hostile input."""

from __future__ import annotations

from .record import Record


class Limits(Record):
    """Budgets of one scan. A budget that runs out becomes an :class:`~safepickle.bytecode.trace.Oddity`
    named ``budget:<field>`` and makes the file ``incomplete``; what was seen before still counts.

    Parameters
    ----------
    opcodes
        Opcodes executed per stream.
    nodes
        Containers and call results remembered per stream (tuples, lists, dicts, instances).
    memo
        Memo entries per stream.
    stack
        Values on the symbolic stack per stream.
    calls
        Distinct call shapes recorded per stream; further ones are merged by callee. It also runs out when comparing
        arguments takes more than eight steps for every byte of a stream.
    imports
        Distinct globals recorded per stream; twice as many where they are of the standard library, which no flood
        should hide.
    children
        Literals opened per stream because they may be files, and as many again that may be files in disguise.
    depth
        Containers within containers, and pickles within pickles.
    members
        Archive members opened per file.
    streams
        Pickle streams read per file.
    literal_bytes
        Bytes of one literal that are looked at to describe it; a longer one is described by its beginning, which is
        no oddity.
    unpacked_bytes
        Bytes that decompression may produce per file, all layers together. Of these 8 MiB are kept in memory, the
        others in an unlinked temporary file where :mod:`tempfile` puts it (``TMPDIR``), which is mapped; a full disk
        is an oddity ``no-space``.
    ratio
        Decompressed bytes per compressed byte, once more than 1 MiB came out.
    seconds
        Wall time per file.
    """

    opcodes: int = 500_000_000
    nodes: int = 20_000_000
    memo: int = 50_000_000
    stack: int = 50_000_000
    calls: int = 4_096
    imports: int = 32_768
    children: int = 4_096
    depth: int = 8
    members: int = 100_000
    streams: int = 10_000
    literal_bytes: int = 65_536
    unpacked_bytes: int = 4 << 30
    ratio: int = 2_000
    seconds: float = 300.0


DEFAULT_LIMITS = Limits()
