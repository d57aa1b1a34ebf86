"""Prometheus metrics. Labels have few values; no path, name or hash of a client ever becomes one.

BentoML gives all workers one ``PROMETHEUS_MULTIPROC_DIR``, which the learner's process inherits, so
``GET /metrics`` of any worker adds up all of them.
"""

from __future__ import annotations

import functools
import os

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    multiprocess,
)

from .children import runs

CONTENT_TYPE = CONTENT_TYPE_LATEST

REQUESTS = Counter("safepickle_requests", "Answered requests.", ["route", "method", "status"])
REQUEST_SECONDS = Histogram(
    "safepickle_request_seconds",
    "Seconds from a request's head to its answer.",
    ["route"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
)
SCANS = Counter("safepickle_scans", "Scans answered and stored.", ["verdict"])
SCAN_BYTES = Counter("safepickle_scan_bytes", "Bytes of scanned files.")
SCAN_FAILURES = Counter("safepickle_scan_failures", "Scans without a verdict.", ["reason"])
SCORES = Histogram(
    "safepickle_scores", "Scores of scanned files.", buckets=(0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 1.0)
)
QUEUE = Gauge("safepickle_scan_queue", "Scans waiting for a process.", multiprocess_mode="livesum")
LABELS = Counter("safepickle_labels", "Labels received.", ["label"])
LABEL_DELAY = Histogram(
    "safepickle_label_delay_seconds",
    "Seconds from a scan to a label of it.",
    buckets=(60, 600, 3600, 4 * 3600, 86400, 3 * 86400, 7 * 86400, 30 * 86400),
)
LABEL_QUEUE = Gauge(
    "safepickle_label_queue",
    "Files that the queue would ask people about.",
    ["contested"],
    multiprocess_mode="mostrecent",
)
SERVED_MODELS = Gauge(
    "safepickle_served_models", "Workers that serve this version.", ["version"], multiprocess_mode="livesum"
)
MODEL_EXCHANGES = Counter("safepickle_model_exchanges", "Champions taken over or refused.", ["result"])
DATABASE_FAILURES = Counter("safepickle_database_failures", "Requests the database failed.")
NOT_KEPT = Counter("safepickle_files_not_kept", "Scanned files that could not be kept although they should be.")
LEARNED = Counter("safepickle_learned_events", "Scan events the online learner has read.")
LEARNER_SKIPPED = Counter("safepickle_learner_skipped_events", "Scan events the learner could not use.")
LEARNER_LAG = Gauge(
    "safepickle_learner_lag_events", "Events the learner has not read yet.", multiprocess_mode="mostrecent"
)
NOVELTY = Histogram(
    "safepickle_novelty", "Novelty of scanned files.", buckets=(0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.98, 0.99, 1.0)
)
DRIFT_ALARMS = Counter("safepickle_drift_alarms", "Drift alarms.", ["stream"])


@functools.cache
def _scans(verdict: str) -> Counter:
    """The counter of such scans: finding it takes longer than counting."""
    return SCANS.labels(verdict)


@functools.cache
def _answers(route: str, method: str, status: int) -> tuple[Counter, Histogram]:
    """What counts such answers: finding it takes longer than counting."""
    return REQUESTS.labels(route, method, status), REQUEST_SECONDS.labels(route)


def answered(route: str, method: str, status: int, seconds: float) -> None:
    """Count an answered request. Of a route that nobody has asked for there are no metrics: they cost every scrape."""
    requests, durations = _answers(route, method, status)
    requests.inc()
    durations.observe(seconds)


def scanned(verdict: str, size: int, score: float | None) -> None:
    """Count a scan that was answered and stored."""
    _scans(verdict).inc()
    SCAN_BYTES.inc(size)
    if score is not None:
        SCORES.observe(score)


def exposition() -> bytes:
    """All metrics in Prometheus' text format, added up over the processes of the service."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return generate_latest(REGISTRY)
    _forget_dead()
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)


def _forget_dead() -> None:
    """Leave killed processes out of the gauges that add up living ones; BentoML forgets only those that end well."""
    folder = os.environ["PROMETHEUS_MULTIPROC_DIR"]
    for name in os.listdir(folder):
        pid = name.removesuffix(".db").rpartition("_")[2]
        if name.startswith("gauge_live") and pid.isdecimal() and not runs(int(pid)):
            multiprocess.mark_process_dead(int(pid))  # type: ignore[no-untyped-call]
