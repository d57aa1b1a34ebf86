"""From Traces to verdicts: evidence outranks faults and floods, stored Traces are judged as fresh ones are."""

from __future__ import annotations

import json
import pickle
import random
import zipfile
from collections import OrderedDict
from io import BytesIO
from typing import Any

import pytest

from safepickle import scan
from safepickle.bytecode.region import Found
from safepickle.bytecode.trace import FileTrace
from safepickle.scan import Scanner, trace_bytes

HOSTILE = {
    "a command": b"cos\nsystem\n(S'echo inert'\ntR.",
    "damaged behind it": b"cos\nsystem\n(S'echo inert'\ntR\xff",
    "behind junk": b"N.\xff\xffcos\nsystem\n(S'echo inert'\ntR.",
    "in a literal": pickle.dumps({"a": b"\x80\x03cos\nsystem\nX\x04\0\0\0echo\x85R."}),
    "getattr": b"cbuiltins\ngetattr\n(cposix\nS'system'\ntR(S'echo inert'\ntR.",
    "handed over": b"cbuiltins\nmap\n(cos\nsystem\n](S'echo inert'\netR.",
}
BENIGN = pickle.dumps(OrderedDict(a=[1, 2], b="text"))


@pytest.fixture(scope="module")
def scanner() -> Scanner:
    return Scanner()


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_stored_trace_is_judged_as_the_fresh_one(scanner: Scanner, data: bytes) -> None:
    fresh = trace_bytes(data)
    said = scanner.judge(fresh)
    assert said.verdict in ("malicious", "suspicious")
    assert scanner.judge(FileTrace.from_json(fresh.to_json())) == said
    redacted = scanner.judge(FileTrace.from_json(fresh.redacted().to_json()))
    assert (redacted.verdict, redacted.score, redacted.detectors) == (said.verdict, said.score, said.detectors)
    assert [(f.rule, f.callee, f.severity) for f in redacted.findings] == [
        (f.rule, f.callee, f.severity) for f in said.findings
    ]


def test_evidence_outranks_what_was_not_understood(scanner: Scanner) -> None:
    report = scanner.scan_bytes(HOSTILE["damaged behind it"])
    assert not report.complete
    assert report.verdict in ("malicious", "suspicious")


def test_a_flood_of_lesser_findings_hides_no_worse_one(scanner: Scanner) -> None:
    flood = b"".join(b"cvendor\nf%d\n)R0" % n for n in range(3_000))
    findings = scanner.scan_bytes(b"\x80\x02" + flood + HOSTILE["a command"]).findings
    assert (findings[0].rule, findings[0].callee) == ("call-process", "os.system")
    assert len(findings) < 2_600


def test_a_fault_of_ours_in_one_member_keeps_the_evidence_of_the_others(
    scanner: Scanner, monkeypatch: pytest.MonkeyPatch
) -> None:
    ordinary = scan.trace_region

    def faulty(data: Any, start: int, end: int, place: Any, *rest: Any) -> Found:
        if any("faulty" in member for _step, member in place):
            raise RuntimeError("a fault")
        return ordinary(data, start, end, place, *rest)

    monkeypatch.setattr(scan, "trace_region", faulty)
    file = BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a/faulty.pkl", BENIGN)
        archive.writestr("a/data.pkl", HOSTILE["a command"])
    report = scanner.scan_bytes(file.getvalue())
    assert not report.complete
    assert "internal-error" in {oddity.kind for oddity in report.oddities}
    assert report.verdict in ("malicious", "suspicious")


# --- the list of what is allowed -----------------------------------------------------------------

VENDOR = b"cvendor\nload\n(S'echo inert; true'\ntR."


def rules(data: bytes, *allow: str) -> set[str]:
    return {finding.rule for finding in Scanner(allow=frozenset(allow)).scan_bytes(data).findings}


def test_an_allowed_call_is_no_evidence() -> None:
    assert "unknown-with-argument" in rules(VENDOR)
    assert not {"unknown-with-argument", "unknown-function"} & rules(VENDOR, "vendor.load")


def test_another_name_of_the_same_module_stays_evidence() -> None:
    assert "unknown-with-argument" in rules(VENDOR, "vendor.save", "vendor")


def test_an_allowed_call_that_hands_over_what_is_not_allowed_stays_evidence() -> None:
    handing = b"cvendor\nload\n(cos\nsystem\n](S'echo inert'\netR."
    assert "passes-process" in rules(handing, "vendor.load")
    assert "passes-process" not in rules(handing, "vendor.load", "os.system")


def test_a_call_of_what_an_allowed_call_returned_stays_evidence() -> None:
    twice = b"cvendor\nload\n)R(S'echo inert'\ntR."
    assert "result-callee" in rules(twice, "vendor.load")


# --- Traces of unknown origin --------------------------------------------------------------------


def mutants(plain: Any, source: random.Random) -> Any:
    """The value with one part of it replaced, left out, renamed or repeated."""
    others = (None, True, -1, 1 << 70, 1.5, float("nan"), "x", "x" * 20_000, [], {}, [[]], "\ud800", "os.system")
    if isinstance(plain, dict) and plain and source.random() < 0.8:
        name = source.choice(list(plain))
        kind = source.randrange(6)
        rest = {key: value for key, value in plain.items() if key != name}
        if kind == 0:
            return rest
        if kind == 1:
            return {**rest, name + "x": plain[name]}
        return {**plain, name: mutants(plain[name], source)}
    if isinstance(plain, list) and plain and source.random() < 0.8:
        index = source.randrange(len(plain))
        return [*plain[:index], mutants(plain[index], source), *plain[index + source.randrange(2) :]]
    return source.choice(others)


def test_a_changed_trace_is_refused_or_judged(scanner: Scanner) -> None:
    source = random.Random(1)
    stored = [trace_bytes(data).to_json() for data in (*HOSTILE.values(), BENIGN)]
    outcomes = {"refused": 0, "judged": 0}
    for _ in range(3_000):
        plain = json.loads(source.choice(stored))
        for _ in range(source.choice((1, 1, 3))):
            plain = mutants(plain, source)
        try:
            found = FileTrace.from_json(json.dumps(plain))
        except ValueError:
            outcomes["refused"] += 1
            continue
        scanner.judge(found)
        assert FileTrace.from_json(found.to_json()) == found
        outcomes["judged"] += 1
    assert min(outcomes.values()) > 100


@pytest.mark.parametrize(
    "text",
    ["[" * 100_000, '{"schema":1,"streams":' + '[{"children":' * 5_000, '{"schema":true}', '{"schema":[]}', "1"],
    ids=["deep", "deep streams", "truth", "list", "number"],
)
def test_text_that_is_no_trace_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="Trace"):
        FileTrace.from_json(text)


def test_streams_within_streams_without_end_are_refused() -> None:
    stream: dict[str, Any] = json.loads(trace_bytes(BENIGN).to_json())["streams"][0]
    text = json.dumps(stream)[:-1] + ', "children": ['
    head = '{"schema":1,"size":1,"container":"x","complete":true,"streams":['
    assert len(FileTrace.from_json(head + text * 20 + "]}" * 20 + "]}").walk()) == 20
    with pytest.raises(ValueError, match="levels"):
        FileTrace.from_json(head + text * 200 + "]}" * 200 + "]}")
