"""Which files are looked at together."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pipelines.evaluation.judging import Judged
from pipelines.evaluation.results import bars, set_results
from pipelines.evaluation.sets import EvaluationSet, digest, evaluation_sets, not_learned, with_facts
from pipelines.evaluation.tables import markdown
from safepickle.bytecode.trace import Coverage, FileTrace, Trace

EFFECTS = ["exec", "process"]
DEFAULTS = {
    "label": "malicious", "origin": "public", "group": "g", "technique": "", "effect": "exec", "container": "pickle",
    "note": "", "pool": "train", "fold": 0, "complete": True, "opcodes": 100,
}  # fmt: skip


def rows(*entries: dict[str, object]) -> pd.DataFrame:
    """A frame of files that differ from the defaults in what is given; named after their place."""
    return pd.DataFrame(
        [{"sha256": f"{i:012x}".ljust(64, "0"), "name": f"file{i}", **DEFAULTS, **e} for i, e in enumerate(entries)]
    )


def members(frame: pd.DataFrame, name: str) -> list[int]:
    found = {which.name: which for which in evaluation_sets(frame, EFFECTS)}
    return np.flatnonzero(found[name].rows).tolist() if name in found else []


def benign(**changes: object) -> dict[str, object]:
    return {"label": "benign", "effect": "none", **changes}


def made(**changes: object) -> dict[str, object]:
    return {"origin": "generated", **changes}


def test_the_public_set_holds_public_benign_files_and_all_real_ones_that_run_something() -> None:
    frame = rows(
        benign(), {"origin": "repo"}, {"origin": "peer:x", "effect": "inert", "fold": -1}, benign(origin="repo"),
        made(), {"origin": "feedback"},
    )  # fmt: skip
    assert members(frame, "public") == [0, 1]
    assert members(frame, "controls") == [3]
    assert members(frame, "feedback") == [5]
    assert np.flatnonzero(not_learned(frame, EFFECTS)).tolist() == [2]


def test_hard_negatives_are_public_benign_files_with_that_note() -> None:
    frame = rows(benign(note="benign-but-unusual: a.b"), {"note": "benign-but-unusual: a.b"}, benign())
    assert members(frame, "hard-negatives") == [0]


def test_containers_and_joblib_are_told_by_content_and_leave_generated_files_out() -> None:
    frame = rows(benign(container="zlib(joblib)"), benign(), {"container": "torch-zip"}, made(container="joblib"))
    assert members(frame, "joblib") == [0]
    assert members(frame, "containers") == [0, 2]


def test_spliced_files_are_dealt_by_their_size_and_the_others_are_bare() -> None:
    frame = rows(
        made(technique="global/reduce/inside/pickle", opcodes=999),
        made(technique="global/reduce/before/gzip", opcodes=1_000),
        made(technique="global/reduce/stored/pickle", opcodes=10_000),
        made(technique="global/reduce/truncated_host/pickle", opcodes=150_000),
        made(technique="global/reduce/alone/pickle", opcodes=150_000),
        made(technique="inside", opcodes=5),
        benign(origin="generated", technique="spliced/own/inside/pickle"),
        benign(),
    )
    assert members(frame, "padded-under-1k") == [0]
    assert members(frame, "padded-1k-10k") == [1, 2]
    assert members(frame, "padded-over-10k") == [3]
    assert members(frame, "bare") == [4, 5]


def test_malicious_files_without_benign_company_are_ranked_against_all_benign_ones_scored_out_of_fold() -> None:
    frame = rows(made(technique="a/b/inside/c"), benign(), benign(origin="generated"), benign(fold=-1))
    padded = next(which for which in evaluation_sets(frame, EFFECTS) if which.name == "padded-under-1k")
    assert padded.borrowed
    assert np.flatnonzero(padded.against).tolist() == [1, 2]


def test_unseen_callables_are_the_test_pool_and_generated_is_what_was_scored_out_of_fold() -> None:
    frame = rows(made(pool="test", fold=-1), made(fold=2), benign(origin="generated"), made(effect="tamper", fold=-1))
    assert members(frame, "unseen-callables") == [0]
    assert members(frame, "generated") == [1, 2]


def test_tiny_benign_files_have_fewer_than_40_opcodes() -> None:
    assert members(rows(benign(opcodes=39), benign(opcodes=40), {"opcodes": 3}), "tiny-benign") == [0]


def test_a_set_without_files_does_not_appear() -> None:
    assert {which.name for which in evaluation_sets(rows(benign()), EFFECTS)} == {"public"}


def test_opcodes_of_nested_streams_count_and_completeness_is_the_file_s() -> None:
    inner = Trace((), 0, 1, (2, 2), {"STOP": 1}, Coverage("complete"))
    outer = Trace((), 0, 9, (2, 2), {"PROTO": 1, "STOP": 2}, Coverage("complete"), children=(inner,))
    found = with_facts(rows({}), [FileTrace(9, "pickle", False, (outer,))])
    assert found["opcodes"].tolist() == [4]
    assert found["complete"].tolist() == [False]


def test_a_digest_depends_on_the_files_and_not_on_their_order() -> None:
    frame = rows({}, {}, {})
    assert digest(frame) == digest(frame.iloc[::-1])
    assert digest(frame) != digest(frame.iloc[:2])


def judged(frame: pd.DataFrame, *verdicts: str) -> Judged:
    return Judged("ensemble", "ensemble", np.zeros(len(frame)), np.array(verdicts, dtype=object))


def test_the_gate_sees_frozen_rows_alone() -> None:
    frame = rows(benign(), benign(origin="repo"), {}, {"origin": "feedback"}, benign(opcodes=3))
    said = judged(frame, "suspicious", "benign", "malicious", "benign", "incomplete")
    frozen = (frame["origin"] != "feedback").to_numpy(bool)
    found = set_results(evaluation_sets(frame, EFFECTS), said, frame, frozen)
    assert "feedback" not in found
    public = found["public"]
    assert (public.true_positives, public.positives) == (1, 1)
    assert (public.false_positives, public.negatives) == (1, 2)
    assert public.digest == digest(frame.iloc[[0, 2, 4]])


@pytest.mark.parametrize(("caught", "passed"), [(19, True), (18, False)])
def test_the_bar_on_recall_counts_incomplete_files_as_not_caught(caught: int, passed: bool) -> None:
    frame = rows(*[{}] * 20, benign(), benign(container="joblib"))
    said = judged(frame, *["suspicious"] * caught, *["incomplete"] * (20 - caught), "benign", "benign")
    found = bars(frame, said)
    assert [bar.passed for bar in found] == [passed, True, True]


def test_bars_without_files_fail() -> None:
    frame = rows(benign(origin="repo"))
    assert not any(bar.passed for bar in bars(frame, judged(frame, "benign")))


def test_an_unread_joblib_file_fails_its_bar() -> None:
    frame = rows({}, benign(container="joblib", complete=False))
    assert not bars(frame, judged(frame, "malicious", "incomplete"))[2].passed


def test_names_from_files_cannot_break_out_of_a_table() -> None:
    text = markdown(("name", "n"), [("a|b\n| x\x1b[31m<img src=x>`", 3)])
    assert len(text.splitlines()) == 3
    assert "\x1b" not in text
    assert "<img" not in text
    assert text.splitlines()[2].replace("\\|", "").count("|") == 3


def test_a_set_says_that_it_borrows_its_benign_files() -> None:
    none, one = np.array([False]), np.array([True])
    assert EvaluationSet("s", "", one, none, one).borrowed
    assert not EvaluationSet("s", "", one, none, none).borrowed
