"""What the package is when it is built and installed, with a compiler and without one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.cli import BENIGN, ROOT, TRUNCATED, write

pytest.importorskip("setuptools", "77", reason="the wheel is built with this environment's setuptools")

COMPILED = (
    "safepickle/bytecode/carried",
    "safepickle/bytecode/describe",
    "safepickle/bytecode/literals",
    "safepickle/bytecode/machine",
    "safepickle/containers/pickle_walk",
    "safepickle/inference",
    "safepickle/matrix",
    "safepickle/record",
)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what a build reads, so that nothing is built in the tree under test."""
    copy = tmp_path / "checkout"
    copy.mkdir()
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE", "MANIFEST.in", "constraints.txt"):
        shutil.copy(ROOT / name, copy)
    for folder in ("safepickle", "detectors", "registry"):
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("*.so", "__pycache__", "store"))
    return copy


def build(checkout: Path, out: Path, **environment: str) -> Path:
    """The wheel of `checkout`, built without network."""
    code = "import sys; from setuptools import build_meta; print(build_meta.build_wheel(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", code, str(out)],
        cwd=checkout,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (wheel,) = out.glob("*.whl")
    return wheel


def files_of(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


def scan_with(wheel: Path, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """Install `wheel` alone in a new environment and scan two files with its command."""
    environment = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True, timeout=120)
    python = environment / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*pip, str(wheel)], check=True, timeout=120, cwd=tmp_path)
    models = write(tmp_path / "models", a=BENIGN, b=TRUNCATED)
    return subprocess.run(
        [environment / "bin" / "safepickle", "scan", models], capture_output=True, text=True, timeout=60, cwd=tmp_path
    )


def test_a_wheel_without_compiled_parts_scans_in_an_environment_of_its_own(checkout: Path, tmp_path: Path) -> None:
    # what a checkout also has is not taken along
    (checkout / "pipelines").mkdir()
    (checkout / "pipelines" / "__init__.py").touch()
    wheel = build(checkout, tmp_path, SAFEPICKLE_PURE="1")
    names = files_of(wheel)
    assert wheel.name.startswith("safepickle_ml-")
    assert wheel.name.endswith("-py3-none-any.whl")
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"safepickle"}
    assert not [name for name in names if name.endswith((".so", ".c"))]
    done = scan_with(wheel, tmp_path)
    assert (done.returncode, done.stderr) == (3, "")
    assert [line.split()[0] for line in done.stdout.splitlines() if line[0] != " "] == ["BENIGN", "INCOMPLETE", "2"]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_build_that_finds_no_compiler_still_gives_a_whole_wheel(checkout: Path, tmp_path: Path) -> None:
    wheel = build(checkout, tmp_path, CC="/nonexistent/cc", CXX="/nonexistent/cc", PATH=str(tmp_path))
    names = files_of(wheel)
    assert not [name for name in names if name.endswith(".so")]
    assert {f"{module}.py" for module in COMPILED} <= set(names)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_build_with_a_compiler_has_the_compiled_core_and_its_source(checkout: Path, tmp_path: Path) -> None:
    if not (shutil.which("cc") or shutil.which("gcc")):
        pytest.skip("no C compiler here")
    pytest.importorskip("Cython")
    wheel = build(checkout, tmp_path)
    names = files_of(wheel)
    for module in COMPILED:
        assert f"{module}.py" in names
        assert [name for name in names if name.startswith(f"{module}.cpython") and name.endswith(".so")]
    assert not [name for name in names if name.endswith(".c")]
    assert scan_with(wheel, tmp_path).returncode == 3


def test_nothing_needs_to_be_installed_beside_the_scanner() -> None:
    from importlib.metadata import PackageNotFoundError, requires

    try:
        needed = requires("safepickle-ml") or []
    except PackageNotFoundError:
        pytest.skip("safepickle-ml is not installed here")
    assert [line for line in needed if "extra ==" not in line] == []
