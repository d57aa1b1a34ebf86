"""The stage as a whole: the stages before it run on a small dataset, and its report is read."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from collections.abc import Iterator
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from random import Random
from typing import Any

import pandas as pd
import pytest
import yaml

from detectors import save_with_thresholds
from detectors.settling import told
from pipelines import baseline, champion, dataset, ensemble, evaluate, featurize, settle, split, train
from pipelines.assemble.stream import Assembler
from pipelines.paths import BASELINE, BUNDLE, COLLECTED, ENSEMBLE_SCORES, METRICS, REPORT, STACKED, SYNTHESIZED, TRAINED
from registry import Registry
from registry.gate import SetResult
from safepickle.ensemble import bundle_hash, load
from safepickle.scan import trace_bytes

DETECTORS = ("random_forest", "isolation_forest")
PRINTED = "printed.txt"
ODD_NAME = "odd|name\n.pkl"
ROOT = Path(__file__).resolve().parents[2]


def parameters() -> dict[str, Any]:
    """Those of the project, with two small detectors, three folds and rates that 60 files can show."""
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    params["split"]["folds"] = 3
    params["train"]["effects"] = ["exec"]
    params["detectors"] = {
        "random_forest": {"groups": ["structure", "calls"], "trees": 10},
        "isolation_forest": {"groups": ["calls"], "trees": 10},
    }
    params["ensemble"]["false_positive_rates"] = {"suspicious": 0.05, "malicious": 0.01}
    params["evaluate"]["false_positive_rate"] = 0.05
    return params


def row(data: bytes, number: int, **facts: str) -> dict[str, str]:
    trace = trace_bytes(data).redacted()
    known = {"label": "benign", "origin": "public", "effect": "none", "technique": "", "note": "", "pool": "train"}
    return {
        "sha256": f"{number:012x}".ljust(64, "0"), "name": f"file{number}.pkl", "library": "none",
        "container": trace.container,
        "trace": trace.to_json(), **known, "group": f"author{number % 13}", **facts,
    }  # fmt: skip


def call(module: str, name: str, argument: str) -> bytes:
    return Assembler(2).global_(module, name).text(argument).tuple1().reduce().assemble()


def rows() -> Iterator[dict[str, str]]:
    """Benign and hostile files of every kind that a set asks for. Nothing here is ever loaded."""
    rng = Random(1)
    for number in range(60):
        value = {"weights": [rng.random() for _ in range(rng.randrange(1, 60))], "names": ["a", "b"][: number % 3]}
        note = "benign-but-unusual: x" if number % 7 == 0 else ""
        yield row(pickle.dumps(value, number % 6), number, note=note)
    for number in range(60, 66):
        yield row(call("collections", "OrderedDict", "x"), number, origin="repo", group=f"repo{number}")
    hostile = {"label": "malicious", "effect": "exec"}
    for number in range(100, 130):
        module, name = rng.choice([("os", "system"), ("builtins", "eval"), ("odd_library", "run_it")])
        group = f"peer{number % 11}"
        yield row(call(module, name, "echo x"), number, origin="repo", technique="direct", group=group, **hostile)
    # reads like a benign file, so that somebody has to miss it
    yield row(pickle.dumps([1, 2]), 140, origin="repo", name=ODD_NAME, group="peer-odd", **hostile)
    yield row(b"\x80\x02cos\nsystem\n", 141, label="broken", origin="repo", group="cut", effect="broken")
    yield row(pickle.dumps({}), 142, label="malicious", origin="repo", group="inert", effect="inert")


def made() -> Iterator[dict[str, str]]:
    """Generated files of both pools."""
    hostile = {"label": "malicious", "effect": "exec", "origin": "generated"}
    for number in range(200, 224):
        place = ("bare", "inside", "before")[number % 3]
        pool = "test" if number % 4 == 0 else "train"
        data = call("generated_module", f"start{number % 5}", "echo x")
        technique = f"global/reduce/{place}/pickle"
        yield row(data, number, group=f"made-{pool}-{number % 5}", technique=technique, pool=pool, **hostile)
    for number in range(230, 242):
        yield row(pickle.dumps([number, "text"]), number, origin="generated", group=f"saver{number % 4}")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder in which all stages ran, `evaluate` last."""
    folder, before = tmp_path_factory.mktemp("run"), Path.cwd()
    (folder / "params.yaml").write_text(yaml.safe_dump(parameters()), encoding="utf-8")
    os.chdir(folder)
    try:
        dataset.write(rows(), COLLECTED)
        dataset.write(made(), SYNTHESIZED)
        split.main()
        featurize.main()
        for name in DETECTORS:
            train.main([name])
        ensemble.main()
        settle.main()
        baseline.main()
        with redirect_stdout(StringIO()) as said:
            evaluate.main()
        (folder / PRINTED).write_text(said.getvalue(), encoding="utf-8")
        yield folder
    finally:
        os.chdir(before)


