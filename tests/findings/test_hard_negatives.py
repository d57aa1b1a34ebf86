"""Benign files that look hostile: what is said of them is true, not above ``info``, and graver of hostile twins."""

from __future__ import annotations

import argparse
import functools
import pathlib
import pickle
import re
import uuid
from collections import OrderedDict, defaultdict
from io import BytesIO
from pathlib import Path
from typing import Any

import cloudpickle
import dill
import pytest

from pipelines import dataset
from pipelines.evaluation.sets import HARD_NEGATIVE
from safepickle.findings import SEVERITIES, Finding, find
from safepickle.scan import Scanner, trace_bytes

KNOWLEDGE = Scanner().knowledge


def found(data: bytes) -> tuple[Finding, ...]:
    """Evidence in calls and structure; what the detectors make of it is not asked here."""
    return find(trace_bytes(data), KNOWLEDGE)


def dilled(value: Any) -> bytes:
    data: bytes = dill.dumps(value, recurse=True)
    return data


def text(value: str) -> bytes:
    return b"X" + len(value).to_bytes(4, "little") + value.encode()


def literal(value: bytes) -> bytes:
    return b"B" + len(value).to_bytes(4, "little") + value


INNER = pickle.dumps(OrderedDict(a=1))
HOSTILE_INNER = b"cos\nsystem\n" + text("echo inert") + b"\x85R."

HARMLESS: dict[str, bytes] = {
    "a lambda by cloudpickle": cloudpickle.dumps(lambda x: x + 1),
    "a lambda by dill": dilled(lambda x: x + 1),
    "a partial": pickle.dumps(functools.partial(OrderedDict, a=1)),
    "a partial of print": pickle.dumps(functools.partial(print, "x")),
    "a method of a class": pickle.dumps(OrderedDict.fromkeys),
    "getattr on a class": b"\x80\x04cbuiltins\ngetattr\nccollections\nOrderedDict\n" + text("fromkeys") + b"\x86R.",
    "subimport by cloudpickle": b"\x80\x04ccloudpickle.cloudpickle\nsubimport\n" + text("numpy") + b"\x85R.",
    "_import_module by dill": b"\x80\x04cdill._dill\n_import_module\n" + text("numpy") + b"\x85R.",
    "import_module with a name": b"\x80\x04cimportlib\nimport_module\n" + text("numpy.linalg") + b"\x85R.",
    "a storage in torch's _load_from_bytes": b"\x80\x02ctorch.storage\n_load_from_bytes\n" + literal(INNER) + b"\x85R.",
    "pickle.loads of a literal": b"\x80\x02cpickle\nloads\n" + literal(INNER) + b"\x85R.",
    "an instance of __main__.Net": b"\x80\x02c__main__\nNet\n)\x81}" + text("a") + b"K\x01sb.",
    "a regular expression": pickle.dumps(re.compile("a+")),
    "ordinary objects": pickle.dumps(
        [argparse.Namespace(a=1), pathlib.PurePosixPath("a"), uuid.UUID(int=1), slice(1, 2), {1}, type(None), 1j]
    ),
    "bytes in protocol 2": pickle.dumps(b"\x80abc", 2),
    "a defaultdict": pickle.dumps(defaultdict(list, a=[1])),
    "eval.__doc__": b"\x80\x04cbuiltins\ngetattr\ncbuiltins\neval\n" + text("__doc__") + b"\x86R.",
    "eval.__doc__ by a dotted name": b"\x80\x04" + text("builtins") + text("eval.__doc__") + b"\x93.",
    "strings that say os.system": pickle.dumps({"os.system": "exec('import subprocess')", "c": "cos\nsystem\n"}),
}


SAID = frozenset(("odd-reading", "not-understood"))
"""Rules about how a file can be read, not about what it would do."""


def test_what_published_models_do_that_looks_hostile_is_not_above_info() -> None:
    seed = dataset.read(Path("data/seed/corpus.parquet"))
    hard = seed[
        (seed["label"] == "benign")
        & (seed["origin"] == "public")
        & seed["note"].str.contains(HARD_NEGATIVE, regex=False)
    ]
    assert len(hard) > 300
    above = [
        (name, finding.title)
        for name, trace in zip(hard["name"], dataset.traces(hard), strict=True)
        for finding in find(trace, KNOWLEDGE)
        if finding.severity != "info" and finding.rule not in SAID
    ]
    assert above == []


