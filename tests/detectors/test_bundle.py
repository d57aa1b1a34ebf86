"""A bundle gives the scores that were trained, and nothing that was changed about it goes unnoticed or astray."""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import detectors
from detectors.base import Exported
from detectors.bundle import safetensors_bytes
from safepickle import bundle_io, ensemble
from safepickle.errors import BundleError
from tests.detectors.small import WIDTH

FILES = ["arrays.safetensors", "bundle.json", "prevalence.json"]


def sign(folder: Path) -> None:
    """List the files as they are now: what an attacker would do, or a careless tool."""
    path = folder / "bundle.json"
    manifest = json.loads(path.read_text())
    for name, entry in manifest["files"].items():
        data = folder.joinpath(name).read_bytes()
        entry.update(bytes=len(data), sha256=sha256(data).hexdigest())
    path.write_text(json.dumps(manifest))


def change_arrays(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = folder / "arrays.safetensors"
    arrays = {name: array.copy() for name, array in safetensors.numpy.load_file(path).items()}
    change(arrays)
    path.write_bytes(safetensors_bytes(arrays))
    sign(folder)


def change_manifest(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = folder / "bundle.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))


def test_a_loaded_bundle_judges_as_the_detectors_did(
    bundle: Path, stacking: detectors.Stacking, scores: dict[str, Any], table: Any
) -> None:
    loaded = ensemble.load(bundle, 3)
    combined = stacking.score(scores)
    tiers = set()
    for i, row in enumerate(table[0][:150].tolist()):
        judgement = loaded.judge(row)
        assert judgement.score == pytest.approx(combined[i], abs=1e-6)
        for name, found in judgement.detectors.items():
            assert found == pytest.approx(scores[name][i], abs=1e-7)
        assert judgement.tier == loaded.tier(judgement.score, judgement.credibility)
        tiers.add(judgement.tier)
    assert {"benign", "malicious"} <= tiers
    assert loaded.thresholds == stacking.thresholds
    assert json.loads(loaded.prevalence_json) == {"collections.OrderedDict": 12}
    assert loaded.names[2] == "column 2"


def test_the_tier_changes_right_at_the_thresholds(bundle: Path) -> None:
    loaded = ensemble.load(bundle)
    low, high = loaded.thresholds["suspicious"], loaded.thresholds["malicious"]
    assert [
        loaded.tier(score, 1.0) for score in (0.0, math.nextafter(low, 0), low, math.nextafter(high, 0), high, 1.0)
    ] == [
        "benign",
        "benign",
        "suspicious",
        "suspicious",
        "malicious",
        "malicious",
    ]


def test_equal_models_give_equal_bytes_and_one_hash(save: Callable[[Path], str], tmp_path: Path) -> None:
    first, second = save(tmp_path / "one"), save(tmp_path / "deep" / "two")
    assert first == second == ensemble.bundle_hash(tmp_path / "one") == ensemble.load(tmp_path / "one").hash
    for name in FILES:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "deep" / "two" / name).read_bytes()
    listed = [(name, sha256((tmp_path / "one" / name).read_bytes()).hexdigest()) for name in sorted(FILES)]
    assert first == sha256("".join(f"{name} {digest}\n" for name, digest in listed).encode()).hexdigest()


def test_the_safetensors_library_reads_the_arrays(bundle: Path, fitted: dict[str, Any]) -> None:
    arrays = safetensors.numpy.load_file(bundle / "arrays.safetensors")
    for name, detector in fitted.items():
        for key, array in detector.export().arrays.items():
            np.testing.assert_array_equal(arrays[f"{name}/{key}"], array)


def test_loading_and_judging_imports_nothing_of_third_parties(bundle: Path) -> None:
    code = (
        "import sys; from safepickle import ensemble; b = ensemble.load(sys.argv[1]); b.judge([0.0] * 120);"
        "files = [name for name, module in sys.modules.items() if getattr(module, '__file__', None)];"
        "print(sorted({name.partition('.')[0] for name in files} - set(sys.stdlib_module_names)))"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", code, str(bundle)],
        env={"PYTHONPATH": str(Path(ensemble.__file__).parent.parent)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "['safepickle']"


@pytest.mark.parametrize("name", ["arrays.safetensors", "prevalence.json"])
def test_a_changed_file_is_refused(name: str, bundle: Path) -> None:
    path = bundle / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(BundleError, match=f"{name} is not the file that was registered"):
        ensemble.load(bundle)


def test_a_change_of_the_manifest_changes_the_hash(bundle: Path) -> None:
    before = ensemble.bundle_hash(bundle)
    change_manifest(bundle, lambda manifest: manifest["thresholds"].update(malicious=1.0))
    assert ensemble.bundle_hash(bundle) == ensemble.load(bundle).hash != before


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_refused(name: str, bundle: Path) -> None:
    (bundle / name).unlink()
    with pytest.raises(BundleError, match=f"lacks {name}"):
        ensemble.load(bundle)


@pytest.mark.parametrize("name", FILES)
def test_an_empty_or_truncated_file_is_refused(name: str, bundle: Path) -> None:
    path = bundle / name
    path.write_bytes(path.read_bytes()[:-1])
    if name != "bundle.json":
        with pytest.raises(BundleError, match="is not the file"):
            ensemble.load(bundle)
    path.write_bytes(b"")
    with pytest.raises(BundleError, match=r"damaged|is not the file"):
        ensemble.load(bundle)


def test_an_extra_file_is_refused(bundle: Path) -> None:
    (bundle / "weights.pkl").write_bytes(b"\x80\x04.")
    with pytest.raises(BundleError, match=r"does not belong there: weights.pkl"):
        ensemble.load(bundle)


def test_a_file_that_is_no_regular_file_is_refused_without_waiting(bundle: Path) -> None:
    path = bundle / "prevalence.json"
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(BundleError, match="not a regular file"):
        ensemble.load(bundle)
    path.unlink()
    path.mkdir()
    with pytest.raises(BundleError, match=r"prevalence.json"):
        ensemble.load(bundle)


def test_a_file_too_large_to_be_a_model_is_not_read(bundle: Path) -> None:
    with (bundle / "arrays.safetensors").open("r+b") as file:
        file.truncate(bundle_io.LARGEST_FILE + 1)
    with pytest.raises(BundleError, match="more than the"):
        ensemble.load(bundle)


def test_no_folder_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"no model bundle at .*nowhere"):
        ensemble.load(tmp_path / "nowhere")


def test_another_schema_or_format_is_refused(bundle: Path) -> None:
    with pytest.raises(BundleError, match="trained for feature schema 3, not 4"):
        ensemble.load(bundle, 4)
    change_manifest(bundle, lambda manifest: manifest.update(format=4))
    with pytest.raises(BundleError, match="of format 4; this version reads format 3"):
        ensemble.load(bundle)


def put(name: str, index: int, value: float) -> Callable[[dict[str, Any]], object]:
    return lambda arrays: arrays[name].reshape(-1).__setitem__(index, value)


MALFORMED_ARRAYS: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "NaN in leaves": (put("catboost/leaves", 3, math.nan), "holds NaN"),
    "infinite threshold": (put("random_forest/value", 0, math.inf), "holds NaN, infinity"),
    "infinite weight": (put("autoencoder/weight0", 5, -math.inf), "holds NaN, infinity"),
    "NaN in knots": (put("stacking/one_class_svm.raw", 1, math.nan), "holds NaN"),
    "knots that fall": (put("stacking/one_class_svm.raw", 0, 1e9), "do not rise"),
    "right child beyond the end": (put("random_forest/skip", 0, 65535), "child lies outside"),
    "right child in the guard": (put("isolation_forest/skip", -1, 1), "child lies outside"),
    "root beyond the end": (put("random_forest/roots", 0, 10**6), "starts outside"),
    "column beyond the row": (put("random_forest/feature", 0, WIDTH), "outside the 120 columns"),
    "column of a boosted tree": (put("catboost/feature", 0, 65535), "outside the 120 columns"),
    "splits that run backwards": (put("catboost/starts", 3, 0), "fewer than 0"),
    "scale of zero": (put("one_class_svm/scale", 0, 0.0), "not greater than 0"),
    "missing array": (lambda arrays: arrays.pop("local_outlier_factor/density"), "'density' is missing"),
    "array of another type": (
        lambda arrays: arrays.update({"autoencoder/bias0": arrays["autoencoder/bias0"].astype(np.float64)}),
        "has the type 'd' instead of 'f'",
    ),
    "array too short": (
        lambda arrays: arrays.update({"catboost/leaves": arrays["catboost/leaves"][:-1]}),
        "values instead of",
    ),
    "array of a detector that is not there": (
        lambda arrays: arrays.update({"ghost/roots": np.zeros(3)}),
        "of no detector: ghost",
    ),
    "array that nothing reads": (
        lambda arrays: arrays.update({"catboost/more": np.zeros(3)}),
        "nothing reads: more",
    ),
    "no reference rows": (
        lambda arrays: arrays.update({"local_outlier_factor/reference": np.zeros(0, np.float32)}),
        "no whole number of rows",
    ),
}


@pytest.mark.parametrize("case", list(MALFORMED_ARRAYS))
def test_malformed_arrays_are_refused_even_with_right_hashes(case: str, bundle: Path) -> None:
    change, message = MALFORMED_ARRAYS[case]
    change_arrays(bundle, change)
    with pytest.raises(BundleError, match=message):
        ensemble.load(bundle)


def at(*keys: str, value: Any) -> Callable[[dict[str, Any]], object]:
    def change(manifest: dict[str, Any]) -> None:
        for key in keys[:-1]:
            manifest = manifest[key]
        manifest[keys[-1]] = value

    return change


MALFORMED_MANIFESTS: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "unknown kind": (at("detectors", "catboost", "kind", value="pickle"), "unknown kind of detector 'pickle'"),
    "kind that is no name": (at("detectors", "catboost", "kind", value=["x"]), "unknown kind"),
    "width of another row": (at("detectors", "catboost", "width", value=WIDTH + 1), "for 121 columns, not 120"),
    "column outside": (at("detectors", "one_class_svm", "columns", value=[500]), "whole numbers from 0 to 119"),
    "negative column": (at("detectors", "one_class_svm", "columns", value=[-1]), "whole numbers from 0 to 119"),
    "more neighbours than rows": (at("detectors", "local_outlier_factor", "neighbours", value=10**6), "'neighbours'"),
    "number as text": (at("detectors", "one_class_svm", "gamma", value="0.1"), "'gamma' must be a number"),
    "huge number": (at("detectors", "catboost", "scale", value=10**400), "'scale' must be a number"),
    "layers that do not meet": (at("detectors", "autoencoder", "sizes", value=[4, 4]), "begin and end"),
    "negative weight": (at("stacking", "detectors", "catboost", "weight", value=-1.0), "'weight' must be a number"),
    "no stacking of a detector": (
        lambda manifest: manifest["stacking"]["detectors"].pop("catboost"),
        "other detectors than there are",
    ),
    "no detectors": (at("detectors", value={}), "of no detector"),
    "no thresholds": (lambda manifest: manifest.pop("thresholds"), "'thresholds' must be an object"),
    "thresholds the wrong way round": (at("thresholds", value={"suspicious": 0.9, "malicious": 0.1}), "over that of"),
    "no names": (at("schema", "names", value=[]), "does not name its columns"),
    "no list of files": (lambda manifest: manifest.pop("files"), "does not list"),
    "a file not listed": (lambda manifest: manifest["files"].pop("prevalence.json"), "does not list"),
}


