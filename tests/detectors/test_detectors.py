"""Each detector fits, scores, and scores the same once exported."""

from __future__ import annotations

import importlib.machinery
import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import LocalOutlierFactor

import detectors
from detectors.base import Detector
from detectors.forest import round_down
from safepickle import inference
from tests.detectors.small import COLUMNS, SMALL, WIDTH, make

EVERY = pytest.mark.parametrize("name", list(SMALL))
NOVELTY = [name for name in SMALL if name not in ("random_forest", "catboost", "monotone")]


def exported_scores(module: ModuleType, detector: Detector, rows: Any) -> Any:
    exported = detector.export()
    scorer = module.scorer(exported.meta, exported.arrays)
    return np.array([scorer.score(module.as_row(row, WIDTH)) for row in rows.tolist()])


def uncompiled() -> ModuleType:
    """The Python source of the inference module, also where its compiled build is imported."""
    path = Path(inference.__file__).parent / "inference.py"
    loader = importlib.machinery.SourceFileLoader("safepickle.inference_uncompiled", str(path))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    assert not module.COMPILED
    return module


@EVERY
def test_exported_scores_equal_native_ones(name: str, fitted: dict[str, Detector], probes: Any) -> None:
    native = fitted[name].score(probes)
    assert native.dtype == np.float64
    np.testing.assert_allclose(exported_scores(inference, fitted[name], probes), native, rtol=0, atol=1e-7)


@EVERY
def test_uncompiled_scores_equal_native_ones(name: str, fitted: dict[str, Detector], probes: Any) -> None:
    found = exported_scores(uncompiled(), fitted[name], probes)
    np.testing.assert_allclose(found, fitted[name].score(probes), rtol=0, atol=1e-7)


@EVERY
@pytest.mark.skipif(not inference.COMPILED, reason="safepickle.inference is not compiled here")
def test_compiled_and_uncompiled_scores_are_equal(name: str, fitted: dict[str, Detector], probes: Any) -> None:
    np.testing.assert_allclose(
        exported_scores(inference, fitted[name], probes),
        exported_scores(uncompiled(), fitted[name], probes),
        rtol=1e-12,
        atol=1e-12,
    )


@EVERY
def test_onnx_scores_equal_native_ones(name: str, fitted: dict[str, Detector], probes: Any) -> None:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(fitted[name].onnx(), options)
    (found,) = session.run(["score"], {"X": probes})
    assert found.shape == (len(probes),)
    np.testing.assert_allclose(found, fitted[name].score(probes), rtol=0, atol=1e-5)
    (one,) = session.run(["score"], {"X": probes[:1]})
    np.testing.assert_allclose(one, found[:1], rtol=0, atol=1e-6)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(-(2.0**120), 2.0**120, width=32), min_size=WIDTH, max_size=WIDTH))
def test_any_finite_row_scores_the_same_exported(fitted: dict[str, Detector], row: list[float]) -> None:
    rows = np.asarray([row], dtype=np.float32)
    for detector in fitted.values():
        native = detector.score(rows)
        assert np.isfinite(native).all()
        np.testing.assert_allclose(exported_scores(inference, detector, rows), native, rtol=0, atol=1e-7)


@pytest.mark.parametrize("name", ["random_forest", "catboost", "isolation_forest"])
def test_a_value_right_on_a_threshold_takes_the_same_branch(name: str, fitted: dict[str, Detector]) -> None:
    exported = fitted[name].export()
    borders = exported.arrays["border" if name == "catboost" else "value"][:300]
    rows = np.repeat(borders[:, None], WIDTH, axis=1).astype(np.float32)
    rows = np.concatenate([rows, np.nextafter(rows, np.float32(np.inf)), np.nextafter(rows, np.float32(-np.inf))])
    found = exported_scores(inference, fitted[name], rows)
    np.testing.assert_allclose(found, fitted[name].score(rows), rtol=0, atol=1e-7)


@EVERY
def test_a_score_does_not_depend_on_the_rows_beside_it(name: str, fitted: dict[str, Detector], probes: Any) -> None:
    together = fitted[name].score(probes)
    alone = np.concatenate([fitted[name].score(probes[i : i + 1]) for i in range(0, len(probes), 9)])
    np.testing.assert_array_equal(together[::9], alone)


@EVERY
def test_the_same_seed_gives_the_same_bytes(name: str, table: Any, fitted: dict[str, Detector]) -> None:
    first, second = fitted[name].export(), make(name).fit(*table).export()
    assert first.meta == second.meta
    assert {key: value.tobytes() for key, value in first.arrays.items()} == {
        key: value.tobytes() for key, value in second.arrays.items()
    }


@EVERY
def test_other_columns_do_not_matter(name: str, fitted: dict[str, Detector], probes: Any) -> None:
    changed = probes.copy()
    changed[:, [column for column in range(WIDTH) if column not in COLUMNS]] = 5
    np.testing.assert_array_equal(fitted[name].score(changed), fitted[name].score(probes))


@EVERY
def test_rows_of_weight_zero_do_not_matter(name: str, table: Any, fitted: dict[str, Detector], probes: Any) -> None:
    X, y, weight = table
    strange = np.full((50, WIDTH), 9, np.float32)
    more = np.concatenate([X, strange]), np.append(y, np.arange(50) % 2), np.append(weight, np.zeros(50))
    np.testing.assert_array_equal(make(name).fit(*more).score(probes), fitted[name].score(probes))


