"""Stage `split`: grouped folds. Files of one group (author, repository, variant family) never straddle folds."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold

from . import dataset
from .dataset import FEEDBACK_ORIGIN, GENERATED_ORIGIN, LIBRARY_ORIGIN
from .params import load_params
from .paths import COLLECTED, FOLDS, SYNTHESIZED

HELD_OUT = -1
"""Fold of rows that no model learns from and that are only evaluated."""


def load_all() -> pd.DataFrame:
    """Collected and generated rows, in a fixed order."""
    frame = pd.concat([dataset.read(COLLECTED), dataset.read(SYNTHESIZED)], ignore_index=True)
    return frame.drop_duplicates("sha256", keep="first").reset_index(drop=True)


def load_folds() -> pd.DataFrame:
    """:func:`load_all` with the column ``fold``.

    Raises
    ------
    SystemExit
        When the folds were dealt for other files.
    """
    frame, folds = load_all(), pd.read_parquet(FOLDS)
    if list(frame["sha256"]) != list(folds["sha256"]):
        raise SystemExit(f"{FOLDS} is of other files; run `dvc repro`")
    return frame.assign(fold=folds["fold"])


def learned(frame: pd.DataFrame, effects: list[str]) -> pd.Series:
    """Rows that detectors may learn from: benign ones, and malicious ones whose effect is a listed one.

    An analyst's label comes without an effect and counts.
    """
    malicious = (frame["label"] == "malicious") & frame["effect"].isin([*effects, ""])
    return ((frame["label"] == "benign") | malicious) & (frame["pool"] != "test")


def assign(frame: pd.DataFrame, params: dict[str, Any]) -> pd.Series:
    """Fold of each row: 0 .. folds - 1, or :data:`HELD_OUT`.

    Real files, generated ones and those of libraries are dealt separately, so that every fold has its share of each.
    A file that an analyst labelled goes where the hash of its group says: labels deal no other file anew, so that a
    challenger differs from the champion by what was learned, not by chance.
    """
    folds = pd.Series(HELD_OUT, index=frame.index, dtype="int64")
    usable = learned(frame, params["train"]["effects"])
    kinds = (GENERATED_ORIGIN, LIBRARY_ORIGIN, FEEDBACK_ORIGIN)
    kind = frame["origin"].where(frame["origin"].isin(kinds), "real")
    labelled = frame[usable & (kind == FEEDBACK_ORIGIN)]
    own = [fold_of(group, params["split"]["folds"]) for group in labelled["group"]]
    folds.loc[labelled.index] = np.asarray(own, dtype=np.int64)
    for dealt in ("real", GENERATED_ORIGIN, LIBRARY_ORIGIN):
        rows = frame[usable & (kind == dealt)]
        if rows.empty:
            continue
        dealer = StratifiedGroupKFold(params["split"]["folds"], shuffle=True, random_state=params["seed"])
        labels = (rows["label"] == "malicious").astype(int)
        for fold, (_train, test) in enumerate(dealer.split(np.zeros(len(rows)), labels, rows["group"])):
            folds.loc[rows.index[test]] = fold
    return folds


def fold_of(group: str, folds: int) -> int:
    """Fold of a group by its name alone."""
    return int.from_bytes(sha256(group.encode()).digest()[:8], "big") % folds


def main() -> None:
    """Run the stage."""
    params = load_params()
    frame = load_all()
    frame["fold"] = assign(frame, params)
    straddling = frame[frame["fold"] != HELD_OUT].groupby("group")["fold"].nunique()
    if (straddling > 1).any():
        raise SystemExit(f"groups in more than one fold: {list(straddling[straddling > 1].index)[:5]}")
    frame.drop(columns="trace").to_parquet(FOLDS, compression="zstd", index=False)
    print(frame.groupby(["fold", "label"]).size().unstack(fill_value=0).to_string())


if __name__ == "__main__":
    main()
