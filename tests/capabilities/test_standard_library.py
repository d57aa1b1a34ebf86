"""Facts of the standard library that the analysis finds by itself, whatever its version."""

from __future__ import annotations

import sysconfig
from pathlib import Path

import pytest

from pipelines.capabilities.link import link
from pipelines.capabilities.listing import flowing
from pipelines.capabilities.native import native
from pipelines.capabilities.precision import KINDS
from pipelines.capabilities.records import Row
from pipelines.capabilities.summary import analyse

MODULES = """_collections_abc _weakrefset abc cProfile code collections contextlib copyreg fractions functools imaplib
linecache numbers operator
pathlib profile reprlib runpy shutil timeit tokenize trace warnings weakref""".split()


@pytest.fixture(scope="module")
def rows() -> dict[str, Row]:
    folder = Path(sysconfig.get_paths()["stdlib"])
    return {row.name: row for row in link([analyse(folder, "python", "3", MODULES)], native())}


@pytest.mark.parametrize(
    "name",
    [
        "timeit.timeit",
        "cProfile.run",
        "code.InteractiveInterpreter.runcode",
        "profile.Profile.runctx",
        "trace.Trace.run",
    ],
)
def test_what_runs_its_argument_is_told_so(name, rows):
    assert [reach.kind for reach in flowing(rows[name], ["exec"])] == ["exec"]


def test_a_stream_to_a_command_starts_a_process_through_its_inherited_constructor(rows):
    reach = flowing(rows["imaplib.IMAP4_stream"], ["process"])[0]
    assert reach.witness[-1].name == "subprocess.Popen"


def test_removing_a_tree_changes_files(rows):
    assert flowing(rows["shutil.rmtree"], ["file"])


@pytest.mark.parametrize(
    "name", ["warnings.warn", "collections.OrderedDict", "collections.Counter", "collections.namedtuple"]
)
def test_what_does_nothing_with_its_argument_is_not_tagged(name, rows):
    assert not flowing(rows[name], KINDS)


@pytest.mark.parametrize("name", ["collections.OrderedDict", "copyreg._reconstructor", "fractions.Fraction"])
def test_ordinary_types_are_inert(name, rows):
    assert rows[name].inert


def test_reduce_calls_what_it_is_given(rows):
    assert flowing(rows["functools.reduce"], ["call"])
