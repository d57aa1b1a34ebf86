"""Features: named, finite, and raised but never lowered by what is added to a file."""

from __future__ import annotations

import math
import pickle
from collections import OrderedDict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safepickle.bytecode.trace import FileTrace
from safepickle.capabilities.sinks import SINKS, sink_kind
from safepickle.features import SCHEMA, Knowledge, Prevalence, extract, part_of
from safepickle.features.prevalence import PARTS, called
from safepickle.scan import trace_bytes

USUAL = Prevalence(
    {
        "collections.OrderedDict": 100,
        "collections.OrderedDict()": 100,
        "collections.*": 100,
        "collections.**": 100,
        "vendor.Thing": 3,
    },
    120,
)

PAYLOADS = {
    "sink": b"\x80\x02cos\nsystem\nX\x0a\0\0\0echo inert\x85R.",
    "novel": b"\x80\x02cvendor.loader\nrun\nX\x08\0\0\0print(1)\x85R.",
    "passed": b"\x80\x02cfunctools\npartial\ncbuiltins\neval\nX\x08\0\0\0print(1)\x86R.",
    "built": b"\x80\x02cjson\ndecoder\n}X\x01\0\0\0aK\x01sb.",
    "benign": pickle.dumps(OrderedDict(a=1)),
}
BENIGN = st.recursive(
    st.integers() | st.text(max_size=20) | st.builds(OrderedDict),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=15,
)


def row(file: FileTrace, prevalence: Prevalence = USUAL) -> dict[str, float]:
    return dict(zip(SCHEMA.names, extract(file, Knowledge(prevalence))[0], strict=True))


def test_every_feature_has_one_name_and_one_group() -> None:
    assert len(set(SCHEMA.names)) == len(SCHEMA.names)
    assert SCHEMA.monotone <= set(SCHEMA.names)
    assert sorted(SCHEMA.columns(("opcode_frequencies", "structure", "calls", "capability"))) == list(
        range(len(SCHEMA.names))
    )
    with pytest.raises(KeyError):
        SCHEMA.columns(("no such group",))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300) | st.sampled_from(sorted(PAYLOADS.values())))
def test_rows_are_finite_whatever_the_file(data: bytes) -> None:
    values, calls = extract(trace_bytes(data), Knowledge(USUAL))
    assert len(values) == len(SCHEMA.names)
    assert all(len(call) == len(SCHEMA.call_names) for call in calls)
    assert all(math.isfinite(value) and abs(value) < 1e6 for row in (values, *calls) for value in row)


def test_opcode_frequencies_sum_to_one() -> None:
    values = row(trace_bytes(pickle.dumps({"a": [1, 2, 3]})))
    assert sum(value for name, value in values.items() if name.startswith("frequency_")) == pytest.approx(1)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(PAYLOADS)), BENIGN, st.booleans())
def test_a_host_never_lowers_a_monotone_feature_of_a_payload(name: str, host: object, first: bool) -> None:
    payload = PAYLOADS[name]
    alone = row(trace_bytes(payload))
    parts = [pickle.dumps(host, 2), payload]
    together = row(trace_bytes(b"".join(parts if first else parts[::-1])))
    lower = {feature for feature in SCHEMA.monotone if together[feature] < alone[feature]}
    assert not lower


def test_what_decides_is_the_worst_call_not_its_share() -> None:
    host = pickle.dumps([OrderedDict(a=n) for n in range(2000)], 2)
    spliced = host[:-1] + b"0" + PAYLOADS["novel"][2:]
    for feature in ("novel_with_code", "novel_function_call", "novel_callee"):
        assert row(trace_bytes(spliced))[feature] == row(trace_bytes(PAYLOADS["novel"]))[feature] == 1.0


def test_a_training_row_sees_counts_of_other_parts_of_the_groups_alone() -> None:
    mine, usual = trace_bytes(b"\x80\x02cvendor\nThing\n)R."), trace_bytes(PAYLOADS["benign"])
    prevalence = Prevalence.count([("me", mine), *((f"group {number}", usual) for number in range(200))])
    assert prevalence.groups_with("vendor.Thing") == 1
    assert prevalence.groups_beyond(part_of("me"), "vendor.Thing") == 0
    seen = extract(mine, Knowledge(prevalence, part_of("me")))[0]
    assert dict(zip(SCHEMA.names, seen, strict=True))["novel_callee"] == 1.0
    # what benign and malicious rows have in common looks about alike to both, whether they are counted or not
    for part in range(PARTS):
        assert abs(prevalence.groups_beyond(part, "collections.OrderedDict") - 200) < 2


def test_prevalence_counts_groups_not_files_and_survives_json() -> None:
    file = trace_bytes(PAYLOADS["benign"])
    prevalence = Prevalence.count([("one", file), ("one", file), ("two", file)])
    assert prevalence.groups_with("collections.OrderedDict") == 2
    again = Prevalence.from_json(prevalence.to_json())
    assert again.novelty("collections.OrderedDict") == prevalence.novelty("collections.OrderedDict") < 1
    with pytest.raises(ValueError, match="version"):
        Prevalence.from_json({"version": 99})


def test_moved_names_are_counted_together() -> None:
    file = trace_bytes(b"\x80\x02cnumpy.core.multiarray\nscalar\n.")
    assert Prevalence.count([("g", file)]).groups_with("numpy._core.multiarray.scalar") == 1


def test_what_a_class_inherits_is_counted_as_what_it_is() -> None:
    file = trace_bytes(b"\x80\x02cbuiltins\ngetattr\nckeras.layers\nDense\nX\x0f\0\0\0_unpickle_model\x86RN\x85R.")
    prevalence = Prevalence.count([("g", file)])
    assert prevalence.groups_with("keras.layers.Flatten._unpickle_model()") == 1
    assert prevalence.groups_with("keras.layers.Flatten") == 0
    assert prevalence.groups_with("keras.src.layers.core.dense.Dense") == 1


@pytest.mark.parametrize("name", sorted(SINKS))
def test_a_sink_is_found_through_another_module_and_through_call(name: str) -> None:
    assert sink_kind(name) == sink_kind(f"random._os.{name}") == sink_kind(f"{name}.__call__") == SINKS[name]


@pytest.mark.parametrize(
    "name", ["", "os", "os.path.join", "builtins.eval.__doc__", "vendor.system", "torch.load_state_dict"]
)
def test_what_only_looks_like_a_sink_is_none(name: str) -> None:
    assert sink_kind(name) == ""


def test_naming_calling_and_calling_the_result_are_counted_apart() -> None:
    named, calls, twice = (trace_bytes(b"\x80\x02cvendor\nmake\n" + rest) for rest in (b".", b")R.", b")R)R."))
    prevalence = Prevalence.count([("g", named), ("h", calls)])
    assert prevalence.groups_with("vendor.make") == 2
    assert [prevalence.groups_with(called(call)) for call in twice.streams[0].calls] == [1, 0]
    rows = [row(file, prevalence) for file in (calls, twice)]
    assert [row["result_callee"] for row in rows] == [0.0, 1.0]
