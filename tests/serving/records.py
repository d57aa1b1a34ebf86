"""Scan records made by a real scan process's code, without a process."""

from __future__ import annotations

import functools
import hashlib
import tempfile
from pathlib import Path
from typing import Any

from safepickle.scan import Scanner
from serving.database.clock import new_id, now
from serving.database.writer import ScanRecord
from serving.scan_process import describe_report
from tests.serving.models import build_bundle


@functools.cache
def scanner() -> Scanner:
    """A scanner that knows hostile files."""
    with tempfile.TemporaryDirectory() as folder:
        return Scanner(build_bundle(Path(folder) / "bundle", blind=False))


def record_of(data: bytes, name: str, **changes: Any) -> ScanRecord:
    """What the service would store of `data`, with what is named replaced."""
    answer, trace = describe_report(scanner(), scanner().scan_bytes(data, name), hashlib.sha256(data).hexdigest())
    file = answer["file"]
    at = changes.get("at", now())
    values: dict[str, Any] = {
        "id": new_id(at),
        "at": at,
        "sha256": file["sha256"],
        "size": file["size"],
        "name": name,
        "container": file["container"],
        "verdict": file["verdict"],
        "score": file["score"],
        "credibility": file["credibility"],
        "complete": file["complete"],
        "model_version": "1",
        "api_key_id": None,
        "findings": file["findings"],
        "detectors": file["detectors"],
        "oddities": file["oddities"],
        "trace": trace,
        "schema": answer["schema"],
        "width": answer["width"],
        "row": (answer["row"][0], answer["row"][1]),
    }
    return ScanRecord(**{**values, **changes})
