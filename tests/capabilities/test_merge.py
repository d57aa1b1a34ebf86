"""From source to answers: small packages analysed, linked, merged over versions, written and looked up."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("mypy", reason="typeshed comes with mypy")
pytest.importorskip("yaml", reason="the pipelines are not installed")

from pipelines.capabilities.__main__ import make_table
from pipelines.capabilities.analysis import summarise
from pipelines.capabilities.listing import definitions, flowing, path_text
from pipelines.capabilities.precision import precision
from pipelines.capabilities.recall import recall
from pipelines.capabilities.sample import still_tagged
from pipelines.capabilities.sources import Manifest, Source
from safepickle.capabilities.capability import Capability
from safepickle.capabilities.table import Table

OLD = {
    "kit/__init__.py": "from .core import run, add\nimport os\nimport numpy as np\n",
    "kit/core.py": """
import os
def run(command):
    return _start(command)
def _start(line):
    os.system(line)
def add(a, b):
    return a + b
def gone(text):
    eval(text)
class Base:
    level = 3
    def execute(self, text):
        exec(text)
class Child(Base):
    def add(self, other):
        return other
def outer(path):
    def inner():
        return open(path, "w")
    return inner()
""",
    "kit/_fast.so": "",
    "kit/tests.so": "",
    "kit/lazy.py": "def __getattr__(name):\n    return name\n",
    "kit/odd.py": "def broken(:\n",
    "kit/twice.py": "from ._quick import shown\n",
    "kit/named.py": "globals().update(a=1)\n",
}
NEW = {
    "kit/__init__.py": "from .moved import run\n",
    "kit/moved.py": "def run(command):\n    return command\n",
    "kit/twice.so": "",
    "kit/_quick.so": "",
    "kit/plain.py": "class Quiet:\n    def __call__(self):\n        return 1\n",
    "kit/core.py": "from .moved import run\ndef add(a, b):\n    return a + b\n",
}


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Table:
    folder = tmp_path_factory.mktemp("sources")
    python = {"os.py": "from posix import *\nimport posix\nsystem = posix.system\n", "plain.py": "x = 1\n"}
    python["operator.py"] = """
class attrgetter:
    def __init__(self, name):
        def get(thing):
            return getattr(thing, name)
        self.get = get
    def __call__(self, thing):
        return self.get(thing)
def add(a, b):
    return a + b
