"""The files that are measured: made here, the same every time, the models by their libraries' own savers."""

from __future__ import annotations

import io
import os
import pickle
import random
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

GIB = 1 << 30
TENSORS = 40
TENSOR_BYTES = 256 << 20
BYTES_LENGTH = 524 << 20
_COMMAND = b"cos\nsystem\n(S'echo inert'\ntR."


def tiny(index: int) -> bytes:
    """A pickle of some 60 to 200 bytes: settings of a model, now and then with an object of the standard library."""
    from collections import OrderedDict
    from datetime import date

    rng = random.Random(index)
    names = rng.sample(("alpha", "depth", "epochs", "labels", "loss", "name", "rate", "seed", "shape", "units"), 4)
    values = [rng.random(), rng.randrange(1 << 12), rng.choice(("adam", "sgd")), [rng.randrange(99) for _ in range(4)]]
    settings: object = dict(zip(names, values, strict=True))
    if index % 4 == 1:
        settings = OrderedDict(settings)  # type: ignore[call-overload]
    elif index % 4 == 2:
        settings = [date(2024, 1 + index % 12, 1), settings]
    elif index % 4 == 3:
        settings = (settings, {1, 2, index})
    return pickle.dumps(settings, protocol=2 + index % 3)


def dense(megabytes: float) -> bytes:
    """Nested small values: nearly every byte is an opcode or a one-byte argument of one."""
    rows: list[object] = []
    data = b""
    step = 20_000
    while len(data) < megabytes * 1e6:
        count = len(rows)
        rows.extend((i & 255, None, i & 1 == 0, [i & 127, (True, i % 5)]) for i in range(count, count + step))
        data = pickle.dumps(rows, protocol=4)
    return data


def estimators(count: int) -> list[bytes]:
    """Fitted scikit-learn estimators as the training data has them, and three forests."""
    from sklearn.datasets import make_classification
    from sklearn.ensemble import RandomForestClassifier

    from pipelines.savers import scikit_learn

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = [saved.data for saved in scikit_learn.produce(random.Random(7), count - 3, "bench")]
        x, y = make_classification(400, 20, random_state=0)
        for trees in (5, 15, 30):
            made.append(pickle.dumps(RandomForestClassifier(trees, random_state=0).fit(x, y), protocol=4))
    return made


def joblib_forest() -> bytes:
    """A forest of 100 trees as ``joblib.dump`` writes it: 401 raw arrays between the opcodes."""
    import joblib
    from sklearn.datasets import make_classification
    from sklearn.ensemble import RandomForestClassifier

    x, y = make_classification(400, 20, random_state=0)
    out = io.BytesIO()
    joblib.dump(RandomForestClassifier(100, random_state=0).fit(x, y), out)
    return out.getvalue()


def huge_checkpoint(path: Path) -> None:
    """A ten-gigabyte state dict as ``torch.save`` lays it out, its storages left as holes."""
    import torch

    state = {f"layer{i}.weight": torch.empty(TENSOR_BYTES // 4) for i in range(TENSORS)}
    with torch.serialization.skip_data():
        torch.save(state, path)


def huge_bytes(path: Path) -> None:
    """The pickle of 524 MiB of NUL bytes, the bytes left as a hole."""
    with path.open("wb") as file:
        file.write(b"\x80\x04\x8e" + BYTES_LENGTH.to_bytes(8, "little"))
        file.seek(BYTES_LENGTH, os.SEEK_CUR)
        file.write(b".")


def hostile(forest: bytes) -> dict[str, bytes]:
    """Files that would start ``echo inert`` when loaded, each hiding it in its own way; never loaded here."""
    import base64
    import zipfile
    import zlib

    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("archive/data.pkl", _COMMAND)
    nested = b"cpickle\nloads\n(cbase64\nb64decode\n(S'" + base64.b64encode(_COMMAND) + b"'\ntRtR."
    return {
        "plain call": _COMMAND,
        "second stream": pickle.dumps({"epochs": 3}) + _COMMAND,
        "behind 401 raw arrays": forest[:-1] + b"0" + _COMMAND,
        "base64 in a call": nested,
        "in a damaged zip": packed.getvalue()[:-30],
        "zlib": zlib.compress(_COMMAND),
    }


class Samples:
    """All samples in a folder; what is there already is kept.

    Parameters
    ----------
    folder
        Where the files go; a few hundred megabytes at the most are really written.
    quick
        Fewer and smaller files.
    """

    def __init__(self, folder: Path, quick: bool) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.tiny = [_kept(folder / "tiny" / f"{i:04}.pkl", partial(tiny, i)) for i in range(1000)]
        self.tiny_folder = folder / "tiny"
        self.named = self.tiny[1]  # it names a class, so that the ensemble is asked
        size = 0.7 if quick else 2.7
        self.dense = _kept(folder / f"dense-{size}.pkl", partial(dense, size))
        self.small_dense = _kept(folder / "dense-0.2.pkl", partial(dense, 0.2))
        self.estimators = _all_kept(folder / "estimators", 24)
        self.forest = _kept(folder / "forest.joblib", joblib_forest)
        self.checkpoint = folder / "huge.pt"
        if not self.checkpoint.exists():
            huge_checkpoint(self.checkpoint)
        self.bytes = folder / "huge.pkl"
        if not self.bytes.exists():
            huge_bytes(self.bytes)
        self.noise = _kept(folder / "noise.pkl", lambda: pickle.dumps(random.Random(3).randbytes(64 << 20), 4))
        self.hostile = {
            name: _kept(folder / "hostile" / f"{name.replace(' ', '-')}.pkl", partial(bytes, data))
            for name, data in hostile(self.forest.read_bytes()).items()
        }


def _kept(path: Path, make: Callable[[], bytes]) -> Path:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(make())
    return path


def _all_kept(folder: Path, count: int) -> list[Path]:
    if not folder.exists():
        made = estimators(count)
        folder.mkdir(parents=True)
        for index, data in enumerate(made):
            (folder / f"{index:02}.pkl").write_bytes(data)
    return sorted(folder.iterdir())
