"""The report of learning over time: figures as they are, the bars beside them, and plots."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from textwrap import wrap
from typing import Any

import matplotlib as mpl
import numpy as np

from .families import ENOUGH, LABELS
from .measures import SHARES, Period, area, interval
from .methods import METHODS
from .poison import ATTACKS, RATES
from .streams import STREAMS

mpl.use("Agg")
from matplotlib import pyplot

NAME = "learning-over-time"
SHARE = 0.05
INTRODUCTION = """Written by `make evaluate-stream`; means over repetitions with 95 % bootstrap intervals. A small
forest on the real features stands for the model, since it is trained hundreds of times; prevalence
is counted anew each time. Every file is judged before it is learned from. *clock*: malicious files
come when a callable of theirs was first listed by a public scanner. *drift*: every period brings
new benign libraries and new families of attacks. Before the gate is asked, a challenger's
thresholds are raised above the old benign files that the champion clears, by the function that
`pipelines.retrain` uses (docs/learning.md), so churn is what labels teach at once. CPU seconds leave
out features that another way has computed before. Ten repetitions are meant; how many were measured
is in the column `runs`, and where they are fewer the intervals are worth little."""
MAIN = (20, 0)

Found = dict[str, Any]
Runs = list[dict[str, Any]]
Score = Callable[[dict[str, Any]], float]


def write_report(found: Found, folder: Path) -> None:
    """Write ``learning-over-time.md`` and its plots into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [
        "# Learning over time, measured",
        "",
        *wrap(INTRODUCTION, 118),
        "",
    ]
    for part in (_bars, _streams, _others, _families, _drift, _poison):
        lines += [*part(found), ""]
    (folder / f"{NAME}.md").write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")
    for stream in STREAMS:
        _plot(found, stream, folder / f"{NAME}-{stream}.svg")


def _runs(found: Found, stream: str, method: str, budget: int = MAIN[0], delay: int = MAIN[1]) -> Runs:
    return [value for name, value in found.items() if name.startswith(f"run {stream} {method} {budget} {delay} ")]


def _all(found: Found, kind: str) -> list[Any]:
    return [value for name, value in found.items() if name.startswith(f"{kind} ")]


def f1_area(run: dict[str, Any], share: float = SHARE) -> float:
    """AUT of F1 among files of which `share` are malicious."""
    return area([Period(**period).f1(share) for period in run["periods"]])


def recall_area(run: dict[str, Any]) -> float:
    """AUT of the recall at 1 % false positives."""
    return area([period["recall_at_1_percent"] for period in run["periods"]])


def forgetting(run: dict[str, Any]) -> float:
    """Recall lost on old malicious files from the first model to the last, in points."""
    return 100.0 * float(run["kept_recall"][0] - run["kept_recall"][-1])


def _mean_rate(name: str) -> Score:
    return lambda run: float(np.mean([period[name] for period in run["periods"]]))


def _shown(values: Sequence[float], places: int = 3) -> str:
    if not values:
        return "not measured"
    mean, low, high = interval(list(values))
    return f"{mean:.{places}f} [{low:.{places}f}, {high:.{places}f}]"


def _streams(found: Found) -> Iterator[str]:
    shares = ", ".join(f"{share:.0%}" for share in SHARES)
    yield f"## Two streams, {MAIN[0]} labels a period, no delay"
    for stream in STREAMS:
        yield ""
        yield f"### {stream}"
        yield ""
        yield f"![recall and false positives by period]({NAME}-{stream}.svg)"
        yield ""
        columns = (
            "way", "runs", f"AUT F1 at {shares} malicious", "AUT recall at 1 % FPR", "recall", "FPR",
            "forgetting, points", "churn of old benign", "canary flips", "CPU seconds",
        )  # fmt: skip
        yield f"| {' | '.join(columns)} |"
        yield "|---|---|---|---|---|---|---|---|---|---|"
        for method in METHODS:
            runs = _runs(found, stream, method)
            if not runs:
                continue
            f1 = " / ".join(_shown([f1_area(run, share) for run in runs]) for share in SHARES)
            cells = [
                method,
                str(len(runs)),
                f1,
                _shown([recall_area(run) for run in runs]),
                _shown([_mean_rate("recall")(run) for run in runs]),
                _shown([_mean_rate("false_positive_rate")(run) for run in runs]),
                _shown([forgetting(run) for run in runs], 2),
                _shown([float(np.mean(run["churn"])) for run in runs], 4),
                str(sum(run["canary_flips"] for run in runs)),
                f"{np.mean([run['seconds'] for run in runs]):.1f}",
            ]
            yield "| " + " | ".join(cells) + " |"


