"""Time of one scan in process, beside pickletools reading the same streams: ``python benchmarks/latency.py``.

Interleaved runs in one process, page cache warm: the minimum says what the code costs, the median what a user
meets. ``genops`` only splits a stream into opcodes; the scan also opens the container, executes the stream on
symbolic values, extracts features and asks every detector.
"""

from __future__ import annotations

import argparse
import collections
import io
import json
import pickle
import pickletools
import statistics
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from safepickle.bytecode import machine  # noqa: E402 - the checkout's, not an installed one
from safepickle.scan import Scanner  # noqa: E402


def tiny() -> bytes:
    """A pickle of some 80 bytes."""
    return pickle.dumps({"weights": [0.1, 0.2, 0.3], "classes": ["cat", "dog"]}, protocol=4)


def sklearn_forest(size: int = 150_000) -> bytes:
    """A scikit-learn forest whose pickle has about `size` bytes."""
    from sklearn.datasets import make_classification
    from sklearn.ensemble import RandomForestClassifier

    x, y = make_classification(400, 20, random_state=0)
    trees = 10
    while True:
        data = pickle.dumps(RandomForestClassifier(trees, random_state=0).fit(x, y), protocol=4)
        if len(data) >= size:
            return data
        trees += max(1, int(trees * (size / len(data) - 1)))


def torch_checkpoint() -> bytes:
    """The state of a small network, as ``torch.save`` writes it: about 4 MB in 24 tensors."""
    import torch

    layers = [torch.nn.Linear(290, 290) for _ in range(12)]
    data = io.BytesIO()
    torch.save(torch.nn.Sequential(*layers).state_dict(), data)
    return data.getvalue()


SAMPLES: dict[str, Callable[[], bytes]] = {
    "tiny pickle": tiny,
    "scikit-learn pickle": sklearn_forest,
    "torch checkpoint": torch_checkpoint,
}


def read_opcodes(path: Path) -> int:
    """Opcodes that pickletools finds in the file's streams, read from disk as the scan reads it."""
    data = path.read_bytes()
    streams = [data]
    if data.startswith(b"PK"):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            streams = [archive.read(name) for name in archive.namelist() if name.endswith(".pkl")]
    return sum(collections.deque(enumerate(pickletools.genops(stream), 1), 1)[0][0] for stream in streams)


def seconds(work: Callable[[], object], at_least: float) -> float:
    """Mean seconds of one call, over as many calls as fill `at_least` seconds."""
    count = 0
    begin = time.perf_counter()
    while (spent := time.perf_counter() - begin) < at_least:
        work()
        count += 1
    return spent / count


def measure(path: Path, scanner: Scanner, runs: int, at_least: float) -> dict[str, float]:
    """Seconds of a scan and of genops, minimum and median of `runs` interleaved runs."""
    times: dict[str, list[float]] = {"scan": [], "genops": []}
    scanner.scan_path(str(path))
    for _ in range(runs):
        times["scan"].append(seconds(lambda: scanner.scan_path(str(path)), at_least))
        times["genops"].append(seconds(lambda: read_opcodes(path), at_least))
    result = {f"{name}_min": min(values) for name, values in times.items()}
    result |= {f"{name}_median": statistics.median(values) for name, values in times.items()}
    result["ratio"] = result["genops_min"] / result["scan_min"]
    result["opcodes"] = read_opcodes(path)
    result["bytes"] = path.stat().st_size
    return result


def main() -> int:
    """Measure the samples, or the files given."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path, help="files to measure instead of the made samples")
    parser.add_argument("--runs", type=int, default=7, help="interleaved runs (default: 7)")
    parser.add_argument("--seconds", type=float, default=0.1, help="length of one run (default: 0.1)")
    parser.add_argument("--model", help="folder of the bundle to judge by")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    scanner = Scanner(model=arguments.model)
    compiled = not str(machine.__file__).endswith(".py")
    with tempfile.TemporaryDirectory() as folder:
        files = {str(path): path for path in arguments.files}
        if not files:
            for name, make in SAMPLES.items():
                files[name] = Path(folder, name)
                files[name].write_bytes(make())
        results = {name: measure(path, scanner, arguments.runs, arguments.seconds) for name, path in files.items()}
    if arguments.json:
        print(json.dumps({"compiled": compiled, "model": scanner.model_version, "files": results}, indent=2))
        return 0
    print(
        f"machine {'compiled' if compiled else 'uncompiled'}, model {scanner.model_version}; milliseconds, min / median"
    )
    print(f"{'file':<22}{'bytes':>11}{'opcodes':>10}{'scan':>18}{'genops':>18}{'genops/scan':>13}")
    for name, row in results.items():
        scan, lexer = (
            f"{row[f'{who}_min'] * 1e3:.3f} / {row[f'{who}_median'] * 1e3:.3f}" for who in ("scan", "genops")
        )
        print(f"{name:<22}{row['bytes']:>11,}{row['opcodes']:>10,}{scan:>18}{lexer:>18}{row['ratio']:>13.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