from _operator import *
"""
    sources = [_source(folder, "python", "3.12", 0, python)]
    sources += [_source(folder, "kit", "1.0", 1, OLD), _source(folder, "kit", "2.0", 0, NEW)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipelines.capabilities.analysis.SUMMARIES", folder / "summaries")
        summarise(sources, Manifest(1, 100, None, (), (), ()))
        return Table(make_table(sources, 100), "made from source")


def _source(folder: Path, package: str, version: str, index: int, files: dict[str, str]) -> Source:
    root = folder / f"{package}-{version}"
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    return Source(package, version, index, root)


@pytest.fixture
def find(table: Table) -> Callable[[str], Capability]:
    def answer(name: str) -> Capability:
        found = table.find(name)
        assert found is not None, name
        return found

    return answer


def test_what_flows_to_a_sink_in_any_version_counts(table: Table, find: Callable[[str], Capability]) -> None:
    for name in ("kit.core.run", "kit.run", "kit.moved.run"):
        reach = find(name).reach("process", flows=True)
        assert reach is not None, name
        assert [step.name for step in table.follow(reach)][-2:] == ["kit.core._start", "os.system"]


def test_a_name_of_an_old_version_only_is_not_unresolvable(find: Callable[[str], Capability]) -> None:
    found = find("kit.core.gone")
    assert (found.status, found.versions) == ("analysed", ("1.0",))
    assert found.reach("exec", flows=True)
    assert find("kit.core.never").status == "unresolvable"


def test_inert_in_every_version_is_inert(find: Callable[[str], Capability]) -> None:
    assert find("kit.core.add").inert
    assert find("kit.add").inert
    assert not find("kit.core.run").inert


def test_inherited_methods_and_attributes_of_classes_exist(find: Callable[[str], Capability]) -> None:
    assert find("kit.core.Child.execute").reach("exec", flows=True)
    assert find("kit.core.Child.add").inert
    assert find("kit.core.Base.level").status == "analysed"
    assert find("kit.core.Base.nothing").status == "unresolvable"


def test_a_way_through_an_inner_function_is_told(table: Table, find: Callable[[str], Capability]) -> None:
    reach = find("kit.core.outer").reach("file", flows=True)
    assert reach is not None
    steps = table.follow(reach)
    assert len(steps) == reach.depth
    assert steps[-1].name == "builtins.open"


def test_imported_modules_are_names_too(table: Table, find: Callable[[str], Capability]) -> None:
    assert find("kit.core.os.system").status == "root"
    assert find("kit.os").form == "module"
    assert table.find("kit.np.array") is None


def test_of_what_a_module_merely_imports_only_what_hands_something_on_is_followed(
    find: Callable[[str], Capability],
) -> None:
    assert (find("kit.core.os").status, find("kit.core.os.plain.x").status) == ("analysed", "dynamic")
    assert find("kit.core.run").reach("process", flows=True)
    assert find("kit.core.run").line
    assert not find("kit.core.Child.add").line


def test_modules_that_were_not_read_make_nothing_unresolvable(find: Callable[[str], Capability]) -> None:
    for name in ("kit._fast.x", "kit.tests.x.y", "kit.odd.broken"):
        assert (find(name).status, find(name).unknown) == ("native", True), name
    assert find("kit.lazy.anything").status == "dynamic"


def test_what_is_in_c_in_some_version_or_reexported_from_there_exists(find: Callable[[str], Capability]) -> None:
    assert (find("kit.twice.shown").status, find("kit.twice.shown").unknown) == ("analysed", True)
    assert (find("kit.twice.other").status, find("kit.twice.other").unknown) == ("dynamic", True)


def test_a_module_that_gives_itself_names_makes_none_unresolvable(find: Callable[[str], Capability]) -> None:
    assert find("kit.named.a").status == "dynamic"


def test_of_a_twin_in_c_the_source_in_python_tells(find: Callable[[str], Capability]) -> None:
    for name in ("operator.attrgetter", "_operator.attrgetter"):
        reach = find(name).reach("import", flows=True)
        assert reach is not None, name
        assert (reach.implicit, find(name).inert) == (True, False)
    assert find("_operator.add").inert


def test_a_class_of_which_there_is_no_more_to_say_is_known_to_be_one(find: Callable[[str], Capability]) -> None:
    found = find("kit.plain.Quiet")
    assert (found.form, found.inert, found.line) == ("class", True, 0)
    assert find("kit.core.add").form == ""
    assert find("kit.plain.Quiet.__call__").inert


def test_what_is_measured_is_told_from_the_table(table: Table) -> None:
    listed = {found.name: found for found in definitions(table) if found.package == "kit"}
    assert {"kit.core.gone", "kit.core.Base.execute"} < set(listed)
    assert [path_text(table, reach) for reach in flowing(listed["kit.core.gone"], ["exec"])] == [
        "exec 1: builtins.eval"
    ]
    entries = [("kit", "run"), ("kit.core", "*"), ("kit.core", "add"), ("kit.core", "never"), ("posix", "system")]
    entries.append(("_operator", "itemgetter"))
    measured = recall(entries, table)
    assert [name for name, _ in measured.flowing] == ["kit.run", "kit.core.*"]
    assert [name for name, _ in measured.followed] == ["_operator.itemgetter"]
    assert [name for name, _ in measured.missed] == ["kit.core.add"]
    assert [name for name, _ in measured.left_out] == ["kit.core.never", "posix.system"]
    assert still_tagged({"kit.core.gone": True, "kit.core.add": False, "elsewhere.f": False}, table) == [True]
    called = precision({"kit.run": 3, "kit.add": 2, "elsewhere.f": 1}, table)
    assert (called.tagged, called.inert, called.unknown) == ({"kit.run": 3}, {"kit.add": 2}, {"elsewhere.f": 1})