def _others(found: Found) -> Iterator[str]:
    settings = sorted(
        {tuple(map(int, name.split(" ")[3:5])) for name in found if name.startswith("run drift ours ")} - {MAIN}
    )
    yield "## Fewer labels, later labels (drift, ours)"
    yield ""
    if not settings:
        yield "Not measured yet."
        return
    yield "| labels a period | periods until they come | runs | AUT F1 | AUT recall at 1 % FPR |"
    yield "|---|---|---|---|---|"
    for budget, delay in settings:
        runs = _runs(found, "drift", "ours", budget, delay)
        f1, recall = (_shown([score(run) for run in runs]) for score in (f1_area, recall_area))
        yield f"| {budget} | {delay} | {len(runs)} | {f1} | {recall} |"


def _families(found: Found) -> Iterator[str]:
    every = [family for families in _all(found, "families") for family in families]
    missed = [family for family in every if family["before"] < ENOUGH]
    yield "## Labels that a new family takes"
    yield ""
    if not every:
        yield "Not measured yet."
        return
    yield (
        f"Of {len(every)} families that the model had never seen (each in each repetition), {len(every) - len(missed)} "
        f"were caught to {ENOUGH:.0%} before their first label. Of the other {len(missed)}:"
    )
    yield ""
    yield "| within labels | families at 90 % recall on their other files |"
    yield "|---|---|"
    for labels in (1, 2, 5, LABELS):
        done = sum(family["labels"] <= labels for family in missed)
        yield f"| {labels} | {done} of {len(missed)} |"
    yield ""
    yield "| family | repetitions below 90 % | recall before | recall after 10 labels | median labels |"
    yield "|---|---|---|---|---|"
    for name in sorted({family["name"] for family in missed}):
        own = [family for family in missed if family["name"] == name]
        after = [max(family["advised"][-1], family["retrained"]) for family in own]
        median = float(np.median([family["labels"] for family in own]))
        before = float(np.mean([family["before"] for family in own]))
        yield (
            f"| {name} | {len(own)} | {before:.2f} | {np.mean(after):.2f} | "
            f"{'over 10' if median > LABELS else f'{median:g}'} |"
        )


def _drift(found: Found) -> Iterator[str]:
    measured = _all(found, "alarms")
    yield "## Drift alarms"
    yield ""
    if not measured:
        yield "Not measured yet."
        return
    per_thousand = [run["false_alarms"] / 1.5 for run in measured]
    yield f"False alarms per 1,000 benign files of an unchanging stream: {_shown(per_thousand, 2)}."
    yield ""
    yield "| every second file is a new one | repetitions noticed within 150 files | median files to the alarm | most |"
    yield "|---|---|---|---|"
    for name in ("attacks", "library", "container"):
        delays = [run[name] for run in measured]
        seen = [delay for delay in delays if delay > 0]
        spread = f"{np.median(seen):g} | {max(seen):g}" if seen else "- | -"
        yield f"| {name} | {len(seen)} of {len(delays)} | {spread} |"


def _poison(found: Found) -> Iterator[str]:
    measured = _all(found, "poison")
    yield "## Labels that are wrong on purpose"
    yield ""
    if not measured:
        yield "Not measured yet."
        return
    yield "Of 200 labels by three honest people and one attacker. Loss is recall on later files against the same"
    yield "without attack, where honest people label what the attacker labels here: who is named is not learned"
    yield "from, and what is lost is what honest people would have said. Where no wrong label was learned, the loss is"
    yield "that of the honest labels given up and of chance: the threshold is a quantile of the scores of a few hundred"
    yield "benign files, and moves with any change of labels, so that a loss of a point cannot be told from none."
    yield ""
    columns = (
        "attack", "share", "runs", "canary flips", "loss of the retrained model, points",
        "of what serves after the gate, points", "wrong labels learned", "attacker named", "honest people named",
    )  # fmt: skip
    yield f"| {' | '.join(columns)} |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for attack in ATTACKS:
        for rate in RATES:
            runs = [run[f"{attack} {rate:g}"] for run in measured]
            cells = (
                attack,
                f"{rate:.0%}",
                str(len(runs)),
                str(sum(run["canary_flips"] for run in runs)),
                _shown([100 * run["loss"] for run in runs], 1),
                _shown([100 * run["loss_after_gate"] for run in runs], 1),
                f"{np.mean([run['learned'] for run in runs]):.1f}",
                str(sum(run["visible"] for run in runs)),
                str(sum(run["accused"] for run in runs)),
            )
            yield f"| {' | '.join(cells)} |"


