"""torch: state dicts, whole modules, optimizers and checkpoints, in the zip, the legacy and the TorchScript format."""

from __future__ import annotations

import inspect
import io
import pickle
import pickletools
import re
import struct
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator
from functools import lru_cache
from random import Random
from typing import Any
from unittest.mock import patch

import torch
from torch import nn

from ..assemble import words
from ..assemble.conversion import dumps
from ..assemble.wrap import tarred, zipped
from .plain import config, text
from .project import project_module
from .saved import Saved


def network(rng: Random, blocks: int | None = None) -> Any:
    """A small network of linear or convolutional blocks; parameters of float32 only."""
    torch.manual_seed(rng.randrange(2**31))
    layers: list[Any] = []
    for _ in range(rng.randrange(1, 6) if blocks is None else blocks):
        kind = rng.randrange(4)
        layers.append(
            (nn.Linear(4, 4), nn.Sequential(nn.Conv1d(2, 2, 1), nn.ReLU()), nn.LayerNorm(4), nn.Embedding(5, 4))[kind]
        )
        layers.append(rng.choice([nn.ReLU(), nn.Dropout(0.1), nn.GELU(), nn.Identity(), nn.MaxPool2d(2)]))
    return nn.Sequential(*layers)


def _state(rng: Random) -> Any:
    return network(rng).state_dict()


def _deep_state(rng: Random) -> Any:
    return network(rng, rng.randrange(20, 120)).state_dict()


def _optimizer(rng: Random) -> Any:
    """An optimizer's state after a step, by hand: torch.optim imports its compiler, which takes seconds."""
    momenta = rng.choice((("momentum_buffer",), ("step", "exp_avg", "exp_avg_sq")))
    state = {}
    shapes = [(4, 4), (4,)] * rng.randrange(1, 8)
    for number, shape in enumerate(shapes):
        state[number] = {name: torch.tensor(1.0) if name == "step" else torch.full(shape, 0.01) for name in momenta}
    group = {"lr": 0.01, "weight_decay": 0, "betas": (0.9, 0.999), "foreach": None, "params": list(range(len(shapes)))}
    return {"state": state, "param_groups": [group]}


def _checkpoint(rng: Random) -> Any:
    return {"epoch": rng.randrange(99), "state_dict": _state(rng), "optimizer": _optimizer(rng), "loss": rng.random(),
            "config": config(rng), "arch": text(rng)}  # fmt: skip


def _batch_norm(rng: Random) -> Any:
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), network(rng)).state_dict()


def _tensors(rng: Random) -> Any:
    torch.manual_seed(rng.randrange(2**31))
    kinds = (torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.uint8, torch.bool)
    return {name: torch.rand(rng.randrange(1, 20)).to(rng.choice(kinds)) for name in rng.sample(words.PLAIN, 4)}


def _one_tensor(rng: Random) -> Any:
    torch.manual_seed(rng.randrange(2**31))
    return torch.rand(rng.randrange(1, 9), 3)


def _flat_state(rng: Random) -> Any:
    """A state dict of views into one tensor."""
    torch.manual_seed(rng.randrange(2**31))
    flat = torch.rand(64)
    return OrderedDict((f"layer{index}.weight", flat[index : index + 8]) for index in range(rng.randrange(1, 30)))


MAKERS: dict[str, Callable[[Random], Any]] = {
    "state": _state, "deep-state": _deep_state, "module": network, "optimizer": _optimizer, "checkpoint": _checkpoint,
    "batch-norm": _batch_norm, "tensors": _tensors, "one-tensor": _one_tensor, "flat-state": _flat_state,
}  # fmt: skip
ALL_FLOAT32 = ("state", "deep-state", "module", "one-tensor", "flat-state")


class _Own(nn.Module):
    """Stands for a module class of a project's own."""

    def __init__(self, inner: Any) -> None:
        super().__init__()
        self.inner = inner


def _own_module(rng: Random, pool: str) -> bytes:
    module, name = words.project_module(rng, pool), words.class_name(rng, pool)
    cls = type(name, (_Own,), {"__module__": module})
    with project_module(module, **{name: cls}):
        return _saved(cls(network(rng)))


def _saved(content: Any) -> bytes:
    out = io.BytesIO()
    torch.save(content, out)
    return out.getvalue()


