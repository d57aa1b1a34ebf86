"""Each tool installed the way its users get it, in an environment of its own: ours as a wheel, compiled and not."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PEERS = {
    "picklescan": ["picklescan==1.0.5"],
    "modelscan": ["modelscan==0.8.8"],
    "fickling": ["fickling==0.1.12", "typing_extensions==4.16.0"],  # it uses the latter and does not ask for it
    "modelaudit": ["modelaudit==0.2.54"],
}
"""Their versions; no two of them need agree on a dependency, nor with ours (modelscan wants an older rich)."""
_BUILT_FROM = ("pyproject.toml", "setup.py", "README.md", "LICENSE", "MANIFEST.in", "constraints.txt")


def environments(folder: Path) -> dict[str, Path]:
    """Make the environments that are missing or out of date; their ``bin`` folders by tool."""
    return {
        "compiled": _ours(folder / "compiled", pure=False),
        "uncompiled": _ours(folder / "uncompiled", pure=True),
        **peer_environments(folder),
    }


def peer_environments(folder: Path) -> dict[str, Path]:
    """Make the environments of the other scanners that are missing or out of date; their ``bin`` folders by tool."""
    found = {}
    for name, packages in PEERS.items():
        stamp = " ".join(packages)
        if _outdated(folder / name, stamp):
            _new(folder / name)
            _install(folder / name, packages)
            (folder / name / "stamp").write_text(stamp)
        found[name] = folder / name / "bin"
    return found


def version(bin_folder: Path, package: str) -> str:
    """Installed version of a package."""
    code = f"from importlib.metadata import version; print(version({package!r}))"
    done = subprocess.run([bin_folder / "python", "-c", code], capture_output=True, text=True, check=False)
    return done.stdout.strip() or "?"


def _ours(target: Path, pure: bool) -> Path:
    digest = hashlib.sha256(b"pure" if pure else b"compiled")
    for path in [ROOT / "setup.py", *sorted((ROOT / "safepickle").rglob("*"))]:
        if path.is_file() and path.suffix not in (".so", ".pyc"):
            digest.update(path.read_bytes())
    if _outdated(target, digest.hexdigest()):
        _new(target)
        with tempfile.TemporaryDirectory() as scratch:
            _install(target, ["--no-deps", "--no-index", str(_wheel(Path(scratch), pure))])
        (target / "stamp").write_text(digest.hexdigest())
    return target / "bin"


def _wheel(scratch: Path, pure: bool) -> Path:
    """The wheel of this checkout, built from a copy of what a build reads."""
    copy = scratch / "checkout"
    copy.mkdir()
    for name in _BUILT_FROM:
        shutil.copy(ROOT / name, copy)
    for folder in ("safepickle", "detectors", "registry"):
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("*.so", "__pycache__", "store"))
    code = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"
    environment = {**os.environ, "SAFEPICKLE_PURE": "1" if pure else ""}
    subprocess.run(
        [sys.executable, "-c", code, str(scratch)],
        cwd=copy,
        env=environment,
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    (wheel,) = scratch.glob("*.whl")
    if not pure and wheel.name.endswith("-none-any.whl"):
        raise RuntimeError("no compiled wheel could be built here: install a C compiler")
    return wheel


def _outdated(target: Path, stamp: str) -> bool:
    path = target / "stamp"
    return not path.exists() or path.read_text() != stamp


def _new(target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", target], check=True)


def _install(target: Path, arguments: list[str]) -> None:
    pip = [sys.executable, "-m", "pip", "--python", str(target / "bin" / "python"), "--disable-pip-version-check"]
    # not what the shell's own path has counts as installed there
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    subprocess.run([*pip, "install", "--quiet", *arguments], check=True, cwd=target, env=environment)
    subprocess.run([target / "bin" / "python", "-m", "compileall", "-q", target / "lib"], check=False)
