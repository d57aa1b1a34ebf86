"""Where the stages keep their files, relative to the checkout."""

from __future__ import annotations

from pathlib import Path

PARAMS = Path("params.yaml")
SEED = Path("data/seed")
FEEDBACK = Path("data/feedback")
INCOMING = Path("data/incoming")
CHAMPION = Path("data/champion")
WORK = Path("data/work")

COLLECTED = WORK / "collected.parquet"
SYNTHESIZED = WORK / "synthesized.parquet"
FOLDS = WORK / "folds.parquet"
FEATURES = WORK / "features"
DETECTORS = WORK / "detectors"
BASELINE = WORK / "baseline.parquet"
TRAINED = WORK / "trained"
STACKED = WORK / "stacked.parquet"
BUNDLE = WORK / "bundle"
ENSEMBLE_SCORES = WORK / "ensemble_scores.parquet"
METRICS = WORK / "metrics.json"
REPORT = WORK / "report"
ROBUSTNESS = WORK / "robustness"
ABLATION = WORK / "ablation"
SEARCH = WORK / "search"
REGISTERED = WORK / "registered.json"
