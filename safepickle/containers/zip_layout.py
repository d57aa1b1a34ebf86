"""What a zip is used as, by the names of its members: torch, TorchScript, npz, Keras, skops ..."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

_PROGRAMS = {
    "torch-package": "Python sources in it are executed",
}
"""Layouts that carry code in members which nobody here reads, and why that matters."""

MODELS = frozenset(("torch-zip", "torchscript-zip", "keras-zip", "skops-zip", "sb3-zip", "npz"))
"""Layouts of whole models, of which every part that a loader executes is read."""

_STORAGE_ENDINGS = (*"0123456789", ".storage")
_STORAGE_FOLDERS = ("data", "tensors", "constants", "storages", ".data")


def layout(names: Collection[str]) -> str:
    """Name of the layout; ``zip`` when it is none of the known ones."""
    last = {name.rpartition("/")[2] for name in names}
    folders = {part for name in names for part in name.split("/")[:-1]}
    if ".data" in folders and "extern_modules" in last:
        return "torch-package"
    if "data.pkl" in last:
        return "torchscript-zip" if "constants.pkl" in last or "code" in folders else "torch-zip"
    if {"config.json", "metadata.json"} <= last:
        return "keras-zip"
    if "schema.json" in last:
        return "skops-zip"
    if names and all(name.endswith(".npy") for name in names):
        return "npz"
    if any(name.endswith("stable_baselines3_version") for name in last):
        return "sb3-zip"
    return "zip"


def unread(container: str) -> str:
    """Why a layout stays incomplete; empty for those that are read in full."""
    return _PROGRAMS.get(container, "")


def is_storage(name: str, container: str) -> bool:
    """Whether a member is nothing but weights: ``archive/data/0``, ``.data/94.storage``, ``model.weights.h5``."""
    if container == "keras-zip":
        return name.endswith(".weights.h5")
    if not container.startswith("torch") or not name.endswith(_STORAGE_ENDINGS):
        return False
    folder, _, last = name.rpartition("/")
    return folder.rpartition("/")[2] in _STORAGE_FOLDERS and last.removesuffix(".storage").isdigit()


def is_named_pickle(name: str) -> bool:
    """Whether the name alone promises a pickle: then it is read as one whatever it begins with."""
    return name.endswith((".pkl", ".pickle"))
