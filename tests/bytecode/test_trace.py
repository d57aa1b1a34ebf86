"""Traces: canonical JSON, redaction, old schemas."""

from __future__ import annotations

import json
import pickle
from collections import OrderedDict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safepickle.bytecode.trace import SCHEMA, Descriptor, FileTrace
from safepickle.scan import trace_bytes

HOSTILE = b"\x80\x04cos\nsystem\n\x8c\x10echo secret-name\x85R}\x8c\x01ascvendor\nThing\n)\x81."


def test_json_round_trip_keeps_everything() -> None:
    for data in (HOSTILE, pickle.dumps([OrderedDict(a=1)]), b"", b"junk"):
        found = trace_bytes(data)
        assert FileTrace.from_json(found.to_json()) == found
        assert FileTrace.from_json(found.to_json()).to_json() == found.to_json()


def test_redaction_leaves_no_literal_and_every_descriptor() -> None:
    found = trace_bytes(HOSTILE)
    assert "secret-name" in found.to_json()
    redacted = found.redacted()
    assert "secret-name" not in redacted.to_json()
    assert redacted.streams[0].calls[0].args[0].replace(literal="echo secret-name") == found.streams[0].calls[0].args[0]
    assert redacted.redacted() == redacted


@settings(max_examples=100, deadline=None)
@given(st.text(min_size=6, alphabet="abcdefghij secret"))
def test_redaction_hides_any_argument(text: str) -> None:
    secret = "Q" + text + "Q"
    data = b"\x80\x02cvendor\nf\nX" + len(secret.encode()).to_bytes(4, "little") + secret.encode() + b"\x85R."
    assert secret not in json.loads(trace_bytes(data).redacted().to_json()).__repr__()


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "null", '{"schema":99}', '{"schema":1}', '{"schema":1,"size":1,"x":2}']
)
def test_what_is_no_trace_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="Trace"):
        FileTrace.from_json(text)


STORED_SCHEMA_1 = (
    '{"complete":true,"container":"pickle","schema":1,"size":30,"streams":[{"calls":[{"args":[{"entropy":2.81,'
    '"length":7,"looks":"shell","type":"str"}],"callee":{"kind":"global","name":"posix.system"},"offset":27,'
    '"opcode":"REDUCE","result":["returned"]}],"coverage":{"present":30,"state":"complete","understood":30},'
    '"imports":[{"name":"posix.system","offset":17,"opcode":"STACK_GLOBAL","written":"posix system"}],"length":30,'
    '"offset":0,"opcodes":{"PROTO":1,"REDUCE":1,"SHORT_BINUNICODE":3,"STACK_GLOBAL":1,"STOP":1,"TUPLE1":1},'
    '"place":[],"protocol":[4,4]}]}'
)


def test_a_stored_trace_of_schema_1_is_still_read() -> None:
    assert SCHEMA >= 1
    found = FileTrace.from_json(STORED_SCHEMA_1)
    call = found.streams[0].calls[0]
    assert call.callee.name == "posix.system"
    assert call.args == (Descriptor("str", 7, "shell", 2.81),)


def test_equal_bytes_give_equal_json_and_records_are_frozen() -> None:
    assert trace_bytes(HOSTILE).to_json() == trace_bytes(bytes(bytearray(HOSTILE))).to_json()
    with pytest.raises(AttributeError, match="frozen"):
        trace_bytes(HOSTILE).size = 3  # type: ignore[misc]
