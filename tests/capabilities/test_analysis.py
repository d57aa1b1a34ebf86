"""The capability analysis on small packages: for each way to write it, a hostile flow and its harmless twin."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from pipelines.capabilities.link import link
from pipelines.capabilities.native import native
from pipelines.capabilities.records import NativeCallable, Row
from pipelines.capabilities.summary import PackageSummary, analyse
from tests.capabilities.constructs import CONSTRUCTS


@pytest.fixture(scope="module")
def in_c() -> Mapping[str, NativeCallable]:
    return native()


def analysed(folder: Path, sources: Mapping[str, str], in_c: Mapping[str, NativeCallable]) -> dict[str, Row]:
    for name, source in sources.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source, encoding="utf-8")
    summary = PackageSummary.from_json(analyse(folder, "sample", "1.0").to_json())
    return {row.name: row for row in link([summary], in_c)}


def flowing(row: Row) -> set[str]:
    return {reach.kind for reach in row.reaches if reach.flows}


@pytest.mark.parametrize("construct", CONSTRUCTS)
def test_an_argument_is_followed_to_the_sink_and_only_if_it_gets_there(construct, tmp_path, in_c):
    source, hostile, harmless = CONSTRUCTS[construct]
    rows = analysed(tmp_path, {"m.py": source}, in_c)
    assert "exec" in flowing(rows[f"m.{hostile}"])
    assert "exec" not in flowing(rows[f"m.{harmless}"])


def test_the_witness_path_leads_from_the_name_to_the_sink_with_file_and_line(tmp_path, in_c):
    rows = analysed(
        tmp_path, {"p/__init__.py": "", "p/a.py": "def run(x):\n\n    exec(x)\ndef go(x):\n    run(x)\n"}, in_c
    )
    reach = rows["p.a.go"].reaches[0]
    assert (reach.kind, reach.depth, reach.flows) == ("exec", 2, True)
    assert [(step.name, step.path, step.line) for step in reach.witness] == [
        ("p.a.go", "p/a.py", 5),
        ("p.a.run", "p/a.py", 3),
        ("builtins.exec", "", 0),
    ]
    assert {(step.package, step.version) for step in reach.witness[:2]} == {("sample", "1.0")}


def test_the_shortest_of_several_ways_is_told(tmp_path, in_c):
    source = "def a(x):\n    b(x)\n    d(x)\ndef b(x):\n    c(x)\ndef c(x):\n    d(x)\ndef d(x):\n    exec(x)\n"
    assert analysed(tmp_path, {"m.py": source}, in_c)["m.a"].reaches[0].depth == 2


def test_functions_that_call_each_other_end_and_agree(tmp_path, in_c):
    source = "def a(x, n):\n    b(x, n)\ndef b(x, n):\n    exec(x)\n    a(n, x)\n"
    rows = analysed(tmp_path, {"m.py": source}, in_c)
    assert [rows[name].reaches[0].depth for name in ("m.a", "m.b")] == [2, 1]


def test_re_exports_and_star_imports_lead_to_the_definition(tmp_path, in_c):
    sources = {
        "p/__init__.py": "from ._core import *\nfrom . import _core as core\nfrom ._core import run as go\n",
        "p/_core.py": "def run(x):\n    exec(x)\ndef _hidden(x):\n    pass\n",
    }
    rows = analysed(tmp_path, sources, in_c)
    assert {rows[name].target for name in ("p.run", "p.go", "p._core.run")} == {"p._core.run"}
    assert flowing(rows["p.go"]) == {"exec"}
    assert "p._hidden" not in rows


def test_a_module_getattr_gives_names(tmp_path, in_c):
    sources = {
        "p/__init__.py": "def __getattr__(name):\n    from .late import Late\n    return Late\n",
        "p/late.py": "class Late:\n    def __init__(self, x):\n        exec(x)\n",
    }
    assert flowing(analysed(tmp_path, sources, in_c)["p.Late"]) == {"exec"}


def test_a_name_computed_by_the_caller_is_an_import(tmp_path, in_c):
    source = (
        "import importlib, os\ndef bad(x):\n    return importlib.import_module(x)\n"
        "def worse(x):\n    return getattr(os, x)\ndef good(x):\n    return importlib.import_module('os')\n"
        "def fine(x):\n    return hasattr(os, x)\n"
    )
    rows = analysed(tmp_path, {"m.py": source}, in_c)
    assert [flowing(rows[f"m.{name}"]) for name in ("bad", "worse", "good", "fine")] == [
        {"import"},
        {"import"},
        set(),
        set(),
    ]


def test_calling_what_the_caller_gives_is_told_apart_from_executing(tmp_path, in_c):
    source = "def bad(f, x):\n    return f(x)\ndef good(f, x):\n    return f.name + x\n"
    rows = analysed(tmp_path, {"m.py": source}, in_c)
    assert flowing(rows["m.bad"]) == {"call"}
    assert rows["m.good"].inert


def test_changing_what_the_interpreter_consults_is_tampering(tmp_path, in_c):
    source = (
        "import sys, os\ndef bad(x):\n    sys.path.insert(0, x)\ndef worse(x):\n    os.environ['A'] = x\n"
        "def good(x):\n    path = []\n    path.insert(0, x)\n    return path\n"
    )
    rows = analysed(tmp_path, {"m.py": source}, in_c)
    assert [flowing(rows[f"m.{name}"]) for name in ("bad", "worse", "good")] == [{"tamper"}, {"tamper"}, set()]


def test_files_that_are_only_read_are_told_apart(tmp_path, in_c):
    source = "def write(x):\n    open(x, 'w')\ndef read(x):\n    open(x)\ndef either(x, mode='r'):\n    open(x, mode)\n"
    rows = analysed(tmp_path, {"m.py": source}, in_c)
    assert [flowing(rows[f"m.{name}"]) for name in ("write", "read", "either")] == [{"file"}, {"read"}, {"file"}]


def test_what_a_file_in_memory_holds_is_no_path(tmp_path, in_c):
    source = (
        "import io\ndef load(f):\n    open(f, 'w')\ndef bad(x):\n    load(x)\ndef good(x):\n    load(io.BytesIO(x))\n"
    )
    rows = analysed(tmp_path, {"m.py": source}, in_c)
    assert [flowing(rows[f"m.{name}"]) for name in ("bad", "good")] == [{"file"}, set()]


def test_a_subclass_of_a_sink_is_one_by_its_constructor(tmp_path, in_c):
    source = (
        "import pickle\nclass Bad(pickle.Unpickler):\n    def __init__(self, x):\n        super().__init__(x)\n"
        "class Worse(pickle._Unpickler):\n    def __init__(self, n, x):\n        pickle._Unpickler.__init__(self, x)\n"
        "class Good(pickle.Unpickler):\n    def __init__(self, x):\n        super().__init__(open('a'))\n"
    )
    rows = analysed(tmp_path, {"m.py": source}, in_c)
    assert [flowing(rows[f"m.{name}"]) for name in ("Bad", "Worse", "Good")] == [{"deserialize"}] * 2 + [set()]


def test_making_code_is_told_apart_from_running_it(tmp_path, in_c):
    source = (
        "import types\ndef make(x):\n    return types.FunctionType(x, {})\ndef both(x, y):\n    make(x)\n    exec(y)\n"
    )
    rows = analysed(tmp_path, {"m.py": source}, in_c)
    assert [flowing(rows[f"m.{name}"]) for name in ("make", "both")] == [{"make"}, {"make", "exec"}]


def test_importing_a_module_does_what_its_code_and_its_imports_do(tmp_path, in_c):
    sources = {"a.py": "import os\nos.system('true')\n", "b.py": "import a\n", "c.py": "def f(x):\n    import a\n"}
    rows = analysed(tmp_path, sources, in_c)
    assert [[(reach.kind, reach.depth) for reach in rows[name].reaches] for name in "abc"] == [
        [("process", 1)],
        [("process", 2)],
        [],
    ]
    assert rows["a"].status == rows["a"].kind == "module"


def test_what_is_wholly_known_and_reaches_nothing_is_inert_and_what_calls_the_unknown_is_not(tmp_path, in_c):
    source = (
        "from _elsewhere import fast\ndef inert(x):\n    return sorted(str(x).split())\n"
        "def unknown(x):\n    return fast(x)\ndef below(x):\n    return unknown(x)\n"
        "class Plain:\n    def __init__(self, x):\n        self.x = x\n"
    )
    rows = analysed(tmp_path, {"m.py": source}, in_c)
    assert {name: rows[f"m.{name}"].inert for name in ("inert", "unknown", "below", "Plain")} == {
        "inert": True, "unknown": False, "below": False, "Plain": True,
    }  # fmt: skip
    assert (rows["m.unknown"].unknown, rows["m.below"].unknown) == (1, 0)


def test_source_that_cannot_be_parsed_is_left_out_and_the_rest_is_analysed(tmp_path, in_c):
    rows = analysed(tmp_path, {"broken.py": "def (", "m.py": "def f(x):\n    exec(x)\n"}, in_c)
    assert "broken" not in rows
    assert flowing(rows["m.f"]) == {"exec"}


def test_nothing_of_an_analysed_package_runs(tmp_path, in_c):
    mark = tmp_path / "ran"
    analysed(tmp_path, {"m.py": f"open({str(mark)!r}, 'w').close()\n"}, in_c)
    assert not mark.exists()


def test_a_summary_of_another_version_of_the_analysis_is_refused():
    with pytest.raises(ValueError, match="schema"):
        PackageSummary.from_json({"schema": 0, "package": "p", "version": "1", "modules": {}})
