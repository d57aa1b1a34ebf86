"""Compression layers: unpacked within budgets, and as far as they go."""

from __future__ import annotations

import bz2
import gzip
import lzma
import random
import sys
import tempfile
import zlib

import pytest

from safepickle.containers.store import HELD_BYTES
from safepickle.limits import Limits
from tests.containers.samples import (
    CALLING_0,
    CALLING_4,
    PACKERS,
    PLAIN_4,
    PNG,
    TEXT,
    found,
    kinds,
    local_member,
    scan,
    skippable,
    tar_of,
    zip_of,
    zstd,
)

NOISE = random.Random(1).randbytes(300_000)
LARGE = b"\x80\x04B" + len(NOISE).to_bytes(4, "little") + NOISE + CALLING_4[2:]

each_codec = pytest.mark.parametrize("codec", PACKERS)


@each_codec
def test_a_layer_is_unpacked_and_named(codec: str) -> None:
    contents = scan(PACKERS[codec](LARGE))
    assert (contents.container, contents.complete, contents.oddities) == (f"{codec}(pickle)", True, ())
    assert contents.regions[0].place == ((codec, ""),)
    assert found(contents) == [LARGE]


@each_codec
def test_a_truncated_layer_gives_what_came_out(codec: str) -> None:
    packed = PACKERS[codec](LARGE)
    contents = scan(packed[: len(packed) * 9 // 10])
    assert kinds(contents) == {"truncated-compression"}
    assert not contents.complete
    assert len(found(contents)[0]) > len(LARGE) // 2
    assert LARGE.startswith(found(contents)[0])


@each_codec
def test_a_damaged_layer_gives_what_comes_before_the_damage(codec: str) -> None:
    packed = bytearray(PACKERS[codec](CALLING_4 + bytes(100) + NOISE))
    middle = len(packed) * 9 // 10
    packed[middle : middle + 400] = bytes(400)
    contents = scan(bytes(packed))
    assert found(contents)[0].startswith(CALLING_4)
    # zlib may take the damage for literals and miss it until the checksum at the end
    assert not contents.complete
    assert kinds(contents) <= {"corrupt-compression", "truncated-compression"}


def test_a_wrong_checksum_at_the_end_loses_nothing() -> None:
    packed = gzip.compress(CALLING_4)
    contents = scan(packed[:-8] + bytes(8))
    assert (found(contents), kinds(contents)) == ([CALLING_4], {"corrupt-compression"})


@pytest.mark.parametrize("codec", ["gzip", "bz2", "xz", "lz4", "zstd"])
def test_several_streams_follow_each_other(codec: str) -> None:
    pack = PACKERS[codec]
    data = pack(PLAIN_4) + (bytes(8) if codec != "bz2" else b"") + pack(CALLING_4)
    contents = scan(data)
    assert (found(contents), contents.complete, contents.oddities) == ([PLAIN_4 + CALLING_4], True, ())


@each_codec
def test_a_pickle_after_the_compressed_data_is_found(codec: str) -> None:
    contents = scan(PACKERS[codec](PLAIN_4) + CALLING_0)
    assert found(contents) == [PLAIN_4, CALLING_0]
    assert "trailing-bytes" in kinds(contents)


def test_joblibs_old_header_is_stepped_over() -> None:
    for blank in (b"", b" "):
        header = b"ZF" + hex(len(CALLING_4)).encode().ljust(19) + blank
        contents = scan(header + zlib.compress(CALLING_4))
        assert (contents.container, found(contents)) == ("zlib(pickle)", [CALLING_4])


def test_layers_nest_in_every_order() -> None:
    data = bz2.compress(gzip.compress(zip_of({"a": tar_of({"b": lzma.compress(CALLING_4)})})))
    contents = scan(data)
    assert contents.container == "bz2(gzip(zip))"
    assert contents.regions[0].place == (("bz2", ""), ("gzip", ""), ("zip", "a"), ("tar", "b"), ("xz", ""))


def test_layers_beyond_the_depth_are_not_opened() -> None:
    data = CALLING_4
    for _ in range(12):
        data = gzip.compress(data)
    contents = scan(data, Limits(depth=8))
    assert (contents.regions, kinds(contents), contents.complete) == ((), {"budget:depth"}, False)


def test_text_in_a_layer_is_incomplete_like_text_in_a_file() -> None:
    contents = scan(gzip.compress(TEXT))
    assert (contents.container, contents.complete) == ("gzip(text)", False)


@each_codec
def test_a_bomb_stops_at_the_bytes_it_may_unpack(codec: str) -> None:
    bomb = PACKERS[codec](CALLING_4 + bytes(8 << 20))
    contents = scan(bomb, Limits(unpacked_bytes=4 << 20, ratio=1 << 30))
    assert kinds(contents) == {"budget:unpacked_bytes"}
    assert not contents.complete
    assert found(contents)[0].startswith(CALLING_4)
    assert len(found(contents)[0]) <= 4 << 20


def test_a_bomb_stops_at_its_ratio() -> None:
    contents = scan(gzip.compress(CALLING_4 + bytes(50 << 20)), Limits(ratio=100))
    assert kinds(contents) == {"budget:ratio"}
    assert len(found(contents)[0]) < 8 << 20


def test_bombs_in_a_zip_share_one_budget() -> None:
    members = {str(number): CALLING_4 + bytes(3 << 20) for number in range(8)}
    contents = scan(zip_of(members, 8), Limits(unpacked_bytes=8 << 20))
    assert "budget:unpacked_bytes" in kinds(contents)
    assert sum(len(data) for data in found(contents)) <= 8 << 20


def test_zips_within_zips_do_not_multiply() -> None:
    data = CALLING_4
    for _ in range(10):
        data = zip_of({str(number): data for number in range(4)}, 8)
    contents = scan(data, Limits(members=1000))
    assert not contents.complete
    assert "budget:members" in kinds(contents)


def test_much_unpacked_data_goes_to_one_map_of_a_temporary_file() -> None:
    members = {str(number): CALLING_4 + bytes([number]) * HELD_BYTES for number in range(3)}
    contents = scan(zip_of(members, 8))
    assert found(contents) == list(members.values())
    assert len({id(region.data) for region in contents.regions if not isinstance(region.data, bytes)}) == 1
    held = sum(len(region.data) for region in contents.regions if isinstance(region.data, bytes))
    assert held <= HELD_BYTES


def test_what_holds_no_pickle_is_not_kept() -> None:
    members = {f"{number}.bin": gzip.compress(PNG + bytes(HELD_BYTES // 2)) for number in range(8)}
    contents = scan(zip_of({**members, "last": gzip.compress(CALLING_4)}))
    assert isinstance(contents.regions[0].data, bytes)
    assert contents.unpacked > 4 * HELD_BYTES


def test_without_room_for_what_was_unpacked_the_file_is_incomplete(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/nonexistent")
    contents = scan(zip_of({"a": CALLING_4, "b": gzip.compress(CALLING_4 + bytes(2 * HELD_BYTES))}))
    assert (found(contents), kinds(contents), contents.complete) == ([CALLING_4], {"no-space"}, False)


def test_random_numbers_in_a_member_are_not_taken_for_damaged_compression() -> None:
    dice = random.Random(7)
    members = {str(number): b"\x78\x9c" + dice.randbytes(60) for number in range(2_000)}
    assert scan(zip_of(members)).complete


@pytest.mark.parametrize("codec", ["lz4", "zstd"])
def test_frames_that_decoders_step_over_hide_nothing(codec: str) -> None:
    pack = PACKERS[codec]
    for prefix in (skippable(b""), skippable(b"x" * 100_000, 0x5F), skippable(b"") * 20 + skippable(CALLING_0)):
        for data in (prefix + pack(CALLING_4), prefix + pack(PLAIN_4) + prefix + pack(CALLING_4)):
            contents = scan(data)
            assert contents.container == f"{codec}(pickle)"
            assert found(contents)[0].endswith(CALLING_4)
            assert found(scan(zip_of({"member": data}, 8))) == found(contents)


def test_the_old_format_of_lz4_is_unpacked_to_its_end() -> None:
    compress = pytest.importorskip("lz4.block").compress

    def legacy(*blocks: bytes) -> bytes:
        packed = [compress(block, store_size=False) for block in blocks]
        return b"\x02\x21\x4c\x18" + b"".join(len(one).to_bytes(4, "little") + one for one in packed)

    data = CALLING_4 + bytes(20 << 20)
    contents = scan(legacy(*(data[at : at + (8 << 20)] for at in range(0, len(data), 8 << 20))))
    assert (contents.container, contents.complete, found(contents)) == ("lz4-legacy(pickle)", True, [data])
    cut = scan(legacy(CALLING_4, CALLING_4)[:-1])
    assert (found(cut), kinds(cut), cut.complete) == ([CALLING_4], {"truncated-compression"}, False)


def test_zstd_blocks_of_every_kind_come_out_whole() -> None:
    module = pytest.importorskip("zstandard")
    data = PLAIN_4 + bytes(1 << 20) + NOISE + NOISE[:1000] * 50 + CALLING_4
    for level in (-5, 1, 9):
        for stated in (False, True):
            packer = module.ZstdCompressor(level=level, write_content_size=stated, write_checksum=stated)
            assert found(scan(packer.compress(data))) == [data]
            stream = packer.compressobj()
            assert found(scan(stream.compress(data) + stream.flush())) == [data]


@pytest.mark.parametrize(
    ("codec", "modules", "extra"),
    [("lz4", ["lz4", "lz4.frame"], "safepickle-ml[lz4]"), ("zstd", ["zstandard"], "safepickle-ml[zstd]")],
)
def test_without_its_extra_a_layer_is_incomplete_and_says_what_to_install(
    codec: str, modules: list[str], extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if codec == "zstd" and sys.version_info >= (3, 14):
        pytest.skip("the standard library has it")
    data = PACKERS[codec](CALLING_4)
    for module in modules:
        monkeypatch.setitem(sys.modules, module, None)
    for nested in (
        data,
        zip_of({"a": data, "b": PLAIN_4}),
        zip_of({"a": data}, 8),
        tar_of({"a": data}),
        gzip.compress(data),
    ):
        contents = scan(nested)
        assert (kinds(contents), contents.complete) == ({"decoder-missing"}, False)
        assert extra in contents.oddities[0].detail


def test_zip_members_packed_by_zstd_are_read() -> None:
    data = bytearray(local_member(b"a", zstd(CALLING_4), method=93))
    data[22:26] = len(CALLING_4).to_bytes(4, "little")
    assert found(scan(bytes(data))) == [CALLING_4]


@pytest.mark.parametrize("codec", ["lz4", "zstd", "xz", "bz2", "gzip"])
def test_damage_from_the_first_byte_behind_the_magic_makes_a_member_incomplete(codec: str) -> None:
    packed = PACKERS[codec](CALLING_4)
    contents = scan(zip_of({"a": packed[:10] + b"\xff" * (len(packed) - 10), "b": PLAIN_4}))
    assert (found(contents), contents.complete) == ([PLAIN_4], False)
