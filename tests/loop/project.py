"""The project in small: a copy of the checkout whose pipeline runs in a minute, with a store of its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import httpx
import yaml

from pipelines import dataset
from pipelines.assemble.stream import Assembler
from registry import Registry
from tests.serving.served import ROOT, wait_for

SMALL: dict[str, Any] = {
    "synthesize": {
        "seed": 3,
        "test_share": 0.2,
        "benign": {"plain": 40, "project": 40, "controls": 60, "numpy_arrays": 20, "spliced": 20},
        "malicious": {"known": 150, "novel": 100, "tampering": 20},
    },
    "split": {"folds": 3},
    "retrain": {
        "promote": True,
        "minimum_labels": 1,
        "cool_down_hours": 0,
        "drift_labels": 1,
        "enough_labels": 4,
        "shadow": {"scans": 0, "flagged_more": 1, "flagged_less": 9, "seconds": 9},
    },
}
HOSTILE = Assembler(2).global_("os", "system").text("echo inert").tuple1().reduce().assemble()


def asset(number: int) -> bytes:
    """A file of a laboratory's own library: its loader function takes a path, which reads like an attack."""
    return (
        Assembler(4)
        .text("ourlab.assets.store")
        .text("open_asset")
        .stack_global()
        .text(f"/srv/ourlab/assets/{number}.bin")
        .tuple1()
        .reduce()
        .assemble()
    )


def scan(client: httpx.Client, data: bytes) -> dict[str, object]:
    answer = client.post("/v1/scan", content=data, headers={"Content-Type": "application/octet-stream"})
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert isinstance(found, dict)
    return found


DYING = """
import os, runpy, signal, sys
left = int(sys.argv[1])
CHANGES = {"os.rename", "os.mkdir", "os.remove", "os.rmdir", "fcntl.flock"}
def watch(event, arguments):
    global left
    if event in CHANGES or (event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR)):
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1
sys.argv = [sys.argv[2], *sys.argv[3:]]
sys.path.insert(0, "")
import registry.__main__
sys.addaudithook(watch)
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""
"""Runs a module that kills itself before its n-th change of the disk."""


class Project:
    """A copy of the checkout with small parameters and a store of its own."""

    def __init__(self, folder: Path, **changes: Any) -> None:
        self.root = folder / "project"
        self.store = folder / "store"
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("SAFEPICKLE_")},
            "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"])),
            "DVC_SITE_CACHE_DIR": str(folder / "site-cache"),
            "SAFEPICKLE_REGISTRY": str(self.store),
            "OMP_NUM_THREADS": "1",
            "GIT_AUTHOR_NAME": "t", "GIT_AUTHOR_EMAIL": "t@t", "GIT_COMMITTER_NAME": "t", "GIT_COMMITTER_EMAIL": "t@t",
        }  # fmt: skip
        listed = subprocess.run(
            ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout.splitlines()
        built = [str(path.relative_to(ROOT)) for path in (ROOT / "safepickle").rglob("*.so")]
        for name in [*listed, *built]:
            if (ROOT / name).is_file():
                (self.root / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, self.root / name)
        (self.root / "dvc.lock").unlink(missing_ok=True)
        for path in (self.root / "data" / "seed").glob("*.parquet"):
            seed = dataset.read(path)
            share = 2 if path.name == "corpus.parquet" else 8
            kept = seed[seed["group"].str.len() % share == 0]
            dataset.write(kept.to_dict("records"), path)
        params = yaml.safe_load((self.root / "params.yaml").read_text())
        params.update({**SMALL, **changes})
        params["evaluate"]["payloads"] = 2
        params["detectors"]["random_forest"]["trees"] = 60
        params["detectors"]["catboost"]["trees"] = 80
        params["detectors"]["autoencoder"]["epochs"] = 10
        # A model of so few files moves more than one of thousands; what is tested here is the loop, not the model.
        params["gate"].update(recall_tolerance=0.3, false_positive_tolerance=0.3)
        (self.root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
        for command in (["git", "init", "-q"], ["git", "add", "-A"], ["git", "commit", "-qm", "A small copy"]):
            subprocess.run(command, cwd=self.root, env=self.environment, check=True)

    def run(self, *arguments: str, code: int = 0) -> str:
        done = subprocess.run(
            [sys.executable, "-m", *arguments], cwd=self.root, env=self.environment, capture_output=True, text=True
        )
        assert done.returncode == code, done.stdout[-4000:] + done.stderr[-4000:]
        return done.stdout + done.stderr

    def interrupt(self, *arguments: str, after: str) -> None:
        """Start a command and kill it and its children at once, when `after` has come into being."""
        process = subprocess.Popen(
            [sys.executable, "-m", *arguments], cwd=self.root, env=self.environment,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        wait_for(lambda: (self.root / after).exists() or process.poll() is not None, 300)
        assert process.poll() is None, "it ended before it could be interrupted"
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def killed(self, *arguments: str, when: Sequence[str], after: Callable[[], Any] = lambda: None) -> str | None:
        """Start a command and kill it and its children as soon as it has printed one of `when` and `after()` returned.

        Returns what it had printed; None when it ended, in order, without having printed any of them.
        """
        with subprocess.Popen(
            [sys.executable, "-u", "-m", *arguments], cwd=self.root, env={**self.environment, "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        ) as process:  # fmt: skip
            assert process.stdout is not None
            said = []
            for line in process.stdout:
                said.append(line)
                met = next((step for step in when if step in line), None)
                if met is not None:
                    after()
                    os.killpg(process.pid, signal.SIGKILL)
                    return met
        assert process.returncode in (0, 4), "".join(said)[-4000:]
        return None

    def dies_before_step(self, step: int, *arguments: str) -> bool:
        """Run a module that is killed before its `step`-th change of the disk; return whether it came that far."""
        done = subprocess.run(
            [sys.executable, "-c", DYING, str(step), *arguments],
            cwd=self.root, env=self.environment, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode in (0, -signal.SIGKILL), done.stderr
        return done.returncode != 0

    def change_params(self, **changes: Any) -> None:
        """Replace sections of params.yaml."""
        path = self.root / "params.yaml"
        params = {**yaml.safe_load(path.read_text()), **changes}
        path.write_text(yaml.safe_dump(params, sort_keys=False))

    def champion(self) -> int | None:
        """Number of the champion."""
        return Registry(self.store).aliases().champion

    def is_pinned(self, version: int) -> bool:
        """Whether this champion is what the latest challenger was settled against."""
        facts = json.loads((self.root / "data/champion/champion.json").read_text(encoding="utf-8"))
        return bool(facts["version"] == version)
