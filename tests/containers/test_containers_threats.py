"""Every way to wrap a pickle: around a hostile one the call is found, around its benign twin the file is clean.

Each wrapping is a function of the stream alone, so that nothing but the stream tells the twins apart.
"""

from __future__ import annotations

import base64
import functools
import gzip
import io
import pickle
import struct
import zipfile
from collections.abc import Callable

import pytest

from safepickle.scan import FileReport, Scanner
from tests.cli import HOSTILE
from tests.containers.samples import (
    LEGACY_MAGIC,
    PACKERS,
    PLAIN_4,
    PNG,
    TEXT,
    local_member,
    npy_of,
    patched,
    skippable,
    tar_header,
    tar_of,
    zf_of,
    zip_of,
)
from tests.containers.sevenzip import METHODS, sevenzip_of, with_packed_header

TWIN = pickle.dumps({"weights": [0.1, 0.2, 0.3], "classes": ["cat", "dog"]}, protocol=2)
TORCH_TAR = {"sys_info": PLAIN_4, "pickle": PLAIN_4, "storages": PLAIN_4, "tensors": PLAIN_4}
NUMBERS = npy_of("'<f4'", "(2,)", bytes(8))
FLOATS = b"\x00\x00\x80\x3f" * 64
JOBLIB_HEAD = (
    b"\x80\x03cjoblib.numpy_pickle\nNumpyArrayWrapper\nq\x00)\x81q\x01}q\x02(X\x08\x00\x00\x00subclassq\x03cnumpy\nndarray\n"
    b"q\x04X\x05\x00\x00\x00shapeq\x05K\x02\x85q\x06X\x05\x00\x00\x00orderq\x07X\x01\x00\x00\x00Cq\x08X\x05\x00\x00\x00"
    b"dtypeq\tcnumpy\ndtype\nq\nX\x02\x00\x00\x00%sq\x0b\x89\x88\x87q\x0cRq\r(K\x03X\x01\x00\x00\x00%sq\x0eNNNJ\xff"
    b"\xff\xff\xffJ\xff\xff\xff\xffK%stq\x0fbX\n\x00\x00\x00allow_mmapq\x10\x88ub"
)
"""What joblib pickles before the raw bytes of an array of two items."""


def joblib_raw(stream: bytes) -> bytes:
    """A list of an array of two float64 and of what the stream makes, as one stream with the array in it."""
    head = JOBLIB_HEAD % (b"f8", b"<", b"\x00")
    return b"\x80\x03]" + head[2:] + bytes(range(0x30, 0x40)) + b"a" + stream[2:-1] + b"a."


def joblib_objects(stream: bytes) -> bytes:
    """An array of objects, which joblib leaves to a pickle in the middle of the stream."""
    return JOBLIB_HEAD % (b"O8", b"|", b"\x3f") + stream + b"."


def torch_zip(stream: bytes, method: int = 0) -> bytes:
    return zip_of({"archive/data.pkl": stream, "archive/data/0": FLOATS, "archive/version": b"3\n"}, method)


def torch_legacy(stream: bytes) -> bytes:
    """Magic, protocol version, system, the object, the keys of its storages; then their raw bytes."""
    system = pickle.dumps({"protocol_version": 1001, "little_endian": True}, 2)
    return (
        LEGACY_MAGIC + b"\x80\x02M\xe9\x03." + system + stream + pickle.dumps(["0"], 2) + struct.pack("<q", 64) + FLOATS
    )


def only_local(stream: bytes) -> bytes:
    """A member whose entry was taken out of the directory."""
    data = zip_of({"a": PLAIN_4, "b": stream})
    first = data.index(b"PK\x01\x02")
    second = data.index(b"PK\x01\x02", first + 4)
    return data[:second] + struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 1, 1, second - first, first, 0)


def headers_disagree(stream: bytes) -> bytes:
    """The directory says that the member is packed by a method that it is not."""
    return patched(zip_of({"data": stream, "b": PLAIN_4}), b"PK\x01\x02", 10, b"\x08\x00")


def both(data: bytes, local: int, central: int, value: bytes) -> bytes:
    """A field of the first member, the same in both headers."""
    return patched(patched(data, b"PK\x03\x04", local, value), b"PK\x01\x02", central, value)


