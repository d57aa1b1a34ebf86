"""JSON Schemas of what the API takes and answers, with examples; tests hold real answers against them."""

from __future__ import annotations

from typing import Any

from .labels import LABELS, RETRACTED
from .roles import ROLES

VERDICTS = ("malicious", "suspicious", "incomplete", "benign")

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_MOMENT: Schema = {"type": "string", "format": "date-time"}
_NUMBER: Schema = {"type": "number"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_HASH: Schema = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
_OBJECT: Schema = {"type": "object"}
_ID: Schema = {"type": "string", "pattern": "^[0-9a-f]{32}$"}
_ANY_HASH: Schema = {"type": "string", "pattern": "^[0-9a-fA-F]{64}$"}
_NO_NUL = r"^[^\u0000]*$"
_REMARK: Schema = {"type": "string", "maxLength": 2000, "pattern": _NO_NUL}
_REASON: Schema = {"type": "string", "maxLength": 2000, "pattern": r"^[^\u0000]*[!-~][^\u0000]*$"}


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _object(required: dict[str, Schema], optional: dict[str, Schema] | None = None) -> Schema:
    return {"type": "object", "properties": {**required, **(optional or {})}, "required": list(required)}


def _closed(required: dict[str, Schema], optional: dict[str, Schema] | None = None) -> Schema:
    """An object that is sent: what is not named is refused."""
    return {**_object(required, optional), "additionalProperties": False}


def _reference(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _page(item: str) -> Schema:
    return _object({"items": {"type": "array", "items": _reference(item)}, "next": _or_null(_TEXT)})


_SEEN: dict[str, Schema] = {
    "scan_id": _ID,
    "at": _MOMENT,
    "path": _TEXT,
    "sha256": _HASH,
    "size": _COUNT,
    "container": _TEXT,
    "verdict": {"enum": list(VERDICTS)},
    "score": _or_null({"type": "number", "minimum": 0, "maximum": 1}),
    "complete": {"type": "boolean"},
    "model_version": _TEXT,
    "label": _or_null(_reference("Standing")),
    "decision": _TEXT,
    "decided_by": {"enum": ["model", "label", "online"]},
}
_EVIDENCE: dict[str, Schema] = {
    "credibility": _or_null({"type": "number", "minimum": 0, "maximum": 1}),
    "findings": {"type": "array", "items": _OBJECT},
    "detectors": {"type": "object", "additionalProperties": _NUMBER},
    "oddities": {"type": "array"},
}
_LABEL: dict[str, Schema] = {
    "at": _MOMENT,
    "scan_id": _TEXT,
    "sha256": _HASH,
    "label": {"enum": [*LABELS, RETRACTED]},
    "author": _TEXT,
    "role": {"enum": list(ROLES)},
    "reason": _TEXT,
    "model_version": _TEXT,
}
_CHANGE = _object(
    {
        "alias": _TEXT, "action": _TEXT, "from": _or_null(_COUNT), "to": _or_null(_COUNT), "who": _TEXT,
        "when": _MOMENT, "why": _TEXT, "gate": _TEXT,
    }
)  # fmt: skip
_VERSION: dict[str, Schema] = {
    "version": _COUNT,
    "created": _MOMENT,
    "bundle_hash": _HASH,
    "dataset_hash": _TEXT,
    "git_commit": _TEXT,
    "schema": {},
    "parent": _or_null(_COUNT),
    "metrics": _OBJECT,
    "gate": _TEXT,
}
_KEY: dict[str, Schema] = {
    "id": _COUNT,
    "name": _TEXT,
    "role": {"enum": list(ROLES)},
    "created_at": _MOMENT,
    "revoked_at": _or_null(_MOMENT),
    "expires_at": _or_null(_MOMENT),
}

SCHEMAS: dict[str, Schema] = {
    "Problem": _object(
        {"type": _TEXT, "title": _TEXT, "status": {"type": "integer"}, "detail": _TEXT},
        {"instance": _TEXT, "request_id": _TEXT},
    ),
    "Standing": _object(
        {"label": _or_null(_TEXT), "role": _TEXT, "at": _or_null(_MOMENT), "conflict": {"type": "boolean"}}
    ),
    "Scan": _object({**_SEEN, **_EVIDENCE}),
    "ScanSummary": _object({**_SEEN, "novelty": _or_null(_NUMBER)}),
    "ScanPage": _page("ScanSummary"),
    "StoredScan": _object(
        {
            **_SEEN,
            **_EVIDENCE,
            "novelty": _or_null(_NUMBER),
            "learned": {"type": "boolean"},
            "labels": {"type": "array", "items": _object({"id": _COUNT, "label": _TEXT, "author": _TEXT})},
        }
    ),
    "NewLabel": {
        "anyOf": [
            _closed({"label": label, "reason": _REASON, **of}, {"evidence": _REMARK, **more})
            for of in ({"scan_id": _ID}, {"sha256": _ANY_HASH})
            for label, more in (
                ({"enum": list(LABELS)}, {}),
                ({"const": RETRACTED}, {"retracts": {"type": "integer", "minimum": 1, "maximum": (1 << 63) - 1}}),
            )
        ]
    },
    "Label": _object({"label_id": _COUNT, **_LABEL}),
    "LabelPage": _page("Label"),
    "Queue": _object({"items": {"type": "array", "items": _OBJECT}, "candidates": _COUNT}),
    "Alarm": _object({"alarm_id": _COUNT, "at": _MOMENT, "stream": _TEXT, "before": _NUMBER, "after": _NUMBER}),
    "Drift": _object(
        {
            "items": {"type": "array", "items": _reference("Alarm")},
            "next": _or_null(_TEXT),
            "learned": _object({"event_id": _or_null(_COUNT), "at": _or_null(_MOMENT), "lag": _COUNT}),
        }
    ),
    "Model": _object(
        {
            "version": _TEXT, "origin": {"enum": ["registry", "package"]}, "hash": _HASH, "schema": _TEXT,
            "features": _COUNT, "detectors": {"type": "array", "items": _TEXT},
            "thresholds": {"type": "object", "additionalProperties": _NUMBER}, "refused": _or_null(_OBJECT),
        }
    ),
    "ModelVersion": _object(_VERSION),
    "Models": _object(
        {
            "versions": {"type": "array", "items": _reference("ModelVersion")},
            "champion": _or_null(_COUNT),
            "challenger": _or_null(_COUNT),
            "history": {"type": "array", "items": _CHANGE},
        }
    ),
    "ModelCard": _object({**_VERSION, "card": _TEXT, "params": _OBJECT}),
    "Promotion": _closed({"reason": _REASON}, {"force": {"type": "boolean"}}),
    "Rollback": _closed({"reason": _REASON}),
    "Promoted": _object({"champion": _COUNT, "before": _or_null(_COUNT), "reason": _TEXT}),
    "Address": _closed({"url": {"type": "string", "minLength": 1, "maxLength": 2000, "pattern": _NO_NUL}}),
    "BatchLine": {
        "anyOf": [
            _object({"index": _COUNT, "path": _TEXT, "status": {"const": 200}, "scan": _reference("Scan")}),
            _object({"index": _COUNT, "path": _TEXT, "status": _COUNT, "problem": _reference("Problem")}),
            _object(
                {"done": {"type": "boolean"}, "files": _COUNT, "scanned": _COUNT, "failed": _COUNT},
                {"problem": _reference("Problem")},
            ),
        ]
    },
    "Key": _object(_KEY),
    "Keys": _object({"items": {"type": "array", "items": _reference("Key")}}),
    "NewKey": _closed(
        {"name": {"type": "string", "pattern": "^[ -~]{1,100}$"}, "role": {"enum": list(ROLES)}},
        {"expires_at": _MOMENT},
    ),
    "MadeKey": _object({"id": _COUNT, "key": _TEXT}),
    "Rotation": _closed({}, {"grace_seconds": {"type": "number", "minimum": 0, "maximum": 2_592_000}}),
    "Revoked": _object({"id": _COUNT, "revoked": {"const": True}}),
    "AuditEntry": _object(
        {
            "entry_id": _COUNT, "at": _MOMENT, "key_id": _or_null(_COUNT), "actor": _TEXT, "action": _TEXT,
            "subject": _TEXT, "detail": _OBJECT,
        }
    ),
    "AuditPage": _page("AuditEntry"),
    "Document": _object({"openapi": _TEXT, "info": _OBJECT, "paths": _OBJECT}),
}  # fmt: skip

_SCAN_EXAMPLE: Schema = {
    "scan_id": "019a8f0c1d2e3f405162738495a6b7c8",
    "at": "2026-01-31T12:00:00+00:00",
    "model_version": "3",
    "path": "model.pkl",
    "sha256": "e3" * 32,
    "size": 46,
    "container": "pickle",
    "verdict": "malicious",
    "score": 0.998,
    "credibility": 0.41,
    "complete": True,
    "findings": [{"rule": "process", "severity": "critical", "message": "starts a shell: os.system('echo inert')"}],
    "detectors": {"random_forest": 0.99},
    "oddities": [],
    "label": None,
    "decision": "malicious",
    "decided_by": "model",
}
_SUMMARY_EXAMPLE = {name: _SCAN_EXAMPLE[name] for name in _SEEN} | {"novelty": 0.93}
_LABEL_EXAMPLE: Schema = {
    "label_id": 7,
    "at": "2026-01-31T12:05:00+00:00",
    "scan_id": _SCAN_EXAMPLE["scan_id"],
    "sha256": _SCAN_EXAMPLE["sha256"],
    "label": "malicious",
    "author": "ann",
    "role": "analyst",
    "reason": "starts a shell",
    "model_version": "3",
}

EXAMPLES: dict[str, Schema] = {
    "Problem": {
        "type": "urn:safepickle:problem:busy",
        "title": "Busy",
        "status": 429,
        "detail": "as many scans are waiting as may; try again in a moment",
        "instance": "/v1/scan",
        "request_id": "5f0c6d8e9a1b2c3d",
    },
    "Scan": _SCAN_EXAMPLE,
    "ScanPage": {"items": [_SUMMARY_EXAMPLE], "next": "1.019a8f0c1d2e3f405162738495a6b7c8"},
    "StoredScan": {**_SCAN_EXAMPLE, "novelty": 0.93, "learned": True, "labels": []},
    "NewLabel": {"scan_id": _SCAN_EXAMPLE["scan_id"], "label": "malicious", "reason": "starts a shell"},
    "Label": _LABEL_EXAMPLE,
    "LabelPage": {"items": [_LABEL_EXAMPLE], "next": None},
    "Drift": {
        "items": [
            {"alarm_id": 901, "at": "2026-01-31T12:00:00+00:00", "stream": "flagged", "before": 0.02, "after": 0.4}
        ],
        "next": None,
        "learned": {"event_id": 1000, "at": "2026-01-31T12:00:01+00:00", "lag": 0},
    },
    "Promotion": {"reason": "better recall on the new set"},
    "Rollback": {"reason": "false alarms on torch checkpoints"},
    "Promoted": {"champion": 4, "before": 3, "reason": "better recall on the new set"},
    "Address": {"url": "https://models.example.com/resnet/model.pkl"},
    "BatchLine": {"index": 0, "path": "model.pkl", "status": 200, "scan": _SCAN_EXAMPLE},
    "NewKey": {"name": "build server", "role": "scanner", "expires_at": "2027-01-31T00:00:00Z"},
    "MadeKey": {"id": 4, "key": "sp_..."},
    "Rotation": {"grace_seconds": 3600},
}
