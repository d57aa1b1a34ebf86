"""How the detector does over time: what it scanned and said, what people said of that, and what changes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.engine import Connection
from starlette.responses import Response

from ..labels import FLAGGED
from . import charts, measures
from .measures import SPANS, Bucket, Judged
from .rendering import duration
from .visits import Visit
from .wording import VERDICTS

_ALARMS = 20
_CONTAINER = "container:"
_CONTAINERS = 3
_WIDE, _NARROW = 1280, 400
_POINTS = 8
"""Points of the chart of rates: fewer, each of more labels, have intervals that say something."""


def show_dashboard(visit: Visit) -> Response:
    """``GET /console/dashboard?span=day|week|month|quarter``."""
    span = visit.query("span") if visit.query("span") in SPANS else "week"
    buckets = measures.buckets(span)
    with visit.runtime.database.read() as connection:
        counts = [measures.verdict_counts(connection, bucket) for bucket in buckets]
        novelty = [measures.mean_novelty(connection, bucket) for bucket in buckets]
        judged = measures.judged(connection, buckets[0].start, visit.runtime.label_policy)
        alarms = measures.alarms(connection, buckets[0].start)
        containers = {
            stream: [
                measures.container_count(connection, bucket, stream.removeprefix(_CONTAINER)) for bucket in buckets
            ]
            for stream in alarmed_containers(alarms)
        }
        models = _models(connection, buckets, judged, visit)
        shadow = measures.shadow(connection, buckets[0].start)
    total = sum(sum(count.values()) for count in counts)
    flagged = sum(count[verdict] for count in counts for verdict in FLAGGED)
    delays, median = measures.delays(judged)
    return visit.page(
        "dashboard.html",
        span=span,
        spans=list(SPANS),
        tiles=[
            ("scans", f"{total:,}", ""),
            ("flagged", f"{100 * flagged / total:.1f} %" if total else "-", f"{flagged:,} files" if total else ""),
            ("labelled files", f"{len(judged):,}", ""),
            ("median label delay", "-" if median is None else duration(median), ""),
            ("drift alarms", f"{len(alarms):,}", ""),
        ],
        verdicts=_verdict_chart(buckets, counts),
        mix=[(verdict, sum(count[verdict] for count in counts)) for verdict in VERDICTS],
        total=total,
        quality=_quality_chart(buckets, judged) if judged else "",
        precision=measures.precision(judged),
        recall=measures.recall(judged),
        streams=_stream_charts(buckets, counts, novelty, containers, alarms) if total else [],
        alarms=alarms[:_ALARMS],
        delays=charts.columns(
            "Labels by the time from the scan to the first label", [name for name, _ in measures.DELAYS], delays
        )
        if judged
        else "",
        models=models,
        shadow=shadow,
    )


def _verdict_chart(buckets: Sequence[Bucket], counts: Sequence[dict[str, int]]) -> Any:
    series = [
        charts.Series(verdict, verdict, [float(count[verdict]) for count in counts]) for verdict in reversed(VERDICTS)
    ]
    return charts.stacked("Scans over time by verdict", [bucket.name for bucket in buckets], series, _WIDE)


def _quality_chart(buckets: Sequence[Bucket], judged: Sequence[Judged]) -> Any:
    series, bands = [], []
    together = math.ceil(len(buckets) / _POINTS)
    groups = [buckets[start : start + together] for start in range(0, len(buckets), together)]
    buckets = [Bucket(group[0].start, group[-1].end, group[0].name) for group in groups]
    for name, tone, measure in (("precision", "accent", measures.precision), ("recall", "second", measures.recall)):
        rates = [measure(measures.within(judged, bucket)) for bucket in buckets]
        intervals = [rate.interval for rate in rates]
        series.append(charts.Series(name, tone, [rate.value for rate in rates]))
        bands.append(
            charts.Band(
                [None if bounds is None else bounds[0] for bounds in intervals],
                [None if bounds is None else bounds[1] for bounds in intervals],
            )
        )
    return charts.trend(
        "Precision and recall over time, with 95 % intervals", [bucket.name for bucket in buckets], series, bands
    )


def _stream_charts(
    buckets: Sequence[Bucket],
    counts: Sequence[dict[str, int]],
    novelty: Sequence[float | None],
    containers: Mapping[str, Sequence[int]],
    alarms: Sequence[Any],
) -> list[tuple[str, Any, int]]:
    """For each stream of meaning its name, its chart with the alarms, and their number."""
    totals = [sum(count.values()) for count in counts]
    shares: dict[str, list[float | None]] = {
        "novelty": list(novelty),
        "flagged": [sum(count[v] for v in FLAGGED) / total if total else None
                    for count, total in zip(counts, totals, strict=True)],
        "incomplete": [count["incomplete"] / total if total else None
                       for count, total in zip(counts, totals, strict=True)],
    }  # fmt: skip
    for stream, own in containers.items():
        shares[stream] = [count / total if total else None for count, total in zip(own, totals, strict=True)]
    found = []
    for name, values in shares.items():
        marks = [
            charts.Mark(index, _alarm_title(alarm))
            for alarm in alarms
            if alarm.payload.get("stream") == name
            for index, bucket in enumerate(buckets)
            if bucket.start <= alarm.at < bucket.end
        ]
        title = f"Mean of the stream {name} over time, with its drift alarms"
        chart = charts.trend(
            title,
            [bucket.name for bucket in buckets],
            [charts.Series(name, "accent", values)],
            marks=marks,
            top=None,
            percent=name != "novelty",
            width=_NARROW,
        )
        found.append((name, chart, len(marks)))
    return found


def alarmed_containers(alarms: Sequence[Any]) -> list[str]:
    """The streams of containers that changed, the latest first; nobody wants to see all the others."""
    streams = dict.fromkeys(str(alarm.payload.get("stream", "")) for alarm in alarms)
    return [stream for stream in streams if stream.startswith(_CONTAINER)][:_CONTAINERS]


def _alarm_title(alarm: Any) -> str:
    told = alarm.payload
    return f"{alarm.at:%Y-%m-%d %H:%M}: drift, mean {told['before']:.3f} before, {told['after']:.3f} after"


def _models(
    connection: Connection, buckets: Sequence[Bucket], judged: Sequence[Judged], visit: Visit
) -> list[dict[str, Any]]:
    """Each version that scanned labelled files or is in use: its scans, and what labels say of its verdicts."""
    info = visit.runtime.pool.info
    versions = {one.model_version for one in judged} | ({info.version} if info is not None else set())
    whole = Bucket(buckets[0].start, buckets[-1].end, "")
    scans = measures.model_counts(connection, whole, sorted(versions))
    rows = []
    for version in sorted(versions):
        own = [one for one in judged if one.model_version == version]
        rows.append(
            {
                "version": version,
                "serving": info is not None and info.version == version,
                "scans": scans[version],
                "labelled": len(own),
                "precision": measures.precision(own),
                "recall": measures.recall(own),
            }
        )
    return rows
