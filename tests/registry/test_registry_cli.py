from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from registry import Decision, Registry, RegistryError
from registry.__main__ import main
from registry.gate import Check

LINEAGE: dict[str, Any] = {"dataset_hash": "", "params": {}, "git_commit": "", "schema": 1, "metrics": {}, "card": "#"}
ROOT = Path(__file__).resolve().parents[2]
CLEARED = Decision("promote", ("all passed",), (Check("canary flips", True, "0 of at least 1", "0 of 40", "reject"),))


class Commands:
    """The commands run in this process on one store."""

    def __init__(self, store: Registry, capsys: pytest.CaptureFixture[str]) -> None:
        self.store = store
        self.capsys = capsys

    def __call__(self, *arguments: object) -> tuple[int, str, str]:
        """Run a command; return exit code, stdout and stderr."""
        try:
            code = main(["--store", str(self.store.root), *map(str, arguments)])
        except SystemExit as stop:
            code = int(stop.code or 0)
        out, err = self.capsys.readouterr()
        return code, out, err

    def json(self, *arguments: object) -> Any:
        """Run a command that must succeed and return what it printed with ``--json``."""
        code, out, err = self(*arguments, "--json")
        assert (code, err) == (0, "")
        return json.loads(out)


@pytest.fixture
def run(registry: Registry, capsys: pytest.CaptureFixture[str]) -> Commands:
    registry.record_decision(1, CLEARED)
    return Commands(registry, capsys)


def test_list_shows_each_version_with_its_alias(run: Commands) -> None:
    run.store.promote(1, "first", "ann")
    run.store.set_challenger(3, "retrained", "ann")
    rows = run.json("list")
    assert [(row["version"], row["alias"], row["gate"]) for row in rows] == [
        (1, "champion", "promote"),
        (2, None, "none"),
        (3, "challenger", "none"),
    ]
    code, out, _ = run("list")
    assert code == 0
    lines = out.splitlines()
    assert len(lines) == 4
    assert lines[1].split()[:2] == ["1", "champion"]
    assert rows[0]["bundle_hash"][:12] in lines[1]


def test_show_gives_lineage_metrics_files_and_the_gates_checks(run: Commands) -> None:
    shown = run.json("show", 1)
    assert shown["params"] == {"seed": 1}
    assert shown["metrics"] == {"recall": 0.97}
    assert shown["decision"] == CLEARED.to_json()
    assert "bundle/bundle.json" in shown["files"]
    code, out, _ = run("show", "1")
    assert code == 0
    for text in ("0123456789abcdef", '"recall": 0.97', "bundle/bundle.json", "canary flips", "0 of 40"):
        assert text in out


def test_promote_asks_for_the_gates_decision(run: Commands) -> None:
    code, out, err = run("promote", 2)
    assert (code, out) == (1, "")
    assert "not cleared by the gate" in err
    code, out, err = run("promote", 1)
    assert (code, err) == (0, "")
    assert "version 1 " in out
    assert run.store.aliases().champion == 1


def test_a_forced_promotion_needs_a_reason_which_is_recorded(run: Commands) -> None:
    code, _, err = run("promote", 2, "--force")
    assert code == 2
    assert "--reason" in err
    assert run.json("promote", 2, "--force", "--reason", "an emergency", "--actor", "ann")["champion"] == 2
    (entry,) = run.json("history")
    assert {name: entry[name] for name in ("from", "to", "who", "why", "gate", "action", "alias")} == {
        "from": None,
        "to": 2,
        "who": "ann",
        "why": "an emergency",
        "gate": "none",
        "action": "promote",
        "alias": "champion",
    }


def test_rollback_returns_and_refuses_without_a_predecessor(run: Commands) -> None:
    run.store.promote(1, "first", "ann")
    run.store.promote(2, "better", "ann", force=True)
    assert run.json("rollback", "--reason", "false alarms") == {
        "champion": 1,
        "bundle_hash": run.store.get(1).bundle_hash,
    }
    code, out, err = run("rollback")
    assert (code, out) == (1, "")
    assert "no champion to return to" in err
    code, out, _ = run("history")
    assert code == 0
    assert "false alarms" in out.splitlines()[-1]


def test_verify_names_the_damaged_file_and_fails_but_looks_at_all(run: Commands) -> None:
    code, out, err = run("verify")
    assert (code, err, len(out.splitlines())) == (0, "", 3)
    (run.store.root / "versions" / "2" / "card.md").write_text("changed")
    (run.store.root / "versions" / "9").mkdir()
    code, out, err = run("verify", "all")
    assert (code, len(out.splitlines())) == (1, 2)
    assert "card.md was changed" in err
    assert "versions/9 was never registered" in err
    assert run("verify", "3")[0] == 0
    assert run("verify", "2")[0] == 1
    code, out, _ = run("verify", "2", "--json")
    assert code == 1
    assert json.loads(out)["versions"][0]["verified"] is False


def test_list_still_shows_the_good_versions_beside_a_damaged_one(run: Commands) -> None:
    (run.store.root / "versions" / "2" / "manifest.json").write_text("{}")
    code, out, err = run("list")
    assert code == 1
    assert [line.split()[0] for line in out.splitlines()] == ["version", "1", "3"]
    assert "manifest.json was changed" in err


