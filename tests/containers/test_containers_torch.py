"""The containers of torch, npz and others that are zips or tars by another name."""

from __future__ import annotations

import mmap
import os
import tempfile
import time

from safepickle.containers import open_file
from safepickle.limits import DEFAULT_LIMITS
from tests.containers.samples import (
    CALLING_0,
    CALLING_4,
    PLAIN_0,
    PLAIN_4,
    TEXT,
    found,
    kinds,
    names,
    npy_of,
    scan,
    tar_of,
    zip_of,
)

FLOATS = b"\x00\x00\x80\x3f" * 64


def test_a_torch_zip_gives_its_pickles_and_passes_over_its_storages() -> None:
    members = {"archive/data.pkl": CALLING_4, "archive/version": b"3\n", "archive/.data/serialization_id": b"123"}
    members |= {f"archive/data/{number}": FLOATS for number in range(5)}
    contents = scan(zip_of(members))
    assert (contents.container, contents.complete, names(contents)) == ("torch-zip", True, ["archive/data.pkl"])


def test_a_storage_that_begins_with_opcodes_by_chance_is_no_region() -> None:
    for chance in (b"(" * 200, b"\x82\xee33\xef\xf4=5", b"N\x84\x8f7\x14\xf1<7", b"]]]])))).", b"}q\x00."):
        contents = scan(zip_of({"archive/data.pkl": PLAIN_4, "archive/data/0": chance + FLOATS}))
        assert names(contents) == ["archive/data.pkl"]


def test_a_pickle_in_the_place_of_a_storage_is_a_region() -> None:
    for data in (CALLING_0, CALLING_4):
        contents = scan(zip_of({"archive/data.pkl": PLAIN_4, "archive/data/0": data}))
        assert found(contents) == [PLAIN_4, data]
        assert kinds(contents) == {"pickle-in-storage"}


def test_a_pickle_under_any_other_name_in_a_torch_zip_is_a_region() -> None:
    contents = scan(zip_of({"archive/data.pkl": PLAIN_4, "archive/extra/notes.txt": CALLING_0}))
    assert found(contents) == [PLAIN_4, CALLING_0]


def test_torchscript_is_known_by_its_constants_and_its_code_is_no_pickle() -> None:
    contents = scan(zip_of({"m/data.pkl": PLAIN_4, "m/code/__torch__.py": TEXT, "m/constants.pkl": PLAIN_4}))
    assert (contents.container, contents.complete) == ("torchscript-zip", True)
    assert names(contents) == ["m/data.pkl", "m/constants.pkl"]


def test_layouts_that_carry_code_nobody_here_reads_are_incomplete() -> None:
    layouts = {
        "keras-zip": {"config.json": b"{}", "metadata.json": b"{}", "model.weights.h5": b"\x89HDF\r\n\x1a\n"},
        "skops-zip": {"schema.json": b"{}", "1.npy": npy_of("'<f4'", "(1,)", bytes(4))},
        "torch-package": {"p/.data/extern_modules": b"torch\n", "p/.data/version": b"6", "p/model/m.pkl": PLAIN_4},
    }
    for name, members in layouts.items():
        contents = scan(zip_of(members))
        assert (contents.container, contents.complete) == (name, False)
        assert "unsupported-format" in kinds(contents)


def test_a_torch_tar_gives_roles_to_its_members() -> None:
    members = {"sys_info": PLAIN_4, "pickle": CALLING_4, "storages": PLAIN_0 + FLOATS, "tensors": PLAIN_0 + FLOATS}
    contents = scan(tar_of(members))
    assert (contents.container, contents.complete) == ("torch-tar", True)
    roles = {region.place[-1][1]: region.role for region in contents.regions}
    assert roles == {"sys_info": "pickle", "pickle": "pickle", "storages": "legacy-torch", "tensors": "legacy-torch"}


def test_stable_baselines_keeps_torch_zips_and_base64_pickles_in_a_zip() -> None:
    import base64

    data = b'{"policy": {":type:": "x", ":serialized:": "%s"}}' % base64.b64encode(CALLING_4)
    policy = zip_of({"archive/data.pkl": PLAIN_4, "archive/data/0": FLOATS})
    contents = scan(zip_of({"data": data, "policy.pth": policy, "_stable_baselines3_version": b"2.0"}))
    assert (contents.container, contents.complete) == ("sb3-zip", True)
    assert [region.place for region in contents.regions] == [
        (("zip", "data"), ("base64", "policy.:serialized:")),
        (("zip", "policy.pth"), ("zip", "archive/data.pkl")),
    ]


def test_a_torch_zip_of_five_gigabytes_is_surveyed_at_once() -> None:
    small = zip_of({"archive/data.pkl": CALLING_4, "archive/data/0": b""})
    with tempfile.TemporaryFile() as file:
        # the storage and the directory are moved to the end of a sparse file: bytes between belong to a hole
        file.write(small[: small.index(b"PK\x03\x04", 4)])
        file.seek(5 << 30)
        file.write(small)
        file.flush()
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            began = time.process_time()
            contents = open_file(data, DEFAULT_LIMITS)
            assert time.process_time() - began < 2
            assert [data[region.start : region.end] for region in contents.regions] == [CALLING_4, CALLING_4]


def test_sparse_files_of_five_gigabytes_are_surveyed_quickly() -> None:
    for head in (b"", CALLING_4, b"V", b"PK\x03\x04", b"\x93NUMPY\x01\x00\xff\xff", tar_of({"a": PLAIN_4})):
        with tempfile.TemporaryFile() as file:
            file.write(head)
            file.flush()
            os.truncate(file.fileno(), 5 << 30)
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                began = time.process_time()
                open_file(data, DEFAULT_LIMITS)
                assert time.process_time() - began < 2
