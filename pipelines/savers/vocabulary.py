"""Hard negatives: files whose *strings* speak of commands, code and modules, and do nothing with them."""

from __future__ import annotations

import collections
from collections.abc import Iterator
from random import Random
from typing import Any

from ..assemble import words
from ..assemble.conversion import dumps
from ..assemble.stream import Assembler
from .saved import Saved

ALARMING = tuple(
    """os.system|exec(|eval(|subprocess.Popen|subprocess|builtins|__import__('os')|rm -rf /|cmd.exe /c dir|/bin/sh -c|
    pickle.loads|import os; os.system('ls')|__reduce__|__builtin__|posix|nt system|socket.connect|curl http://example.com|
    cos\nsystem\n(S'ls'\ntR.|base64.b64decode|compile(source, '<string>', 'exec')|getattr|wget|powershell -enc|runpy|
    importlib.import_module|ctypes.CDLL|marshal.loads|pty.spawn|/etc/passwd|lambda: exec|globals()|nc -e sh""".replace(
        "|\n    ", "|"
    ).split("|")
)


def _sentences(rng: Random, count: int) -> list[str]:
    return [
        " ".join([*rng.sample(words.PLAIN, 4), rng.choice(ALARMING), *rng.sample(words.PLAIN, 3)]) for _ in range(count)
    ]


def _index(rng: Random) -> Any:
    """A vocabulary: word to number."""
    tokens = sorted(
        {*words.PLAIN, *ALARMING, *(f"{rng.choice(words.PLAIN)}{number}" for number in range(rng.randrange(9, 900)))}
    )
    return {token: number for number, token in enumerate(tokens)}


def _documentation(rng: Random) -> Any:
    """An inventory as documentation builders pickle it: object names to pages."""
    return {
        "objects": {name: (f"library/{name.split('.')[0]}.html", "function", rng.randrange(9)) for name in ALARMING},
        "titles": collections.OrderedDict((f"page{number}", text) for number, text in enumerate(_sentences(rng, 12))),
        "terms": {rng.choice(ALARMING): [rng.randrange(99)] for _ in range(20)},
    }


def _corpus(rng: Random) -> Any:
    return [(text, rng.randrange(2)) for text in _sentences(rng, rng.randrange(1, 60))]


def _commands(rng: Random) -> Any:
    """A configuration that names scripts, hooks and commands."""
    return {"command": "python train.py", "hooks": ["os.system", "builtins.exec"], "launcher": "/bin/sh -c make",
            "code": "import os\nprint(os.getcwd())", "url": "http://localhost", "seed": rng.randrange(9)}  # fmt: skip


def _few(rng: Random) -> Any:
    return rng.choice(
        [rng.choice(ALARMING), [rng.choice(ALARMING)], {"cmd": rng.choice(ALARMING)}, (rng.choice(ALARMING), "system")]
    )


MAKERS = {"index": _index, "documentation": _documentation, "corpus": _corpus, "commands": _commands, "few": _few}


def _string_set(rng: Random) -> bytes:
    """A set of strings: assembled, since the order in which a set is pickled depends on the hash seed."""
    asm = Assembler(4).empty_set().store("set").mark()
    for token in sorted({*rng.sample(words.PLAIN, 9), *rng.sample(ALARMING, 9)}):
        asm.text(token).store(token)
    return asm.additems().assemble()


def produce(rng: Random, count: int, pool: str) -> Iterator[Saved]:
    """Yield vocabularies, inventories, corpora and configurations."""
    kinds = [*MAKERS, "set"]
    for index in range(count):
        kind = kinds[index % len(kinds)]
        data = _string_set(rng) if kind == "set" else dumps(MAKERS[kind](rng), rng.choice((0, 2, 3, 4, 4, 5)))
        yield Saved(f"alarming-{kind}", "python", data, data)