def test_export_copies_the_bundle_alone_and_replaces_an_earlier_one(run: Commands, tmp_path: Path) -> None:
    target = tmp_path / "package" / "champion"
    for number in (1, 2):
        assert run.json("export", number, target)["bundle_hash"] == run.store.get(number).bundle_hash
        assert {path.name: path.read_bytes() for path in target.iterdir()} == {
            path.name: path.read_bytes() for path in run.store.get(number).bundle.iterdir()
        }
    assert [path.name for path in target.parent.iterdir()] == ["champion"]


@pytest.mark.parametrize("kind", ["folder", "file", "link"])
def test_export_overwrites_nothing_but_a_bundle(run: Commands, tmp_path: Path, kind: str) -> None:
    target, other = tmp_path / "precious", tmp_path / "other"
    other.mkdir()
    (other / "thesis.txt").write_text("precious")
    if kind == "folder":
        other.rename(target)
    elif kind == "file":
        target.write_text("precious")
    else:
        target.symlink_to(other)
    code, _, err = run("export", 1, target)
    assert code == 1
    assert "is not a bundle" in err
    assert "precious" in (target if kind == "file" else target / "thesis.txt").read_text()


def test_sign_signs_with_the_configured_key(run: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("sign")[0] == 1
    monkeypatch.setenv("SAFEPICKLE_REGISTRY_KEY", "a key of more than sixteen bytes")
    assert run("verify")[0] == 1
    assert run.json("sign") == {"signed": [1, 2, 3]}
    assert run("verify")[0] == 0


@pytest.mark.parametrize("arguments", [[], ["explode"], ["show"], ["promote"], ["export", "1"], ["list", "--what"]])
def test_a_wrong_command_line_is_a_usage_error(run: Commands, arguments: list[str]) -> None:
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert "usage:" in err


@pytest.mark.parametrize("arguments", [["show", "4"], ["promote", "../1"], ["verify", "latest"], ["show", "champion"]])
def test_a_version_that_does_not_exist_is_refused(run: Commands, arguments: list[str]) -> None:
    code, out, err = run(*arguments)
    assert (code, out) == (1, "")
    assert err.startswith("registry: ")


def test_a_store_that_does_not_exist_is_named_and_not_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--store", str(tmp_path / "nowhere")]) == 1
    assert "nowhere" in capsys.readouterr().err
    assert not (tmp_path / "nowhere").exists()


def test_a_reason_cannot_steer_the_terminal(run: Commands) -> None:
    run("promote", 1, "--reason", "good\x1b[2J\nversion 9 champion")
    code, out, _ = run("history")
    assert code == 0
    assert "\x1b" not in out
    assert len(out.splitlines()) == 2


def test_the_module_runs_as_a_program_and_reads_the_store_from_the_environment(registry: Registry) -> None:
    environment = {**os.environ, "SAFEPICKLE_REGISTRY": str(registry.root)}
    command = [sys.executable, "-m", "registry", "verify"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == 3


WITHOUT_PICKLE = """
import sys
from pathlib import Path
from registry.__main__ import main

for arguments in sys.argv[2:]:
    assert main(["--store", sys.argv[1], *arguments.split()]) == 0, arguments
print(sorted({"pickle", "_pickle", "shelve", "cloudpickle", "dill", "joblib"} & set(sys.modules)))
"""


def test_no_command_ever_imports_a_pickle_reader(registry: Registry, tmp_path: Path) -> None:
    commands = ["list", "promote 1 --force --reason r", "promote 2 --force --reason r", "rollback", "verify", "history"]
    commands += ["show 1", f"export 1 {tmp_path / 'out'}"]
    arguments = [sys.executable, "-c", WITHOUT_PICKLE, str(registry.root), *commands]
    done = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.fixture
def unwritable(registry: Registry) -> Iterator[Path]:
    """A store that can be read by all and written by nobody but root, outside folders that are closed to others."""
    folder = Path(tempfile.mkdtemp())
    shutil.copytree(registry.root, folder / "store")
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    yield folder / "store"
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755)
    shutil.rmtree(folder)


def test_a_read_only_store_can_be_read_and_says_clearly_that_it_cannot_be_written(
    registry: Registry, unwritable: Path
) -> None:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if os.geteuid() == 0:
                os.setresuid(65534, 65534, 65534)
            store = Registry(unwritable)
            report = [f"read {len(store.versions())}", f"verified {store.verify(1).number}"]
            for use in (
                lambda: store.promote(1, "why", "ann", force=True),
                lambda: store.rollback("why", "ann"),
                lambda: store.set_challenger(1, "why", "ann"),
                lambda: store.register(registry.root, {}, **LINEAGE),
            ):
                try:
                    use()
                    report.append("written")
                except RegistryError as error:
                    report.append(str(error))
            os.write(writing, "\n".join(report).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading, encoding="utf-8") as pipe:
        lines = pipe.read().splitlines()
    os.waitpid(child, 0)
    assert lines[:2] == ["read 3", "verified 1"]
    assert len(lines) == 6
    for line in lines[2:]:
        assert "cannot write to the registry" in line
        assert "Permission denied" in line
        assert str(unwritable) in line
