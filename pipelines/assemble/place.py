"""Where code sits: alone in a stream, before, inside or after a benign host, in a later stream, in a broken file."""

from __future__ import annotations

import base64
import io
import zlib
from collections.abc import Callable
from random import Random

from .hosts import Host, Write
from .literals import Named
from .reach import call, nested, value
from .stream import Assembler

Placement = Callable[[Host, Write, Random], bytes]
POP = b"0"
KEYS = tuple("extra meta config version weights params tag owner state optimizer".split())


def bare(protocol: int, write: Write, rng: Random, *, stop: bool = True) -> bytes:
    """A stream of its own, framed now and then from protocol 4 on, without PROTO now and then."""
    asm = Assembler(protocol, framed=protocol >= 4 and rng.random() < 0.6)
    write(asm)
    data = asm.assemble(stop=stop)
    return data[2:] if protocol >= 2 and rng.random() < 0.05 else data


def _before(host: Host, write: Write, rng: Random) -> bytes:
    return host.splice(host.start, b"", write, POP, _frames(rng))


def _inside(host: Host, write: Write, rng: Random) -> bytes:
    return host.splice(rng.randrange(host.start, host.end + 1), b"", write, POP, _frames(rng))


def _after(host: Host, write: Write, rng: Random) -> bytes:
    return host.splice(host.end, b"", write, POP, _frames(rng))


def _returned(host: Host, write: Write, rng: Random) -> bytes:
    return host.splice(host.end, POP, write, b"", _frames(rng))


def _paired(host: Host, write: Write, rng: Random) -> bytes:
    """Host and code become a pair, which keeps both."""
    if host.protocol >= 2:
        return host.splice(host.end, b"", write, b"\x86", _frames(rng))
    return host.splice(host.start, b"(", lambda asm: write(asm), b"", _frames(rng))[:-1] + b"t."


def _stored(host: Host, write: Write, rng: Random) -> bytes:
    """The result becomes an item of a dict or list of the host; inside, when the host fills none."""
    filled = host.places(("SETITEMS", "APPENDS", "SETITEM", "APPEND"))
    if not filled:
        return _inside(host, write, rng)
    index = rng.choice(filled)
    name = host.operations[index].name

    def item(asm: Assembler) -> None:
        if name in ("SETITEMS", "SETITEM"):
            asm.text(rng.choice(KEYS))
        write(asm)

    if name in ("SETITEMS", "APPENDS"):
        return host.splice(index, b"", item, b"", _frames(rng))
    return host.splice(index + 1, b"", item, b"s" if name == "SETITEM" else b"a", _frames(rng))


def _later_stream(host: Host, write: Write, rng: Random) -> bytes:
    return host.data + padding(rng) + bare(host.protocol, write, rng)


def _earlier_stream(host: Host, write: Write, rng: Random) -> bytes:
    return bare(host.protocol, write, rng) + host.data


def _truncated_host(host: Host, write: Write, rng: Random) -> bytes:
    """Cut off somewhere after the code."""
    at = rng.randrange(host.start, host.end + 1)
    whole = host.splice(at, b"", write, POP, keep_frames=False)
    tail = sum(len(op.code) for op in host.operations[at:])
    return whole[: len(whole) - rng.randrange(1, tail + 1)]


def _frames(rng: Random) -> bool:
    return rng.random() < 0.85


def padding(rng: Random) -> bytes:
    """What lies between two streams of a file: mostly nothing, or NULs, a line, a remark."""
    return rng.choice([b"", b"", b"\0" * rng.randrange(1, 64), b"\n", b"# end of model\n", b"\0\0padding\0\0"])


PLACES: dict[str, Placement] = {
    "before": _before,
    "inside": _inside,
    "after": _after,
    "returned": _returned,
    "paired": _paired,
    "stored": _stored,
    "later_stream": _later_stream,
    "earlier_stream": _earlier_stream,
    "truncated_host": _truncated_host,
}


def no_stop(protocol: int, write: Write, rng: Random) -> bytes:
    """Ends right after the code, without STOP."""
    asm = Assembler(protocol)
    write(asm)
    return asm.assemble(stop=False)


def broken_after(protocol: int, write: Write, rng: Random) -> bytes:
    """Ends in what no unpickler accepts: an unknown opcode, a memo key never stored, a name made of numbers."""
    asm = Assembler(protocol)
    write(asm)
    breaks: list[Callable[[], object]] = [
        lambda: asm.raw(b"\xff\xfe"),
        lambda: asm.get(99_999),
        lambda: asm.int_(1).int_(2).stack_global(),
        lambda: asm.int_(1).reduce(),
        lambda: asm.pop().pop().pop(),
    ]
    rng.choice(breaks)()
    return asm.assemble()


CARRIERS: dict[str, tuple[Named, ...]] = {
    "bytes": (
        Named("_pickle", "loads"), Named("pickle", "loads"), Named("dill", "loads"), Named("cloudpickle", "loads"),
        Named("torch.storage", "_load_from_bytes"),
    ),
    "file": (Named("joblib", "load"), Named("numpy", "load"), Named("pandas", "read_pickle"), Named("torch", "load")),
}  # fmt: skip


def carried(inner: bytes, rng: Random) -> Write:
    """Code that loads a pickle from a literal: raw, compressed or as base64, by a bytes or a file loader."""
    literal = value(inner)
    draw = rng.random()
    if draw < 0.15:
        literal = nested(value(Named("zlib", "decompress")), value(zlib.compress(inner)))
    elif draw < 0.3:
        literal = nested(value(Named("base64", "b64decode")), value(base64.b64encode(inner)))
    if rng.random() < 0.65:
        loader = value(rng.choice(CARRIERS["bytes"]))
        return lambda asm: call(asm, loader, literal)
    file = nested(value(Named(io.BytesIO.__module__, "BytesIO")), literal)
    loader = value(rng.choice(CARRIERS["file"]))
    return lambda asm: call(asm, loader, file)
