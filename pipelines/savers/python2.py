"""Pickles as Python 2 wrote them: protocol 0 to 2, STRING opcodes with raw bytes, old-style instances."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from ..assemble import words
from ..assemble.stream import Assembler
from .saved import Saved

MOVED = (("__builtin__", "set"), ("__builtin__", "frozenset"), ("UserDict", "UserDict"), ("Queue", "Queue"),
         ("collections", "deque"), ("sets", "Set"), ("UserList", "UserList"))  # fmt: skip
_LATIN = ("caf\xe9", "na\xefve", "M\xfcnchen", "\xc5ngstr\xf6m", "se\xf1or", "plain", "gar\xe7on")


def _text(asm: Assembler, rng: Random, value: str) -> Assembler:
    raw = value.encode("latin-1")
    asm.string(raw) if asm.protocol == 0 else asm.short_binstring(raw)
    return asm.put(asm.entries) if asm.protocol == 0 else asm.store(f"{asm.entries}", "binput")


def _strings(asm: Assembler, rng: Random, pool: str) -> None:
    asm.mark().list_().put(asm.entries)
    for _ in range(rng.randrange(1, 40)):
        _text(asm, rng, rng.choice(_LATIN) + rng.choice(words.PLAIN)).append()


def _record(asm: Assembler, rng: Random, pool: str) -> None:
    asm.mark().dict_().put(asm.entries)
    for word in rng.sample(words.PLAIN, rng.randrange(1, 8)):
        _text(asm, rng, word)
        draw = rng.randrange(4)
        if draw == 0:
            asm.long_(rng.randrange(10**12))
        elif draw == 1:
            asm.float_(rng.random())
        elif draw == 2:
            asm.int_(rng.randrange(999))
        else:
            _text(asm, rng, rng.choice(_LATIN))
        asm.setitem()


def _old_instance(asm: Assembler, rng: Random, pool: str) -> None:
    asm.mark().inst(words.project_module(rng, pool), words.class_name(rng, pool)).put(asm.entries)
    _record(asm, rng, pool)
    asm.build()


def _new_instance(asm: Assembler, rng: Random, pool: str) -> None:
    asm.global_("copy_reg", "_reconstructor").mark()
    asm.global_(words.project_module(rng, pool), words.class_name(rng, pool))
    asm.global_("__builtin__", "object").none().tuple_().reduce().put(asm.entries)
    _record(asm, rng, pool)
    asm.build()


def _moved_names(asm: Assembler, rng: Random, pool: str) -> None:
    module, name = rng.choice(MOVED)
    asm.global_(module, name).mark()
    _strings(asm, rng, pool)
    asm.tuple_().reduce()


MAKERS = {"strings": _strings, "record": _record, "old-instance": _old_instance, "new-instance": _new_instance,
          "moved-name": _moved_names}  # fmt: skip


def produce(rng: Random, count: int, pool: str) -> Iterator[Saved]:
    """Yield Python 2 pickles."""
    kinds = list(MAKERS)
    for index in range(count):
        kind = kinds[index % len(kinds)]
        asm = Assembler(rng.choice((0, 0, 1, 2)))
        MAKERS[kind](asm, rng, pool)
        data = asm.assemble()
        yield Saved(kind, "python2", data, data if data.isascii() else None)
