"""The law of the floor: what is put around a payload never lowers it below what the payload has alone."""

from __future__ import annotations

import pickle
from collections import OrderedDict, defaultdict
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.assemble.stream import Assembler
from safepickle.ensemble import Judgement
from safepickle.features import extract
from safepickle.scan import Scanner, trace_bytes

SCANNER = Scanner()


def _payload(module: str, name: str, *texts: str) -> bytes:
    assembler = Assembler(2, memoize=False).global_(module, name).mark()
    for text in texts:
        assembler = assembler.text(text)
    return assembler.tuple_().reduce().assemble()[2:-1]


PAYLOADS = {
    "process": _payload("os", "system", "echo inert"),
    "exec": _payload("builtins", "exec", "print(1)"),
    "library": _payload("timeit", "timeit", "print(1)"),
    "unknown": _payload("vendor.loader", "run", "print(1)"),
    "import": _payload("importlib", "import_module", "harmless"),
    "usual": _payload("collections", "OrderedDict"),
}
VALUES = st.recursive(
    st.integers()
    | st.text(max_size=20)
    | st.builds(OrderedDict)
    | st.builds(Decimal, st.integers())
    | st.just(range(3)),
    lambda inner: (
        st.lists(inner, max_size=6)
        | st.dictionaries(st.text(max_size=4), inner, max_size=4)
        | st.builds(lambda value: defaultdict(list, {"a": value}), inner)
    ),
    max_leaves=40,
)


def placed(payload: bytes, host: bytes, place: str) -> bytes:
    """`host`, a stream of protocol 2, with the payload in it."""
    body = host[2:-1]
    return {
        "dropped before": b"\x80\2" + payload + b"0" + body + b".",
        "dropped behind": b"\x80\2" + body + payload + b"0.",
        "returned": b"\x80\2" + body + b"0" + payload + b".",
        "beside": b"\x80\2" + body + payload + b"\x86.",
        "a stream before": b"\x80\2" + payload + b"." + host,
        "a stream behind": host + b"\x80\2" + payload + b".",
    }[place]


def judged(data: bytes) -> Judgement:
    return SCANNER.bundle.judge(*extract(trace_bytes(data), SCANNER.knowledge))


@pytest.mark.parametrize(
    "place", ["dropped before", "dropped behind", "returned", "beside", "a stream before", "a stream behind"]
)
@settings(max_examples=40, deadline=None)
@given(name=st.sampled_from(sorted(PAYLOADS)), value=VALUES, times=st.sampled_from([1, 1, 300]))
def test_no_host_lowers_the_floor_of_a_payload(place: str, name: str, value: object, times: int) -> None:
    alone = judged(b"\x80\2" + PAYLOADS[name] + b".")
    together = judged(placed(PAYLOADS[name], pickle.dumps([value] * times, 2), place))
    assert together.floor >= alone.floor
    assert together.score >= together.floor


def test_the_floor_tells_a_payload_from_a_benign_file() -> None:
    benign = judged(pickle.dumps({"weights": [0.5] * 20, "names": OrderedDict(a=1)}, 2))
    assert judged(b"\x80\2" + PAYLOADS["process"] + b".").floor > 0.5 > benign.floor
