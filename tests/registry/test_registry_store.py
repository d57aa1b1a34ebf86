from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from registry import Decision, Registry, RegistryError, Version

MakeBundle = Callable[[int], Path]
Register = Callable[..., Version]


def test_a_version_keeps_its_files_and_lineage(tmp_path: Path, register: Register, bundle: MakeBundle) -> None:
    store = Registry(tmp_path / "store")
    first = register(store, 1)
    second = register(store, 2, parent=1, params={"trees": 300}, metrics={"recall": 0.98}, schema={"version": 1})
    assert (first.number, second.number) == (1, 2)
    for file in bundle(2).iterdir():
        assert (second.bundle / file.name).read_bytes() == file.read_bytes()
    assert (second.path / "onnx" / "random_forest.onnx").read_bytes() == b"onnx of seed 2"
    assert second.card == "# Model 2\n"
    manifest = json.loads((second.path / "manifest.json").read_text())
    wanted = {
        "version": 2,
        "parent": 1,
        "params": {"trees": 300},
        "metrics": {"recall": 0.98},
        "schema": {"version": 1},
        "dataset_hash": "data",
        "git_commit": "0123456789abcdef",
        "decision": None,
    }
    assert {name: manifest[name] for name in wanted} == wanted
    assert set(manifest["files"]) == {
        "card.md",
        "onnx/random_forest.onnx",
        *(f"bundle/{file.name}" for file in bundle(2).iterdir()),
    }
    assert [version.number for version in Registry(store.root).versions()] == [1, 2]


def test_the_same_bundle_and_data_again_give_the_same_version(registry: Registry, register: Register) -> None:
    before = registry.get(2)
    again = register(registry, 2, metrics={"recall": 0.5}, card="# other")
    assert again == before
    assert len(registry.versions()) == 3


def test_the_same_bundle_from_other_data_is_another_version(registry: Registry, register: Register) -> None:
    other = register(registry, 2, dataset_hash="more data")
    assert other.number == 4
    assert other.bundle_hash == registry.get(2).bundle_hash


def test_a_registered_version_verifies_and_loads(registry: Registry) -> None:
    registry.promote(2, "first", "ann", force=True)
    version, _bundle = registry.load()
    assert version == registry.verify(2) == registry.get("champion") == registry.get("2")


@pytest.mark.parametrize("name", [0, 4, -1, "4", "../1", "1/../2", "latest", "", "٣", "1.0", "9" * 30])
def test_a_version_that_does_not_exist_is_refused_by_name(registry: Registry, name: int | str) -> None:
    with pytest.raises(RegistryError, match=r"no version|neither the number"):
        registry.get(name)


@pytest.mark.parametrize("alias", ["champion", "challenger"])
def test_an_alias_that_points_nowhere_is_refused(registry: Registry, alias: str) -> None:
    with pytest.raises(RegistryError, match=f"no {alias}"):
        registry.verify(alias)


@pytest.mark.parametrize("name", ["../../evil", "a/b", "..", ".hidden", "", "a\\b", "a\0b", "-rf", "näme", "x" * 200])
def test_a_model_name_that_is_no_plain_file_name_is_refused(tmp_path: Path, register: Register, name: str) -> None:
    store = Registry(tmp_path / "deep" / "store")
    with pytest.raises(RegistryError, match="cannot be named"):
        register(store, 1, onnx={name: b"onnx"})
    assert store.versions() == ()
    assert sorted(path.name for path in store.root.iterdir()) == [".lock", "aliases.json"]


@pytest.mark.parametrize(
    "changes", [{"metrics": {"auc": math.nan}}, {"params": {"path": Path("x")}}, {"schema": {1, 2}}]
)
def test_a_value_that_is_no_json_is_refused(tmp_path: Path, register: Register, changes: dict[str, Any]) -> None:
    store = Registry(tmp_path / "store")
    with pytest.raises(RegistryError, match="JSON"):
        register(store, 1, **changes)
    assert store.versions() == ()


def test_a_parent_that_does_not_exist_is_refused(registry: Registry, register: Register) -> None:
    with pytest.raises(RegistryError, match="no version 9"):
        register(registry, 4, parent=9)


def test_a_bundle_that_cannot_be_loaded_is_not_registered(
    tmp_path: Path, registry: Registry, register: Register
) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "bundle.json").write_text("{}")
    with pytest.raises(RegistryError, match="broken"):
        register(registry, 4, bundle=tmp_path / "broken")
    assert len(registry.versions()) == 3
    assert not (registry.root / "staging").exists()


def test_a_bundle_with_a_link_in_it_is_not_registered(
    tmp_path: Path, registry: Registry, register: Register, bundle: MakeBundle
) -> None:
    folder = tmp_path / "linked"
    folder.mkdir()
    for file in bundle(4).iterdir():
        (folder / file.name).symlink_to(file)
    with pytest.raises(RegistryError, match="symbolic link"):
        register(registry, 4, bundle=folder)


def test_a_bundle_with_a_fifo_in_it_is_not_waited_for(tmp_path: Path, registry: Registry, register: Register) -> None:
    folder = tmp_path / "piped"
    folder.mkdir()
    os.mkfifo(folder / "bundle.json")
    with pytest.raises(RegistryError, match=r"bundle\.json.*not a regular file"):
        register(registry, 4, bundle=folder)


def test_a_bundle_that_does_not_exist_is_refused(tmp_path: Path, registry: Registry, register: Register) -> None:
    with pytest.raises(RegistryError, match="nowhere"):
        register(registry, 4, bundle=tmp_path / "nowhere")


