"""A trained model as a folder of flat arrays and JSON: read it, verify it, judge rows with it.

Nothing in a bundle is code and nothing is unpickled. :func:`load` checks every byte (sha256) and every number that
leads somewhere (tree children, columns, shapes) before the first row; what it returns cannot go astray later.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from hashlib import sha256
from math import exp, isfinite, log

from .array_checks import number, take
from .bundle_io import ARRAYS, MANIFEST, NAMES, PREVALENCE, hash_files, parse_object, read_arrays, read_folder
from .errors import BundleError
from .inference import as_row, scorer, sigmoid
from .record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from .inference import Scorer

FORMAT = 3
"""Version of the layout of a bundle."""

LN_10 = log(10.0)

STACKING = "stacking"
"""Prefix of the arrays that combine the detectors; no detector may have this name."""


class Judgement(Record):
    """What a bundle says about one row.

    Parameters
    ----------
    score
        Calibrated probability of malicious, 0 to 1.
    tier
        ``benign``, ``suspicious`` or ``malicious``, by the bundle's thresholds.
    detectors
        Raw score of each detector; higher is more malicious, scales differ.
    floor
        What `score` is at least, whatever else is in the file: nothing that is added to it lowers this.
    credibility
        How much the row is like anything that was learned from, benign or malicious: the larger of two conformal
        p-values, 0 to 1. Of benign files like those learned from, a share q has q or less.
    """

    score: float
    tier: str
    detectors: Mapping[str, float]
    floor: float = 0.0
    credibility: float = 1.0


class Stack:
    """Combines detector scores to one calibrated probability: ``calibrate(intercept + sum(weight * transform))``.

    It is never less than the floor: ``curve(sum(weight * log odds))`` of detectors that nothing added to a file lowers.

    A transform of kind ``logit`` is the log odds of a probability, clipped to -`bound` .. `bound`; one of kind
    ``rank`` interpolates between knots (`raw` -> `rank`), constant beyond them. All rise with the raw score and no
    weight is negative, so that a higher detector score never lowers the result.
    """

    def __init__(self, meta: Mapping[str, Any], arrays: dict[str, Any]) -> None:
        self.intercept = number(meta, "intercept")
        self.parts: list[tuple[str, float, float, Curve | None]] = []
        for name, part in _mapping(meta, "detectors").items():
            weight = number(part, "weight", 0.0)
            kind = part.get("transform")
            if kind == "logit":
                self.parts.append((name, weight, number(part, "bound", 0.0, 50.0), None))
            elif kind == "rank":
                self.parts.append((name, weight, 0.0, Curve(arrays, f"{name}.raw", f"{name}.rank")))
            else:
                raise ValueError(f"unknown transform {kind!r} of {name}")
        calibration = _mapping(meta, "calibration")
        self.slope = number(calibration, "slope", 0.0)
        self.shift = number(calibration, "shift")
        self.blend = number(calibration, "blend", 0.0, 1.0)
        self.curve = Curve(arrays, "margin", "probability") if self.blend else None
        bounds = {name: bound for name, _weight, bound, curve in self.parts if curve is None}
        self.floors: list[tuple[str, float, float]] = []
        for name, part in _mapping(meta, "floor").items():
            if name not in bounds:
                raise ValueError(f"{name}, which is part of the floor, is no detector that gives probabilities")
            self.floors.append((name, number(part, "weight", 0.0), bounds[name]))
        self.floor_curve = Curve(arrays, "floor.margin", "floor.probability") if self.floors else None
        self.tail, self.benign, self.malicious = (
            Curve(arrays, f"credible.{name}.at", f"credible.{name}.rank") for name in ("tail", "benign", "malicious")
        )
        if arrays:
            raise ValueError(f"arrays that nothing reads: {', '.join(sorted(arrays))}")

    def score(self, scores: Mapping[str, float]) -> float:
        """Return the calibrated probability for raw scores by detector name."""
        margin = self.intercept
        for name, weight, bound, curve in self.parts:
            raw = scores[name]
            margin += weight * (logit(raw, bound) if curve is None else curve(raw))
        probability = sigmoid(self.slope * margin + self.shift)
        if self.curve is not None:
            probability = self.blend * self.curve(margin) + (1.0 - self.blend) * probability
        return max(probability, self.floor(scores))

    def credibility(self, scores: Mapping[str, float], combined: float) -> float:
        """Return the larger of the conformal p-values of both labels; `combined` is the result of :meth:`score`."""
        strange = max(0.0, self.tail(combined))
        for name, _weight, _bound, curve in self.parts:
            if curve is not None:
                strange = max(strange, curve(scores[name]))
        return exp(-LN_10 * max(0.0, min(self.benign(strange), self.malicious(-combined))))

    def floor(self, scores: Mapping[str, float]) -> float:
        """Return what the result is never less than, 0 without a floor."""
        if self.floor_curve is None:
            return 0.0
        return self.floor_curve(sum(weight * logit(scores[name], bound) for name, weight, bound in self.floors))


class Curve:
    """A rising line through knots, constant before the first and after the last."""

    def __init__(self, arrays: dict[str, Any], x: str, y: str) -> None:
        self.x = tuple(map(float, take(arrays, x, "d")))
        self.y = tuple(map(float, take(arrays, y, "d", len(self.x))))
        if not self.x or any(after <= before for before, after in zip(self.x, self.x[1:], strict=False)):
            raise ValueError(f"the knots {x!r} do not rise")
        if any(after < before for before, after in zip(self.y, self.y[1:], strict=False)):
            raise ValueError(f"the knots {y!r} fall")

    def __call__(self, value: float) -> float:
        x, y = self.x, self.y
        if value <= x[0]:
            return y[0]
        if value >= x[-1]:
            return y[-1]
        right = bisect_right(x, value)
        left = right - 1
        return y[left] + (value - x[left]) / (x[right] - x[left]) * (y[right] - y[left])


def logit(probability: float, bound: float) -> float:
    """Return ``log(p / (1 - p))`` clipped to -`bound` .. `bound`."""
    if probability <= 0.0:
        return -bound
    if probability >= 1.0:
        return bound
    return max(-bound, min(bound, log(probability / (1.0 - probability))))


class Bundle:
    """A loaded model; made by :func:`load`.

    Attributes
    ----------
    hash : str
        sha256 that names the model, see :func:`bundle_hash`.
    schema_version : int or str
        Version of the feature schema that it was trained for.
    names : tuple of str
        Columns of a row, in order.
    thresholds : dict of str to float
        Scores from which on a file is ``suspicious`` and ``malicious``.
    least_credibility : float
        Credibility below which a file is suspicious whatever its score.
    prevalence_json : str
        Text of the prevalence table, for the features; opaque here.
    manifest : dict
        All of ``bundle.json``.
    """

    def __init__(self, manifest: dict[str, Any], arrays: Mapping[str, Any], prevalence: str, digest: str) -> None:
        schema = _mapping(manifest, "schema")
        names = schema.get("names")
        if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
            raise ValueError("the schema does not name its columns")
        self.manifest = manifest
        self.hash = digest
        self.schema_version: int | str = schema.get("version", "")
        self.names: tuple[str, ...] = tuple(names)
        self.call_names: tuple[str, ...] = tuple(map(str, schema.get("calls", ())))
        self.prevalence_json = prevalence
        groups = _grouped(arrays)
        stacking = _mapping(manifest, "stacking")
        self._stack = Stack(stacking, groups.pop(STACKING, {}))
        self._scorers: dict[str, Scorer] = {}
        self._call_scorers: dict[str, Scorer] = {}
        for name, meta in _mapping(manifest, "detectors").items():
            try:
                ready = scorer(meta, groups.pop(name, {}))
            except ValueError as error:
                raise ValueError(f"the detector {name}: {error}") from None
            judges_calls = meta.get("judges") == "calls"
            width = len(self.call_names if judges_calls else self.names)
            if ready.width != width:
                raise ValueError(f"the detector {name} is for {ready.width} columns, not {width}")
            (self._call_scorers if judges_calls else self._scorers)[name] = ready
        if groups:
            raise ValueError(f"arrays of no detector: {', '.join(sorted(groups))}")
        known = {*self._scorers, *self._call_scorers}
        if {part[0] for part in self._stack.parts} != known or not known:
            raise ValueError("the stacking combines other detectors than there are")
        levels = _mapping(manifest, "thresholds")
        self.thresholds = {tier: number(levels, tier, 0.0, 2.0) for tier in ("suspicious", "malicious")}
        if self.thresholds["suspicious"] > self.thresholds["malicious"]:
            raise ValueError("the threshold of suspicious is over that of malicious")
        self.least_credibility = number(levels, "credible", 0.0, 1.0)

    def judge(self, row: Sequence[float], calls: Sequence[Sequence[float]] = ()) -> Judgement:
        """Judge a file by its row of features, in the order of `names`, and the rows of its calls.

        A detector that judges calls gives the file the highest score of them, 0 without any.

        Raises
        ------
        ValueError
            When the row has another length or a value that is not a finite float32.
        BundleError
            When the numbers of the model lead to no finite score.
        """
        values = as_row(row, len(self.names))
        scores = {name: ready.score(values) for name, ready in self._scorers.items()}
        if self._call_scorers:
            each = [as_row(call, len(self.call_names)) for call in calls]
            for name, ready in self._call_scorers.items():
                scores[name] = max(map(ready.score, each), default=0.0)
        combined = self._stack.score(scores)
        if not isfinite(combined) or not all(map(isfinite, scores.values())):
            raise BundleError(f"the model {self.hash[:12]} gives no finite score; restore or roll back to another")
        credibility = self._stack.credibility(scores, combined)
        return Judgement(combined, self.tier(combined, credibility), scores, self._stack.floor(scores), credibility)

    def score_call(self, call: Sequence[float]) -> float:
        """Return the highest that a detector of calls gives the row of one call, 0 without such a detector."""
        values = as_row(call, len(self.call_names))
        return max((ready.score(values) for ready in self._call_scorers.values()), default=0.0)

    def floor(self, scores: Mapping[str, float]) -> float:
        """Return what the calibrated score is never less than, for raw scores by detector; 0 without a floor."""
        return self._stack.floor(scores) if scores else 0.0

    def tier(self, score: float, credibility: float) -> str:
        """Return the tier of a calibrated score; what is like nothing that was learned from is not called benign."""
        if score >= self.thresholds["malicious"]:
            return "malicious"
        doubtful = score >= self.thresholds["suspicious"] or credibility < self.least_credibility
        return "suspicious" if doubtful else "benign"


def load(path: str | os.PathLike[str], schema_version: int | str | None = None) -> Bundle:
    """Load and verify the bundle in the folder `path`.

    Parameters
    ----------
    path
        The folder.
    schema_version
        Version of the features at hand; ``None`` accepts any (to look at a model, not to scan with it).

    Raises
    ------
    BundleError
        When a file is missing, extra, changed or malformed, or the bundle is of another format or schema.
    """
    folder = os.fspath(path)
    files = read_folder(folder)
    digests = {name: sha256(data).hexdigest() for name, data in files.items()}
    source = os.path.join(folder, MANIFEST)
    manifest = parse_object(files[MANIFEST], source)
    if manifest.get("format") != FORMAT:
        raise BundleError(f"{source} is of format {manifest.get('format')!r}; this version reads format {FORMAT}")
    _verify(manifest, files, digests, folder)
    schema = manifest.get("schema")
    found = schema.get("version") if isinstance(schema, dict) else None
    if type(found) not in (int, str) or (schema_version is not None and found != schema_version):
        raise BundleError(
            f"{folder} was trained for feature schema {found!r}, not {schema_version!r}; train or install another model"
        )
    arrays = read_arrays(files[ARRAYS], os.path.join(folder, ARRAYS))
    try:
        prevalence = files[PREVALENCE].decode("utf-8")
        return Bundle(manifest, arrays, prevalence, hash_files(digests))
    except ValueError as error:
        raise BundleError(f"the model bundle {folder} is malformed: {error}") from None


def bundle_hash(path: str | os.PathLike[str]) -> str:
    """Return the sha256 over the sorted (name, sha256) of a bundle's files; nothing else enters it."""
    return hash_files({name: sha256(data).hexdigest() for name, data in read_folder(path).items()})


def _verify(manifest: dict[str, Any], files: dict[str, bytes], digests: dict[str, str], folder: str) -> None:
    """Compare the files with what the manifest says of them."""
    listed = manifest.get("files")
    expected = set(NAMES) - {MANIFEST}
    if not isinstance(listed, dict) or set(listed) != expected:
        raise BundleError(f"{os.path.join(folder, MANIFEST)} does not list {' and '.join(sorted(expected))}")
    for name in sorted(expected):
        if listed[name] != {"bytes": len(files[name]), "sha256": digests[name]}:
            raise BundleError(f"{os.path.join(folder, name)} is not the file that was registered (sha256); restore it")


def _mapping(meta: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = meta.get(name)
    if not isinstance(value, dict):
        raise ValueError(f"{name!r} must be an object")
    return value


def _grouped(arrays: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Split ``<detector>/<array>`` names."""
    groups: dict[str, dict[str, Any]] = {}
    for name, view in arrays.items():
        detector, slash, array = name.partition("/")
        if not slash or not detector or not array:
            raise ValueError(f"the array {name!r} is not named <detector>/<array>")
        groups.setdefault(detector, {})[array] = view
    return groups
