"""``python -m pipelines.libraries [ENVIRONMENT ...]``: let libraries save objects in many versions and trace the files.

Each environment of ``environments.yaml`` is a virtual environment under ``data/work/libraries``, made once. Each of its
libraries saves up to ``--count`` files in a process of its own; all become ``data/seed/libraries.parquet``, one row a
distinct Trace. All versions of a library are one group. An environment that was done is not done again.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import yaml

from safepickle.limits import Limits
from safepickle.scan import trace_path

from .. import dataset
from ..paths import SEED, WORK

HERE = Path(__file__).parent
ENVIRONMENTS = HERE / "environments.yaml"
LOCKS = HERE / "locks"
FOLDER = WORK / "libraries"
OUT = SEED / "libraries.parquet"
LIMITS = Limits(seconds=60.0)
SECONDS = 420
"""A library's process is stopped after so long; the files that it wrote count."""


def interpreter(version: str) -> str:
    """A Python of that version on this machine.

    Raises
    ------
    SystemExit
        When there is none.
    """
    wanted = Path.home() / ".pyenv" / "versions"
    for candidate in (f"python{version}", *map(str, sorted(wanted.glob(f"{version}.*/bin/python")))):
        try:
            if subprocess.run([candidate, "-c", ""], capture_output=True, check=False).returncode == 0:
                return candidate
        except OSError:
            continue
    raise SystemExit(f"no Python {version} on this machine; install it, or name the environments that it has")


def environment(name: str, settings: dict[str, Any]) -> Path:
    """The interpreter of an environment, which is made if need be; what was installed is pinned under ``locks``."""
    folder, lock = FOLDER / name, LOCKS / f"{name}.txt"
    python = folder / "bin" / "python"
    if not (folder / ".installed").exists():
        subprocess.run([interpreter(settings["python"]), "-m", "venv", "--clear", str(folder)], check=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--only-binary", ":all:"]
        subprocess.run([*pip, "--upgrade", "pip", "setuptools<80", "wheel"], check=True)
        pinned = ["--constraint", str(lock)] if lock.exists() else []
        subprocess.run([*pip, *pinned, *settings["install"]], check=True)
        for distribution in settings["more"]:
            if subprocess.run([*pip, *pinned, distribution, *settings["install"]], check=False).returncode:
                print(f"{name}: {distribution} has no wheel that fits", file=sys.stderr)
        (folder / ".installed").touch()
    frozen = subprocess.run([str(python), "-m", "pip", "freeze"], capture_output=True, text=True, check=True).stdout
    LOCKS.mkdir(exist_ok=True)
    lock.write_text(frozen, encoding="utf-8")
    return python


def files_of(python: Path, library: str, folder: Path, count: int, seed: str) -> Iterator[dict[str, str]]:
    """Let a library save files; what it says of each."""
    settings = {
        "PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "", "HF_HUB_OFFLINE": "1",
        "KERAS_BACKEND": "tensorflow" if "tensor" in str(python) else "torch",
    }  # fmt: skip
    command = [str(python.absolute()), str(HERE / "save_objects.py"), library, str(folder), "--seed", seed]
    try:
        done = subprocess.run(
            [*command, "--count", str(count)], cwd=folder, env=settings, capture_output=True, text=True,
            timeout=SECONDS, check=False,
        )  # fmt: skip
        said, failed = done.stdout, done.stderr[-300:] if done.returncode else ""
    except subprocess.TimeoutExpired as late:
        said, failed = bytes(late.stdout or b"").decode(), "took too long"
    if failed:
        print(f"{library}: {failed}", file=sys.stderr)
    for line in said.splitlines():
        try:
            yield json.loads(line)
        except ValueError:
            print(f"{library} wrote to the report: {line[:80]}", file=sys.stderr)


def versions_of(python: Path) -> dict[str, str]:
    """Version by the name of the top-level module, of everything installed."""
    source = """
import json
try:
    import importlib.metadata as metadata
except ImportError:
    import importlib_metadata as metadata
found = {}
for one in metadata.distributions():
    packages = [str(file).split("/")[0] for file in one.files or [] if str(file).endswith("/__init__.py")]
    for name in {*(one.read_text("top_level.txt") or "").split(), *packages, one.metadata["Name"].replace("-", "_")}:
        found.setdefault(name, one.version)
print(json.dumps(found))
"""
    said = subprocess.run([str(python), "-c", source], capture_output=True, text=True, check=True).stdout
    return dict(json.loads(said))


def rows(name: str, settings: dict[str, Any], count: int) -> Iterator[dict[str, str]]:
    """Rows of the dataset for the files of one environment."""
    python = environment(name, settings)
    versions = versions_of(python)
    for library in settings["ask"]:
        with tempfile.TemporaryDirectory() as scratch:
            number = 0
            for said in files_of(python, library, Path(scratch), count, name):
                data = Path(said["file"]).read_bytes()
                trace = trace_path(said["file"], LIMITS).redacted()
                number += 1
                yield {
                    "sha256": sha256(data).hexdigest(),
                    "name": f"{library}-{versions.get(library, '?')}-{name}-{number:03d}",
                    "label": "benign",
                    "origin": dataset.LIBRARY_ORIGIN,
                    "group": f"{dataset.LIBRARY_ORIGIN}/{library}",
                    "library": library,
                    "technique": f"{said['class']}/{said['saver']}",
                    "effect": "none",
                    "container": trace.container,
                    "note": f"{library}=={versions.get(library, '?')} on Python {settings['python']}",
                    "pool": "train",
                    "trace": trace.to_json(),
                }
        print(f"{name}: {library} {versions.get(library, '?')}: {number} files", file=sys.stderr)


def main(arguments: list[str] | None = None) -> None:
    """Command line; see the module's docstring."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.libraries", description=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--count", type=int, default=45)
    options = parser.parse_args(arguments)
    environments = yaml.safe_load(ENVIRONMENTS.read_text(encoding="utf-8"))
    for name in options.names or environments:
        part = FOLDER / f"{name}.parquet"
        if not part.exists():
            dataset.write(rows(name, environments[name], options.count), part)
    distinct: dict[str, dict[str, str]] = {}
    for part in sorted(FOLDER.glob("*.parquet")):
        for values in dataset.read(part).to_dict("records"):
            distinct.setdefault(values["trace"], {str(key): str(value) for key, value in values.items()})
    frame = dataset.write(distinct.values(), OUT)
    print(f"{len(frame)} distinct files of {frame['group'].nunique()} libraries in {frame['note'].nunique()} versions")


if __name__ == "__main__":
    main()
