"""What of a wheel is kept, what the manifest says, and which versions are linked with each other."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from distributed import LocalCluster

from pipelines.capabilities.__main__ import worlds
from pipelines.capabilities.analysis import read_summary, summarise
from pipelines.capabilities.fetch import extract
from pipelines.capabilities.groups import divide
from pipelines.capabilities.sources import Manifest, Source
from pipelines.params import load_params


def test_of_a_wheel_only_source_is_kept_and_what_is_not_read_is_marked(tmp_path: Path) -> None:
    wheel = tmp_path / "kit-1.0-py3-none-any.whl"
    members = {
        "kit/__init__.py": b"x = 1",
        "kit/core.pyi": b"x: int",
        "kit/_native.cpython-312-darwin.so": b"\x7fELF",
        "kit/data.bin": b"\0" * 99,
        "kit/tests/test_core.py": b"raise SystemExit",
        "kit-1.0.data/purelib/more/__init__.py": b"y = 2",
        "kit-1.0.data/scripts/run.py": b"z = 3",
        "kit-1.0.dist-info/METADATA": b"",
        "../outside.py": b"",
        "kit/not-a-name.py": b"",
    }
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    extract(wheel, tmp_path / "sources" / "kit-1.0")
    kept = {
        path.relative_to(tmp_path / "sources" / "kit-1.0").as_posix(): path.read_bytes()
        for path in (tmp_path / "sources").rglob("*")
        if path.is_file()
    }
    assert kept == {
        "kit/__init__.py": b"x = 1",
        "kit/core.pyi": b"x: int",
        "kit/_native.so": b"",
        "kit/tests.so": b"",
        "more/__init__.py": b"y = 2",
    }


def test_a_wheel_with_more_source_than_is_read_is_refused_and_leaves_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.capabilities.fetch.LARGEST_PACKAGE", 100)
    wheel = tmp_path / "kit-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("kit/a.py", b"#" * 60)
        archive.writestr("kit/b.py", b"#" * 60)
    with pytest.raises(SystemExit, match="more source than is read"):
        extract(wheel, tmp_path / "kit-1.0")
    assert not (tmp_path / "kit-1.0").exists()


def test_the_manifest_is_read_with_the_newest_version_first() -> None:
    manifest = Manifest.read(load_params())
    numpy = [wanted for wanted in manifest.packages if wanted.package == "numpy"]
    assert [wanted.index for wanted in sorted(numpy, key=lambda wanted: wanted.version)] == [2, 1, 0]
    with pytest.raises(SystemExit, match="capabilities cannot be read"):
        Manifest.read({"capabilities": {"jobs": 1}})


def test_every_version_is_linked_with_ones_of_its_time() -> None:
    sources = [Source("python", f"3.{12 - index}", index, Path()) for index in range(3)]
    sources += [Source("kit", "2.0", 0, Path()), Source("kit", "1.0", 2, Path()), Source("lone", "5", 0, Path())]
    linked = [[source.version for source in world] for _, world in worlds(sources)]
    assert linked == [["3.10", "1.0", "5"], ["3.11", "2.0", "5"], ["3.12", "2.0", "5"]]


def test_a_package_is_analysed_once_and_again_only_when_its_version_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("pipelines.capabilities.analysis.SUMMARIES", tmp_path / "summaries")
    folder = tmp_path / "kit"
    folder.mkdir()
    (folder / "kit.py").write_text("import os\ndef run(x):\n    return os.system(x)\n", encoding="utf-8")
    manifest = Manifest(1, 100, None, (), (), ())
    first = Source("kit", "1.0", 0, folder)
    summarise([first], manifest)
    assert "analysed kit 1.0 (1 of 1)" in capsys.readouterr().err
    summarise([first], manifest)
    assert capsys.readouterr().err == ""
    summarise([first, Source("kit", "1.1", 0, folder)], manifest)
    assert "analysed kit 1.1 (1 of 1)" in capsys.readouterr().err
    assert list(read_summary(first).modules) == ["kit"]


def test_a_cluster_makes_the_same_summaries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = []
    for number in range(3):
        folder = tmp_path / f"kit{number}"
        folder.mkdir()
        (folder / "kit.py").write_text(f"import os\ndef run{number}(x):\n    return os.system(x)\n", encoding="utf-8")
        sources.append(Source("kit", f"{number}.0", 0, folder))
    made = []
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        for address in (None, cluster.scheduler_address):
            monkeypatch.setattr("pipelines.capabilities.analysis.SUMMARIES", tmp_path / f"summaries-{address is None}")
            summarise(sources, Manifest(1, 100, address, (), (), ()))
            made.append([read_summary(source).to_json() for source in sources])
    assert made[0] == made[1]


def test_packages_are_linked_with_what_they_import_as_far_as_there_is_room() -> None:
    sizes = {"python": 10, "numpy": 10, "torch": 60, "models": 70, "small": 5, "lone": 30}
    needs = {"torch": {"numpy": 9}, "models": {"torch": 50, "numpy": 20}, "small": {"numpy": 1, "torch": 9}}
    divided = list(divide(sizes, needs, set(sizes), 155))
    assert sorted(name for own, _ in divided for name in own) == sorted(sizes)
    for own, together in divided:
        assert together[0] == "python"
        assert sum(sizes[name] for name in together) <= 155
        assert set(own) <= set(together)
    (models,) = [together for own, together in divided if "models" in own]
    assert {"torch", "numpy"} <= set(models)


def test_a_package_larger_than_a_group_may_be_is_linked_by_itself() -> None:
    (only,) = divide({"python": 10, "huge": 900, "other": 5}, {"huge": {"other": 1}}, {"huge"}, 100)
    assert only == (["huge"], ["python", "huge"])


def test_only_versions_of_their_turn_are_told_about() -> None:
    divided = divide({"python": 10, "old": 5, "kit": 5}, {"kit": {"old": 1}}, {"kit"}, 100)
    assert list(divided) == [(["kit"], ["python", "kit", "old"])]
