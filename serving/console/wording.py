"""What the console says in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Finding = Mapping[str, Any]

VERDICTS = ("malicious", "suspicious", "incomplete", "benign")
"""All verdicts, the worst first."""
SEVERITIES = ("critical", "high", "medium", "low", "info")
_TELLING = ("critical", "high", "medium")

_HEADLINES = {
    "malicious": "Do not load this file.",
    "suspicious": "Have somebody read what this file does before it is loaded.",
    "incomplete": "Do not take this file for safe: it was not read to its end.",
    "benign": "Nothing suspicious was found in this file.",
}
_ADVICE = {
    "malicious": "Remove it, and get the model from a source you trust, best as safetensors.",
    "suspicious": "The evidence and the code are below. A label says what you make of them.",
    "incomplete": "What was not read may do anything. Get the file again, or ask who made it.",
}


def headline(verdict: str) -> str:
    """The verdict as a sentence."""
    return _HEADLINES.get(verdict, f"The verdict is {verdict}.")


def consequence(findings: Sequence[Finding], verdict: str) -> str:
    """What loading the file would do, by its gravest findings: ``Loading it starts a process and opens files.``"""
    if verdict == "benign":
        return ""
    for severity in _TELLING:
        alike = [finding for finding in findings if finding["severity"] == severity]
        effects = list(dict.fromkeys(finding["effect"] for finding in alike if finding["effect"]))
        if effects:
            return f"Loading it {joined(effects[:4])}."
        if alike:
            return f"It {alike[0]['title']}."
    return f"It {findings[0]['title']}." if findings else "No single call explains it."


def advice(verdict: str) -> str:
    """What to do about a file."""
    return _ADVICE.get(verdict, "")


def joined(parts: Sequence[str]) -> str:
    """``a, b and c``."""
    return " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1]))) if parts else ""


def standing_words(known: Any) -> tuple[str, str]:
    """What people said of a file, as a short word and a sentence, from a :class:`~serving.labels.Standing` or None."""
    if known is None or known.at is None:
        return "unlabelled", "Nobody has labelled this file."
    if known.conflict:
        return (
            "conflict",
            "People contradict each other on this file, so that no label stands. It needs another opinion.",
        )
    if known.pending:
        return (
            "pending",
            f"Somebody called it {known.pending}. The model's floor calls it malicious, so that another person has to "
            "agree before the label stands.",
        )
    if known.label is None:
        return "unsure", "The last word is that nobody can be sure of this file."
    return known.label, f"This file is labelled {known.label}. The next scan of the same content answers so."
