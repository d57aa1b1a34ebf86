"""Writers and readers in several processes at once."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from registry import Registry, Version

MakeBundle = Callable[[int], Path]
Register = Callable[..., Version]

ROOT = Path(__file__).resolve().parents[2]
PROCESSES, PROMOTIONS = 4, 12


def run_together(tmp_path: Path, script: str, *arguments: object) -> list[str]:
    """Run a script in several processes that start as one; return what each printed."""
    path = tmp_path / "together.py"
    path.write_text(
        "import sys\nfrom pathlib import Path\nfrom registry import Registry\nsys.stdin.readline()\n" + script
    )
    processes = [
        subprocess.Popen(
            [sys.executable, str(path), *map(str, arguments), str(name)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        for name in range(PROCESSES)
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    printed = [process.communicate(timeout=60)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * PROCESSES
    return printed


PROMOTE = """
store, times, who = Registry(Path(sys.argv[1])), int(sys.argv[2]), sys.argv[3]
for turn in range(times):
    store.promote(1 + (turn + int(who)) % 3, f"turn {turn}", who, force=True)
"""


def test_promotions_in_several_processes_follow_one_another_and_none_is_lost(
    registry: Registry, tmp_path: Path
) -> None:
    run_together(tmp_path, PROMOTE, registry.root, PROMOTIONS)
    history = registry.aliases().history
    assert len(history) == PROCESSES * PROMOTIONS
    assert Counter(change.who for change in history) == {str(name): PROMOTIONS for name in range(PROCESSES)}
    for who in map(str, range(PROCESSES)):
        own = [(change.why, change.after) for change in history if change.who == who]
        assert own == [(f"turn {turn}", 1 + (turn + int(who)) % 3) for turn in range(PROMOTIONS)]
    assert [change.before for change in history] == [None, *(change.after for change in history[:-1])]
    assert [change.when for change in history] == sorted(change.when for change in history)
    assert registry.load()[0].number == history[-1].after


READ_AND_WRITE = """
store, who = Registry(Path(sys.argv[1])), int(sys.argv[2])
for turn in range(60):
    if who < 2:
        store.promote(1 + turn % 3, "why", str(who), force=True)
    else:
        print(store.load()[0].number)
"""


def test_readers_always_get_a_whole_champion_while_others_promote(registry: Registry, tmp_path: Path) -> None:
    registry.promote(1, "first", "ann", force=True)
    printed = run_together(tmp_path, READ_AND_WRITE, registry.root)
    assert {line for text in printed for line in text.split()} <= {"1", "2", "3"}
    assert [len(text.split()) for text in printed] == [0, 0, 60, 60]


REGISTER = """
store, bundle = Registry(Path(sys.argv[1])), Path(sys.argv[2])
lineage = dict(params={}, git_commit="", schema=1, metrics={}, card="#")
for data in range(4):
    version = store.register(bundle, {}, dataset_hash=str(data), **lineage)
    print(version.number)
"""


def test_the_same_model_registered_by_several_processes_is_one_version(tmp_path: Path, bundle: MakeBundle) -> None:
    store = Registry(tmp_path / "store")
    printed = run_together(tmp_path, REGISTER, store.root, bundle(1))
    assert len(set(printed)) == 1
    assert sorted(printed[0].split()) == ["1", "2", "3", "4"]
    assert [store.verify(version.number).number for version in store.versions()] == [1, 2, 3, 4]
