"""Charts as inline SVG, drawn here: no script, no library. Colours are classes of the style sheet."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from markupsafe import Markup

WIDTH = 640
"""Units of a chart that fills half of the page; text keeps its size when a chart is as many units wide as its place."""
HEIGHT = 180
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 8, 10, 24
_LABEL_WIDTH = 84
_THICKEST = 56.0


@dataclasses.dataclass(frozen=True, slots=True)
class Series:
    """Values of one kind, one for each place on the horizontal axis; `tone` is a class of the style sheet."""

    name: str
    tone: str
    values: Sequence[float | None]


@dataclasses.dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened at the place `at` of the horizontal axis."""

    at: int
    title: str


@dataclasses.dataclass(frozen=True, slots=True)
class Band:
    """Between which values a series probably lies."""

    low: Sequence[float | None]
    high: Sequence[float | None]


def stacked(title: str, labels: Sequence[str], series: Sequence[Series], width: int = WIDTH) -> Markup:
    """Bars of several kinds on top of each other."""
    totals = [sum(one.values[index] or 0 for one in series) for index in range(len(labels))]
    top = _round_up(max(totals, default=0))
    frame = _Frame(len(labels), top, width)
    parts = [_grid(frame, labels, _count_text)]
    thick = min(frame.step * 0.72, _THICKEST)
    for index in range(len(labels)):
        below = 0.0
        for one in series:
            value = one.values[index] or 0
            if value:
                parts.append(
                    Markup(
                        '<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"><title>{}</title></rect>'
                    ).format(
                        f"fill-{one.tone}", frame.x(index) - thick / 2, frame.y(below + value), thick,
                        frame.y(below) - frame.y(below + value), f"{labels[index]}: {value:,.0f} {one.name}",
                    )
                )  # fmt: skip
            below += value
    return _svg(title, parts, width)


def trend(
    title: str, labels: Sequence[str], series: Sequence[Series], bands: Sequence[Band | None] = (),
    marks: Sequence[Mark] = (), top: float | None = 1.0, percent: bool = True, width: int = WIDTH,
) -> Markup:  # fmt: skip
    """Lines over time, each with the band of its interval if there is one; values from 0 to `top` (None: the most)."""
    highest = max((value for one in series for value in one.values if value is not None), default=0.0)
    frame = _Frame(len(labels), _round_up(highest) if top is None else top, width)
    parts = [_grid(frame, labels, _percent_text if percent else _plain_text)]
    for mark in marks:
        x = frame.x(mark.at)
        parts.append(
            Markup(
                '<g class="mark"><line x1="{:.1f}" x2="{:.1f}" y1="{}" y2="{}"/>'
                '<path d="M{:.1f} {} l5 -8 l-10 0 z"/><title>{}</title></g>'
            ).format(x, x, _TOP, HEIGHT - _BOTTOM, x, _TOP + 8, mark.title)
        )
    for one, band in zip(series, [*bands, *[None] * len(series)], strict=False):
        if band is not None:
            parts += _band(frame, one.tone, band)
        parts += _line(frame, one, labels, percent)
    return _svg(title, parts, width)


def columns(title: str, labels: Sequence[str], values: Sequence[int], tone: str = "accent") -> Markup:
    """Bars of one kind."""
    return stacked(title, labels, [Series("", tone, [float(value) for value in values])])


def bar(title: str, share: float, tone: str = "accent", ticks: Sequence[tuple[float, str]] = ()) -> Markup:
    """One horizontal bar from 0 to 1, with ticks at thresholds."""
    drawn = [
        Markup('<line class="tick" x1="{:.1f}" x2="{:.1f}" y1="0" y2="10"><title>{}</title></line>').format(
            200 * at, 200 * at, name
        )
        for at, name in ticks
    ]
    return Markup(
        '<svg class="bar" viewBox="0 0 200 10" preserveAspectRatio="none" role="img" aria-label="{}">'
        '<rect class="track" width="200" height="10" rx="2"/>'
        '<rect class="{}" width="{:.1f}" height="10" rx="2"/>{}</svg>'
    ).format(title, f"fill-{tone}", 200 * min(max(share, 0.0), 1.0), Markup("").join(drawn))


