"""``safepickle scan`` as its users meet it: verdicts, formats, exit codes."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.cli import BENIGN, HOSTILE, ROOT, TRUNCATED, command, run, write


def scanned(*arguments: str | Path, **options: Any) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(run("scan", "--format", "json", *arguments, **options).stdout)
    return document


def test_a_benign_file_ends_with_0_and_says_benign(tmp_path: Path) -> None:
    done = run("scan", write(tmp_path, model=BENIGN) / "model.pkl")
    assert done.returncode == 0
    assert done.stdout.startswith(b"BENIGN")
    assert done.stderr == b""


def test_a_hostile_file_ends_with_1_and_says_what_it_calls_and_what_to_do(tmp_path: Path) -> None:
    done = run("scan", write(tmp_path, model=HOSTILE) / "model.pkl")
    assert done.returncode == 1
    assert done.stdout.startswith(b"MALICIOUS")
    text = done.stdout.decode()
    assert "system" in text
    assert "    where  " in text
    assert "do not load it" in text


def test_a_truncated_file_ends_with_3_and_says_that_it_is_incomplete(tmp_path: Path) -> None:
    done = run("scan", write(tmp_path, model=TRUNCATED) / "model.pkl")
    assert done.returncode == 3
    assert done.stdout.startswith(b"INCOMPLETE")


@pytest.mark.parametrize("arguments", [[], ["scan"], ["scan", "--format", "xml", "."], ["scan", "--jobs", "-1", "."],
                                       ["scan", "--allow", "system", "."], ["burn", "."]],
                         ids=["nothing", "no path", "format", "jobs", "allow", "command"])  # fmt: skip
def test_a_usage_error_ends_with_2_and_prints_nothing_on_stdout(arguments: list[str]) -> None:
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.startswith(b"usage: safepickle")


def test_a_model_folder_without_a_bundle_ends_with_2_and_names_the_folder(tmp_path: Path) -> None:
    done = run("scan", "--model", tmp_path, write(tmp_path / "in", model=BENIGN))
    assert (done.returncode, done.stdout) == (2, b"")
    assert str(tmp_path).encode() in done.stderr


def test_the_worst_file_decides_the_exit_code(tmp_path: Path) -> None:
    write(tmp_path, a=BENIGN, b=TRUNCATED)
    assert run("scan", tmp_path).returncode == 3
    write(tmp_path, c=HOSTILE)
    assert run("scan", tmp_path).returncode == 1
    assert run("scan", "--fail-on", "malicious", tmp_path).returncode == 1


def test_json_has_the_documented_shape(tmp_path: Path) -> None:
    document = scanned(write(tmp_path, a=BENIGN, b=HOSTILE))
    assert list(document) == ["safepickle", "model", "files", "summary"]
    assert document["model"]
    benign, hostile = document["files"]
    keys = [
        "path", "sha256", "size", "container", "verdict", "score", "credibility", "complete", "findings", "detectors",
        "oddities",
    ]  # fmt: skip
    assert list(benign) == list(hostile) == keys
    assert (benign["verdict"], hostile["verdict"]) == ("benign", "malicious")
    assert benign["sha256"] is None
    assert benign["size"] == len(BENIGN)
    assert set(hostile["findings"][0]) == {
        "rule", "severity", "title", "why", "stream", "offset", "callee", "effect", "count", "steps", "witness",
        "advice", "cwe", "atlas",
    }  # fmt: skip
    summary = {"files": 2, "malicious": 1, "suspicious": 0, "incomplete": 0, "benign": 1}
    assert document["summary"] == {**summary, "bytes": len(BENIGN) + len(HOSTILE)}


def test_jsonl_is_one_file_a_line_and_the_same_objects_as_json(tmp_path: Path) -> None:
    folder = write(tmp_path, a=BENIGN, b=HOSTILE)
    lines = run("scan", "--format", "jsonl", folder).stdout.splitlines()
    assert [json.loads(line) for line in lines] == scanned(folder)["files"]


def test_hash_gives_the_sha256_of_each_file(tmp_path: Path) -> None:
    document = scanned("--hash", write(tmp_path, a=BENIGN))
    assert document["files"][0]["sha256"] == hashlib.sha256(BENIGN).hexdigest()


def test_a_folder_is_scanned_recursively_in_a_stable_order(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "z" / "y", tmp_path / "a"):
        write(folder, two=BENIGN, one=BENIGN)
    paths = [Path(file["path"]).relative_to(tmp_path).as_posix() for file in scanned(tmp_path)["files"]]
    assert paths == ["one.pkl", "two.pkl", "a/one.pkl", "a/two.pkl", "z/y/one.pkl", "z/y/two.pkl"]


def test_several_processes_report_what_one_reports_in_the_same_order(tmp_path: Path) -> None:
    for number in range(12):
        write(tmp_path, **{f"{number:02}-a": BENIGN, f"{number:02}-b": HOSTILE, f"{number:02}-c": TRUNCATED})
    (tmp_path / "05-link").symlink_to("nowhere")
    one, two = run("scan", "--format", "json", tmp_path), run("scan", "--format", "json", "--jobs", "2", tmp_path)
    assert one.stdout == two.stdout
    assert one.returncode == two.returncode == 1
    assert len(json.loads(one.stdout)["files"]) == 37


def test_several_processes_import_nothing_from_the_folder_they_scan(tmp_path: Path) -> None:
    folder = write(tmp_path / "models", a=BENIGN, b=BENIGN)
    for name in ("json.py", "safepickle.py", "signal.py"):
        (folder / name).write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    script = tmp_path / "bin" / "safepickle"  # as pip writes it
    script.parent.mkdir()
    script.write_text("import sys\nfrom safepickle.cli import main\nsys.exit(main())\n")
    arguments = [sys.executable, script, "scan", "--jobs", "2", "--format", "jsonl", "."]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(arguments, cwd=folder, env=environment, capture_output=True, timeout=60, check=False)
    assert [json.loads(line)["path"] for line in done.stdout.splitlines()][:2] == ["./a.pkl", "./b.pkl"]
    assert not (tmp_path / "ran").exists()


def test_standard_input_is_scanned_like_a_file(tmp_path: Path) -> None:
    done = run("scan", "--format", "json", "-", input=HOSTILE)
    assert done.returncode == 1
    (from_stdin,) = json.loads(done.stdout)["files"]
    (from_file,) = scanned(write(tmp_path, model=HOSTILE) / "model.pkl")["files"]
    assert from_stdin == {**from_file, "path": "-"}


def test_output_writes_the_report_to_the_file_and_nothing_to_stdout(tmp_path: Path) -> None:
    folder = write(tmp_path, model=HOSTILE)
    report = folder / "report.json"
    for _ in range(2):  # the second time, the first report lies in the scanned folder
        done = run("scan", "--format", "json", "--output", report, folder)
        assert (done.returncode, done.stdout) == (1, b"")
        assert [Path(file["path"]).name for file in json.loads(report.read_text())["files"]] == ["model.pkl"]
    assert sorted(path.name for path in folder.iterdir()) == ["model.pkl", "report.json"]


def test_an_output_that_cannot_be_written_ends_with_2_before_anything_is_scanned(tmp_path: Path) -> None:
    for target in (tmp_path / "missing" / "report.json", tmp_path):
        done = run("scan", "--output", target, write(tmp_path / "in", model=BENIGN))
        assert (done.returncode, done.stdout) == (2, b"")
        assert b"cannot write the report" in done.stderr


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
def test_a_full_disk_ends_with_2_and_a_message(tmp_path: Path) -> None:
    write(tmp_path, model=BENIGN)
    with open("/dev/full", "wb") as full:
        done = subprocess.run(command("scan", tmp_path), stdout=full, stderr=subprocess.PIPE, timeout=60, cwd=ROOT)
    assert done.returncode == 2
    assert b"cannot write the report" in done.stderr
    assert b"Traceback" not in done.stderr


def test_an_allowed_callable_of_ones_own_is_no_finding(tmp_path: Path) -> None:
    folder = write(tmp_path, model=HOSTILE)
    callee = scanned(folder)["files"][0]["findings"][0]["callee"]
    (allowed,) = scanned("--allow", callee, folder)["files"]
    assert callee not in {finding["callee"] for finding in allowed["findings"]}


def test_a_reader_that_leaves_early_meets_no_traceback(tmp_path: Path) -> None:
    write(tmp_path, **{f"{number:04}": HOSTILE for number in range(400)})
    with subprocess.Popen(
        command("scan", tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().startswith(b"MALICIOUS")
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(timeout=60) == 141


@pytest.mark.parametrize("jobs", ["1", "2"])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["INT", "TERM"])
def test_a_stopped_scan_leaves_no_half_report_and_no_process(
    tmp_path: Path, jobs: str, number: signal.Signals, code: int
) -> None:
    folder = write(tmp_path / "in", model=BENIGN)
    report = tmp_path / "report.json"
    arguments = ("scan", "--jobs", jobs, "--format", "json", "--output", report, folder, "-")
    process = subprocess.Popen(
        command(*arguments),
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        start_new_session=True,
        # Whoever runs the tests in the background of a shell ignores the interrupt, and so would the scan.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    until = time.monotonic() + 30
    while not any(part.stat().st_size > 200 for part in tmp_path.glob("report.json.*.part")):
        assert time.monotonic() < until, "the first file was never reported"
        time.sleep(0.02)
    os.killpg(process.pid, number)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == code
    assert b"Traceback" not in errors
    assert list(tmp_path.iterdir()) == [folder]
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)


def test_progress_is_for_terminals_only(tmp_path: Path) -> None:
    done = run("scan", write(tmp_path, **{f"{number}": BENIGN for number in range(50)}))
    assert done.stderr == b""
    assert b"\x1b" not in done.stdout


def test_the_installed_command_is_the_module(tmp_path: Path) -> None:
    installed = Path(command()[0]).with_name("safepickle")
    if not installed.exists():
        pytest.skip("safepickle is not installed in this environment; `pip install -e .` does it")
    done = subprocess.run([installed, "scan", "-"], input=HOSTILE, capture_output=True, timeout=60, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stdout.startswith(b"MALICIOUS")
