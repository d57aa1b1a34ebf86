"""What keeps scans fast: goals of ``make bench`` that can be held against the standard library here, with a margin."""

from __future__ import annotations

import pickle
import pickletools
import subprocess
import sys
from collections import OrderedDict, deque
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from time import monotonic, process_time

import pytest

from benchmarks.samples import dense
from safepickle.arguments import make_parser
from safepickle.bytecode import machine
from safepickle.bytecode.folding import FOLDABLE, LOOKED_INTO, fold
from safepickle.bytecode.machine import Machine
from safepickle.bytecode.region import CARRIERS
from safepickle.cli import SCAN_DEFAULTS
from safepickle.limits import DEFAULT_LIMITS
from safepickle.scan import Scanner
from tests.cli import BENIGN, ROOT, write

COMPILED = not str(machine.__file__).endswith(".py")


def ratio(slow: Callable[[], object], fast: Callable[[], object]) -> float:
    """How many times as long the first takes as the second, at best, run in turn."""
    best = [float("inf")] * 2
    for _ in range(5):
        for index, run in enumerate((slow, fast)):
            begin = process_time()
            run()
            best[index] = min(best[index], process_time() - begin)
    return best[0] / best[1]


def executed(data: bytes) -> None:
    """Run the machine as a scan runs it, to STOP."""
    deadline = monotonic() + 300
    ran = Machine(data, 0, len(data), DEFAULT_LIMITS, deadline, None, fold, FOLDABLE, CARRIERS, LOOKED_INTO)
    assert ran.run() == ""


def split(data: bytes) -> None:
    """Only split a stream into opcodes."""
    deque(pickletools.genops(data), 0)


@pytest.mark.skipif(not COMPILED, reason="the machine is not compiled here")
def test_the_machine_executes_a_dense_stream_many_times_as_fast_as_pickletools_splits_it() -> None:
    data = dense(0.2)
    assert ratio(lambda: split(data), lambda: executed(data)) > 6


@pytest.mark.skipif(not COMPILED, reason="the machine is not compiled here")
def test_the_machine_executes_many_calls_faster_than_pickletools_splits_them() -> None:
    data = pickle.dumps([OrderedDict(a=index, b="x", c=(1, 2)) for index in range(2000)], 4)
    assert ratio(lambda: split(data), lambda: executed(data)) > 2


def test_a_hash_costs_little_more_than_the_hash() -> None:
    data, scanner = pickle.dumps(bytes(range(256)) * 65_536, 4), Scanner()
    assert ratio(lambda: scanner.scan_bytes(data, hash=True), lambda: sha256(data).digest()) < 1.6


def test_files_alike_are_judged_once_and_alike() -> None:
    scanner = Scanner()
    first = scanner.scan_bytes(pickle.dumps(OrderedDict(a=1, b="x"), 4))
    again = scanner.scan_bytes(pickle.dumps(OrderedDict(c=2, d="y"), 4))
    assert (first.verdict, first.score) == (again.verdict, again.score)
    assert first.detectors
    assert first.detectors is again.detectors  # the very same judgement


def test_a_plain_scan_imports_only_what_it_needs(tmp_path: Path) -> None:
    write(tmp_path, a=BENIGN)
    # without site: what an editable install finds its packages by imports more than the package does
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from safepickle.cli import main; code = main()"
    command = [sys.executable, "-I", "-S", "-c", f"{code}; print(*sys.modules); sys.exit(code)", "scan", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.split("\n")[-2].split())
    assert "safepickle.scan" in loaded
    needless = (
        "argparse",
        "shutil",
        "typing",
        "dataclasses",
        "logging",
        "pathlib",
        "bz2",
        "lzma",
        "tempfile",
        "subprocess",
    )
    ours = ("arguments", "containers.compressed", "containers.sevenzip_archive", "containers.numpy_array", "workers")
    assert not loaded & {*needless, *(f"safepickle.{name}" for name in ours)}


def test_a_scan_without_options_means_what_the_parser_says() -> None:
    parsed = vars(make_parser().parse_args(["scan", "a", "b"]))
    assert parsed == {"command": "scan", "paths": ["a", "b"], **SCAN_DEFAULTS}


def test_the_map_of_a_big_file_is_hashed_as_a_whole(tmp_path: Path) -> None:
    data = pickle.dumps(b"\1\2\3" * 5_000_000, 4)
    path = tmp_path / "big.pkl"
    path.write_bytes(data)
    assert Scanner().scan_path(str(path), hash=True).sha256 == sha256(data).hexdigest()
