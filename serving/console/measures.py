"""What the dashboard counts. What is over never changes, so it is counted once in each worker."""

from __future__ import annotations

import dataclasses
import datetime
import statistics
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar, cast

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from registry import wilson

from ..database.clock import now
from ..database.tables import Event, Label, Scan, ScanNovelty, ShadowScore
from ..database.writer import standing_labels
from ..labels import FLAGGED, RETRACTED, LabelPolicy
from .memory import Memory
from .wording import VERDICTS

LABELLED = 20_000
"""The latest labels that are looked at."""
ALARMS = 200
_REMEMBERED = 5_000
_STANDING_PAGE = 500
_DIFFERING = 10
_KNOWN: Memory[tuple[str, datetime.datetime, datetime.datetime], Any] = Memory(_REMEMBERED)
T = TypeVar("T")


SPANS = {
    "day": (datetime.timedelta(hours=1), 24, "%H:%M"),
    "week": (datetime.timedelta(hours=6), 28, "%d %b %H:%M"),
    "month": (datetime.timedelta(days=1), 30, "%d %b"),
    "quarter": (datetime.timedelta(days=7), 13, "%d %b"),
}
"""Width of a bucket, number of buckets, form of their names."""
DELAYS = (
    ("< 10 min", 600),
    ("< 1 h", 3_600),
    ("< 4 h", 14_400),
    ("< 1 d", 86_400),
    ("< 1 week", 604_800),
    ("more", None),
)


@dataclasses.dataclass(frozen=True, slots=True)
class Bucket:
    """A stretch of time, from `start` to before `end`."""

    start: datetime.datetime
    end: datetime.datetime
    name: str


@dataclasses.dataclass(frozen=True, slots=True)
class Judged:
    """A scan that people labelled later.

    Parameters
    ----------
    at
        When the label was given that came last.
    delay
        Seconds from the scan to the first label.
    verdict, model_version
        Of the scan.
    label
        What stands.
    """

    at: datetime.datetime
    delay: float
    verdict: str
    model_version: str
    label: str


