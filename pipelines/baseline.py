"""Stage `baseline`: the paper's six detectors on its opcode frequencies alone, out of fold, for comparison.

Source: the SafePickle paper's published description, re-implemented on our grouped folds; nothing of it is deployed.
"""

from __future__ import annotations

from functools import partial

import pandas as pd

from detectors import create
from detectors.stacking import FLOORS
from safepickle.features import SCHEMA

from .params import load_params
from .paths import BASELINE, FOLDS
from .train import out_of_fold

GROUPS = ("opcode_frequencies",)


def main() -> None:
    """Run the stage."""
    params = load_params()
    frame = pd.read_parquet(FOLDS)
    columns = SCHEMA.columns(GROUPS)
    scores = {}
    for name, settings in params["detectors"].items():
        if name in FLOORS:  # the paper has none
            continue
        own = {key: value for key, value in settings.items() if key != "groups"}
        scores[name], _final = out_of_fold(partial(create, name, own, columns, params["seed"]), frame, params)
    pd.DataFrame(scores).to_parquet(BASELINE, compression="zstd", index=False)


if __name__ == "__main__":
    main()