def _bars(found: Found) -> Iterator[str]:
    yield "| bar | measured | met |"
    yield "|---|---|---|"
    for stream in STREAMS:
        runs = {method: _runs(found, stream, method) for method in METHODS}
        if not all(runs.values()):
            continue
        for name, score in (("AUT F1 at 5 %", f1_area), ("AUT recall at 1 % FPR", recall_area)):
            own = interval([score(run) for run in runs["ours"]])
            for other in ("static", "online logistic", "online forest"):
                theirs = interval([score(run) for run in runs[other]])
                text = " against ".join(f"{mean:.3f} [{low:.3f}, {high:.3f}]" for mean, low, high in (own, theirs))
                yield _bar(f"{stream}: {name} beats {other}, intervals apart", text, own[1] > theirs[2])
        lost = [forgetting(run) for run in runs["ours"]]
        yield _bar(f"{stream}: forgetting at most 0.5 points", _shown(lost, 2), interval(lost)[0] <= 0.5)
        churn = [float(np.mean(run["churn"])) for run in runs["ours"]]
        yield _bar(f"{stream}: churn at most 0.1 %", _shown(churn, 4), interval(churn)[0] <= 0.001)
    missed = [family for families in _all(found, "families") for family in families if family["before"] < ENOUGH]
    if missed:
        done = sum(family["labels"] <= LABELS for family in missed)
        yield _bar("a new family at 90 % recall within 10 labels", f"{done} of {len(missed)}", done == len(missed))
    if measured := _all(found, "alarms"):
        quiet = [run["false_alarms"] / 1.5 for run in measured]
        yield _bar("at most 1 false alarm per 1,000 benign files", _shown(quiet, 2), interval(quiet)[0] <= 1.0)
        delays = [run[name] for run in measured for name in ("attacks", "library", "container")]
        soon = sum(0 < delay <= 50 for delay in delays)
        yield _bar("alarm within 50 files of a shift", f"{soon} of {len(delays)}", soon == len(delays))
    if measured := _all(found, "poison"):
        flipped = sum(result["canary_flips"] for run in measured for result in run.values())
        yield _bar("no canary flips at any rate of poisoning", str(flipped), flipped == 0)
        for attack in ATTACKS:
            loss = [100 * run[f"{attack} 0.05"]["loss_after_gate"] for run in measured]
            yield _bar(f"{attack} at 5 % costs at most 1 point of recall", _shown(loss, 1), interval(loss)[0] <= 1.0)
            seen = sum(run[f"{attack} 0.05"]["visible"] for run in measured)
            yield _bar(f"{attack} at 5 % is visible in the audit", f"{seen} of {len(measured)}", seen == len(measured))


def _bar(text: str, measured: str, met: bool) -> str:
    return f"| {text} | {measured} | {'yes' if met else '**no**'} |"


def _plot(found: Found, stream: str, path: Path) -> None:
    figure, axes = pyplot.subplots(1, 2, figsize=(9, 3.2), sharex=True)
    for method in METHODS:
        runs = _runs(found, stream, method)
        if not runs:
            continue
        for axis, name in zip(axes, ("recall", "false_positive_rate"), strict=True):
            table = np.array([[period[name] for period in run["periods"]] for run in runs])
            spread = np.array([interval(list(column))[1:] for column in table.T])
            periods = np.arange(1, table.shape[1] + 1)
            axis.plot(periods, table.mean(axis=0), label=method)
            axis.fill_between(periods, spread[:, 0], spread[:, 1], alpha=0.15)
    for axis, title in zip(axes, ("recall", "false-positive rate"), strict=True):
        axis.set(title=title, xlabel="period")
        axis.grid(alpha=0.3)
    axes[0].legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)