def twice(stream: bytes) -> bytes:
    data = zip_of({"a": PLAIN_4, "b": stream})
    for signature, offset in ((b"PK\x03\x04", 30), (b"PK\x01\x02", 46)):
        data = patched(data, signature, offset, b"a", which=1)
    return data


def zip64(stream: bytes) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive, archive.open("data.pkl", "w", force_zip64=True) as member:
        member.write(stream)
    return target.getvalue()


def symlink(stream: bytes) -> bytes:
    return patched(zip_of({"a": stream}), b"PK\x01\x02", 38, struct.pack("<I", 0xA1FF << 16))


def nemo(stream: bytes) -> bytes:
    return tar_of({"model_config.yaml": b"sample_rate: 16000\n", "model_weights.ckpt": torch_zip(stream)})


def stable_baselines(stream: bytes) -> bytes:
    data = b'{"policy": {":type:": "x", ":serialized:": "%s"}}' % base64.b64encode(stream)
    return zip_of({"data": data, "policy.pth": torch_zip(PLAIN_4), "_stable_baselines3_version": b"2.0"})


def pax(stream: bytes) -> bytes:
    record = b"17 path=a/b/c.d\n\n"
    return tar_header(b"pax", len(record), b"x") + record + bytes(512 - len(record)) + tar_of({"x": stream})


def in_7z(method: str, stream: bytes) -> bytes:
    return sevenzip_of({"a": stream}, method)


def joblib_packed(codec: str, stream: bytes) -> bytes:
    return PACKERS[codec](joblib_raw(stream))


def second(codec: str, stream: bytes) -> bytes:
    return PACKERS[codec](PLAIN_4) + PACKERS[codec](stream)


def behind_skipped(codec: str, stream: bytes) -> bytes:
    return skippable(b"x" * 99) + PACKERS[codec](stream)


def corrupt_first(stream: bytes) -> bytes:
    data = bytearray(zip_of({"bad": PLAIN_4 * 100, "good": stream}, 8))
    for at in range(40, 50):
        data[at] ^= 0xFF
    return bytes(data)


