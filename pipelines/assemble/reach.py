"""The ways in which a stream can name a callable."""

from __future__ import annotations

import _compat_pickle
import base64
import codecs
from collections.abc import Callable
from random import Random
from typing import NamedTuple

from .literals import Named, push
from .literals import name as push_name
from .stream import Assembler

Push = Callable[[Assembler], object]
"""Code that leaves one value on the stack."""

RESOLVERS = {"train": Named("pydoc", "locate"), "test": Named("pkgutil", "resolve_name")}
_PYTHON_2_MODULES = _compat_pickle.REVERSE_IMPORT_MAPPING
_PYTHON_2_NAMES = _compat_pickle.REVERSE_NAME_MAPPING


class Site(NamedTuple):
    """What is to be named: its module and name, other names for it, and the pool it belongs to."""

    module: str
    name: str
    aliases: tuple[tuple[str, str], ...] = ()
    pool: str = "train"


class Way(NamedTuple):
    """One way of naming: whether it works for a site in a protocol, and the code."""

    applies: Callable[[Site, int], bool]
    push: Callable[[Assembler, Site, Random], None]


def value(item: object) -> Push:
    """Code that pushes a literal or a :class:`~.literals.Named`."""
    return lambda asm: push(asm, item)


def call(asm: Assembler, callee: Push, *arguments: Push) -> None:
    """Push the result of a REDUCE, with the tuple opcode that the protocol would use."""
    callee(asm)
    short = asm.protocol >= 2 and 1 <= len(arguments) <= 3
    if not short:
        asm.mark()
    for argument in arguments:
        argument(asm)
    if short:
        (asm.tuple1, asm.tuple2, asm.tuple3)[len(arguments) - 1]()
    else:
        asm.tuple_()
    asm.reduce()


def nested(*callee_and_arguments: Push) -> Push:
    """:func:`call` as an argument of another call."""
    return lambda asm: call(asm, *callee_and_arguments)


GETATTR = value(Named("builtins", "getattr"))


def _global(asm: Assembler, site: Site, rng: Random) -> None:
    asm.global_(site.module, site.name)


def python_2_name(module: str, name: str) -> tuple[str, str]:
    """The name that Python 3 maps to this one when it loads protocol 0 to 2."""
    if (module, name) in _PYTHON_2_NAMES:
        return _PYTHON_2_NAMES[module, name]
    return _PYTHON_2_MODULES.get(module, module), name


def _global_python_2(asm: Assembler, site: Site, rng: Random) -> None:
    asm.global_(*python_2_name(site.module, site.name))


def _stack_global(asm: Assembler, site: Site, rng: Random) -> None:
    for text in (site.module, site.name):
        rng.choice((asm.short_binunicode, asm.short_binunicode, asm.binunicode, asm.binunicode8))(text)
    asm.stack_global()


def _string_opcodes(asm: Assembler, site: Site, rng: Random) -> None:
    for text in (site.module, site.name):
        which = rng.randrange(5)
        if which == 0:
            asm.string(text.encode("utf-8"))
        elif which == 1:
            asm.raw(b'S"' + "".join(f"\\x{byte:02x}" for byte in text.encode()).encode() + b'"\n')
        elif which == 2:
            asm.binstring(text.encode("utf-8"))
        elif which == 3:
            asm.short_binstring(text.encode("utf-8"))
        else:
            asm.raw(b"V" + "".join(f"\\u{ord(char):04x}" for char in text).encode() + b"\n")
    asm.stack_global()


def _memo(asm: Assembler, site: Site, rng: Random) -> None:
    tag = f"{asm.entries}:{rng.random()}"
    writers = ["put", "binput", "long_binput"] + ["memoize"] * 3 * asm.memoizes
    for part, text in (("module", site.module), ("name", site.name)):
        asm.text(text).store(f"{part}{tag}", rng.choice(writers)).pop()
    for part in ("module", "name"):
        if part == "name" and rng.random() < 0.4:
            asm.text("print").pop()
        asm.recall(f"{part}{tag}", rng.choice(["get", "binget", "long_binget"]))
    asm.stack_global()


def _decoy(asm: Assembler, site: Site, rng: Random) -> None:
    gaps: list[Callable[[], object]] = [
        lambda: asm.text("collections").pop(),
        lambda: asm.mark().text("OrderedDict").none().pop_mark(),
        lambda: asm.empty_tuple().pop(),
        lambda: asm.dup().pop(),
        lambda: asm.none().dup().pop().pop(),
    ]
    asm.text(site.module)
    rng.choice(gaps)()
    asm.text(site.name)
    rng.choice(gaps)()
    asm.stack_global()


