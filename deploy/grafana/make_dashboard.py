"""Write dashboard.json beside this file: ``python deploy/grafana/make_dashboard.py``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

PANELS: tuple[tuple[str, str, tuple[tuple[str, str], ...]], ...] = (
    ("Requests a second", "reqps", (("sum by (route) (rate(safepickle_requests_total[5m]))", "{{route}}"),)),
    (
        "Errors a second",
        "reqps",
        (('sum by (status) (rate(safepickle_requests_total{status=~"[45].."}[5m]))', "{{status}}"),),
    ),
    (
        "Seconds of a scan",
        "s",
        tuple(
            (
                f"histogram_quantile({share}, sum by (le) "
                '(rate(safepickle_request_seconds_bucket{route="/v1/scan"}[5m])))',
                name,
            )
            for share, name in ((0.5, "median"), (0.99, "99 %"))
        ),
    ),
    ("Verdicts a second", "ops", (("sum by (verdict) (rate(safepickle_scans_total[5m]))", "{{verdict}}"),)),
    (
        "Scores",
        "percentunit",
        (
            (
                "histogram_quantile(0.9, sum by (le) (rate(safepickle_scores_bucket[1h])))",
                "90 % of files are below",
            ),
        ),
    ),
    ("Scans without a verdict", "ops", (("sum by (reason) (rate(safepickle_scan_failures_total[5m]))", "{{reason}}"),)),
    ("Bytes scanned a second", "Bps", (("sum(rate(safepickle_scan_bytes_total[5m]))", "bytes"),)),
    ("Scans waiting", "short", (("sum(safepickle_scan_queue)", "waiting"),)),
    ("Events the learner has not read", "short", (("max(safepickle_learner_lag_events)", "lag"),)),
    (
        "Drift alarms in a day",
        "short",
        (("sum by (stream) (increase(safepickle_drift_alarms_total[1d]))", "{{stream}}"),),
    ),
    (
        "Novelty",
        "percentunit",
        (("histogram_quantile(0.99, sum by (le) (rate(safepickle_novelty_bucket[1h])))", "99 % of files are below"),),
    ),
    ("Labels in a day", "short", (("sum by (label) (increase(safepickle_labels_total[1d]))", "{{label}}"),)),
    (
        "Files waiting for a label",
        "short",
        (("sum by (contested) (safepickle_label_queue)", "contested: {{contested}}"),),
    ),
    (
        "Time from a scan to its label",
        "s",
        tuple(
            (
                f"histogram_quantile({share}, sum by (le) (increase(safepickle_label_delay_seconds_bucket[7d])))",
                name,
            )
            for share, name in ((0.5, "median"), (0.9, "90 %"))
        ),
    ),
    ("Workers by model", "short", (("sum by (version) (safepickle_served_models)", "{{version}}"),)),
    (
        "Models taken over and refused",
        "short",
        (("sum by (result) (increase(safepickle_model_exchanges_total[1h]))", "{{result}}"),),
    ),
    ("Requests the database failed", "ops", (("sum(rate(safepickle_database_failures_total[5m]))", "failed"),)),
)


def dashboard() -> dict[str, Any]:
    """The dashboard as Grafana imports it."""
    return {
        "uid": "safepickle",
        "title": "SafePickle",
        "schemaVersion": 39,
        "time": {"from": "now-6h", "to": "now"},
        "refresh": "30s",
        "templating": {
            "list": [{"name": "source", "type": "datasource", "query": "prometheus", "label": "Prometheus"}]
        },
        "panels": [_panel(number, *panel) for number, panel in enumerate(PANELS)],
    }


def _panel(number: int, title: str, unit: str, queries: tuple[tuple[str, str], ...]) -> dict[str, Any]:
    source = {"type": "prometheus", "uid": "${source}"}
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": title,
        "datasource": source,
        "gridPos": {"h": 8, "w": 12, "x": 12 * (number % 2), "y": 8 * (number // 2)},
        "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + place), "datasource": source, "expr": query, "legendFormat": legend}
            for place, (query, legend) in enumerate(queries)
        ],
    }


if __name__ == "__main__":
    Path(__file__).with_name("dashboard.json").write_text(json.dumps(dashboard(), indent=1) + "\n", encoding="utf-8")
