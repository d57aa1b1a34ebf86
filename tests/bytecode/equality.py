"""The compiled machine against the same source uncompiled: ``python -m tests.bytecode.equality``.

Both trace the files of a folder and mutants of them and of generated streams; every Trace must be the same, byte for
byte of its JSON. With ``--state FILE`` a run that was interrupted goes on where it was.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import random
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from safepickle.bytecode import machine as built
from safepickle.bytecode import region
from safepickle.limits import Limits
from safepickle.scan import trace_bytes, trace_path
from tests.bytecode.generated import mutated, streams

SOURCE = Path(built.__file__).with_name("machine.py")
COMPILED = Path(built.__file__).suffix != ".py"
SMALL = 20_000
"""Bytes of a file of which mutants are made."""
PATIENT = Limits(seconds=3_600)
"""The uncompiled machine is slow, and a budget of time would make the difference."""


def uncompiled() -> ModuleType:
    """The machine's module as it is without a compiler."""
    spec = importlib.util.spec_from_file_location("uncompiled_machine", SOURCE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


UNCOMPILED = uncompiled()


@contextmanager
def without_compiler() -> Iterator[None]:
    """Traces are made by the uncompiled machine."""
    region.Machine = UNCOMPILED.Machine
    try:
        yield
    finally:
        region.Machine = built.Machine


def differs(data: bytes, limits: Limits = PATIENT) -> bool:
    """Whether the two machines trace bytes differently."""
    quick = trace_bytes(data, limits).to_json()
    with without_compiler():
        return trace_bytes(data, limits).to_json() != quick


def file_differs(path: str) -> bool:
    """Whether the two machines trace a file differently."""
    quick = trace_path(path, PATIENT).to_json()
    with without_compiler():
        return trace_path(path, PATIENT).to_json() != quick


def mutants(seed: int, first: int, last: int, seeds: list[bytes]) -> Iterator[bytes]:
    """Mutants `first` to `last` of generated streams and of the bytes given, which depend on nothing else."""
    for number in range(first, last):
        source = random.Random(f"{seed} {number}")
        (generated,) = streams(source.randrange(1 << 32), 1)
        data = source.choice(seeds) if seeds and source.random() < 0.5 else generated
        for _ in range(source.choice((0, 1, 1, 2, 4))):
            data = mutated(source, data, generated) if len(data) > 1 and generated else generated
        yield data


def main() -> int:
    """Compare; print what differs and how much was compared."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=os.environ.get("SAFEPICKLE_CORPUS"))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--mutants", type=int, default=100_000)
    parser.add_argument("--state", type=Path, help="file that remembers how far a run came")
    arguments = parser.parse_args()
    if not COMPILED:
        print("the machine is not compiled here: there is nothing to compare", file=sys.stderr)
        return 2
    state = {"seed": arguments.seed, "files": 0, "mutants": 0, "differ": 0, "seconds": 0.0}
    if arguments.state and arguments.state.exists():
        state = json.loads(arguments.state.read_text())
        if state["seed"] != arguments.seed:
            parser.error(f"{arguments.state} is of seed {state['seed']}; give that one, or another file")
    paths = sorted(path for path in Path(arguments.folder).rglob("*") if path.is_file()) if arguments.folder else []
    begin = time.monotonic() - state["seconds"]

    def save(name: str, count: int) -> None:
        state[name] = count
        state["seconds"] = round(time.monotonic() - begin, 1)
        if arguments.state:
            arguments.state.write_text(json.dumps(state))

    for number, path in enumerate(paths[state["files"] :], state["files"] + 1):
        if file_differs(str(path)):
            state["differ"] += 1
            print("differs:", path, flush=True)
        save("files", number)
    seeds = [path.read_bytes() for path in paths if path.stat().st_size <= SMALL]
    first = state["mutants"]
    for number, data in enumerate(mutants(arguments.seed, first, arguments.mutants, seeds), first + 1):
        if differs(data):
            state["differ"] += 1
            print(f"differs: mutant {number - 1} of seed {arguments.seed}", flush=True)
        if number % 500 == 0 or number == arguments.mutants:
            save("mutants", number)
    print(f"{state['files']} files and {state['mutants']} mutants compared, {state['differ']} differ")
    print(f"{state['seconds']:.0f} s")
    return 1 if state["differ"] else 0


if __name__ == "__main__":
    sys.exit(main())