@pytest.fixture
def inside(run: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(run)
    return run


@pytest.fixture
def metrics(run: Path) -> dict[str, dict[str, dict[str, dict[str, float]]]]:
    return json.loads((run / METRICS).read_text(encoding="utf-8"))


def test_the_metrics_cover_every_set_and_every_method(metrics: dict[str, dict[str, object]]) -> None:
    sets = {
        "public", "hard-negatives", "controls", "generated", "unseen-callables", "bare", "padded-under-1k",
        "tiny-benign",
    }  # fmt: skip
    assert set(metrics["ensemble"]) == sets
    assert set(metrics["detectors"]) == set(metrics["frequencies"]) == set(DETECTORS)
    assert set(metrics["size"]["size alone"]) == sets


def test_counts_of_a_set_add_up_to_its_files(metrics: dict[str, dict[str, dict[str, float]]]) -> None:
    found = metrics["ensemble"]["public"]
    assert found["tp"] + found["fn"] + found["incomplete_malicious"] == 31
    assert found["fp"] + found["tn"] + found["incomplete_benign"] == 60
    assert found["recall_low"] < found["recall"] <= found["recall_high"]


def test_every_method_but_size_tells_sinks_from_data(metrics: dict[str, dict[str, dict[str, float]]]) -> None:
    assert metrics["ensemble"]["public"]["recall"] > 0.9
    assert metrics["detectors"]["random_forest"]["public"]["pr_auc"] > 0.9


def test_the_metrics_in_the_report_are_those_of_dvc(run: Path) -> None:
    assert (run / METRICS).read_bytes() == (run / REPORT / "metrics.json").read_bytes()


def test_a_second_run_writes_the_same_bytes(inside: Path) -> None:
    files = sorted(path for path in REPORT.rglob("*") if path.is_file())
    before = {path: path.read_bytes() for path in files}
    evaluate.main()
    assert {path: path.read_bytes() for path in files} == before
    assert sorted(path for path in REPORT.rglob("*") if path.is_file()) == files


def test_every_set_with_both_labels_has_its_curves_as_a_picture(run: Path) -> None:
    plots = run / REPORT / "plots"
    names = {path.name for path in plots.iterdir()}
    assert names >= {"confusion.png", "scores.png", "reliability.png", "padding.png", "curves-public.png"}
    assert all(path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n") for path in plots.iterdir())


def test_the_errors_name_every_missed_file_and_every_false_positive(run: Path) -> None:
    scores = pd.read_parquet(run / ENSEMBLE_SCORES)
    real = scores["origin"] != "generated"
    flagged = scores["tier"] != "benign"
    wrong = (real & (scores["label"] == "benign") & flagged) | (real & (scores["effect"] == "exec") & ~flagged)
    lines = [line for line in (run / REPORT / "errors.md").read_text("utf-8").splitlines() if ".pkl |" in line]
    assert len(lines) == wrong.sum() > 0
    assert any(line.startswith("| odd\\|name") for line in lines)


def test_the_card_states_data_model_thresholds_and_bars(run: Path) -> None:
    card = (run / REPORT / "card.md").read_text(encoding="utf-8")
    bundle = json.loads((run / "data/work/bundle/bundle.json").read_text(encoding="utf-8"))
    whole = pd.concat([dataset.read(run / COLLECTED), dataset.read(run / SYNTHESIZED)])
    assert dataset.dataset_hash(whole) in card
    assert f"{bundle['thresholds']['suspicious']:.6f}" in card
    for heading in ("Intended use", "Out of scope", "Data", "Results", "Bars", "Calibration", "Limits", "Thresholds"):
        assert f"# {heading}\n" in card


def test_files_that_are_not_learned_are_counted_by_effect(run: Path) -> None:
    text = (run / REPORT / "tables.md").read_text(encoding="utf-8")
    assert "| repo | broken | broken | 1 |" in text
    assert "| repo | malicious | inert | 1 |" in text


def gate() -> dict[str, SetResult]:
    return evaluate.gate_sets(pd.read_parquet(ENSEMBLE_SCORES), split.load_all())


def test_the_gate_gets_the_counts_of_the_metrics(inside: Path, metrics: dict[str, dict[str, dict[str, float]]]) -> None:
    found = gate()
    assert set(found) == set(metrics["ensemble"])
    assert (found["public"].true_positives, found["public"].positives) == (metrics["ensemble"]["public"]["tp"], 31)


def test_an_analyst_s_labels_change_no_frozen_set(inside: Path) -> None:
    before = gate()
    scores, files = pd.read_parquet(ENSEMBLE_SCORES), split.load_all()
    extra = scores.iloc[:3].assign(sha256=["a", "b", "c"], origin="feedback")
    more = files.iloc[:3].assign(sha256=["a", "b", "c"], origin="feedback")
    after = evaluate.gate_sets(
        pd.concat([scores, extra], ignore_index=True), pd.concat([files, more], ignore_index=True)
    )
    assert after == before


def pin(registered: int, **thresholds: float) -> None:
    """Pin a champion that differs from the trained bundle in its thresholds."""
    shutil.rmtree(champion.BUNDLE, ignore_errors=True)
    trained = load(TRAINED)
    levels = {**trained.thresholds, "credible": trained.least_credibility, **thresholds}
    digest = save_with_thresholds(champion.BUNDLE, TRAINED, levels, {"from": "another"})
    sets = {name: dict(result.__dict__) for name, result in gate().items()}
    champion.FACTS.write_text(json.dumps({"version": registered, "bundle": digest, "sets": sets}), encoding="utf-8")


@pytest.fixture
def copied(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy of the run, to change."""
    shutil.copytree(run, tmp_path / "run")
    monkeypatch.chdir(tmp_path / "run")


@pytest.mark.usefixtures("copied")
def test_old_benign_files_that_the_champion_clears_are_not_flagged_by_a_challenger() -> None:
    before, recall = bundle_hash(TRAINED), gate()["public"].true_positives
    assert bundle_hash(BUNDLE) == before, "without a champion the bundle stays as it was trained"
    low = save_with_thresholds(
        TRAINED.with_name("low"), TRAINED, {"suspicious": 1e-4, "malicious": 0.9, "credible": 0.5}, {}
    )
    pin(7)
    shutil.rmtree(TRAINED)
    TRAINED.with_name("low").rename(TRAINED)
    pd.read_parquet(STACKED).assign(suspicious=1e-4).to_parquet(STACKED)
    settle.main()
    made = load(BUNDLE)
    record = made.manifest["raised"]
    assert record["from"] == low == champion.made_of(BUNDLE)
    assert record["flagged"][0] > record["flagged"][1] == 0
    assert not record["limited"]
    assert made.thresholds["suspicious"] > 1e-4
    assert made.least_credibility < 0.5
    assert gate()["public"].true_positives >= recall - 1
    first = made.hash
    settle.main()
    assert bundle_hash(BUNDLE) == first, "the same champion, the same bundle"
    evaluate.main()
    assert f"Raised after training: {told(made.manifest)}." in (REPORT / "card.md").read_text(encoding="utf-8")


@pytest.mark.usefixtures("copied")
def test_the_champion_is_pinned_for_a_model_that_is_new(tmp_path: Path) -> None:
    registry = Registry(tmp_path / "store")
    assert not champion.pin(registry), "there is none"
    metrics = {"gate": {name: dict(result.__dict__) for name, result in gate().items()}}
    registry.register(
        BUNDLE, {}, dataset_hash="d", params={}, git_commit="", schema=1, metrics=metrics, card="#"
    )  # fmt: skip
    registry.promote(1, "the first", "a test", force=True)
    assert not champion.pin(registry), "nothing was trained since"
    assert champion.pinned() is None
    save_with_thresholds(TRAINED.with_name("new"), TRAINED, {"suspicious": 0.5, "malicious": 0.9, "credible": 0.0}, {})
    shutil.rmtree(TRAINED)
    TRAINED.with_name("new").rename(TRAINED)
    assert champion.pin(registry)
    assert not champion.pin(registry), "it is pinned"
    found = champion.pinned()
    assert found is not None
    assert (found.version, found.hash, dict(found.sets)) == (1, bundle_hash(BUNDLE), gate())
    champion.FACTS.unlink()
    assert champion.pin(registry), "what was interrupted is done again"


@pytest.mark.usefixtures("copied")
def test_a_champion_that_was_half_pinned_is_refused() -> None:
    pin(7)
    facts = json.loads(champion.FACTS.read_text(encoding="utf-8"))
    champion.FACTS.write_text(json.dumps({**facts, "bundle": "another"}), encoding="utf-8")
    with pytest.raises(SystemExit, match="another bundle"):
        settle.main()


def test_scores_of_another_run_are_refused(inside: Path) -> None:
    with pytest.raises(SystemExit, match="not of one run"):
        evaluate.gate_sets(pd.read_parquet(ENSEMBLE_SCORES).iloc[1:], split.load_all())


def test_a_missing_input_is_named(inside: Path) -> None:
    hidden = BASELINE.with_suffix(".away")
    BASELINE.rename(hidden)
    try:
        with pytest.raises(SystemExit, match=r"baseline\.parquet is missing; run `dvc repro`"):
            evaluate.main()
    finally:
        hidden.rename(BASELINE)


def test_the_bars_are_printed(run: Path) -> None:
    said = (run / PRINTED).read_text(encoding="utf-8")
    assert "| recall on real malicious files whose effect is exec | >= 0.95 |" in said
    assert "| real joblib files read to their end | all | 0 of 0 | FAIL |" in said
