"""Configurations that name what is to be built: in JSON, YAML, NeMo archives and the metadata of safetensors."""

from __future__ import annotations

import io
import json
import random
import struct
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
        '_target_: "a.\\\n  b"',
        '_target_: "\\x61.b"',
        "_target_: !!str a.b",
        "a: os\n_target_: ${a}.b",
        "_target_: a.b\n_target_: os.system",
    ],
)
def test_a_configuration_that_is_not_understood_is_incomplete(text: str) -> None:
    for data in (text.encode(), zip_of({"model_config.yaml": text.encode(), "b": PLAIN_4})):
        contents = scan(data)
        assert (contents.complete, kinds(contents)) == (False, {"unsupported-format"})


@pytest.mark.parametrize(
    "text",
    [
        '"\\x5ftarget_": os.system\n"_args_": [1]\n',
        'a:\n  _target_: torch.nn.Linear\nb:\n  "_tar\\\n  get_": os.system\n',
        "\ufeff_target_: os.system",
        "_target_: os.system\t# why",
        "a: 1\n---\n_target_ : 'os.system'",
        "- - _target_: os.system\n",
    ],
)
def test_a_target_is_read_however_yaml_writes_it(text: str) -> None:
    for data in (text.encode(), zip_of({"model_config.yaml": text.encode(), "b": PLAIN_4})):
        assert "os.system" in called(trace_bytes(data))
        harmless = data.replace(b"target_", b"object_").replace(b"get_", b"got_")
        assert not called(trace_bytes(harmless))


def test_a_target_behind_megabytes_of_comments_leaves_the_archive_incomplete() -> None:
    comments = b"# comment\n" * (17 << 17)
    for text, complete in ((b"_target_: os.system\n", False), (b"target: os.system\n", True)):
        data = zip_of({"model_config.yaml": comments + text, "b": PLAIN_4}, zipfile.ZIP_DEFLATED)
        assert scan(data).complete is complete


def test_a_program_in_an_archive_that_speaks_of_targets_is_no_configuration() -> None:
    source = b"import hydra\ndef build(cfg):\n    return {'_target_': cfg.name}\n"
    assert scan(zip_of({"a.py": source, "b": PLAIN_4})).complete
    words = b"- name: loss\n  self: loss(a, my_target_size, n_target_)\n"
    assert scan(zip_of({"a.yaml": words, "b": PLAIN_4})).complete


def test_metadata_may_be_written_with_escapes() -> None:
    for escaped in ("\\u005ftarget_", "_t\\u0061rget_"):
        inner = json.dumps(OBJECT).replace("_target_", escaped)
        outer = json.dumps({"__metadata__": {"config": json.dumps(OBJECT)}}).replace("_target_", escaped).encode()
        for data in (safetensors_of({"config": inner}), struct.pack("<Q", len(outer)) + outer):
            assert called(trace_bytes(data))["os.system"] == ("echo inert",)
    assert scan(safetensors_of({"author": "Z\u00fcrich", "note": '{"a": "\\u0062"}'})).complete


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
