"""Configurations that name what is to be built: in JSON, YAML, NeMo archives and the metadata of safetensors."""

from __future__ import annotations

import io
import json
import random
import tarfile
import zipfile

import pytest

from safepickle.bytecode.trace import FileTrace
from safepickle.scan import trace_bytes

from .models import safetensors_of
from .samples import PLAIN_4, kinds, scan, zip_of

NEMO = """\
# a model as NeMo saves it
name: "Conformer"
sample_rate: 16000
preprocessor:
  _target_: nemo.collections.asr.modules.AudioToMelSpectrogramPreprocessor
  window: hann
  features: 80
encoder:
  _target_: nemo.collections.asr.modules.ConformerEncoder
  feat_in: 80   # features
  layers:
  - _target_: 'torch.nn.Linear'
    size: 4
  - _target_: torch.nn.Dropout
optim:
  name: adamw
  betas: [0.9, 0.98]
"""
HOSTILE = NEMO.replace("  - _target_: torch.nn.Dropout\n", "  - _target_: os.system\n    command: echo inert\n")
OBJECT = {"_target_": "os.system", "command": "echo inert"}


def called(trace: FileTrace) -> dict[str, tuple[str, ...]]:
    """Callables with their literal arguments."""
    return {
        call.callee.name: tuple(argument.literal for argument in call.args)
        for stream in trace.walk()
        for call in stream.calls
    }


def tar_of(text: str) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        for name, data in (
            ("model_config.yaml", text.encode()),
            ("model_weights.ckpt", zip_of({"a/data.pkl": PLAIN_4})),
        ):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return target.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        HOSTILE.encode(),
        tar_of(HOSTILE),
        zip_of({"model_config.yaml": HOSTILE.encode(), "b": PLAIN_4}, zipfile.ZIP_DEFLATED),
        json.dumps({"model": [{"inner": OBJECT}]}).encode(),
        safetensors_of({"config": json.dumps({"encoder": OBJECT})}),
    ],
    ids=["YAML", "NeMo", "zip", "JSON", "safetensors"],
)
def test_what_a_configuration_names_is_called_with_its_keys(data: bytes) -> None:
    assert called(trace_bytes(data))["os.system"] == ("echo inert",)


def test_an_ordinary_configuration_is_understood_to_its_end() -> None:
    for data in (
        NEMO.encode(),
        tar_of(NEMO),
        safetensors_of({"config": json.dumps({"a": {"_target_": "torch.nn.Linear"}})}),
    ):
        assert scan(data).complete
    assert {name.rpartition(".")[2] for name in called(trace_bytes(NEMO.encode()))} == {
        "AudioToMelSpectrogramPreprocessor", "ConformerEncoder", "Linear", "Dropout",
    }  # fmt: skip


def test_partial_objects_positional_arguments_and_objects_in_objects_are_followed() -> None:
    config = {"_target_": "a.B", "_partial_": True, "_args_": [{"_target_": "os.system", "_args_": ["echo inert"]}]}
    trace = trace_bytes(json.dumps(config).encode())
    assert called(trace)["os.system"] == ("echo inert",)
    assert "functools.partial" in called(trace)


@pytest.mark.parametrize(
    "text",
    [
        "{_target_: os.system}",
        "a: {_target_: os.system}",
        "_target_: *x",
        "_target_: system",
        "x _target_\n",
        "? _target_\n: a.b",
    ],
)
def test_a_configuration_that_is_not_understood_is_incomplete(text: str) -> None:
    contents = scan(text.encode())
    assert (contents.complete, kinds(contents)) == (False, {"unsupported-format"})


def test_metadata_that_only_speaks_of_objects_is_incomplete_and_other_metadata_is_not() -> None:
    assert not scan(safetensors_of({"note": "see _target_ of it"})).complete
    assert scan(safetensors_of({"note": "os.system('x')"})).complete


def test_changed_configurations_never_fail() -> None:
    rng = random.Random(11)
    for text in (HOSTILE, json.dumps({"a": [OBJECT]})):
        for _ in range(300):
            changed = list(text)
            for _ in range(rng.choice((1, 2, 8))):
                changed[rng.randrange(len(changed))] = rng.choice(":-'\" #{}[]&*\n_a.")
            scan("".join(changed).encode())
