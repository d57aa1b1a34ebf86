"""Processes killed with SIGKILL, at every step that touches the disk and at random moments."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from registry import Registry, RegistryError, Version
from registry.lock import exclusive

MakeBundle = Callable[[int], Path]
Register = Callable[..., Version]
Action = Callable[[Registry], object]

ROOT = Path(__file__).resolve().parents[2]
CHANGES = {"os.rename", "os.mkdir", "os.remove", "os.rmdir", "fcntl.flock"}


def killed_before_step(step: int, action: Callable[[], object]) -> bool:
    """Run ``action`` in a forked process that kills itself before its ``step``-th change of the disk.

    Returns whether it got that far.
    """
    child = os.fork()
    if child == 0:
        steps = count()

        def hook(event: str, arguments: tuple[Any, ...]) -> None:
            changes = event in CHANGES or (event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR))
            if changes and next(steps) == step:
                os.kill(os.getpid(), signal.SIGKILL)

        status = 1
        try:
            sys.addaudithook(hook)
            action()
            status = 0
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return True
    assert os.waitstatus_to_exitcode(status) == 0
    return False


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory, register: Register) -> Registry:
    """Three versions; 2 is champion, 1 was before, 3 is challenger."""
    store = Registry(tmp_path_factory.mktemp("template") / "store")
    for seed in (1, 2, 3):
        register(store, seed)
    store.promote(1, "first", "ann", force=True)
    store.promote(2, "better", "ann", force=True)
    store.set_challenger(3, "retrained", "ann")
    return store


def state(store: Registry) -> tuple[list[int], int | None, int | None, int]:
    """Read everything and verify every file; return the versions, the aliases and the length of the history."""
    now = store.aliases()
    return [store.verify(v.number).number for v in store.versions()], now.champion, now.challenger, len(now.history)


@pytest.mark.parametrize(
    ("action", "after"),
    [
        pytest.param("register", ([1, 2, 3, 4], 2, 3, 3), id="register"),
        pytest.param("promote", ([1, 2, 3], 3, None, 5), id="promote"),
        pytest.param("rollback", ([1, 2, 3], 1, 3, 4), id="rollback"),
        pytest.param("first", ([1], None, None, 0), id="register the first version"),
    ],
)
def test_a_process_killed_at_any_step_leaves_the_state_before_or_after_it(
    template: Registry,
    tmp_path: Path,
    register: Register,
    bundle: MakeBundle,
    action: str,
    after: tuple[list[int], int | None, int | None, int],
) -> None:
    bundle(4)
    actions: dict[str, Action] = {
        "register": lambda store: register(store, 4),
        "promote": lambda store: store.promote(3, "better", "bob", force=True),
        "rollback": lambda store: store.rollback("worse", "bob"),
        "first": lambda store: register(store, 4),
    }
    before = state(template) if action != "first" else ([], None, None, 0)
    seen = []
    for step in count():
        store = Registry(tmp_path / str(step))
        if action != "first":
            shutil.copytree(template.root, store.root)
        killed = killed_before_step(step, lambda store=store: actions[action](store))
        found = state(store)
        assert found in (before, after), f"step {step}"
        seen.append(found)
        if found == before:
            actions[action](store)
        register(store, 4)
        assert store.strays() == ()
        assert sorted(path.name for path in store.root.iterdir()) == [".lock", "aliases.json", "versions"]
        again = state(store)
        assert again == (sorted({*after[0], max(before[0], default=0) + 1}), *after[1:])
        shutil.rmtree(store.root)
        if not killed:
            break
    assert seen[0] == before
    assert seen[-1] == after
    assert len(seen) > 5


def test_an_export_killed_at_any_step_is_finished_by_the_next(template: Registry, tmp_path: Path) -> None:
    target = tmp_path / "package" / "champion"
    expected = {name: {path.name: path.read_bytes() for path in template.get(name).bundle.iterdir()} for name in (1, 2)}
    for step in count():
        template.export(1, target)
        killed = killed_before_step(step, lambda: template.export(2, target))
        if target.exists():
            assert {path.name: path.read_bytes() for path in target.iterdir()} in expected.values()
        template.export(2, target)
        assert {path.name: path.read_bytes() for path in target.iterdir()} == expected[2]
        assert [path.name for path in target.parent.iterdir()] == ["champion"]
        if not killed:
            break
    assert step > 5


LOOP = """
import sys
from pathlib import Path
from registry import Registry

store, bundle, life = Registry(Path(sys.argv[1])), Path(sys.argv[2]), sys.argv[3]
print("ready", flush=True)
turn = 0
while True:
    turn += 1
    store.promote(1 + turn % 3, f"turn {turn}", life, force=True)
    new = store.register(bundle, {"a": b"onnx"}, dataset_hash=f"{life}-{turn}", params={}, git_commit="",
                         schema=1, metrics={}, card="#")
    store.promote(new.number, f"new {turn}", life, force=True)
    store.rollback("worse", life)
"""


def test_a_store_survives_thirty_writers_killed_at_random_moments(
    template: Registry, tmp_path: Path, bundle: MakeBundle
) -> None:
    store = Registry(tmp_path / "store")
    shutil.copytree(template.root, store.root)
    script = tmp_path / "loop.py"
    script.write_text(LOOP)
    chance = random.Random(0)
    history = store.aliases().history
    for life in range(30):
        arguments = [sys.executable, str(script), str(store.root), str(bundle(4)), str(life)]
        with subprocess.Popen(arguments, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)}) as writer:
            assert writer.stdout is not None
            assert writer.stdout.readline() == b"ready\n"
            time.sleep(chance.uniform(0.0, 0.12))
            writer.kill()
        assert writer.returncode == -signal.SIGKILL
        now = store.aliases()
        champion, _model = store.load()
        assert champion.number == now.champion
        assert champion.number in now.versions
        assert now.history[: len(history)] == history
        history = now.history
    numbers, *_ = state(store)
    assert numbers == list(range(1, len(numbers) + 1))
    assert len({change.who for change in history}) > 10
    store.promote(1, "and it still works", "ann", force=True)


def test_the_lock_of_a_killed_process_does_not_block(template: Registry, tmp_path: Path) -> None:
    store = Registry(tmp_path / "store")
    shutil.copytree(template.root, store.root)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        with exclusive(store.root / ".lock"):
            os.write(writing, b"held")
            time.sleep(60)
        os._exit(0)
    assert os.read(reading, 4) == b"held"
    try:
        with (
            pytest.raises(RegistryError, match=r"\.lock has been held by another process"),
            exclusive(store.root / ".lock", patience=0.05),
        ):
            pass
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(reading)
        os.close(writing)
    start = time.monotonic()
    store.promote(1, "why", "ann", force=True)
    assert time.monotonic() - start < 5
