from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from registry import Registry, RegistryError, Version
from registry.signing import is_signed, sign

Register = Callable[..., Version]

KEY = "a key of more than sixteen bytes"


def files(registry: Registry, number: int) -> list[str]:
    folder = registry.root / "versions" / str(number)
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def refused(registry: Registry, number: int, *named: str) -> None:
    """Assert that the version cannot be verified, loaded, exported or promoted, and that each error names why."""
    target = registry.root.parent / "exported"
    for use in (
        lambda: registry.verify(number),
        lambda: registry.load(number),
        lambda: registry.promote(number, "why", "ann", force=True),
        lambda: registry.set_challenger(number, "why", "ann"),
        lambda: registry.export(number, target),
    ):
        with pytest.raises(RegistryError) as caught:
            use()
        for word in (*named, f"version {number}"):
            assert word in str(caught.value)
    assert registry.aliases().champion is None
    assert not target.exists()


def test_one_changed_byte_in_any_file_is_refused_by_name(registry: Registry) -> None:
    names = files(registry, 2)
    assert {"manifest.json", "card.md", "onnx/random_forest.onnx", "bundle/bundle.json"} <= set(names)
    for name in names:
        path = registry.root / "versions" / "2" / name
        data = path.read_bytes()
        for place in (0, len(data) // 2, len(data) - 1):
            path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
            refused(registry, 2, name)
        path.write_bytes(data + b"\n")
        refused(registry, 2, name)
        path.write_bytes(data)
        assert registry.verify(2).number == 2


def test_a_removed_file_is_refused_by_name(registry: Registry) -> None:
    for name in files(registry, 2):
        path = registry.root / "versions" / "2" / name
        data = path.read_bytes()
        path.unlink()
        refused(registry, 2, name)
        path.write_bytes(data)


@pytest.mark.parametrize("name", ["evil.bin", "bundle/evil.bin", "onnx/.hidden", "deep/er/evil.bin", "bundle/empty/"])
def test_an_added_file_or_folder_is_refused_by_name(registry: Registry, name: str) -> None:
    path = registry.root / "versions" / "2" / name
    if name.endswith("/"):
        path.mkdir()
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    refused(registry, 2, name)


def test_all_that_is_wrong_is_named_at_once(registry: Registry) -> None:
    folder = registry.root / "versions" / "2"
    (folder / "card.md").write_text("changed")
    (folder / "bundle" / "prevalence.json").unlink()
    (folder / "added").touch()
    refused(registry, 2, "card.md was changed", "bundle/prevalence.json is missing", "added was added")


def replace_by_link(path: Path, outside: Path) -> None:
    shutil.move(path, outside)
    path.symlink_to(outside)


@pytest.mark.parametrize("name", ["card.md", "manifest.json", "bundle/bundle.json", "bundle", "onnx", "."])
def test_a_symbolic_link_inside_a_version_is_refused_even_to_the_same_bytes(
    registry: Registry, tmp_path: Path, name: str
) -> None:
    replace_by_link((registry.root / "versions" / "2" / name).resolve(), tmp_path / "outside")
    refused(registry, 2)


@pytest.mark.parametrize("name", ["card.md", "manifest.json"])
def test_a_fifo_inside_a_version_is_refused_and_not_waited_for(registry: Registry, name: str) -> None:
    path = registry.root / "versions" / "2" / name
    path.unlink()
    os.mkfifo(path)
    refused(registry, 2, name)


def test_a_manifest_rewritten_to_match_a_changed_file_is_refused(registry: Registry) -> None:
    folder = registry.root / "versions" / "2"
    other = registry.root / "versions" / "3"
    shutil.rmtree(folder / "bundle")
    shutil.copytree(other / "bundle", folder / "bundle")
    manifest = json.loads((folder / "manifest.json").read_text())
    donor = json.loads((other / "manifest.json").read_text())
    manifest["files"] = donor["files"]
    manifest["bundle_hash"] = donor["bundle_hash"]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    refused(registry, 2, "manifest.json")


def test_two_versions_that_changed_places_are_refused(registry: Registry, tmp_path: Path) -> None:
    first, second = (registry.root / "versions" / name for name in "12")
    first.rename(tmp_path / "aside")
    second.rename(first)
    (tmp_path / "aside").rename(second)
    refused(registry, 1, "manifest.json")
    refused(registry, 2, "manifest.json")


def test_a_version_removed_as_a_whole_is_refused(registry: Registry) -> None:
    shutil.rmtree(registry.root / "versions" / "2")
    refused(registry, 2, "manifest.json")
    assert registry.verify(1).number == 1


def test_a_tampered_champion_is_not_loaded_and_a_tampered_predecessor_not_returned_to(registry: Registry) -> None:
    registry.promote(1, "first", "ann", force=True)
    registry.promote(2, "better", "ann", force=True)
    (registry.root / "versions" / "1" / "card.md").write_text("changed")
    with pytest.raises(RegistryError, match=r"card\.md"):
        registry.rollback("bad", "ann")
    (registry.root / "versions" / "2" / "bundle" / "bundle.json").write_text("{}")
    with pytest.raises(RegistryError, match=r"bundle\.json"):
        registry.load()
    assert registry.aliases().champion == 2


def test_registering_a_tampered_version_again_is_refused(registry: Registry, register: Register) -> None:
    (registry.root / "versions" / "2" / "card.md").write_text("changed")
    with pytest.raises(RegistryError, match=r"card\.md"):
        register(registry, 2)


def test_a_folder_planted_among_the_versions_is_reported_and_never_used(registry: Registry) -> None:
    shutil.copytree(registry.root / "versions" / "1", registry.root / "versions" / "7")
    assert registry.strays() == ("7",)
    assert len(registry.versions()) == 3
    with pytest.raises(RegistryError, match="no version 7"):
        registry.promote(7, "why", "ann", force=True)


def edit_aliases(registry: Registry, change: Callable[[dict[str, object]], object]) -> None:
    path = registry.root / "aliases.json"
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda value: value.update(champion=1), id="champion moved"),
        pytest.param(lambda value: value["history"].pop(0), id="history shortened at the front"),
        pytest.param(lambda value: value["history"].pop(), id="history shortened at the end"),
        pytest.param(lambda value: value["history"][0].update(to=9), id="history names a version that is not there"),
        pytest.param(lambda value: value["history"][1].update(action="rollback"), id="rollback without a predecessor"),
        pytest.param(lambda value: value["history"][1].update(alias="latest"), id="unknown alias"),
        pytest.param(lambda value: value["history"][1].update(who=None), id="nobody did it"),
        pytest.param(lambda value: value["versions"].pop("2"), id="champion unregistered"),
        pytest.param(lambda value: value.update(versions=[]), id="versions of another type"),
        pytest.param(lambda value: value.update(format=2), id="another format"),
        pytest.param(lambda value: value.clear(), id="emptied"),
    ],
)
def test_aliases_that_contradict_themselves_are_refused(
    registry: Registry, change: Callable[[dict[str, object]], object]
) -> None:
    registry.promote(1, "first", "ann", force=True)
    registry.promote(2, "better", "ann", force=True)
    edit_aliases(registry, change)
    for use in (registry.aliases, registry.load, lambda: registry.promote(3, "why", "ann", force=True)):
        with pytest.raises(RegistryError, match=r"aliases\.json"):
            use()


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"\xff\xfe", b"[" * 100_000, b"null"])
def test_aliases_that_are_no_json_object_are_refused(registry: Registry, data: bytes) -> None:
    (registry.root / "aliases.json").write_bytes(data)
    with pytest.raises(RegistryError, match=r"aliases\.json"):
        registry.aliases()


