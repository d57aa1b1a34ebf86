"""Real files: every one is read without an error, and every benign one that holds a pickle gives a region."""

from __future__ import annotations

import csv
import mmap
from pathlib import Path

from safepickle.containers import Contents, open_file
from safepickle.limits import DEFAULT_LIMITS

NO_PICKLE = {"h5", "onnx", "tflite", "safetensors", "skops", "jinja-template", "keras-zip"}

CONTAINERS = {
    "joblib-raw": {"joblib"},
    "joblib-zlib": {"zlib(joblib)", "zlib(pickle)"},
    "npy": {"npy"},
    "npz": {"npz"},
    "torch-legacy": {"torch-legacy"},
    "torch-zip": {"torch-zip"},
    "torchscript-zip": {"torchscript-zip"},
    "sb3-zip": {"sb3-zip"},
    "raw-pickle-p2": {"pickle"},
    "h5": {"hdf5"},
    "onnx": {"onnx"},
    "tflite": {"tflite"},
    "safetensors": {"safetensors"},
}


def opened(path: Path) -> Contents:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        contents = open_file(data, DEFAULT_LIMITS)
        for region in contents.regions:
            assert 0 <= region.start < region.end <= len(region.data)
        # the map ends here, so the regions only tell that they were
        return contents.replace(regions=tuple(region.replace(data=b"") for region in contents.regions))


def test_every_real_file_is_read_as_what_it_is(corpus: Path) -> None:
    with (corpus / "manifest.csv").open(newline="", encoding="utf-8") as manifest:
        rows = [row for row in csv.DictReader(manifest) if int(row["size"])]
    wrong: list[tuple[str, str, str]] = []
    for row in rows:
        contents = opened(corpus / row["file"])
        kind = row["kind"]
        if contents.container not in CONTAINERS.get(kind, {contents.container}):
            wrong.append((row["file"], kind, contents.container))
        benign = row["label"] == "benign" and row["origin"] == "public"
        if benign and kind not in NO_PICKLE and not contents.regions and not is_plain(contents):
            wrong.append((row["file"], kind, "no region"))
    assert not wrong


def is_plain(contents: Contents) -> bool:
    """Arrays of numbers, and what needs a decoder that the standard library has not."""
    return contents.container in ("npy", "npz") or any(oddity.detail.startswith("lz4") for oddity in contents.oddities)