class _Frame:
    """Where values come to lie."""

    def __init__(self, places: int, top: float, width: int) -> None:
        self.width = width
        self.places = max(places, 1)
        self.top = top or 1.0
        self.step = (width - _LEFT - _RIGHT) / self.places

    def x(self, index: int) -> float:
        return _LEFT + self.step * (index + 0.5)

    def y(self, value: float) -> float:
        return HEIGHT - _BOTTOM - (HEIGHT - _TOP - _BOTTOM) * min(value / self.top, 1.0)


def _svg(title: str, parts: Sequence[Markup], width: int) -> Markup:
    return Markup('<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        width, HEIGHT, title, Markup("").join(parts)
    )


def _grid(frame: _Frame, labels: Sequence[str], text: object) -> Markup:
    assert callable(text)
    parts = []
    for share in (0.0, 0.5, 1.0):
        y = frame.y(share * frame.top)
        parts.append(
            Markup(
                '<line class="grid" x1="{}" x2="{}" y1="{:.1f}" y2="{:.1f}"/><text x="{}" y="{:.1f}">{}</text>'
            ).format(_LEFT, frame.width - _RIGHT, y, y, 2, y + 4, text(share * frame.top))
        )
    every = max(1, math.ceil(len(labels) * _LABEL_WIDTH / (frame.width - _LEFT)))
    for index in range(0, len(labels), every):
        parts.append(
            Markup('<text class="below" x="{:.1f}" y="{}">{}</text>').format(frame.x(index), HEIGHT - 6, labels[index])
        )
    return Markup("").join(parts)


def _line(frame: _Frame, one: Series, labels: Sequence[str], percent: bool) -> list[Markup]:
    parts = []
    for run in _runs(one.values):
        points = " ".join(f"{frame.x(index):.1f},{frame.y(value):.1f}" for index, value in run)
        parts.append(Markup('<polyline class="{}" points="{}"/>').format(f"line line-{one.tone}", points))
        for index, value in run:
            shown = _percent_text(value) if percent else _plain_text(value)
            parts.append(
                Markup('<circle class="{}" cx="{:.1f}" cy="{:.1f}" r="2.5"><title>{}</title></circle>').format(
                    f"fill-{one.tone}", frame.x(index), frame.y(value), f"{labels[index]}: {one.name} {shown}"
                )
            )
    return parts


def _band(frame: _Frame, tone: str, band: Band) -> list[Markup]:
    lows = {index: value for run in _runs(band.low) for index, value in run}
    parts = []
    for run in _runs(band.high):
        upper = [f"{frame.x(index):.1f},{frame.y(value):.1f}" for index, value in run]
        lower = [f"{frame.x(index):.1f},{frame.y(lows[index]):.1f}" for index, _ in reversed(run)]
        if len(run) == 1:
            x = frame.x(run[0][0])
            parts.append(
                Markup('<line class="{}" x1="{:.1f}" x2="{:.1f}" y1="{}" y2="{}"/>').format(
                    f"whisker line-{tone}", x, x, upper[0].partition(",")[2], lower[0].partition(",")[2]
                )
            )
        else:
            parts.append(
                Markup('<polygon class="{}" points="{}"/>').format(f"band fill-{tone}", " ".join(upper + lower))
            )
    return parts


def _runs(values: Sequence[float | None]) -> list[list[tuple[int, float]]]:
    """Stretches without a gap, as (place, value)."""
    runs: list[list[tuple[int, float]]] = []
    previous: float | None = None
    for index, value in enumerate(values):
        if value is not None:
            if previous is None:
                runs.append([])
            runs[-1].append((index, value))
        previous = value
    return runs


def _round_up(value: float) -> float:
    """The next 1, 2 or 5 times a power of ten."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(factor * power for factor in (1, 2, 5, 10) if value <= factor * power * (1 + 1e-9))


def _count_text(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else ""


def _plain_text(value: float) -> str:
    return f"{value:.3g}"


def _percent_text(value: float) -> str:
    return f"{100 * value:.0f} %" if value in (0.0, 0.5, 1.0) else f"{100 * value:.1f} %"
