"""Generated files are the same wherever the checkout and its libraries lie."""

from __future__ import annotations

import sys
from pathlib import Path
from random import Random

import pytest

from pipelines.savers import PRODUCERS, producer

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", PRODUCERS)
def test_no_file_names_a_folder_of_this_machine(name: str) -> None:
    for saved in producer(name)(Random(5), 24, "train"):
        for folder in (str(ROOT), sys.prefix, sys.base_prefix):
            assert folder.encode() not in saved.data, saved.variant
