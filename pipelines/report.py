"""The evaluation as one HTML page: ``python -m pipelines.report [OUT]``, by default ``docs/evaluation-report.html``.

Put together from what the stages and commands before it wrote, pictures included, so that it can be sent to somebody.
"""

from __future__ import annotations

import argparse
import html
import json
import sys
from base64 import b64encode
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt

from registry.intervals import wilson

from .paths import ABLATION, METRICS, REPORT, ROBUSTNESS

OUT = Path("docs/evaluation-report.html")
SIDE_BY_SIDE = Path("docs/side-by-side.md")
TILES = (
    ("public", "recall", "of real malicious files caught", "their groups unseen"),
    ("public", "false_positive_rate", "of public benign files flagged", "their repositories unseen"),
    ("unseen-callables", "recall", "of generated files with unseen callables caught", "modules unseen"),
    ("libraries", "false_positive_rate", "of files of unseen libraries flagged", "libraries left out"),
    ("padded-over-10k", "recall", "of payloads in hosts of over 10,000 opcodes caught", "dilution"),
    ("hard-negatives", "false_positive_rate", "of hard negatives flagged", "benign files with unusual callables"),
)
PLOTS = (
    ("padding.png", "Recall as the host grows: what dilution does to each detector."),
    ("scores.png", "Where files lie on the ensemble's scale."),
    ("reliability.png", "Whether a score is the probability that it says."),
    ("confusion.png", "Verdicts by label, set by set."),
    ("curves-public.png", "Precision and recall on real files, every method."),
    ("curves-unseen-callables.png", "The same for callables that no training file uses."),
)
STYLE = """
:root{color-scheme:light dark;--line:#8884;--soft:#8881;--good:#1a7f4b;--bad:#b3362b}
body{font:16px/1.5 system-ui,sans-serif;margin:0 auto;max-width:76rem;padding:1.5rem}
h1{font-size:1.7rem;margin:.2em 0}h2{margin-top:2.2em;border-bottom:1px solid var(--line)}
nav a{margin-right:1em}.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(15rem,1fr));gap:1rem}
.tile{border:1px solid var(--line);border-radius:.6rem;padding:.8rem 1rem}.tile b{font-size:2rem;display:block}
.tile small{opacity:.75}figure{margin:1.2rem 0}figure img{max-width:100%;background:#fff;border-radius:.4rem}
figcaption{opacity:.8}div.scroll{overflow-x:auto}table{border-collapse:collapse;font-size:.86rem;margin:.8rem 0}
th,td{padding:.25rem .55rem;border-bottom:1px solid var(--line);white-space:nowrap;text-align:left}
th{position:sticky;top:0;background:Canvas}code{font-size:.9em}details summary{cursor:pointer;font-weight:600}
"""


def tiles(figures: dict[str, Any]) -> str:
    """The figures that come first, each with its interval."""
    ensemble, found = figures["ensemble"], []
    for which, name, what, how in TILES:
        numbers = ensemble.get(which, {})
        if numbers.get(name) is None:
            continue
        if name == "recall":
            part, whole = int(numbers["tp"]), int(numbers["tp"] + numbers["fn"] + numbers["incomplete_malicious"])
        else:
            part = int(numbers["fp"])
            whole = int(numbers["fp"] + numbers["tn"] + numbers["incomplete_benign"])
        low, high = wilson(part, whole)
        found.append(
            f"<div class=tile><b>{part / whole:.1%}</b>{html.escape(what)}<br><small>{part:,} of {whole:,}; 95 % "
            f"interval {low:.1%} to {high:.1%}; {html.escape(how)}</small></div>"
        )
    return f"<div class=tiles>{''.join(found)}</div>"


def picture(path: Path, caption: str) -> str:
    """A picture inside the page."""
    data = b64encode(path.read_bytes()).decode()
    return (
        f'<figure><img alt="{html.escape(caption)}" src="data:image/png;base64,{data}">'
        f"<figcaption>{html.escape(caption)}</figcaption></figure>"
    )


def anchor(title: str) -> str:
    """What a link to a section names."""
    return title.lower().replace(" ", "-")


def section(title: str, path: Path) -> str:
    """A Markdown report as a section that can be folded; empty where it was not written."""
    if not path.exists():
        print(f"{path} was not written yet; the page goes without it", file=sys.stderr)
        return ""
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    lines = path.read_text(encoding="utf-8").splitlines()
    text = "\n".join(line for line in lines[1:] if not line.startswith("<!--"))
    body = markdown.render(text).replace("<table>", "<div class=scroll><table>").replace("</table>", "</table></div>")
    heading = f'<h2 id="{anchor(title)}">{html.escape(title)}</h2>'
    return f"{heading}<details open><summary>Show or hide</summary>{body}</details>"


def page() -> str:
    """The whole page.

    Raises
    ------
    SystemExit
        When the stage `evaluate` has not run.
    """
    try:
        figures = json.loads(METRICS.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SystemExit(f"{METRICS} is missing; run `dvc repro`, which makes it") from None
    parts = {
        "Model card": REPORT / "card.md",
        "Beside other scanners": SIDE_BY_SIDE,
        "What hiding costs": ROBUSTNESS / "robustness.md",
        "What each part is worth": ABLATION / "ablation.md",
        "Files that it gets wrong": REPORT / "errors.md",
        "All tables": REPORT / "tables.md",
    }
    sections = {title: section(title, path) for title, path in parts.items()}
    links = "".join(f'<a href="#{anchor(title)}">{html.escape(title)}</a>' for title in sections if sections[title])
    drawn = "".join(
        picture(REPORT / "plots" / name, text) for name, text in PLOTS if (REPORT / "plots" / name).exists()
    )
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>SafePickle: evaluation</title><style>{STYLE}</style><h1>SafePickle: evaluation</h1>"
        f"<p>{figures['files']:,} files; none is judged by anything that learned from its group.</p><nav>{links}</nav>"
        f"<h2>At a glance</h2>{tiles(figures)}<h2>Pictures</h2>{drawn}{''.join(sections.values())}</html>\n"
    )


def main(arguments: list[str] | None = None) -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.report", description=__doc__)
    parser.add_argument("out", type=Path, nargs="?", default=OUT)
    out = parser.parse_args(arguments).out
    text = page()
    out.write_text(text, encoding="utf-8")
    print(f"{out}: {len(text) / 1e6:.1f} MB", file=sys.stderr)


if __name__ == "__main__":
    main()
