"""Brings the source of the manifest's packages to disk, and runs nothing of it.

Wheels come through ``pip download``, never a source distribution, which would have to be built. Of a wheel only the
Python files are kept. What was fetched is written to a lock file; a wheel that has other bytes than the lock says is
refused.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from hashlib import file_digest
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

from .sources import SOURCES, STANDARD_LIBRARY, Manifest, Source, Target, Wanted

LOCK = Path(__file__).with_name("lock.json")
KEPT = (".py", ".pyi")
COMPILED = (".so", ".pyd", ".dylib")
LARGEST_SOURCE = 32 << 20
"""Bytes of one source file."""
LARGEST_PACKAGE = 1 << 30
"""Bytes of source of one package."""
LEFT_OUT = frozenset(("test", "tests", "idle_test", "turtledemo"))
"""Folders of tests and the like, which are large; they count as compiled modules, of which nothing is known."""
READ_ALL_THE_SAME = (("test", "support"), ("test", "__init__.py"))
"""Parts of the standard library's tests that other code uses."""
IGNORED = frozenset(("site-packages", "__pycache__"))

_ASK = (
    "import json, platform, sysconfig; "
    "print(json.dumps([platform.python_version(), sysconfig.get_path('stdlib'), sysconfig.get_path('platstdlib')]))"
)


def fetch(manifest: Manifest, *, offline: bool = False) -> Iterator[Source]:
    """Yield each source that could be had, standard libraries first, fetching what is not on disk yet.

    With `offline` only what is on disk, or installed here.

    What cannot be had is recorded in the lock file with the reason, and said on stderr.

    Raises
    ------
    SystemExit
        When a wheel differs from the one in the lock file.
    """
    lock = _read_lock()
    for index, version in enumerate(reversed(manifest.standard_libraries)):
        source = _standard_library(version, index, lock)
        if source:
            yield source
    for number, wanted in enumerate(manifest.packages, 1):
        folder = SOURCES / f"{wanted.package}-{wanted.version}"
        if not offline and not folder.is_dir() and str(wanted) not in lock["unobtainable"]:
            print(f"fetching {wanted} ({number} of {len(manifest.packages)})", file=sys.stderr)
            _fetch(wanted, manifest.targets, folder, lock)
        if folder.is_dir():
            yield Source(wanted.package, wanted.version, wanted.index, folder)


def _read_lock() -> dict[str, Any]:
    if not LOCK.exists():
        return {"standard_libraries": {}, "wheels": {}, "unobtainable": {}}
    lock: dict[str, Any] = json.loads(LOCK.read_text(encoding="utf-8"))
    return lock


def _write_lock(lock: dict[str, Any]) -> None:
    LOCK.write_text(json.dumps(lock, indent=1, sort_keys=True) + "\n", encoding="utf-8")


# --- wheels ----------------------------------------------------------------------------------------


def _fetch(wanted: Wanted, targets: tuple[Target, ...], folder: Path, lock: dict[str, Any]) -> None:
    known = lock["wheels"].get(str(wanted))
    if known:
        targets = (Target(known["python"], known["platform"]),)
    refusal = ""
    for target in targets:
        with TemporaryDirectory() as temporary:
            refusal = _download(wanted, target, Path(temporary))
            if refusal:
                continue
            (wheel,) = Path(temporary).iterdir()
            entry = _describe(wheel, target)
            if known and known["sha256"] != entry["sha256"]:
                raise SystemExit(
                    f"fetch: {wheel.name} is not the file in {LOCK}; find out why before removing that entry"
                )
            extract(wheel, folder)
        lock["wheels"][str(wanted)] = entry
        _write_lock(lock)
        return
    print(f"fetch: {wanted} cannot be had: {refusal}", file=sys.stderr)
    if not known:
        lock["unobtainable"][str(wanted)] = refusal
        _write_lock(lock)