WRAPPINGS: dict[str, Callable[[bytes], bytes]] = {
    "nothing": lambda stream: stream,
    "zip: no .pkl": lambda stream: zip_of({"weights.bin": stream}),
    "zip: no name": lambda stream: zip_of({"x/": stream}),
    "zip: packed": lambda stream: zip_of({"a": stream}, 8),
    "zip: bzip2": lambda stream: zip_of({"a": stream}, 12),
    "zip: lzma": lambda stream: zip_of({"a": stream}, 14),
    "zip: flags 0x20": lambda stream: both(zip_of({"a": stream}), 6, 8, b"\x20\x00"),
    "zip: bad checksum": lambda stream: both(zip_of({"a": stream}), 14, 16, b"\1\2\3\4"),
    "zip: size 0": lambda stream: both(zip_of({"a": stream}), 22, 24, bytes(4)),
    "zip: packed size 0": lambda stream: both(zip_of({"a": stream}), 18, 20, bytes(4)),
    "zip: only a local header": only_local,
    "zip: name differs": lambda stream: patched(zip_of({"data.pkl": stream}), b"PK\x01\x02", 46, b"data.txt"),
    "zip: prefix": lambda stream: b"#!/bin/sh\n" * 900 + zip_of({"a": stream}),
    "zip: suffix": lambda stream: zip_of({"a": stream}) + b"after",
    "zip: same name twice": twice,
    "zip: zip64": zip64,
    "zip: symbolic link": symlink,
    "zip: traversal": lambda stream: zip_of({"../../a": stream}),
    "zip: zip": lambda stream: zip_of({"inner.zip": zip_of({"a": stream})}, 8),
    "tar": lambda stream: tar_of({"a": stream}),
    "tar: no end mark": lambda stream: tar_of({"a": stream})[:-1024],
    "tar: pax": pax,
    "tar: traversal": lambda stream: tar_of({"../a": stream}),
    "tar: behind the end": lambda stream: tar_of({"a": PLAIN_4}) + tar_of({"b": stream}),
    "tar: damaged header between": lambda stream: tar_of({"a": PLAIN_4})[:1024] + b"x" * 512 + tar_of({"b": stream}),
    "torch": torch_zip,
    "torch: packed": lambda stream: torch_zip(stream, 8),
    "torch: other member": lambda stream: zip_of({"archive/data.pkl": PLAIN_4, "archive/x/y": stream}),
    "torch: storage": lambda stream: zip_of({"archive/data.pkl": PLAIN_4, "archive/data/0": stream}),
    "torch: legacy": torch_legacy,
    "torch: tar": lambda stream: tar_of({**TORCH_TAR, "pickle": stream}),
    "torch: tar, storages": lambda stream: tar_of({**TORCH_TAR, "storages": stream + FLOATS}),
    "torch: pt2": lambda stream: zip_of(
        {"m/archive_format": b"pt2", "m/version": b"0", "m/data/constants/model_constants.pt": torch_zip(stream)}
    ),
    "torchscript": lambda stream: zip_of({"m/data.pkl": PLAIN_4, "m/code/t.py": TEXT, "m/constants.pkl": stream}),
    "joblib": joblib_raw,
    "joblib: objects": joblib_objects,
    "npy": lambda stream: npy_of("'|O'", "(1,)", stream),
    "npy: several": lambda stream: NUMBERS + npy_of("'|O'", "(1,)", stream),
    "npz": lambda stream: zip_of({"a.npy": NUMBERS, "b.npy": npy_of("'|O'", "()", stream)}, 8),
    "npz: raw pickle": lambda stream: zip_of({"a.npy": stream}),
    "nemo": nemo,
    "stable-baselines": stable_baselines,
    "zf": zf_of,
    "nest": lambda stream: gzip.compress(zip_of({"a": gzip.compress(tar_of({"b": sevenzip_of({"c": stream})}))}, 8)),
    **{f"7z: {method}": functools.partial(in_7z, method) for method in METHODS},
    "7z: packed header": lambda stream: with_packed_header({"model/data.pkl": stream}),
    "7z: torch": lambda stream: sevenzip_of({"model.pt": torch_zip(stream)}),
    **PACKERS,
    **{f"joblib: {codec}": functools.partial(joblib_packed, codec) for codec in PACKERS},
    **{f"{codec}: several": functools.partial(second, codec) for codec in ("gzip", "bz2", "xz", "lz4", "zstd")},
    **{f"{codec}: skipped frame": functools.partial(behind_skipped, codec) for codec in ("lz4", "zstd")},
}  # fmt: skip
"""Ways that loaders read to the end: the benign twin is clean."""

UNSOUND: dict[str, Callable[[bytes], bytes]] = {
    "zip: encrypted by its flags": lambda stream: both(zip_of({"a": stream}), 6, 8, b"\x01\x00"),
    "zip: strongly encrypted by its flags": lambda stream: both(zip_of({"a": stream}), 6, 8, b"\x41\x00"),
    "zip: method differs": headers_disagree,
    "zip: second archive": lambda stream: zip_of({"a": PLAIN_4}) + zip_of({"b": stream}),
    "zip: corrupt member first": corrupt_first,
    "zip: no directory": lambda stream: local_member(b"a", stream),
    "zip: sizes beyond the file": lambda stream: both(zip_of({"a": stream}), 22, 24, b"\xff\xff\xff\x7f"),
    "tar: truncated in a header": lambda stream: tar_of({"a": stream, "b": PLAIN_4})[:-1024 - 512 - 300],
    "tar: truncated in a member": lambda stream: tar_of({"a": stream, "b": PNG})[:-1024 - 300],
    "torch package": lambda stream: zip_of({"p/.data/extern_modules": b"torch\n", "p/m": stream}),
    "gzip: truncated": lambda stream: gzip.compress(stream)[:-6],
    "npy: header that does not parse": lambda stream: npy_of("np.object_", "(1,)", stream),
    "7z: truncated": lambda stream: sevenzip_of({"a": stream}, "copy")[:-9],
    "unknown bytes before": lambda stream: b"\x00\x01\x02junk" + stream,
    "hdf5 before": lambda stream: zip_of({"a.h5": b"\x89HDF\r\n\x1a\n" + bytes(64), "b": stream}),
}  # fmt: skip
"""Ways that leave something unread: the benign twin is incomplete, and never clean."""


