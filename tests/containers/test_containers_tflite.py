"""TensorFlow Lite: which operators a model names."""

from __future__ import annotations

import random

import flatbuffers
import pytest

from .samples import scan, zip_of


def model(*names: str) -> bytes:
    """A model with one operator of TensorFlow Lite's own, and custom ones of these names."""
    builder = flatbuffers.Builder(0)
    texts = [builder.CreateString(name) for name in names]
    codes = []
    for text in (0, *texts):
        builder.StartObject(4)
        builder.PrependInt8Slot(0, 32 if text else 3, 0)
        if text:
            builder.PrependUOffsetTRelativeSlot(1, text, 0)
        codes.append(builder.EndObject())
    builder.StartVector(4, len(codes), 4)
    for code in reversed(codes):
        builder.PrependUOffsetTRelative(code)
    vector = builder.EndVector()
    builder.StartObject(8)
    builder.PrependUint32Slot(0, 3, 0)
    builder.PrependUOffsetTRelativeSlot(1, vector, 0)
    builder.Finish(builder.EndObject(), file_identifier=b"TFL3")
    return bytes(builder.Output())


def test_a_model_of_its_own_operators_is_complete() -> None:
    assert scan(model()).complete
    contents = scan(zip_of({"m.tflite": model()}))
    assert (contents.complete, contents.regions) == (True, ())


@pytest.mark.parametrize("name", ["FlexWriteFile", "TFLite_Detection_PostProcess"])
def test_a_custom_operator_is_named_and_leaves_the_model_incomplete(name: str) -> None:
    contents = scan(model("Known" * 3, name))
    assert (contents.container, contents.complete) == ("tflite", False)
    assert name in contents.oddities[0].detail


def test_a_cut_or_changed_model_never_fails_and_a_cut_one_is_incomplete() -> None:
    data = model("One", "Two")
    for length in range(9, len(data)):
        assert not scan(data[:length]).complete
    rng = random.Random(5)
    for _ in range(500):
        changed = bytearray(data)
        for _ in range(rng.choice((1, 2, 8))):
            changed[rng.choice((*range(4), *range(8, len(data))))] = rng.randrange(256)
        scan(bytes(changed))