def test_promotions_and_rollbacks_are_remembered_with_who_when_and_why(registry: Registry) -> None:
    start = datetime.now(UTC)
    registry.promote(1, "the first", "ann", force=True)
    registry.promote(2, "better recall", "bob", force=True)
    registry.rollback("false alarms", "cleo")
    state = Registry(registry.root).aliases()
    assert state.champion == 1
    assert [(c.alias, c.action, c.before, c.after, c.who, c.why) for c in state.history] == [
        ("champion", "promote", None, 1, "ann", "the first"),
        ("champion", "promote", 1, 2, "bob", "better recall"),
        ("champion", "rollback", 2, 1, "cleo", "false alarms"),
    ]
    times = [start, *(datetime.fromisoformat(change.when) for change in state.history), datetime.now(UTC)]
    assert times == sorted(times)


def test_rolling_back_twice_goes_two_champions_back(registry: Registry) -> None:
    for number in (1, 2, 3):
        registry.promote(number, "better", "ann", force=True)
    assert registry.rollback("bad", "ann").number == 2
    assert registry.rollback("bad too", "ann").number == 1
    with pytest.raises(RegistryError, match="no champion to return to"):
        registry.rollback("again", "ann")
    assert registry.aliases().champion == 1


def test_a_champion_that_was_rolled_back_from_is_not_returned_to(registry: Registry) -> None:
    registry.promote(1, "first", "ann", force=True)
    registry.promote(2, "better", "ann", force=True)
    registry.rollback("bad", "ann")
    registry.promote(3, "better", "ann", force=True)
    assert registry.rollback("bad", "ann").number == 1


@pytest.mark.parametrize("promoted", [(), (1,), (1, 1)], ids=["no champion", "the first champion", "promoted twice"])
def test_a_rollback_without_a_predecessor_is_refused(registry: Registry, promoted: tuple[int, ...]) -> None:
    for number in promoted:
        registry.promote(number, "first", "ann", force=True)
    with pytest.raises(RegistryError, match="no champion to return to"):
        registry.rollback("why not", "ann")


def test_the_challenger_is_set_changed_and_cleared_by_its_promotion(registry: Registry) -> None:
    registry.set_challenger(2, "retrained", "ann")
    registry.set_challenger(None, "withdrawn", "ann")
    registry.set_challenger(3, "retrained", "ann")
    assert registry.promote("challenger", "better", "ann", force=True).number == 3
    state = registry.aliases()
    assert (state.champion, state.challenger) == (3, None)
    assert [change.after for change in state.history if change.alias == "challenger"] == [2, None, 3, None]


@pytest.mark.parametrize(("reason", "actor"), [("", "ann"), ("  ", "ann"), ("better", "")])
def test_a_move_without_reason_or_actor_is_refused(registry: Registry, reason: str, actor: str) -> None:
    registry.promote(1, "first", "ann", force=True)
    registry.promote(2, "better", "ann", force=True)
    for move in (
        lambda: registry.promote(3, reason, actor, force=True),
        lambda: registry.rollback(reason, actor),
        lambda: registry.set_challenger(3, reason, actor),
    ):
        with pytest.raises(RegistryError, match="is empty"):
            move()
    assert len(registry.aliases().history) == 2


@pytest.mark.parametrize(
    ("decision", "words"),
    [
        pytest.param(None, "never asked", id="none"),
        pytest.param(Decision("hold", ("churn",), ()), "said hold", id="hold"),
        pytest.param(Decision("reject", ("canary",), ()), "said reject", id="reject"),
        pytest.param(Decision("promote", ("all passed",), (), against=2), "another champion", id="stale"),
    ],
)
def test_only_what_the_gate_cleared_is_promoted_unless_forced(
    registry: Registry, decision: Decision | None, words: str
) -> None:
    if decision is not None:
        registry.record_decision(3, decision)
    with pytest.raises(RegistryError, match=words):
        registry.promote(3, "better", "ann")
    assert registry.aliases().champion is None
    registry.promote(3, "an emergency", "ann", force=True)
    change = registry.aliases().history[-1]
    assert (change.after, change.why) == (3, "an emergency")
    assert change.gate == ("none" if decision is None else "stale" if decision.against else decision.outcome)


def test_a_decision_counts_until_another_version_becomes_champion(registry: Registry, register: Register) -> None:
    registry.promote(1, "first", "ann", force=True)
    cleared = Decision("promote", ("all passed",), (), against=1)
    registry.record_decision(2, cleared)
    fourth = register(registry, 4, decision=cleared)
    assert fourth.manifest["decision"] == cleared.to_json()
    registry.promote(2, "better", "ann")
    assert registry.aliases().history[-1].gate == "promote"
    with pytest.raises(RegistryError, match="another champion"):
        registry.promote(fourth.number, "better", "ann")


def test_registering_again_records_the_new_decision(registry: Registry, register: Register) -> None:
    decision = Decision("promote", ("all passed",), ())
    assert register(registry, 2, decision=decision).number == 2
    assert registry.promote(2, "better", "ann").number == 2


def test_a_store_that_does_not_exist_is_empty_and_reading_does_not_make_it(tmp_path: Path) -> None:
    store = Registry(tmp_path / "none")
    assert store.versions() == ()
    assert store.aliases().champion is None
    with pytest.raises(RegistryError, match="no champion"):
        store.load()
    with pytest.raises(RegistryError, match="cannot write"):
        store.promote(1, "why", "ann")
    assert not store.root.exists()


def test_the_store_is_named_by_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Registry.from_environment().root == Path("registry/store")
    monkeypatch.setenv("SAFEPICKLE_REGISTRY", str(tmp_path))
    assert Registry.from_environment().root == tmp_path
