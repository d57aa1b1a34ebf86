"""The first rule: a scan runs, imports and unpickles nothing of what a file says, nor has it the means at hand."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.cli import BENIGN, HOSTILE, ROOT, TRUNCATED, run, write

# What an unpickler would do with these: run a command, evaluate code, import, load marshalled code, write a file.
STREAMS = {
    "process": HOSTILE,
    "eval": b"cbuiltins\neval\n(S'__import__(\"antigravity\")'\ntR.",
    "exec-inst": b"(S'x = 1'\nibuiltins\nexec\n.",
    "import": b"\x80\x04\x8c\x0bantigravity\x94\x8c\x03fly\x94\x93.",
    "marshal": b"cmarshal\nloads\n(C\x05hello0tR.",
    "open": b"cbuiltins\nopen\n(S'/tmp/safepickle-must-not-exist'\nS'w'\ntR.",
    "getattr": b"cbuiltins\ngetattr\n(cposix\nS'system'\ntR(S'echo inert'\ntR.",
    "partial": b"cfunctools\npartial\n(cos\nsystem\nS'echo inert'\ntR)R.",
    "nested": b"cpickle\nloads\n(C" + bytes([len(HOSTILE)]) + HOSTILE + b"tR.",
    "folded": b"cbuiltins\ngetattr\n(cimportlib\nimport_module\n(S'antigravity'\ntRS'fly'\ntR.",
    "build": b"cthis\nd\n}S'a'\nS'b'\nsb.",
    "benign": BENIGN,
    "truncated": TRUNCATED,
}

# Runs in a process of its own, since an audit hook cannot be taken back. The first scan brings in our own lazily
# imported modules; from then on no import, compilation, execution or process is ours.
WATCHED = """
import json, sys
sys.path.insert(0, {root!r})
from safepickle.scan import Scanner
scanner = Scanner()
for path in {warm!r}:
    scanner.scan_path(path, hash=True)
before = set(sys.modules)
events = []
FORBIDDEN = ("pickle.", "exec", "compile", "import", "marshal.", "os.system", "os.exec", "os.spawn", "os.posix_spawn",
             "os.fork", "subprocess.", "ctypes.", "socket.", "urllib.", "code.", "os.remove", "os.rename", "os.mkdir",
             "sys.settrace", "sys.setprofile", "shutil.", "object.__setattr__")
def watch(event, arguments):
    if event.startswith(FORBIDDEN) or (event == "open" and arguments[0] not in opened):
        events.append([event, repr(arguments)[:200]])
opened = set({paths!r})
sys.addaudithook(watch)
verdicts = {{}}
for path in {paths!r}:
    verdicts[path] = scanner.scan_path(path, hash=True).verdict
json.dump({{"events": events, "verdicts": verdicts, "new": sorted(set(sys.modules) - before),
           "modules": sorted(sys.modules)}}, sys.stdout)
"""

THIRD_PARTIES = {
    "bentoml", "catboost", "cloudpickle", "dill", "dvc", "joblib", "lightgbm", "matplotlib", "numpy", "onnx",
    "onnxruntime", "pandas", "pyarrow", "pydantic", "river", "safetensors", "scipy", "sklearn", "sqlalchemy", "torch",
    "yaml",
}  # fmt: skip
LOADERS = {"pickle", "_pickle", "pickletools", "shelve", "multiprocessing", "antigravity", "this"}
SLOW_STARTERS = {"typing", "dataclasses", "logging", "pathlib", "inspect", "zipfile", "tarfile"}


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("watched")
    write(folder / "warm", benign=BENIGN, hostile=HOSTILE, truncated=TRUNCATED)
    write(folder, **STREAMS)
    for name in ("warm/archive", "archive"):
        data = io.BytesIO()
        with zipfile.ZipFile(data, "w") as archive:
            archive.writestr("archive/data.pkl", HOSTILE if name == "archive" else BENIGN)
            archive.writestr("archive/version", "3\n")
        (folder / f"{name}.pt").write_bytes(data.getvalue())
    # one path of each kind of file through our own code, with other contents, before the watch begins
    for name, stream in STREAMS.items():
        (folder / "warm" / f"{name}-again.pkl").write_bytes(stream)
    warm = [str(path) for path in sorted((folder / "warm").iterdir())]
    paths = [str(path) for path in sorted(folder.iterdir()) if path.is_file()]
    code = WATCHED.format(root=str(ROOT), warm=warm, paths=paths)
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, timeout=100, text=True)
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def test_a_scan_of_hostile_files_sets_off_no_forbidden_event(watched: dict[str, Any]) -> None:
    assert watched["events"] == []
    assert watched["new"] == []


def test_the_hostile_files_of_this_test_are_known_as_such(watched: dict[str, Any]) -> None:
    verdicts = {Path(path).stem: verdict for path, verdict in watched["verdicts"].items()}
    assert verdicts.pop("benign") == "benign"
    assert verdicts.pop("truncated") == "incomplete"
    assert "benign" not in verdicts.values()
    assert verdicts["process"] == verdicts["archive"] == "malicious"


def test_a_scan_imports_no_third_party_and_no_loader(watched: dict[str, Any]) -> None:
    imported = {name.split(".")[0] for name in watched["modules"]}
    assert not imported & (THIRD_PARTIES | LOADERS)


def test_no_payload_ran(watched: dict[str, Any]) -> None:
    assert watched["verdicts"]
    assert not Path("/tmp/safepickle-must-not-exist").exists()


def test_importing_the_package_imports_nothing_else_of_it() -> None:
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import safepickle; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, timeout=30, text=True)
    assert [name for name in done.stdout.split() if name.startswith("safepickle")] == ["safepickle"]


def test_a_scan_does_not_import_what_makes_a_start_slow() -> None:
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import safepickle.scan; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, timeout=30, text=True)
    assert done.returncode == 0, done.stderr
    assert not set(done.stdout.split()) & SLOW_STARTERS


@pytest.mark.parametrize("arguments", [["scan"], ["explain"], ["trace"], ["scan", "--jobs", "2"]], ids=" ".join)
def test_the_command_imports_no_pickle(tmp_path: Path, arguments: list[str]) -> None:
    file = write(tmp_path, model=HOSTILE) / "model.pkl"
    done = run(*arguments, file, env={"PYTHONPROFILEIMPORTTIME": "1"})
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.decode().splitlines()}
    assert "safepickle.scan" in imported
    assert not {name.split(".")[0] for name in imported} & (THIRD_PARTIES | LOADERS)
