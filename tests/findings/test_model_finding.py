"""What the ensemble says beyond the evidence: it names the call that the detector of single calls finds worst."""

from __future__ import annotations

import pickle
from collections import OrderedDict

from safepickle.scan import FileReport, Scanner

HOST = pickle.dumps([OrderedDict(a=1), {"names": ["a", "b"]}], 2)[2:-1] + b"0"
PAYLOAD = b"cvendor.loader\nrun\nX\x08\0\0\0/etc/abc\x85R."


def said(data: bytes) -> FileReport:
    return Scanner().scan_bytes(data, "data.pkl")


def test_the_worst_call_is_named_wherever_it_is() -> None:
    alone, hosted = said(b"\x80\2" + PAYLOAD), said(b"\x80\2" + HOST + PAYLOAD)
    for report, before in ((alone, 0), (hosted, len(HOST))):
        assert report.verdict in ("suspicious", "malicious")
        (finding,) = (finding for finding in report.findings if finding.rule == "model-score")
        assert finding.callee == "vendor.loader.run"
        assert finding.title.endswith("most of all for calling vendor.loader.run")
        assert finding.offset == before + 2 + PAYLOAD.index(b"R.")


def test_where_a_finding_is_grave_the_model_adds_none() -> None:
    report = said(b"\x80\2cos\nsystem\nX\x0a\0\0\0echo inert\x85R.")
    assert report.verdict == "malicious"
    assert not [finding for finding in report.findings if finding.rule == "model-score"]