def _download(wanted: Wanted, target: Target, folder: Path) -> str:
    """Download a wheel into `folder`; return why not, or nothing."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
    command += ["--python-version", target.python, "--implementation", "cp", "--platform", target.platform]
    command += ["--disable-pip-version-check", "--no-cache-dir", "--dest", str(folder), str(wanted)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return ""
    errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR:")]
    text = errors[-1].removeprefix("ERROR: ") if errors else f"pip ended with {done.returncode}"
    # the second is what pip says of no match when a constraints file names the package
    if "No matching distribution" not in text and "ResolutionImpossible" not in text:
        raise SystemExit(f"fetch: pip could not download {wanted}: {text}")
    return f"no wheel for Python {target.python} on {target.platform} among the targets in params.yaml"


def _describe(wheel: Path, target: Target) -> dict[str, Any]:
    with open(wheel, "rb") as file:
        digest = file_digest(file, "sha256").hexdigest()
    return {
        "wheel": wheel.name,
        "sha256": digest,
        "bytes": wheel.stat().st_size,
        "python": target.python,
        "platform": target.platform,
    }


def extract(wheel: Path, folder: Path) -> None:
    """Copy the Python files of a wheel into `folder`, which appears when it is whole.

    Raises
    ------
    SystemExit
        When the wheel holds more source than is read.
    """
    partial = _fresh(folder)
    total = 0
    with zipfile.ZipFile(wheel) as archive:
        for member in sorted(archive.infolist(), key=lambda member: member.filename):
            parts = _placed(member.filename)
            if parts is None:
                continue
            data = b""
            if parts[-1].endswith(KEPT):
                total += member.file_size
                if member.file_size > LARGEST_SOURCE or total > LARGEST_PACKAGE:
                    raise SystemExit(f"fetch: {wheel.name} holds more source than is read ({member.filename})")
                data = archive.read(member)
            _write(partial.joinpath(*parts), data)
    partial.rename(folder)


def _placed(name: str) -> tuple[str, ...] | None:
    """Where a member of a wheel would be installed, if it is source or a compiled module that can be imported."""
    parts = PurePosixPath(name).parts
    if len(parts) > 2 and parts[0].endswith(".data"):
        if parts[1] not in ("purelib", "platlib"):
            return None
        parts = parts[2:]
    if not name.endswith(KEPT + COMPILED) or not parts or IGNORED.intersection(parts):
        return None
    first = next((at for at, part in enumerate(parts[:-1]) if part in LEFT_OUT), None)
    if first is not None and parts[:2] not in READ_ALL_THE_SAME:
        parts = parts[: first + (2 if parts[0] == "test" else 1)]
        parts = (*parts[:-1], f"{parts[-1].partition('.')[0]}.so")
    elif name.endswith(COMPILED):
        parts = (*parts[:-1], f"{parts[-1].partition('.')[0]}.so")
    stem = parts[-1].rpartition(".")[0]
    return parts if all(part.isidentifier() for part in (*parts[:-1], stem)) else None


# --- standard libraries ------------------------------------------------------------------------------


def _standard_library(version: str, index: int, lock: dict[str, Any]) -> Source | None:
    known = lock["standard_libraries"].get(version)
    if isinstance(known, str):
        folder = SOURCES / f"{STANDARD_LIBRARY}-{known}"
        if folder.is_dir():
            return Source(STANDARD_LIBRARY, known, index, folder)
    interpreter = _interpreter(version)
    if interpreter is None:
        print(f"fetch: no Python {version} is installed, so its standard library is not read", file=sys.stderr)
        lock["standard_libraries"].setdefault(version, None)
        _write_lock(lock)
        return None
    done = subprocess.run([interpreter, "-I", "-S", "-c", _ASK], capture_output=True, text=True, check=True)
    full, pure, platform = json.loads(done.stdout)
    folder = SOURCES / f"{STANDARD_LIBRARY}-{full}"
    if not folder.is_dir():
        print(f"copying the standard library of Python {full}", file=sys.stderr)
        _copy_library({Path(pure), Path(platform)}, folder)
    lock["standard_libraries"][version] = full
    _write_lock(lock)
    return Source(STANDARD_LIBRARY, full, index, folder)


def _interpreter(version: str) -> str | None:
    found = shutil.which(f"python{version}")
    if found and "shims" not in Path(found).parts:
        return found
    kept = Path.home() / ".pyenv" / "versions"
    candidates = sorted(kept.glob(f"{version}.*/bin/python{version}")) if kept.is_dir() else []
    return str(candidates[-1]) if candidates else None


def _copy_library(roots: set[Path], folder: Path) -> None:
    partial = _fresh(folder)
    for root in sorted(roots):
        for path in sorted(root.rglob("*")):
            parts = path.relative_to(root).parts
            if parts[0] == "lib-dynload":
                parts = parts[1:]
            placed = _placed("/".join(parts)) if parts and path.is_file() else None
            if placed:
                _write(partial.joinpath(*placed), path.read_bytes() if placed[-1].endswith(KEPT) else b"")
    partial.rename(folder)


# --- files -------------------------------------------------------------------------------------------


def _fresh(folder: Path) -> Path:
    partial = folder.with_name(folder.name + ".part")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    return partial


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
