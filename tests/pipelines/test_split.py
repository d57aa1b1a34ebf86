"""How files are dealt to folds."""

from __future__ import annotations

from random import Random

import pandas as pd

from pipelines.split import HELD_OUT, assign

PARAMS = {"seed": 5, "split": {"folds": 3}, "train": {"effects": ["exec"]}}


def files(number: int, origin: str, seed: int) -> pd.DataFrame:
    """Files of a few groups, a third of them malicious."""
    chance = Random(seed)
    rows = [
        {
            "label": "malicious" if place % 3 == 0 else "benign",
            "effect": "exec" if place % 3 == 0 and origin != "feedback" else "",
            "origin": origin,
            "pool": "train",
            "group": f"{origin}/{chance.randrange(number // 2)}-{place % 3 == 0}",
        }
        for place in range(number)
    ]
    return pd.DataFrame(rows)


def test_labels_deal_no_other_file_anew() -> None:
    seed = pd.concat([files(60, "public", 1), files(40, "generated", 2)], ignore_index=True)
    before = assign(seed, PARAMS)
    for labels in (1, 2, 25):
        more = pd.concat([seed, files(max(2, labels), "feedback", 3).iloc[:labels]], ignore_index=True)
        after = assign(more, PARAMS)
        assert after.iloc[: len(seed)].tolist() == before.tolist()
        assert HELD_OUT not in set(after.iloc[len(seed) :])
    assert more.assign(fold=after).groupby("group")["fold"].nunique().max() == 1, "a group stays together"
    assert set(before) == {0, 1, 2}
