"""What a malicious sample calls, and with which inert arguments.

A target is either known (from ``callables.yaml``) or novel: a function of a vendor's module that no source
describes. Arguments look like what an attacker would pass and do nothing: they echo, print or name what is not there.
"""

from __future__ import annotations

import base64
from functools import lru_cache
from pathlib import Path
from random import Random
from typing import NamedTuple

import yaml

from . import words
from .literals import Value
from .stream import Assembler

CALLABLES = Path(__file__).with_name("callables.yaml")


class Target(NamedTuple):
    """A callable with arguments; `kind` is ``function class method static``, `aliases` are (module, dotted name)."""

    module: str
    name: str
    kind: str
    effect: str
    pool: str
    arguments: tuple[Value, ...]
    aliases: tuple[tuple[str, str], ...] = ()
    novel: bool = False


@lru_cache(maxsize=1)
def load_callables(path: Path = CALLABLES) -> tuple[dict[str, object], ...]:
    """The entries of ``callables.yaml``.

    Raises
    ------
    ValueError
        When the file has no list of callables.
    """
    content = yaml.load(path.read_text(encoding="utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    if not isinstance(content, dict) or not isinstance(content.get("callables"), list):
        raise ValueError(f"{path}: no list 'callables'; write it anew with python -m pipelines.assemble.pool")
    return tuple(content["callables"])


def known_target(rng: Random, entry: dict[str, object]) -> Target:
    """A target from an entry of ``callables.yaml`` with arguments of the kinds it names."""
    kinds = entry["arguments"]
    aliases = entry.get("aliases", [])
    assert isinstance(kinds, list) and isinstance(aliases, list)
    return Target(
        module=str(entry["module"]),
        name=str(entry["name"]),
        kind=str(entry["kind"]),
        effect=str(entry["effect"]),
        pool=str(entry["pool"]),
        arguments=tuple(argument(rng, str(kind)) for kind in kinds),
        aliases=tuple((str(module), str(name)) for module, name in aliases),
    )


NOVEL_KINDS = {"code": "exec", "shell": "process", "argv": "process", "url": "network", "bytes": "deserialize"}


def novel_target(rng: Random, pool: str) -> Target:
    """A function or class of an unknown module with an argument that looks like code, a command, a URL or a payload."""
    kind = rng.choices(list(NOVEL_KINDS), (40, 30, 8, 14, 8))[0]
    module = words.module(rng, pool)
    is_class = rng.random() < 0.15
    name = words.class_name(rng, pool) if is_class else words.function(rng, pool)
    arguments: list[Value] = [argument(rng, kind)]
    if rng.random() < 0.25:
        arguments.append(rng.choice([None, True, rng.randrange(100), {}, rng.choice(words.PLAIN)]))
    if rng.random() < 0.1:
        arguments.reverse()
    return Target(
        module, name, "class" if is_class else "function", NOVEL_KINDS[kind], pool, tuple(arguments), novel=True
    )


def argument(rng: Random, kind: str) -> Value:
    """An inert argument of a kind named in ``callables.yaml``.

    Raises
    ------
    ValueError
        For an unknown kind.
    """
    if kind == "shell":
        return _shell(rng)
    if kind == "argv":
        return rng.choice([["echo", rng.choice(words.PLAIN)], ["/bin/true"], ["sh", "-c", _shell(rng)], ["true"]])
    if kind == "code":
        return _code(rng)
    if kind == "bytes":
        return _payload(rng)
    if kind == "number":
        return rng.randrange(0, 4096)
    if kind in _CHOICES:
        return rng.choice(_CHOICES[kind])
    if kind == "path":
        return f"/tmp/none/{rng.choice(words.PLAIN)}{rng.choice(['', '.py', '.txt', '.sh', '.pth', '.so'])}"
    if kind == "url":
        return rng.choice(["http://localhost/{}", "https://example.invalid/{}", "{}.example.invalid"]).format(
            rng.choice(words.PLAIN)
        )
    if kind == "word":
        return rng.choice([rng.choice(words.PLAIN), rng.choice(words.PLAIN), None, {}, [], 0])
    raise ValueError(f"argument kind {kind!r} is not known; known are the kinds of pool.PARAMETER_KINDS")


_CHOICES: dict[str, list[Value]] = {
    "mode": ["w", "wb", "a", "r", "exec", "eval"],
    "env": [{}, {"PATH": "/none"}],
    "tuple": [(), ("none",)],
    "address": [("localhost", 9), ("127.0.0.1", 1)],
    "dotted": ["none_such_module", "vendor.plugin.hook", "antigravity_none", "none.such.path", "this_is_none"],
}


def _shell(rng: Random) -> str:
    word = rng.choice(words.PLAIN)
    return rng.choice(
        [f"echo {word}", "true", f"echo '{word}'", f"echo {word} && true", "sh -c true", f"/bin/echo {word}", "whoami",
         f"echo {word} > /dev/null", f"bash -c 'echo {word}'", "id", f"printf {word}; true", f"echo {word} | cat",
         f"python3 -c 'print(\"{word}\")'", f"curl http://localhost/{word} || true", f"cmd /c echo {word}"]
    )  # fmt: skip


def _code(rng: Random) -> str:
    word, number = rng.choice(words.PLAIN), rng.randrange(100)
    return rng.choice(
        [f"print({number})", f"x = {number}", f"print('{word}')", f"import os\nos.system('echo {word}')",
         f"1 + {number}",
         f"__import__('os').system('echo {word}')", f"def {word}():\n    return {number}\n{word}()", "None",
         f"[print(i) for i in range({number % 5})]", f"import sys; print(sys.version, {number})",
         f"exec('print({number})')", f"open('/dev/null').read({number})", f"lambda: {number}", f"{word} = '{word}'\n",
         f"for i in range({number % 9}):\n    print('{word}', i)\n"]
    )  # fmt: skip


def _payload(rng: Random) -> bytes:
    inner = Assembler(2).global_("builtins", "print").text(rng.choice(words.PLAIN)).tuple1().reduce().assemble()
    code = _code(rng).encode()
    return rng.choice([inner, base64.b64encode(code), code, base64.b64encode(inner)])