@pytest.mark.parametrize("name", NOVELTY)
def test_a_detector_of_novelty_learns_nothing_from_malicious_rows(
    name: str, table: Any, fitted: dict[str, Detector], probes: Any
) -> None:
    X, y, weight = table
    other = X.copy()
    other[y == 1] *= -3
    np.testing.assert_array_equal(make(name).fit(other, y, weight).score(probes), fitted[name].score(probes))


@pytest.mark.parametrize("name", NOVELTY)
def test_a_detector_of_novelty_finds_rows_far_from_benign_ones(
    name: str, table: Any, fitted: dict[str, Detector]
) -> None:
    benign = table[0][table[1] == 0]
    far = benign[:50] + np.random.default_rng(0).choice([-9, 9], size=(50, WIDTH)).astype(np.float32)
    scores = fitted[name].score(np.concatenate([benign, far]))
    assert roc_auc_score(np.append(np.zeros(len(benign)), np.ones(50)), scores) > 0.99


@pytest.mark.parametrize("name", ["random_forest", "catboost"])
def test_a_supervised_detector_tells_unseen_malicious_from_benign(name: str, table: Any) -> None:
    X, y, weight = table
    detector = make(name).fit(X[:300], y[:300], weight[:300])
    assert roc_auc_score(y[300:], detector.score(X[300:])) > 0.8


def test_local_outlier_factor_is_that_of_scikit_learn(table: Any, fitted: dict[str, Detector]) -> None:
    detector = fitted["local_outlier_factor"]
    exported = detector.export()
    reference = exported.arrays["reference"].astype(np.float64)
    model = LocalOutlierFactor(n_neighbors=exported.meta["neighbours"], novelty=True, algorithm="kd_tree")
    points = (table[0][:, COLUMNS].astype(np.float64) - exported.arrays["mean"]) / exported.arrays["scale"]
    expected = -model.fit(reference).score_samples(np.clip(points, -10, 10))
    np.testing.assert_allclose(detector.score(table[0]), expected, rtol=1e-9)


def test_local_outlier_factor_counts_equally_far_neighbours_alike() -> None:
    grid = np.stack(np.meshgrid(*[np.arange(5)] * 3), -1).reshape(-1, 3).astype(np.float32)
    detector = detectors.create("local_outlier_factor", {"neighbours": 4}, range(3), seed=0)
    detector.fit(grid, np.zeros(len(grid), np.int64), np.ones(len(grid)))
    probes = np.concatenate([grid, grid + np.float32(0.5)])
    native = detector.score(probes)
    exported = detector.export()
    found = [inference.score(exported.meta, exported.arrays, row) for row in probes.tolist()]
    np.testing.assert_allclose(found, native, rtol=1e-9)
    (twin,) = onnxruntime.InferenceSession(detector.onnx()).run(None, {"X": probes})
    np.testing.assert_allclose(twin, native, rtol=1e-9)
    mirrored = detector.score((4 - probes).astype(np.float32))
    np.testing.assert_allclose(mirrored, native, rtol=1e-9, err_msg="a mirrored grid is the same grid")


def test_thresholds_are_rounded_down() -> None:
    thresholds = np.random.default_rng(0).normal(size=1000)
    rounded = round_down(thresholds).astype(np.float64)
    assert (rounded <= thresholds).all()
    assert (np.nextafter(round_down(thresholds), np.float32(np.inf)).astype(np.float64) > thresholds).all()


@EVERY
def test_a_row_that_is_not_finite_or_too_short_is_refused(name: str, fitted: dict[str, Detector]) -> None:
    with pytest.raises(ValueError, match="not a finite float32"):
        fitted[name].score(np.full((1, WIDTH), np.nan, np.float32))
    with pytest.raises(ValueError, match="rows of 120 columns"):
        fitted[name].score(np.zeros((1, WIDTH - 1), np.float32))
    exported = fitted[name].export()
    with pytest.raises(ValueError, match="not a finite float32"):
        inference.score(exported.meta, exported.arrays, [1e300] * WIDTH)
    with pytest.raises(ValueError, match="a row of 120 values"):
        inference.score(exported.meta, exported.arrays, [0.0] * (WIDTH + 1))


def test_what_cannot_be_learned_from_is_refused(table: Any) -> None:
    X, y, weight = table
    with pytest.raises(ValueError, match="benign and malicious rows are needed"):
        make("random_forest").fit(X, np.zeros_like(y), weight)
    with pytest.raises(ValueError, match="at least 2 benign rows"):
        make("isolation_forest").fit(X, np.ones_like(y), weight)
    with pytest.raises(ValueError, match="labels are 0"):
        make("catboost").fit(X, y + 1, weight)
    with pytest.raises(ValueError, match="400 rows, but labels"):
        make("catboost").fit(X, y[:-1], weight)
    with pytest.raises(ValueError, match="looks at column 119"):
        make("one_class_svm").fit(X[:, :100], y, weight)
    with pytest.raises(ValueError, match="not fitted yet"):
        make("autoencoder").export()


def test_unknown_names_and_parameters_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown detector 'forest'"):
        detectors.create("forest", {}, [0], 0)
    with pytest.raises(ValueError, match="parameters of catboost"):
        detectors.create("catboost", {"wings": 2}, [0], 0)
    with pytest.raises(ValueError, match="needs columns"):
        detectors.create("catboost", {}, [], 0)


def test_the_monotone_detector_never_falls_when_a_feature_rises(fitted: Any, probes: Any) -> None:
    chance = np.random.default_rng(3)
    raised = probes + chance.exponential(size=probes.shape).astype(np.float32) * (chance.random(probes.shape) < 0.3)
    before, after = fitted["monotone"].score(probes[:20]), fitted["monotone"].score(raised[:20])
    assert (after >= before - 1e-12).all()
    assert (after > before + 0.01).any()
