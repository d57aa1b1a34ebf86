"""Verdicts beside those of four other scanners on the same files: ``python -m benchmarks.side_by_side``.

Needs the trained bundle (`dvc repro`) and, for the real files, ``SAFEPICKLE_CORPUS``: a folder with the manifest that
the seed data was traced from. Writes docs/side-by-side.md. Verdicts are kept under build/bench, so that a run that was
stopped goes on where it was.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd

from pipelines import dataset, synthesize
from pipelines.evaluate import ensemble_of
from pipelines.evaluation.judging import ALL, Judged
from pipelines.evaluation.metrics import count
from pipelines.evaluation.sets import EvaluationSet, evaluation_sets, with_facts
from pipelines.evaluation.tables import markdown, rate
from pipelines.params import load_params
from pipelines.paths import ENSEMBLE_SCORES
from pipelines.split import load_all

from .environments import PEERS, ROOT, peer_environments, version

FOLDER = ROOT / "build" / "bench"
SEEN = FOLDER / "verdicts"
PAGE = ROOT / "docs" / "side-by-side.md"
CORPUS = "SAFEPICKLE_CORPUS"
SETS = ("public", "hard-negatives", "controls", "joblib", "containers", "unseen-callables", "bare", "padded")
SAID = {"flagged": "malicious", "clean": "benign", "error": "incomplete"}
PER_PROCESS = 60
"""Files after which a scanner's process is started anew, so that none runs out of memory."""


def real_files(folder: Path) -> dict[str, Path]:
    """Files of the corpus by sha256."""
    csv.field_size_limit(1 << 24)
    with open(folder / "manifest.csv", encoding="utf-8", newline="") as source:
        return {entry["sha256"]: folder / entry["file"] for entry in csv.DictReader(source)}


def generated_files(folder: Path) -> dict[str, Path]:
    """The held-out generated files by sha256, written out."""
    folder.mkdir(parents=True, exist_ok=True)
    found = {}
    for job in synthesize.jobs(load_params()["synthesize"]):
        if job.pool == "test":
            for sample in synthesize.run(job):
                digest = sha256(sample.data).hexdigest()
                found[digest] = folder / f"{digest}.bin"
                found[digest].write_bytes(sample.data)
    return found


def verdicts(tool: str, binary: Path, files: Mapping[str, Path]) -> dict[str, str]:
    """A scanner's verdicts by sha256, with progress on stderr."""
    known = SEEN / f"{tool}.jsonl"
    known.parent.mkdir(parents=True, exist_ok=True)
    said = dict(map(json.loads, known.read_text().splitlines())) if known.exists() else {}
    left = [digest for digest in files if digest not in said]
    with open(known, "a", encoding="utf-8") as kept:
        for start in range(0, len(left), PER_PROCESS):
            part = left[start : start + PER_PROCESS]
            for digest, answer in zip(part, _asked(tool, binary, [files[digest] for digest in part]), strict=True):
                said[digest] = answer
                kept.write(json.dumps([digest, answer]) + "\n")
            kept.flush()
            print(f"{tool}: {len(files) - len(left) + start + len(part)} of {len(files)}", file=sys.stderr)
    return {digest: said[digest] for digest in files}


def _asked(tool: str, binary: Path, paths: list[Path]) -> Iterator[str]:
    """Answers in order; a process that dies has no answer for the file at hand."""
    while paths:
        lines = "".join(json.dumps(str(path)) + "\n" for path in paths)
        environment = {"PATH": os.environ["PATH"], "HOME": str(FOLDER), "NO_ANALYTICS": "1", "DO_NOT_TRACK": "1",
                       "PROMPTFOO_DISABLE_TELEMETRY": "1"}  # fmt: skip
        command = [str(binary / "python"), str(Path(__file__).with_name("peer_verdicts.py")), tool]
        done = subprocess.run(command, input=lines, capture_output=True, text=True, env=environment, check=False)
        answers = [json.loads(line)[1] for line in done.stdout.splitlines()]
        yield from answers
        paths = paths[len(answers) :]
        if paths:
            yield "error"
            paths = paths[1:]


