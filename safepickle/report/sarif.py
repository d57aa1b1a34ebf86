"""SARIF 2.1.0, which code hosts and editors show: https://docs.oasis-open.org/sarif/sarif/v2.1.0/."""

from __future__ import annotations

import json
from hashlib import sha256
from urllib.parse import quote

from .. import __version__
from ..findings.rules import RULES, TECHNIQUES, WEAKNESSES, Rule
from .advice import gaps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..batch import FileObject
    from . import Summary

    Plain = dict[str, Any]

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_LEVELS = {"critical": "error", "high": "error", "medium": "warning", "low": "note", "info": "note"}
_SCORES = {"critical": "9.5", "high": "8.0", "medium": "5.5", "low": "3.0", "info": "0.5"}
_NOTIFIED = 1_000
_INDEX = {name: index for index, name in enumerate(RULES)}


class Sarif:
    """One run; its results are written as the files are done, one result a line."""

    def __init__(self) -> None:
        self._between = "\n"
        self._notifications: list[Plain] = []

    def begin(self, model: str) -> str:
        tool = {
            "driver": {
                "name": "SafePickle",
                "version": __version__,
                "semanticVersion": __version__,
                "rules": [_rule(rule) for rule in RULES.values()],
                "supportedTaxonomies": [{"name": "CWE"}, {"name": "ATLAS"}],
                "properties": {"model": model},
            }
        }
        head = f'{{"$schema": {_dump(SCHEMA)}, "version": "2.1.0", "runs": [{{"tool": {_dump(tool)}'
        return f'{head}, "taxonomies": {_dump(_taxonomies())}, "results": ['

    def file(self, scanned: FileObject) -> str:
        if scanned["verdict"] == "incomplete" and len(self._notifications) < _NOTIFIED:
            self._notifications.append(_notification(scanned))
        parts = []
        for finding in scanned["findings"]:
            parts.append(self._between + _dump(_result(scanned, finding)))
            self._between = ",\n"
        return "".join(parts)

    def end(self, summary: Summary) -> str:
        invocation = {"executionSuccessful": True, "toolExecutionNotifications": self._notifications}
        return f'\n], "invocations": [{_dump(invocation)}], "properties": {_dump(summary.__dict__)}}}]}}\n'


def _rule(rule: Rule) -> Plain:
    worst = rule.severities.replace(";", " ").split()[0]
    advice = f"{rule.meaning}\n\n**What to do:** {rule.advice}\n"
    known = [f"CWE-{number}: {WEAKNESSES[number]}" for number in rule.cwe]
    known += [f"{name}: {TECHNIQUES[name]}" for name in rule.atlas]
    return {
        "id": rule.id,
        "name": "".join(part.capitalize() for part in rule.id.split("-")),
        "shortDescription": {"text": f"{rule.title[0].upper()}{rule.title[1:]}."},
        "fullDescription": {"text": rule.meaning},
        "help": {
            "text": f"{rule.meaning} {rule.advice} ({'; '.join(known)})",
            "markdown": "\n".join([advice, *(f"- {one}" for one in known)]),
        },
        "defaultConfiguration": {"level": _LEVELS[worst]},
        "relationships": [
            *(_relation(f"CWE-{number}", "CWE") for number in rule.cwe),
            *(_relation(name, "ATLAS") for name in rule.atlas),
        ],
        "properties": {
            "security-severity": _SCORES[worst],
            "tags": ["security", *(f"external/cwe/cwe-{number}" for number in rule.cwe), *rule.atlas],
        },
    }  # fmt: skip


def _relation(name: str, taxonomy: str) -> Plain:
    return {"target": {"id": name, "toolComponent": {"name": taxonomy}}, "kinds": ["relevant"]}


def _taxonomies() -> list[Plain]:
    weaknesses = [{"id": f"CWE-{number}", "shortDescription": {"text": title}} for number, title in WEAKNESSES.items()]
    techniques = [{"id": name, "shortDescription": {"text": title}} for name, title in TECHNIQUES.items()]
    return [
        {
            "name": "CWE", "organization": "MITRE", "informationUri": "https://cwe.mitre.org",
            "shortDescription": {"text": "The MITRE Common Weakness Enumeration"}, "taxa": weaknesses,
        },
        {
            "name": "ATLAS", "organization": "MITRE", "informationUri": "https://atlas.mitre.org",
            "shortDescription": {"text": "Adversarial Threat Landscape for AI Systems"}, "taxa": techniques,
        },
    ]  # fmt: skip


def _result(scanned: FileObject, finding: Plain) -> Plain:
    benign = scanned["verdict"] == "benign"
    place: Plain = {"artifactLocation": {"uri": _uri(scanned["path"])}}
    if not finding["stream"]:
        place["region"] = {"byteOffset": finding["offset"]}
    location: Plain = {"physicalLocation": place}
    if finding["stream"]:
        # an offset in a member is none in the file
        location["logicalLocations"] = [{"fullyQualifiedName": finding["stream"], "kind": "member"}]
    same = "\0".join((finding["rule"], finding["callee"], finding["title"], finding["stream"]))
    return {
        "ruleId": finding["rule"],
        "ruleIndex": _INDEX[finding["rule"]],
        "kind": "informational" if benign else "fail",
        "level": "none" if benign else _LEVELS[finding["severity"]],
        "message": {"text": f"{finding['title']}. {finding['why']}"},
        "locations": [location],
        "partialFingerprints": {"safepickle/v1": sha256(same.encode("utf-8", "replace")).hexdigest()},
        "occurrenceCount": finding["count"],
        "properties": {
            "verdict": scanned["verdict"], "score": scanned["score"], "severity": finding["severity"],
            "offset": finding["offset"], "callee": finding["callee"], "effect": finding["effect"],
            "steps": finding["steps"], "witness": finding["witness"],
        },
    }  # fmt: skip


def _notification(scanned: FileObject) -> Plain:
    return {
        "level": "warning",
        "message": {"text": f"not read to its end, so not called benign: {'; '.join(gaps(scanned))}"},
        "locations": [{"physicalLocation": {"artifactLocation": {"uri": _uri(scanned["path"])}}}],
    }


def _uri(path: str) -> str:
    """A path as a URI reference; characters that are none in file names of any encoding stay as their bytes."""
    return quote(path.replace("\\", "/").encode("utf-8", "surrogateescape"), safe="/~!$&'()*+,=@-._")


def _dump(value: object) -> str:
    return json.dumps(value, ensure_ascii=True, allow_nan=False).replace("\x7f", "\\u007f")
