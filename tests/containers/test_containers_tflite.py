"""TensorFlow Lite: which operators a model names."""

from __future__ import annotations

import random

import pytest

from .models import tflite_of
from .samples import scan, zip_of


def test_a_model_of_its_own_operators_is_complete() -> None:
    assert scan(tflite_of()).complete
    contents = scan(zip_of({"m.tflite": tflite_of()}))
    assert (contents.complete, contents.regions) == (True, ())


@pytest.mark.parametrize("name", ["FlexWriteFile", "TFLite_Detection_PostProcess"])
def test_a_custom_operator_is_named_and_leaves_the_model_incomplete(name: str) -> None:
    contents = scan(tflite_of("Known" * 3, name))
    assert (contents.container, contents.complete) == ("tflite", False)
    assert name in contents.oddities[0].detail


def test_a_cut_or_changed_model_never_fails_and_a_cut_one_is_incomplete() -> None:
    data = tflite_of("One", "Two")
    for length in range(9, len(data)):
        assert not scan(data[:length]).complete
    rng = random.Random(5)
    for _ in range(500):
        changed = bytearray(data)
        for _ in range(rng.choice((1, 2, 8))):
            changed[rng.choice((*range(4), *range(8, len(data))))] = rng.randrange(256)
        scan(bytes(changed))
