"""The results as text, as docs/benchmarks.md and as its chart."""

from __future__ import annotations

import math
import os
import platform
from collections import Counter
from collections.abc import Sequence
from xml.sax.saxutils import escape

from .goals import Row, said
from .timing import Timed

_MARKS = {"stretch": "ok (stretch)", "ok": "ok", "miss": "**miss**"}


def value_text(value: float, unit: str) -> str:
    """A figure with its unit, three digits at the most."""
    if not math.isfinite(value):
        return "peer did not finish"
    digits = 0 if value >= 100 else 1 if value >= 10 else 2
    return f"{value:.{digits}f} {unit}".strip() if unit not in ("x",) else f"{value:.{digits}f}x"


def seconds_text(timed: Timed) -> str:
    """CPU at the least and in the middle, and wall at the least."""
    if not timed.cpu:
        return str(timed.result)[:60]
    scale, unit = (1e3, "ms") if timed.best < 1 else (1.0, "s")
    text = f"{timed.best * scale:.3g} / {timed.median * scale:.3g} / {timed.best_wall * scale:.3g} {unit}"
    return text + (f", {timed.peak / (1 << 20):.0f} MB" if timed.peak else "")


def goal_text(row: Row) -> str:
    """What is asked of a row."""
    sign = "≥" if row.at_least else "≤"
    return f"{sign} {row.must:g} ({row.stretch:g})" if row.unit else "passes"


def as_text(row: Row) -> str:
    """One row for the terminal."""
    runs = "; ".join(f"{name} {seconds_text(timed)}" for name, timed in row.contenders.items())
    measured = value_text(row.value, row.unit)
    return f"{row.number:>3}  {row.goal:<52} {measured:>16}  {goal_text(row):<16} {row.verdict:<8} {runs}"


def as_page(rows: Sequence[Row], seen: dict[str, dict[str, str]], versions: dict[str, str], quick: bool) -> str:
    """The whole of docs/benchmarks.md."""
    lines = [
        "# Benchmarks",
        "",
        "<!-- written by `make bench` -->",
        "",
        f"Written by `{'QUICK=1 ' if quick else ''}make bench` on {os.cpu_count()} x {_processor()}, "
        f"Python {platform.python_version()}; "
        + ", ".join(f"{name} {number}" for name, number in versions.items())
        + ".",
        "Each tool runs in an environment of its own as its users install it, ours from the wheel. Runs are",
        "interleaved, the page cache is warm, ratios are of the smallest CPU times; CPU minimum / CPU median / wall",
        "minimum are given; a row without them says what its figure is of. A scanner that reads less is quicker:",
        "what each said of such files stands below. In-process rows are of a process that has scanned before, with a",
        "scanner made anew for each run; of the 1000 tiny files many are alike in all that the ensemble looks at, and",
        "those it judges once. Peaks of commands are never below that of the process that starts them, some 11 MB.",
        "Goal 11 is of some of the floods that `python -m benchmarks.hostile` measures.",
        "",
        "![Ratios and goals](benchmarks.svg)",
        "",
        "| goal | of what | measured | must (stretch) | met | runs, and what was said |",
        "|---|---|---:|---|---|---|",
    ]
    for row in sorted(rows, key=lambda row: int(row.number)):
        runs = "<br>".join(f"{_named(tool)}: {_run_text(tool, timed)}" for tool, timed in row.contenders.items())
        lines.append(
            f"| {row.number} | {row.goal} | {value_text(row.value, row.unit)} | {goal_text(row)} "
            f"| {_MARKS[row.verdict]} | {runs} |"
        )
    tools = list(next(iter(seen.values()))) if seen else []
    lines += ["", "## What they said", "", "The first six call `os.system('echo inert')` when loaded.", ""]
    lines += ["| file | " + " | ".join(map(_named, tools)) + " |", "|---|" + "---|" * len(tools)]
    lines += [f"| {name} | " + " | ".join(words[tool] for tool in tools) + " |" for name, words in seen.items()]
    return "\n".join(lines) + "\n"


def _named(tool: str) -> str:
    return "safepickle" if tool == "compiled" else tool


def _run_text(tool: str, timed: Timed) -> str:
    """Times of a contender and what it said of the files, where that is a verdict."""
    words = ""
    if timed.cpu and timed.peak:
        words = said(tool, timed)
    elif timed.cpu and isinstance(timed.result, list) and all(isinstance(word, str) for word in timed.result):
        words = ", ".join(f"{count} x {word[:20]}" for word, count in Counter(timed.result).most_common(3))
    return f"{seconds_text(timed)}{'; ' if words else ''}{words}"


def as_chart(rows: Sequence[Row]) -> str:
    """The ratios over their goals as SVG bars on a logarithmic scale: right of the line is met."""
    bars = [(row, row.value / row.must if row.at_least else row.must / max(row.value, 1e-9)) for row in rows]
    bars = [(row, min(max(times, 0.1), 100.0)) for row, times in bars if row.unit and math.isfinite(times)]
    height = 22 * len(bars) + 34
    middle, scale = 470, 110
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 760 {height}" font-family="sans-serif" font-size="12">',
        f'<rect width="760" height="{height}" fill="white"/>',
    ]
    for index, (row, times) in enumerate(bars):
        y = 22 * index + 8
        width = scale * math.log10(times)
        left = middle + min(width, 0)
        colour = {"stretch": "#2a7f4f", "ok": "#6fb98f", "miss": "#c8553d"}[row.verdict]
        parts.append(f'<text x="8" y="{y + 12}">{escape(f"{row.number}. {row.goal}")}</text>')
        parts.append(f'<rect x="{left:.1f}" y="{y}" width="{max(abs(width), 1):.1f}" height="15" fill="{colour}"/>')
        end = middle + max(width, 0) + 4
        parts.append(f'<text x="{end:.1f}" y="{y + 12}" fill="#333">{escape(value_text(row.value, row.unit))}</text>')
    parts.append(f'<line x1="{middle}" y1="2" x2="{middle}" y2="{height - 24}" stroke="#333"/>')
    parts.append(f'<text x="{middle - 60}" y="{height - 8}" fill="#333">goal (must); logarithmic</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.machine()
