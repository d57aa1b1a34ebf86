"""The capability table: what is written is found again, through every spelling, and damage is noticed."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

pytest.importorskip("yaml", reason="the pipelines are not installed")

from pipelines.capabilities.entries import Entry, ModuleEntries, Way
from pipelines.capabilities.table import write_table
from safepickle.capabilities.capability import Capability
from safepickle.capabilities.table import PATH, Table, open_table
from safepickle.errors import SafePickleError, TableError

PACKAGES = {"kit": ("1.0", "2.0"), "python": ("3.12",)}


def entry(form: str = "function", *, line: int = 0, versions: int = 3, inert: bool = False, unknown: bool = False,
          target: str = "", bases: tuple[str, ...] = (), ways: tuple[Way, ...] = ()) -> Entry:  # fmt: skip
    made = Entry(form, inert=inert, unknown=unknown)
    made.line, made.versions, made.target, made.bases = line, versions, target, bases
    for way in ways:
        made.add(way)
    return made


def module(name: str, flags: str, package: str = "kit", **names: Entry) -> ModuleEntries:
    made = ModuleEntries(name, package, flags)
    made.itself.versions = 3
    made.names.update(names)
    return made


def small() -> list[ModuleEntries]:
    """A package with what there is to tell of names."""
    runs = Way("exec", 2, True, False, "kit.core.evaluate")
    evaluates = Way("exec", 1, True, False, "builtins.eval")
    opens = Way("file", 1, False, True, "builtins.open")
    core = module(
        "kit.core", "",
        evaluate=entry(line=10, ways=(evaluates,)),
        run=entry(line=20, versions=2, ways=(runs, opens)),
        add=entry(inert=True),
        murky=entry(unknown=True),
        Base=entry("class", line=30, inert=True),
        Child=entry("class", line=40, bases=("kit.core.Base", "kit.other.Mixin")),
    )  # fmt: skip
    core.names["Base.run"] = entry(line=31, ways=(runs,))
    core.names["Child.add"] = entry(inert=True)
    top = module("kit", "p", load=entry(target="kit.core.run"), core=entry(target="kit.core"))
    lazy = module("kit.lazy", "d", known=entry(inert=True))
    unread = module("kit._native", "n")
    other = module("kit.other", "p", Mixin=entry("class", bases=("elsewhere.Thing",)))
    return [core, top, lazy, unread, other]


@pytest.fixture(scope="module")
def table() -> Table:
    return Table(write_table(small(), PACKAGES), "small table")


def find(table: Table, name: str) -> Capability:
    found = table.find(name)
    assert found is not None
    return found


def test_a_re_export_leads_to_what_it_really_is_with_its_witness(table: Table) -> None:
    found = find(table, "kit.load")
    assert (found.name, found.status, found.form, found.line) == ("kit.core.run", "analysed", "function", 20)
    assert (found.package, found.versions, found.path) == ("kit", ("2.0",), "kit/core.py")
    worst, other = found.reaches
    assert (worst.kind, worst.depth, worst.flows, worst.implicit) == ("exec", 2, True, False)
    assert (other.kind, other.depth, other.flows, other.implicit) == ("file", 1, False, True)
    assert [step.name for step in table.follow(worst)] == ["kit.core.evaluate", "builtins.eval"]
    assert [(step.package, step.version, step.path, step.line) for step in table.follow(worst)] == [
        ("kit", "2.0", "kit/core.py", 10),
        ("", "", "", 0),
    ]


def test_a_name_is_found_along_attributes_modules_and_calls_of_itself(table: Table) -> None:
    for name in ("kit.core.core.run", "kit.core.run.__call__", "kit.core.Child.run"):
        if name == "kit.core.core.run":
            assert find(table, name).status == "unresolvable"
        else:
            assert find(table, name).reach("exec", flows=True), name


def test_an_inherited_method_is_that_of_the_base_and_an_own_one_is_not(table: Table) -> None:
    assert find(table, "kit.core.Child.run").name == "kit.core.Base.run"
    assert find(table, "kit.core.Child.add").inert


def test_what_a_base_that_was_not_analysed_may_have_is_not_called_unresolvable(table: Table) -> None:
    assert find(table, "kit.other.Mixin.anything").status == "dynamic"
    assert find(table, "kit.core.Child.anything").status == "dynamic"
    assert find(table, "kit.core.Base.anything").status == "unresolvable"


def test_inert_unclear_and_missing_names_are_told_apart(table: Table) -> None:
    inert, murky, missing = (find(table, f"kit.core.{name}") for name in ("add", "murky", "gone"))
    assert (inert.status, inert.inert, inert.unknown) == ("analysed", True, False)
    assert (murky.status, murky.inert, murky.unknown) == ("analysed", False, True)
    assert (missing.status, missing.inert, missing.versions) == ("unresolvable", False, ("1.0", "2.0"))


def test_of_what_was_not_read_nothing_is_claimed(table: Table) -> None:
    assert table.find("elsewhere.thing") is None
    assert find(table, "kit._native.anything").unknown
    assert find(table, "kit.lazy.anything").status == "dynamic"
    assert find(table, "kit.lazy.known").inert


def test_a_root_sink_is_found_under_its_other_names(table: Table) -> None:
    for name in ("os.system", "posix.system", "kit.core.os.system", "__builtin__.eval", "builtins.exec.__call__"):
        found = find(table, name)
        assert (found.status, found.reaches[0].depth, table.follow(found.reaches[0])) == ("root", 0, ())


def test_the_bytes_of_a_table_depend_on_nothing_but_what_is_in_it() -> None:
    shuffled = small()
    random.shuffle(shuffled)
    for one in shuffled:
        names = list(one.names.items())
        random.shuffle(names)
        one.names = dict(names)
    assert write_table(shuffled, PACKAGES) == write_table(small(), dict(reversed(PACKAGES.items())))


def test_a_module_of_many_names_is_split_and_each_is_found() -> None:
    many = module("kit.many", "")
    for number in range(4000):
        many.names[f"name{number}"] = entry(inert=number % 3 == 0, unknown=number % 3 == 1)
        if number % 3 == 2:
            many.names[f"name{number}"].add(Way("network", 1, True, False, "socket.socket"))
    table = Table(write_table([many], PACKAGES), "large table")
    for number in range(4000):
        found = find(table, f"kit.many.name{number}")
        assert (found.inert, found.unknown, bool(found.reaches)) == tuple(number % 3 == at for at in range(3))
    assert find(table, "kit.many.name4000").status == "unresolvable"


def test_names_that_no_python_file_has_are_answered_all_the_same(table: Table) -> None:
    for name in (
        "",
        ".",
        "..",
        "kit.",
        ".kit",
        "kit..core",
        "kit.core.\n:kit\t",
        "kit.core.\ud800",
        "kit." * 500 + "x",
    ):
        found = table.find(name)
        assert found is None or found.status in ("unresolvable", "dynamic"), name


def test_re_exports_in_a_circle_end_in_no_answer() -> None:
    ring = module("ring", "", a=entry(target="ring.b"), b=entry(target="ring.a"), C=entry("class", bases=("ring.C",)))
    table = Table(write_table([ring], PACKAGES), "ring")
    assert find(table, "ring.a").status == "dynamic"
    assert find(table, "ring.C.x").status in ("dynamic", "unresolvable")


def test_every_damaged_byte_is_noticed_or_changes_nothing() -> None:
    whole = write_table(small(), PACKAGES)
    names = ["kit.load", "kit.core.Child.run", "kit.core.add", "kit.lazy.known", "kit.core.gone", "kit"]
    expected = [(Table(whole, "").find(name)) for name in names]
    for at in range(len(whole)):
        damaged = bytearray(whole)
        damaged[at] ^= 0x55
        try:
            table = Table(bytes(damaged), "damaged")
            found = [table.find(name) for name in names]
        except TableError:
            continue
        assert found == expected, at


def test_a_table_cut_short_is_refused() -> None:
    whole = write_table(small(), PACKAGES)
    for length in range(0, len(whole), 7):
        with pytest.raises(TableError, match="damaged"):
            Table(whole[:length], "cut")


def test_a_missing_or_empty_table_is_named_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    for name in ("empty", "missing"):
        with pytest.raises(SafePickleError, match=rf"{name}.*install"):
            open_table(str(tmp_path / name))


def test_the_shipped_table_answers_quickly_and_is_small() -> None:
    table = open_table(PATH)
    names = [
        "builtins.set",
        "_codecs.encode",
        "numpy.ndarray",
        "collections.OrderedDict",
        "torch._utils._rebuild_tensor",
    ]
    for name in names:
        table.find(name)
    begin = time.process_time()
    for _ in range(200):
        for name in names:
            table.find(name)
    # twenty times what it takes, for machines that are busy
    assert (time.process_time() - begin) / 1000 < 400e-6
    assert Path(PATH).stat().st_size <= 5_000_000
