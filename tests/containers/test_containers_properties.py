"""Laws that hold for any bytes: nothing raises, budgets hold, same bytes give the same contents."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from safepickle.containers import Contents
from safepickle.limits import Limits
from safepickle.scan import trace_bytes
from tests.containers.samples import CALLING_0, CALLING_2, CALLING_4, scan, zip_of
from tests.guided.laws import check_trace
from tests.guided.seeds import seeds

LIMITS = Limits(depth=4, members=50, unpacked_bytes=1 << 20, ratio=200, seconds=60.0)

SEEDS = seeds("all")
MAGICS = [
    b"", b"PK\x03\x04", b"\x93NUMPY\x01\x00", b"\x1f\x8b\x08\x00", b"BZh9", b"x\x9c", b"7z\xbc\xaf\x27\x1c",
    b"\x28\xb5\x2f\xfd", b"\x04\x22\x4d\x18", b"{", b"c",
]  # fmt: skip


def check(data: bytes) -> Contents:
    contents = scan(data, LIMITS)
    assert contents.unpacked <= LIMITS.unpacked_bytes
    for region in contents.regions:
        assert 0 <= region.start < region.end <= len(region.data)
        assert region.role in ("pickle", "legacy-torch", "joblib", "npy")
        assert len(region.place) <= LIMITS.depth
    assert contents.container
    for oddity in contents.oddities:
        oddity.detail.encode()
        assert not oddity.kind.startswith("budget:") or not contents.complete
    return contents


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A seed with some bytes changed, cut out, inserted or taken from another seed."""
    data = bytearray(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(len(data) - 1, 0)))
        change = draw(st.sampled_from(("byte", "cut", "insert", "append", "prepend")))
        if change == "byte" and data:
            data[at] = draw(st.integers(0, 255))
        elif change == "cut":
            del data[at : at + draw(st.integers(1, 40))]
        elif change == "insert":
            data[at:at] = draw(st.binary(max_size=40))
        elif change == "append":
            data += draw(st.sampled_from(SEEDS))
        else:
            data[:0] = draw(st.sampled_from(SEEDS))
    return bytes(data)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(mutated())
def test_damaged_and_joined_files_never_raise_and_stay_within_budgets(data: bytes) -> None:
    check(data)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(MAGICS), st.binary(max_size=400))
def test_any_bytes_behind_any_magic_never_raise(magic: bytes, rest: bytes) -> None:
    check(magic + rest)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(mutated())
def test_what_fuzzing_checks_holds_of_every_damaged_file(data: bytes) -> None:
    check_trace(trace_bytes(data, LIMITS))


@settings(max_examples=60, deadline=None)
@given(mutated())
def test_the_same_bytes_give_the_same_contents(data: bytes) -> None:
    first, second = scan(data, LIMITS), scan(data, LIMITS)
    assert first == second


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=8),
                       st.sampled_from([CALLING_0, CALLING_2, CALLING_4]), min_size=1, max_size=6),
       st.sampled_from([0, 8, 12, 14]), st.binary(max_size=60))  # fmt: skip
def test_bytes_before_an_archive_never_hide_a_member(members: dict[str, bytes], method: int, prefix: bytes) -> None:
    def payloads(data: bytes) -> list[bytes]:
        return [bytes(r.data[r.start : r.end]) for r in scan(data).regions if r.place and r.place[-1][0] == "zip"]

    archive = zip_of(members, method)
    assert set(payloads(archive)) == set(members.values())
    assert set(payloads(prefix + archive)) >= set(members.values())


@pytest.mark.parametrize("seed", range(len(SEEDS)))
def test_every_truncation_never_raises(seed: int) -> None:
    data = SEEDS[seed]
    for end in range(0, len(data), max(1, len(data) // 300)):
        check(data[:end])