@pytest.mark.parametrize("case", list(MALFORMED_MANIFESTS))
def test_a_malformed_manifest_is_refused(case: str, bundle: Path) -> None:
    change, message = MALFORMED_MANIFESTS[case]
    change_manifest(bundle, change)
    with pytest.raises(BundleError, match=message):
        ensemble.load(bundle)


@pytest.mark.parametrize(
    "text",
    ["[]", "{", '{"format": NaN}', '{"a": 1, "a": 2}', "[" * 100_000, '{"format": ' + "1" * 10_000 + "}", "\udcff"],
    ids=["list", "half", "NaN", "key twice", "deep", "long number", "no UTF-8"],
)
def test_a_manifest_that_is_no_plain_json_object_is_refused(text: str, bundle: Path) -> None:
    (bundle / "bundle.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(BundleError, match=r"bundle.json"):
        ensemble.load(bundle)


def layout(header: Any, body: bytes) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + body


ENTRY = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
BAD_LAYOUTS = {
    "nothing": b"",
    "header longer than the file": (1 << 40).to_bytes(8, "little") + b"{}",
    "header no JSON": layout(b"\xff{}", b""),
    "entry no object": layout({"a": 3}, b""),
    "unknown type": layout({"a": {**ENTRY, "dtype": "F8"}}, bytes(8)),
    "type no text": layout({"a": {**ENTRY, "dtype": ["F32"]}}, bytes(8)),
    "offset outside": layout({"a": {**ENTRY, "data_offsets": [0, 16], "shape": [4]}}, bytes(8)),
    "negative offset": layout({"a": {**ENTRY, "data_offsets": [-8, 0]}}, bytes(8)),
    "offsets swapped": layout({"a": {**ENTRY, "data_offsets": [8, 0]}}, bytes(8)),
    "shape too large": layout({"a": {**ENTRY, "shape": [1 << 62, 4]}}, bytes(8)),
    "shape too small": layout({"a": {**ENTRY, "shape": [1]}}, bytes(8)),
    "fractional shape": layout({"a": {**ENTRY, "shape": [2.0]}}, bytes(8)),
    "not aligned": layout({"a": {**ENTRY, "data_offsets": [2, 10]}}, bytes(10)),
    "gap": layout({"a": {**ENTRY, "data_offsets": [4, 12]}}, bytes(12)),
    "overlap": layout({"a": ENTRY, "b": ENTRY}, bytes(8)),
    "bytes left over": layout({"a": ENTRY}, bytes(9)),
}


@pytest.mark.parametrize("case", list(BAD_LAYOUTS))
def test_a_layout_that_is_not_exactly_right_is_refused(case: str) -> None:
    with pytest.raises(BundleError, match=r"m.safetensors is damaged"):
        bundle_io.read_arrays(BAD_LAYOUTS[case], "m.safetensors")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_change_of_bytes_leads_out_of_bounds_or_to_a_score_that_is_no_number(bundle: Path, data: Any) -> None:
    whole = bundle / "arrays.safetensors"
    original = whole.read_bytes(), (bundle / "bundle.json").read_bytes()
    try:
        changed = bytearray(original[0])
        places = st.lists(st.tuples(st.integers(8, len(changed) - 1), st.integers(0, 255)), min_size=1, max_size=40)
        for place, value in data.draw(places):
            changed[place] = value
        whole.write_bytes(changed)
        sign(bundle)
        try:
            judgement = ensemble.load(bundle).judge([0.5] * WIDTH)
        except BundleError:
            return
        assert 0 <= judgement.score <= 1
        assert all(map(math.isfinite, judgement.detectors.values()))
    finally:
        whole.write_bytes(original[0])
        (bundle / "bundle.json").write_bytes(original[1])


def test_a_row_of_another_length_or_with_nan_is_refused(bundle: Path) -> None:
    loaded = ensemble.load(bundle)
    with pytest.raises(ValueError, match="a row of 120 values is needed, got 3"):
        loaded.judge([0.0] * 3)
    with pytest.raises(ValueError, match="not a finite float32"):
        loaded.judge([math.nan] * WIDTH)


def test_a_bundle_that_cannot_be_read_back_leaves_nothing_behind(fitted: dict[str, Any], tmp_path: Path) -> None:
    exported = fitted["catboost"].export()
    stacking = Exported({"thresholds": {}, "intercept": 0.0, "detectors": {}, "calibration": {}}, {})
    common: dict[str, Any] = {"stacking": stacking, "schema_version": 1, "names": ["a"], "prevalence": {}}
    with pytest.raises(ValueError, match="could not be read back"):
        detectors.save(tmp_path / "bundle", detectors={"catboost": exported}, **common)
    odd = Exported(exported.meta, {"leaves": np.zeros(3, np.float16)})
    with pytest.raises(ValueError, match="of type float16"):
        detectors.save(tmp_path / "bundle", detectors={"catboost": odd}, **common)
    with pytest.raises(ValueError, match="a name that a bundle cannot keep"):
        detectors.save(tmp_path / "bundle", detectors={"stacking": exported}, **common)
    assert list(tmp_path.iterdir()) == []


def test_a_bundle_is_never_written_over(bundle: Path, save: Callable[[Path], str]) -> None:
    before = ensemble.bundle_hash(bundle)
    with pytest.raises(FileExistsError, match="choose another folder"):
        save(bundle)
    assert ensemble.bundle_hash(bundle) == before
    shutil.rmtree(bundle)
    bundle.mkdir()
    assert save(bundle) == before, "an empty folder may be filled"