@pytest.mark.parametrize("name", HARMLESS)
def test_what_is_said_of_a_harmless_file_is_not_above_info(name: str) -> None:
    assert [finding for finding in found(HARMLESS[name]) if finding.severity != "info"] == []


TWINS: dict[str, tuple[bytes, str, str]] = {
    "a function made of code that is called": (
        b"\x80\x02ctypes\nFunctionType\n(cvendor\ncode\n}tR)R.", "runs-made-code", "critical",
    ),
    "a partial of os.system": (
        b"\x80\x02cfunctools\npartial\ncos\nsystem\n" + text("echo") + b"\x86R.", "passes-process", "high",
    ),
    "getattr on os": (
        b"\x80\x04cbuiltins\ngetattr\ncos\n__name__\n0cimportlib\nimport_module\n" + text("os") + b"\x85R"
        + text("system") + b"\x86R" + text("echo") + b"\x85R.",
        "call-process", "critical",
    ),
    "import_module with what was computed": (
        b"\x80\x04cimportlib\nimport_module\ncvendor\nname\n)R\x85R.", "call-import", "high",
    ),
    "pickle.loads of a hostile literal": (
        b"\x80\x02cpickle\nloads\n" + literal(HOSTILE_INNER) + b"\x85R.", "call-process", "critical",
    ),
    "pickle.loads of something unknown": (
        b"\x80\x02cpickle\nloads\ncvendor\nfetch\n)R\x85R.", "call-deserialize", "high",
    ),
    "eval that is called": (b"\x80\x04cbuiltins\neval\n" + text("1") + b"\x85R.", "call-exec", "critical"),
    "eval that is only named": (b"\x80\x04cbuiltins\neval\n.", "import-exec", "low"),
    "attributes planted on a class": (b"\x80\x02cvendor\nNet\n}" + text("a") + b"K\x01sb.", "build-on-global", "high"),
}  # fmt: skip


@pytest.mark.parametrize("name", TWINS)
def test_the_hostile_twin_is_told_apart(name: str) -> None:
    data, rule, severity = TWINS[name]
    assert (rule, severity) in {(finding.rule, finding.severity) for finding in found(data)}


def test_benign_bulk_gives_no_finding_at_all() -> None:
    weights = {f"layer{number}": [0.5] * 20 for number in range(300)}
    buffer = BytesIO()
    pickle.dump([OrderedDict(weights), set(weights), {"shape": (3, 4)}], buffer)
    assert found(buffer.getvalue()) == ()


def test_alike_findings_are_one_with_a_count() -> None:
    trees = b"".join(b"cvendor.tree\nmake\n" + text(f"name{number}") + b"\x85R0" for number in range(300))
    (only,) = [finding for finding in found(b"\x80\x02" + trees + b"N.") if finding.rule.startswith("unknown")]
    assert (only.count, only.callee) == (300, "vendor.tree.make")


def test_many_different_commands_are_a_few_findings_that_count_all() -> None:
    commands = b"".join(b"cos\nsystem\n" + text(f"echo {number} > f") + b"K\x00" * (number % 9) + b"0" * (number % 9)
                        + b"\x85R0" for number in range(90))  # fmt: skip
    same = [finding for finding in found(b"\x80\x02" + commands + b"N.") if finding.rule == "call-process"]
    assert len(same) <= 10
    assert sum(finding.count for finding in same) == 90


def test_findings_come_worst_first_and_say_what_where_and_how_it_was_reached() -> None:
    findings = found(TWINS["getattr on os"][0])
    ranks = [SEVERITIES.index(finding.severity) for finding in findings]
    assert ranks == sorted(ranks, reverse=True)
    worst = findings[0]
    assert worst.title == "starts a process: os.system('echo')"
    assert worst.effect == "starts a process"
    assert "builtins.getattr" in worst.steps
    assert worst.callee == "os.system"


def test_a_library_function_that_reaches_a_sink_says_so_one_step_milder_than_the_sink_itself() -> None:
    (only,) = [one for one in found(b"cposix\nputenv\n(S'A'\nS'b'\ntR.") if one.rule.startswith("reach-")]
    assert (only.rule, only.severity, only.callee) == ("reach-file", "medium", "posix.putenv")
    assert only.why == "posix.putenv, written in C, does so itself."


def test_the_spelling_of_the_file_is_told_where_it_differs() -> None:
    (worst, *_rest) = found(b"c__builtin__\neval\n(S'1'\ntR.")
    assert worst.callee == "builtins.eval"
    assert worst.steps == ("written as __builtin__.eval",)