def _legacy(content: Any) -> bytes:
    out = io.BytesIO()
    with patch("torch.serialization.get_source_lines_and_file", _portable_source):
        torch.save(content, out, _use_new_zipfile_serialization=False)
    return without_addresses(out.getvalue())


def _portable_source(kind: type) -> tuple[list[str], int, str]:
    """Source of a module's class, which torch's legacy format keeps, under a path that is the same everywhere."""
    lines, first = inspect.getsourcelines(kind)
    return lines, first, f"/usr/lib/python3/dist-packages/{kind.__module__.replace('.', '/')}.py"


def without_addresses(data: bytes) -> bytes:
    """Number the storages of a legacy file of float32 tensors, which torch names by their addresses."""
    source = io.BytesIO(data)
    starts = []
    for _ in range(5):
        starts.append(source.tell())
        for _item in pickletools.genops(source):
            pass
    head, model, raw = data[: starts[3]], data[starts[3] : starts[4]], data[source.tell() :]
    keys = [str(item) for opcode, item, _ in pickletools.genops(data[starts[4] :]) if opcode.name == "BINUNICODE"]
    contents: dict[str, bytes] = {}
    position = 0
    for key in keys:
        end = position + 8 + 4 * struct.unpack_from("<q", raw, position)[0]
        contents[key] = raw[position:end]
        position = end
    order = list(dict.fromkeys(found.decode() for found in re.findall(rb"X.\0\0\0(\d{6,18})[qr]", model, re.DOTALL)))
    numbered = {key: str(94_000_000_000_000 + 64 * index) for index, key in enumerate(order)}
    for key, number in numbered.items():
        model = model.replace(_short_text(key), _short_text(number))
    return head + model + pickle.dumps([numbered[key] for key in order], 2) + b"".join(contents[key] for key in order)


def _short_text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode()


@lru_cache(maxsize=1)
def _traced() -> bytes:
    """One traced network a process: torch numbers the names of further ones."""
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
    out = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.save(torch.jit.trace(model, torch.ones(1, 4)), out)  # type: ignore[no-untyped-call]
    return out.getvalue()


def _script(rng: Random) -> bytes:
    # Its debug members name the files of the torch that traced it.
    members = {name: content for name, content in _members(_traced()).items() if not name.endswith(".debug_pkl")}
    for name, content in members.items():
        if "/data/" in name:
            members[name] = rng.randbytes(len(content))
        elif name.endswith("serialization_id"):
            members[name] = "".join(rng.choices("0123456789", k=len(content))).encode()
    return zipped(members)


def _members(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist() if not name.endswith(".debug_pkl")}


def _with_stream(kind: str, data: bytes) -> Saved:
    """A torch zip together with its ``data.pkl``, so that code can be spliced into that."""
    members = _members(data)
    pickled = next(name for name in members if name.endswith("/data.pkl"))
    return Saved(kind, "torch", data, members[pickled], lambda changed: zipped({**members, pickled: changed}))


def produce(rng: Random, count: int, pool: str) -> Iterator[Saved]:
    """Yield torch files; plain pickles of tensors too, which nest a legacy file in their bytes."""
    kinds = [*MAKERS, "own-module", "legacy", "legacy", "script", "pickled", "tar"]
    for index in range(count):
        kind = kinds[index % len(kinds)]
        if kind == "own-module":
            yield _with_stream(kind, _own_module(rng, pool))
        elif kind == "legacy":
            chosen = rng.choice(ALL_FLOAT32)
            yield Saved(f"legacy-{chosen}", "torch", _legacy(MAKERS[chosen](rng)))
        elif kind == "script":
            yield Saved(kind, "torch", _script(rng))
        elif kind == "pickled":
            data = re.sub(rb"X.\0\0\0\d{6,18}[qr]", _numbered, dumps(_flat_state(rng), 4), flags=re.DOTALL)
            yield Saved(kind, "torch", data, data)
        elif kind == "tar":
            pickled = dumps(config(rng), 2)
            yield Saved(kind, "torch", tarred({"pickle": pickled, "storages": dumps(0, 2), "tensors": dumps(0, 2)}))
        else:
            yield _with_stream(kind, _saved(MAKERS[kind](rng)))


def _numbered(found: re.Match[bytes]) -> bytes:
    length = len(found.group()) - 6
    return b"X" + struct.pack("<I", length) + b"94000000000000000000"[:length] + found.group()[-1:]