@pytest.fixture(scope="module")
def scanner() -> Scanner:
    return Scanner()


def called(report: FileReport) -> set[str]:
    return {call.callee.name for trace in report.trace.walk() for call in trace.calls}


@pytest.mark.parametrize("name", [*WRAPPINGS, *UNSOUND])
def test_the_call_is_found_and_the_file_is_not_benign(scanner: Scanner, name: str) -> None:
    report = scanner.scan_bytes({**WRAPPINGS, **UNSOUND}[name](HOSTILE))
    assert "os.system" in called(report)
    assert report.verdict in ("malicious", "suspicious")


@pytest.mark.parametrize("name", WRAPPINGS)
def test_the_benign_twin_is_clean(scanner: Scanner, name: str) -> None:
    report = scanner.scan_bytes(WRAPPINGS[name](TWIN))
    assert (report.verdict, report.complete) == ("benign", True), report.oddities
    assert any("SETITEMS" in trace.opcodes for trace in report.trace.walk())


@pytest.mark.parametrize("name", UNSOUND)
def test_the_twin_of_what_leaves_something_unread_is_incomplete(scanner: Scanner, name: str) -> None:
    report = scanner.scan_bytes(UNSOUND[name](TWIN))
    assert (report.verdict, report.complete) == ("incomplete", False), report.findings
    assert any("SETITEMS" in trace.opcodes for trace in report.trace.walk())
    assert report.oddities


def beginnings() -> dict[str, bytes]:
    """Magics of formats that hold no pickle and are also the first opcodes of one."""
    return {
        "gif": b"GIF89a\x01\x00\x01",
        "mp4": b"C\x0a\x00\x00ftypisom",
        "webp": b"C\x10" + b"\x00" * 6 + b"WEBP" + bytes(6),
        "parquet": b"PAR1\n",
    }


@pytest.mark.parametrize("name", beginnings())
def test_a_stream_that_begins_like_a_format_without_pickles_is_read(scanner: Scanner, name: str) -> None:
    data = beginnings()[name] + HOSTILE[2:]
    for wrapped in (data, zip_of({"picture": data})):
        report = scanner.scan_bytes(wrapped)
        assert report.verdict in ("malicious", "suspicious")
        assert "os.system" in called(report)


CARRIED = {
    "keras": zip_of({"config.json": b"{}", "metadata.json": b"{}", "model.weights.h5": b"\x89HDF\r\n\x1a\n"}),
    "hdf5": b"\x89HDF\r\n\x1a\n" + bytes(64),
    "encrypted": both(zip_of({"a": PLAIN_4}), 6, 8, b"\x01\x00"),
}


@pytest.mark.parametrize("name", CARRIED)
def test_an_archive_in_a_pickle_that_nobody_reads_leaves_it_incomplete_and_is_named(
    scanner: Scanner, name: str
) -> None:
    report = scanner.scan_bytes(pickle.dumps({"model": CARRIED[name], "more": bytes(200_000)}))
    assert (report.verdict, report.complete) == ("incomplete", False)
    details = [oddity.detail for trace in report.trace.walk() for oddity in trace.oddities]
    assert any(name in detail or "zip:a" in detail for detail in details), details


def test_words_that_begin_like_a_file_are_words(scanner: Scanner) -> None:
    report = scanner.scan_bytes(pickle.dumps(["PK of a table", "BZh is what it begins with", "x^2 + {{ y }}", "]\0["]))
    assert (report.verdict, report.complete) == ("benign", True)


@pytest.mark.parametrize("codec", ["lz4", "zstd", "npy"])
def test_a_file_in_a_literal_is_opened_as_a_loader_would(scanner: Scanner, codec: str) -> None:
    def carried(stream: bytes) -> bytes:
        return pickle.dumps({"a": npy_of("'|O'", "()", stream) if codec == "npy" else PACKERS[codec](stream)})

    report = scanner.scan_bytes(carried(HOSTILE))
    assert "os.system" in called(report)
    assert report.verdict in ("malicious", "suspicious")
    assert scanner.scan_bytes(carried(TWIN)).verdict == "benign"