def _alias(asm: Assembler, site: Site, rng: Random) -> None:
    asm.global_(*rng.choice([alias for alias in site.aliases if "." not in alias[1]]))


def _dotted_alias(asm: Assembler, site: Site, rng: Random) -> None:
    module, name = rng.choice([alias for alias in site.aliases if "." in alias[1]])
    asm.text(module).text(name).stack_global()


def _chain(asm: Assembler, start: Push, names: list[str]) -> None:
    """``getattr(getattr(start, first), second)`` ..."""
    found = start
    for item in names:
        found = nested(GETATTR, found, value(item))
    found(asm)


def _import_module(site: Site) -> Push:
    return nested(value(Named("importlib", "import_module")), value(site.module))


def _import_getattr(asm: Assembler, site: Site, rng: Random) -> None:
    _chain(asm, _import_module(site), site.name.split("."))


def _alias_getattr(asm: Assembler, site: Site, rng: Random) -> None:
    module, name = rng.choice([alias for alias in site.aliases if "." in alias[1]])
    first, *rest = name.split(".")
    _chain(asm, value(Named(module, first)), rest)


def _attrgetter(asm: Assembler, site: Site, rng: Random) -> None:
    call(asm, nested(value(Named("operator", "attrgetter")), value(site.name)), _import_module(site))


def _resolver(asm: Assembler, site: Site, rng: Random) -> None:
    resolver = RESOLVERS[site.pool]
    joint = ":" if resolver.module == "pkgutil" else "."
    call(asm, value(resolver), value(f"{site.module}{joint}{site.name}"))


def _join(asm: Assembler, site: Site, rng: Random) -> None:
    for text in (site.module, site.name):
        cut = rng.randrange(len(text) + 1)
        call(asm, nested(GETATTR, value(""), value("join")), value([text[:cut], text[cut:]]))
    asm.stack_global()


def _codec(asm: Assembler, site: Site, rng: Random) -> None:
    decode = value(Named("_codecs", "decode"))
    for text in (site.module, site.name):
        which = rng.randrange(3)
        if which == 0:
            call(asm, decode, value(codecs.encode(text, "rot13")), value("rot13"))
        elif which == 1:
            call(asm, decode, value(text.encode()), value("utf-8"))
        else:
            raw = nested(value(Named("base64", "b64decode")), value(base64.b64encode(text.encode())))
            call(asm, decode, raw, value("ascii"))
    asm.stack_global()


def _plain_name(site: Site, protocol: int) -> bool:
    return "." not in site.name or protocol >= 4


WAYS: dict[str, Way] = {
    "global": Way(_plain_name, _global),
    "global_python_2": Way(
        lambda site, protocol: (
            protocol <= 2 and "." not in site.name and python_2_name(site.module, site.name) != (site.module, site.name)
        ),
        _global_python_2,
    ),
    "stack_global": Way(lambda site, protocol: protocol >= 4, _stack_global),
    "string_opcodes": Way(lambda site, protocol: protocol >= 2 and _plain_name(site, protocol), _string_opcodes),
    "memo": Way(lambda site, protocol: protocol >= 2 and _plain_name(site, protocol), _memo),
    "decoy": Way(lambda site, protocol: protocol >= 2 and _plain_name(site, protocol), _decoy),
    "alias": Way(lambda site, protocol: any("." not in name for _, name in site.aliases), _alias),
    "dotted_alias": Way(
        lambda site, protocol: protocol >= 4 and any("." in name for _, name in site.aliases), _dotted_alias
    ),
    "import_getattr": Way(lambda site, protocol: True, _import_getattr),
    "alias_getattr": Way(lambda site, protocol: any("." in name for _, name in site.aliases), _alias_getattr),
    "attrgetter": Way(lambda site, protocol: True, _attrgetter),
    "resolver": Way(lambda site, protocol: True, _resolver),
    "join": Way(_plain_name, _join),
    "codec": Way(_plain_name, _codec),
}


def ways(site: Site, protocol: int) -> list[str]:
    """The ways that work for a site in a protocol, in a fixed order."""
    return [way for way, (applies, _) in WAYS.items() if applies(site, protocol)]


def push_site(asm: Assembler, site: Site, way: str, rng: Random) -> None:
    """Push the callable in one of the :data:`WAYS`."""
    WAYS[way].push(asm, site, rng)


__all__ = ["GETATTR", "WAYS", "Push", "Site", "Way", "call", "nested", "push_name", "push_site", "value", "ways"]
