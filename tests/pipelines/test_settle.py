"""How the trained thresholds are settled against what the champion clears."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pipelines.settle import Levels, Old, judged_at, settled

TRAINED = Levels(0.4, 0.8, 0.01)


def old(*files: tuple[float, float, bool]) -> Old:
    scores, credibility, panel = zip(*files, strict=True)
    return Old(np.array(scores), np.array(credibility), np.array(panel))


QUIET = [(0.1, 0.9, False)] * 97


def flagged(levels: Levels, files: Old) -> list[int]:
    return np.flatnonzero(levels.flag(files.scores, files.credibility)).tolist()


def test_no_old_benign_file_stays_flagged_where_nothing_speaks_against_it() -> None:
    files = old((0.5, 0.9, False), (0.9, 0.9, True), (0.2, 0.001, False), *QUIET)
    found = settled(TRAINED, files, 0.0, lambda levels: True)
    assert flagged(found, files) == []
    assert found.suspicious == found.malicious == pytest.approx(0.9)
    assert found.credible == pytest.approx(0.001)


def test_as_many_as_the_gate_tolerates_stay_flagged_and_thresholds_are_not_raised_for_them() -> None:
    files = old((0.5, 0.9, False), (0.9, 0.9, False), (0.2, 0.001, False), *QUIET)
    found = settled(TRAINED, files, 0.02, lambda levels: True)
    assert flagged(found, files) == [0, 1], "the highest scores, which would cost most"
    assert found.suspicious == TRAINED.suspicious
    assert found.credible == pytest.approx(0.001)
    assert settled(TRAINED, files, 0.03, lambda levels: True) == TRAINED


def test_a_file_of_the_panel_is_not_among_those_that_may_stay_flagged() -> None:
    files = old((0.6, 0.9, True), *QUIET)
    assert flagged(settled(TRAINED, files, 0.02, lambda levels: True), files) == []


def test_thresholds_rise_no_further_than_recall_allows() -> None:
    files = old((0.5, 0.9, False), (0.6, 0.9, False), (0.9, 0.9, False), (0.2, 0.001, False), *QUIET)

    def holds(levels: Levels) -> bool:
        return levels.suspicious < 0.7 and levels.credible > 0.005

    found = settled(TRAINED, files, 0.0, holds)
    assert flagged(found, files) == [2, 3]
    assert found.suspicious == pytest.approx(0.6)
    assert found.credible == TRAINED.credible
    assert settled(TRAINED, files, 0.0, lambda levels: levels == TRAINED) == TRAINED


def test_thresholds_of_the_folds_rise_by_as_much_in_log_odds() -> None:
    frame = pd.DataFrame(
        {
            "ensemble": [0.45, 0.55, 0.35, 0.2, 0.95],
            "credibility": [0.9, 0.9, 0.9, 0.002, 0.9],
            "tier": "",
            "suspicious": [0.4, 0.4, 0.3, 0.3, 0.4],
            "malicious": [0.8, 0.8, 0.8, 0.8, 0.8],
        }
    )
    before = judged_at(frame, TRAINED, TRAINED)["tier"].tolist()
    assert before == ["suspicious", "suspicious", "suspicious", "suspicious", "malicious"]
    after = judged_at(frame, TRAINED, TRAINED.raised_to(0.5).replace(credible=0.001))["tier"].tolist()
    # 0.4 -> 0.5 multiplies the odds by 1.5; a fold's 0.3 becomes 0.39.
    assert after == ["benign", "suspicious", "benign", "benign", "malicious"]
    certain = judged_at(frame, TRAINED, TRAINED.raised_to(1.0 + 1e-9))["tier"].tolist()
    assert certain == ["benign", "benign", "benign", "suspicious", "benign"], "nothing is certain enough"