def judged(frame: pd.DataFrame, tools: Mapping[str, Mapping[str, str]]) -> list[Judged]:
    """The ensemble and the others, as methods of the evaluation."""
    found = [ensemble_of(frame)]
    for tool, said in tools.items():
        answers = np.array([SAID[said[digest]] for digest in frame["sha256"]], dtype=object)
        found.append(Judged(tool, ALL, (answers == "malicious").astype(np.float64), answers))
    return found


def chosen_sets(frame: pd.DataFrame, effects: list[str]) -> Iterator[EvaluationSet]:
    """The sets that are shown; what is padded counts as one."""
    found = {which.name: which for which in evaluation_sets(frame, effects)}
    padded = [which for name, which in found.items() if name.startswith("padded")]
    if padded:
        whole = np.logical_or.reduce([which.malicious for which in padded])
        title = "generated malicious files with a benign host around the code"
        found["padded"] = EvaluationSet("padded", title, whole, whole & False, padded[0].against)
    yield from (found[name] for name in SETS if name in found)


def table(which: EvaluationSet, methods: Iterable[Judged]) -> str:
    """One row a scanner."""
    rows = []
    for one in methods:
        counts = count(one.verdicts[which.rows], which.malicious[which.rows])
        rows.append(
            (
                one.name, f"{counts.tp} of {counts.positives}", rate(counts.tp, counts.positives),
                f"{counts.fp} of {counts.negatives}", rate(counts.fp, counts.negatives),
                counts.incomplete_malicious, counts.incomplete_benign,
                "-" if counts.f1 is None else f"{counts.f1:.3f}",
            )
        )  # fmt: skip
    columns = (
        "scanner",
        "caught",
        "recall",
        "benign flagged",
        "false positives",
        "malicious unread",
        "benign unread",
        "F1",
    )
    return markdown(columns, rows)


def page(frame: pd.DataFrame, methods: list[Judged], effects: list[str], versions: Mapping[str, str]) -> str:
    """docs/side-by-side.md."""
    parts = [
        "# Beside other scanners\n\n<!-- written by python -m benchmarks.side_by_side -->\n\n"
        "The same files for all, verdicts unaltered. *Ensemble*: each file judged by models, stacking and thresholds "
        "that learned nothing from its group (real files) or from its callables (generated ones); suspicious counts as "
        "flagged. The others: picklescan, issues; modelscan, issues of any severity; fickling, all that is not likely "
        "safe; modelaudit, warnings and critical issues. *Unread*: the scanner says that it could not read the file or "
        f"skipped it, or took longer than 30 s; it is neither caught nor flagged. Brackets: Wilson 95 % intervals.\n\n"
        "Part of the real malicious files comes from the test suites of modelaudit and other scanners, which were "
        "written against such scanners; the generated ones are made by this project.\n\n"
        f"Versions: {', '.join(f'{name} {number}' for name, number in versions.items())}.\n"
    ]
    for which in chosen_sets(frame, effects):
        parts.append(f"\n## {which.name}: {which.title}\n\n{table(which, methods)}")
    return "".join(parts)


def main() -> int:
    """Ask everybody and write the page."""
    files = load_all()
    scores = pd.read_parquet(ENSEMBLE_SCORES)
    if list(scores["sha256"]) != list(files["sha256"]):
        raise SystemExit(f"{ENSEMBLE_SCORES} is of other files; run `dvc repro`")
    paths = generated_files(FOLDER / "generated")
    if corpus := os.environ.get(CORPUS):
        paths |= real_files(Path(corpus))
    else:
        print(f"{CORPUS} is not set: generated files alone", file=sys.stderr)
    shown = scores["sha256"].isin(list(paths)).to_numpy()
    frame = with_facts(scores[shown], dataset.traces(files[shown])).reset_index(drop=True)
    asked = {digest: paths[digest] for digest in frame["sha256"]}
    tools = peer_environments(FOLDER)
    said = {tool: verdicts(tool, tools[tool], asked) for tool in PEERS}
    text = page(
        frame, judged(frame, said), list(load_params()["train"]["effects"]),
        {tool: version(tools[tool], tool) for tool in PEERS},
    )  # fmt: skip
    if corpus:
        PAGE.write_text(text, encoding="utf-8")
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