def test_lost_aliases_are_noticed_and_no_version_is_thrown_away(registry: Registry, register: Register) -> None:
    (registry.root / "aliases.json").unlink()
    for use in (registry.aliases, lambda: register(registry, 4)):
        with pytest.raises(RegistryError, match=r"aliases\.json is missing"):
            use()
    assert sorted(path.name for path in (registry.root / "versions").iterdir()) == ["1", "2", "3"]


@pytest.fixture
def signed(tmp_path: Path, register: Register, monkeypatch: pytest.MonkeyPatch) -> Registry:
    monkeypatch.setenv("SAFEPICKLE_REGISTRY_KEY", KEY)
    store = Registry(tmp_path / "signed")
    register(store, 1)
    register(store, 2)
    store.promote(1, "first", "ann", force=True)
    return store


def test_a_signed_store_works_with_its_key_and_without_one(signed: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    assert signed.load()[0].number == 1
    monkeypatch.delenv("SAFEPICKLE_REGISTRY_KEY")
    assert Registry(signed.root).load()[0].number == 1


def test_another_key_is_refused(signed: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAFEPICKLE_REGISTRY_KEY", KEY[::-1])
    for use in (Registry(signed.root).load, Registry(signed.root).aliases):
        with pytest.raises(RegistryError, match="not signed with the key"):
            use()


@pytest.mark.parametrize("content", [None, "", "0" * 64, "ä"])
def test_a_manifest_without_the_right_signature_is_refused(signed: Registry, content: str | None) -> None:
    path = signed.root / "versions" / "1" / "manifest.sig"
    path.unlink()
    if content is not None:
        path.write_text(content)
    with pytest.raises(RegistryError, match=r"manifest\.sig"):
        signed.load()


def test_the_signature_of_another_version_does_not_serve(signed: Registry) -> None:
    first, second = (signed.root / "versions" / name / "manifest.sig" for name in "12")
    shutil.copyfile(second, first)
    with pytest.raises(RegistryError, match=r"manifest\.sig"):
        signed.verify(1)


def test_changing_file_manifest_and_recorded_hashes_together_is_refused_with_a_key(
    signed: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SAFEPICKLE_REGISTRY_KEY")
    Registry(signed.root).promote(2, "a writer without the key", "eve", force=True)
    monkeypatch.setenv("SAFEPICKLE_REGISTRY_KEY", KEY)
    with pytest.raises(RegistryError, match=r"aliases\.json is not signed"):
        signed.load()


def test_an_older_store_is_signed_by_the_sign_command_after_it_was_checked(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.promote(1, "first", "ann", force=True)
    with pytest.raises(RegistryError, match="no key"):
        registry.sign()
    monkeypatch.setenv("SAFEPICKLE_REGISTRY_KEY", KEY)
    keyed = Registry(registry.root)
    with pytest.raises(RegistryError, match="registry sign"):
        keyed.load()
    card = registry.root / "versions" / "3" / "card.md"
    text = card.read_text()
    card.write_text("changed")
    with pytest.raises(RegistryError, match=r"card\.md"):
        keyed.sign()
    card.write_text(text)
    assert keyed.sign() == (1, 2, 3)
    assert [keyed.verify(number).number for number in (1, 2, 3)] == [1, 2, 3]
    assert keyed.load()[0].number == 1


@pytest.mark.parametrize("key", ["", "short"])
def test_a_key_too_short_to_be_one_does_not_switch_the_check_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv("SAFEPICKLE_REGISTRY_KEY", key)
    with pytest.raises(RegistryError, match="at least 16"):
        Registry(tmp_path)


def test_a_signature_does_not_serve_for_another_kind_of_file() -> None:
    key = KEY.encode()
    assert is_signed(key, "manifest", b"data", sign(key, "manifest", b"data"))
    assert not is_signed(key, "aliases", b"data", sign(key, "manifest", b"data"))
