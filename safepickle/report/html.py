"""A page for people: one file, nothing loaded from elsewhere, no script, every text of a scanned file escaped."""

from __future__ import annotations

from html import escape

from .. import __version__
from ..findings.rules import TECHNIQUES, WEAKNESSES
from .advice import TO_DO, gaps
from .printable import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from ..batch import FileObject
    from . import Summary

    Plain = dict[str, Any]

_FINDINGS = 200
"""Findings of one file that are shown."""
_VERDICTS = ("malicious", "suspicious", "incomplete", "benign")

_HEAD = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>SafePickle report</title>
<style>
:root { --text: #1c1e21; --dim: #5d646d; --page: #f6f7f8; --card: #fff; --line: #dfe2e6; --code: #f0f2f4;
  --malicious: #b3141f; --suspicious: #9a5b00; --incomplete: #6a3fa0; --benign: #1f7a3d; color-scheme: light dark }
@media (prefers-color-scheme: dark) { :root { --text: #e4e6e9; --dim: #9aa2ac; --page: #15171a; --card: #1e2125;
  --line: #343940; --code: #282c31; --malicious: #ff7b80; --suspicious: #f0b354; --incomplete: #c3a3f5;
  --benign: #6fd08f } }
body { margin: 0 auto; max-width: 62rem; padding: 1.5rem 1rem 4rem; background: var(--page); color: var(--text);
  font: 15px/1.5 system-ui, sans-serif; display: flex; flex-direction: column }
header { order: -2 } .summary { order: -1 }
section.malicious { order: 1 } section.suspicious { order: 2 } section.incomplete { order: 3 }
section.benign { order: 4 }
h1 { font-size: 1.4rem; margin: 0 } h2 { font-size: 1rem; margin: 0; overflow-wrap: anywhere }
section, .summary { background: var(--card); border: 1px solid var(--line); border-radius: 6px; padding: .8rem 1rem;
  margin: .4rem 0 }
section { border-left-width: 5px } .dim { color: var(--dim) } p { margin: .3rem 0 }
.malicious { --tone: var(--malicious) } .suspicious { --tone: var(--suspicious) }
.incomplete { --tone: var(--incomplete) } .benign { --tone: var(--benign) }
.critical { --tone: var(--malicious) } .high { --tone: var(--malicious) } .medium { --tone: var(--suspicious) }
.low, .info { --tone: var(--dim) }
section { border-left-color: var(--tone) }
.badge { color: var(--tone); font-weight: 700; text-transform: uppercase; font-size: .8rem; letter-spacing: .04em }
article { border-top: 1px solid var(--line); padding: .6rem 0 .3rem; margin-top: .6rem }
code { font: .88em/1.5 ui-monospace, monospace; background: var(--code); border-radius: 3px; padding: .1em .3em;
  overflow-wrap: anywhere }
.title { font-weight: 600; overflow-wrap: anywhere } .do { font-weight: 600 }
ol { margin: .3rem 0; padding-left: 1.4rem } a { color: inherit } summary { cursor: pointer }
</style></head><body>
"""


class Html:
    """A page with a card for each file, the worst first."""

    def begin(self, model: str) -> str:
        made = f"SafePickle {__version__}, model {model}"
        return f'{_HEAD}<header><h1>Model files</h1><p class="dim">{_text(made)}</p></header>\n'

    def file(self, scanned: FileObject) -> str:
        verdict = scanned["verdict"]
        score = f", score {scanned['score']:.3f}" if scanned["score"] is not None else ""
        about = f"{scanned['container']}, {scanned['size']:,} bytes{score}"
        hashed = f"<p class=dim>SHA-256 <code>{_text(scanned['sha256'])}</code></p>" if scanned["sha256"] else ""
        parts = [
            f'<section class="{verdict}"><h2><span class="badge">{verdict}</span> {_text(scanned["path"], 4096)}</h2>',
            f'<p class="dim">{_text(about)}</p>{hashed}',
        ]
        if verdict != "benign":
            parts.append(f'<p class="do">{_text(_sentence(TO_DO[verdict]))}</p>')
            if not scanned["complete"]:
                parts += [f"<p>{_text(_sentence(gap), 600)}</p>" for gap in gaps(scanned)]
        findings = scanned["findings"]
        shown = "".join(_finding(finding, verdict) for finding in findings[:_FINDINGS])
        if len(findings) > _FINDINGS:
            shown += f"<p>and {len(findings) - _FINDINGS:,} more; --format json has all</p>"
        if findings and verdict == "benign":
            shown = f"<details><summary>{len(findings)} remarks, none of them grave</summary>{shown}</details>"
        return "\n".join([*parts, shown, "</section>\n"])

    def end(self, summary: Summary) -> str:
        counts = ", ".join(
            f'<span class="{verdict}"><span class="badge">{count:,} {verdict}</span></span>'
            for verdict in _VERDICTS
            if (count := getattr(summary, verdict))
        )
        files = f"{summary.files:,} {'file' if summary.files == 1 else 'files'}, {summary.bytes:,} bytes"
        return f'<div class="summary">{files}: {counts or "nothing"}</div>\n</body></html>\n'


def _finding(finding: Plain, verdict: str) -> str:
    times = f" &times;{finding['count']:,}" if finding["count"] > 1 else ""
    head, colon, call = finding["title"].partition(": ")
    code = f": <code>{_text(call)}</code>" if colon else ""
    severity = finding["severity"]
    where = f"{finding['stream']}, byte {finding['offset']:,}" if finding["stream"] else f"byte {finding['offset']:,}"
    advice = "" if _sentence(TO_DO.get(verdict, "")) == finding["advice"] else f" {finding['advice']}"
    parts = [
        f'<article><p class="title"><span class="{severity}"><span class="badge">{severity}</span></span> '
        f"{_text(head)}{code}{times}</p>",
        f"<p>{_text(finding['why'] + advice, 900)}</p>",
        _way("Reached by", finding["steps"]),
        _way("Goes on to", finding["witness"]),
        f'<p class="dim">At <code>{_text(where)}</code>, rule <code>{_text(finding["rule"])}</code>, '
        f"{_references(finding)}</p></article>",
    ]
    return "\n".join(filter(None, parts))


def _way(title: str, steps: Sequence[str]) -> str:
    if not steps:
        return ""
    return f"<p>{title} {' &rarr; '.join(f'<code>{_text(step, 600)}</code>' for step in steps)}</p>"


def _references(finding: Plain) -> str:
    links = []
    for name in finding["cwe"]:
        number = int(name.partition("-")[2])
        page = f"https://cwe.mitre.org/data/definitions/{number}.html"
        links.append(f'<a href="{page}" title="{_text(WEAKNESSES[number])}">{name}</a>')
    links += [
        f'<a href="https://atlas.mitre.org/techniques/{name}" title="{_text(TECHNIQUES[name])}">{name}</a>'
        for name in finding["atlas"]
    ]
    return ", ".join(links)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _text(text: str, longest: int = 300) -> str:
    return escape(printable(text, longest))