@dataclasses.dataclass(frozen=True, slots=True)
class Rate:
    """A proportion with its 95 % Wilson interval; None where there was no trial."""

    hits: int
    trials: int

    @property
    def value(self) -> float | None:
        """Hits of trials."""
        return self.hits / self.trials if self.trials else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Bounds within [0, 1]."""
        return wilson(self.hits, self.trials) if self.trials else None

    def __str__(self) -> str:
        if self.value is None or self.interval is None:
            return "-"
        low, high = self.interval
        return f"{100 * self.value:.1f} % [{100 * low:.1f}, {100 * high:.1f}]"


def buckets(span: str) -> list[Bucket]:
    """The buckets of a span of :data:`SPANS`, the last one holds this moment."""
    width, count, form = SPANS[span]
    seconds = width.total_seconds()
    last = (now().timestamp() // seconds) * seconds
    starts = [datetime.datetime.fromtimestamp(last - seconds * back, datetime.UTC) for back in range(count - 1, -1, -1)]
    return [Bucket(start, start + width, start.strftime(form)) for start in starts]


def verdict_counts(connection: Connection, bucket: Bucket) -> dict[str, int]:
    """Scans of a bucket by verdict."""
    first, behind = _id_at(bucket.start), _id_at(bucket.end)

    def count() -> dict[str, int]:
        # Ids begin with the time, so that this reads nothing but an index.
        query = sa.select(sa.func.count()).where(Scan.id >= first, Scan.id < behind)
        return {verdict: connection.execute(query.where(Scan.verdict == verdict)).scalar_one() for verdict in VERDICTS}

    return _remembered("verdicts", bucket, count)


def mean_novelty(connection: Connection, bucket: Bucket) -> float | None:
    """Mean novelty of the scans of a bucket."""
    first, behind = _id_at(bucket.start), _id_at(bucket.end)

    def mean() -> float | None:
        query = sa.select(sa.func.avg(ScanNovelty.novelty)).where(
            ScanNovelty.scan_id >= first, ScanNovelty.scan_id < behind
        )
        value = connection.execute(query).scalar_one()
        return None if value is None else float(value)

    return _remembered("novelty", bucket, mean)


def container_count(connection: Connection, bucket: Bucket, container: str) -> int:
    """Scans of a bucket that are of one container."""
    first, behind = _id_at(bucket.start), _id_at(bucket.end)

    def count() -> int:
        query = sa.select(sa.func.count()).where(Scan.id >= first, Scan.id < behind, Scan.container == container)
        found: int = connection.execute(query).scalar_one()
        return found

    return _remembered(f"container:{container}", bucket, count)


def model_counts(connection: Connection, bucket: Bucket, versions: Iterable[str]) -> dict[str, int]:
    """Scans of a stretch of time by the version of the model."""
    query = sa.select(sa.func.count()).where(Scan.id >= _id_at(bucket.start), Scan.id < _id_at(bucket.end))
    return {
        version: connection.execute(query.where(Scan.model_version == version)).scalar_one() for version in versions
    }


def judged(connection: Connection, since: datetime.datetime, policy: LabelPolicy) -> list[Judged]:
    """Files whose last label came after `since` and stands, each once."""
    rows = connection.execute(
        sa.select(Label.sha256, Label.at, Scan.at.label("scanned"), Scan.verdict, Scan.model_version)
        .join(Scan, Scan.id == Label.scan_id)
        .where(Label.at >= since, Label.label != RETRACTED)
        .order_by(Label.id.desc())
        .limit(LABELLED)
    ).all()
    last: dict[str, Any] = {}
    first: dict[str, Any] = {}
    for row in rows:
        last.setdefault(row.sha256, row)
        first[row.sha256] = row
    hashes = sorted(last)
    standing = {}
    for start in range(0, len(hashes), _STANDING_PAGE):
        standing.update(standing_labels(connection, set(hashes[start : start + _STANDING_PAGE]), policy))
    return [
        Judged(row.at, _delay(first[sha256]), row.verdict, row.model_version, known.label)
        for sha256, row in last.items()
        if (known := standing.get(sha256)) is not None and known.label is not None
    ]  # fmt: skip


def _delay(row: Any) -> float:
    seconds: float = (row.at - row.scanned).total_seconds()
    return seconds


def precision(files: Iterable[Judged]) -> Rate:
    """Of the files that the model flagged, the share that people call malicious."""
    flagged = [one for one in files if one.verdict in FLAGGED]
    return Rate(sum(one.label == "malicious" for one in flagged), len(flagged))


def recall(files: Iterable[Judged]) -> Rate:
    """Of the files that people call malicious, the share that the model flagged."""
    malicious = [one for one in files if one.label == "malicious"]
    return Rate(sum(one.verdict in FLAGGED for one in malicious), len(malicious))


def within(files: Iterable[Judged], bucket: Bucket) -> list[Judged]:
    """Those whose last label came in a bucket."""
    return [one for one in files if bucket.start <= one.at < bucket.end]


def delays(files: Sequence[Judged]) -> tuple[list[int], float | None]:
    """How many labels took how long, by :data:`DELAYS`, and the median in seconds."""
    counts = [0] * len(DELAYS)
    for one in files:
        counts[next(index for index, (_, most) in enumerate(DELAYS) if most is None or one.delay < most)] += 1
    return counts, statistics.median(one.delay for one in files) if files else None


def alarms(connection: Connection, since: datetime.datetime) -> Sequence[Any]:
    """Drift alarms after `since`, the latest first."""
    return connection.execute(
        sa.select(Event.id, Event.at, Event.payload)
        .where(Event.kind == "drift", Event.at >= since)
        .order_by(Event.id.desc())
        .limit(ALARMS)
    ).all()


@dataclasses.dataclass(frozen=True, slots=True)
class Shadow:
    """A challenger that judges live scans beside the champion.

    Parameters
    ----------
    version
        Its number.
    same, stricter, milder
        Scans by how its verdict compares with the champion's.
    differing
        The latest scans where one flags the file and the other does not: sha256, name, both verdicts.
    """

    version: int
    same: int
    stricter: int
    milder: int
    differing: Sequence[Any]

    @property
    def scans(self) -> int:
        """Scans that both judged."""
        return self.same + self.stricter + self.milder


def shadow(connection: Connection, since: datetime.datetime) -> Shadow | None:
    """What the challenger that judged last says of the scans after `since`; None if there was none."""
    begin = _id_at(since)
    last = sa.select(ShadowScore.version).where(ShadowScore.scan_id >= begin)
    version = connection.execute(last.order_by(ShadowScore.scan_id.desc()).limit(1)).scalar()
    if version is None:
        return None
    both = (ShadowScore.version == version, ShadowScore.scan_id >= begin)
    columns = (Scan.verdict, ShadowScore.verdict.label("shadow"))
    joined = sa.select(*columns, sa.func.count().label("count")).join(Scan, Scan.id == ShadowScore.scan_id)
    same = stricter = milder = 0
    for row in connection.execute(joined.where(*both).group_by(*columns)):
        difference = _rank(row.shadow) - _rank(row.verdict)
        count = row._mapping["count"]
        same += count * (difference == 0)
        stricter += count * (difference < 0)
        milder += count * (difference > 0)
    differing = connection.execute(
        sa.select(Scan.sha256, Scan.id, Scan.name, Scan.at, *columns)
        .join(Scan, Scan.id == ShadowScore.scan_id)
        .where(*both, Scan.verdict.in_(FLAGGED) != ShadowScore.verdict.in_(FLAGGED))
        .order_by(Scan.id.desc())
        .limit(_DIFFERING)
    ).all()
    return Shadow(version, same, stricter, milder, differing)


def _rank(verdict: str) -> int:
    return VERDICTS.index(verdict) if verdict in VERDICTS else len(VERDICTS)


def _id_at(moment: datetime.datetime) -> str:
    """Where the ids of scans from `moment` on begin, see :func:`~serving.database.clock.new_id`."""
    return f"{round(moment.timestamp() * 1000):012x}"


def _remembered(what: str, bucket: Bucket, count: Callable[[], T]) -> T:
    """What `count` says, which for a bucket that is over, and had a minute for stragglers, is asked once."""
    if bucket.end > now() - datetime.timedelta(minutes=1):
        return count()
    return cast(T, _KNOWN.of((what, bucket.start, bucket.end), count))
