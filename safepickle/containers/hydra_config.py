"""Hydra: what building the objects of a configuration does, told as the pickle that would do the same.

``hydra.utils.instantiate``, and what libraries made like it, imports and calls what ``_target_`` names with the other
keys as arguments; ``_partial_`` makes a ``functools.partial`` of it. Configurations are JSON, or YAML in blocks as
OmegaConf writes it (``model_config.yaml`` of NeMo).
"""

from __future__ import annotations

from .json_program import DEEPEST, JsonProgram, add, fits
from .program import Unreadable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..bytecode.trace import Place
    from .source import Source
    from .survey import Survey

MARK = b"_target_"
_MOST_LINES = 100_000
_QUOTES = ("'", '"')
_REST = (">", "|", "&", "*", "!", "{", "[")
"""What begins a value of YAML that is not read here."""


class HydraConfig(JsonProgram):
    """Objects within a configuration."""

    step = "hydra"

    @classmethod
    def holds(cls, found: Any) -> bool:
        """Objects are looked for within others that are none."""
        return isinstance(found, (dict, list))

    def build(self, node: Any, depth: int) -> None:
        """Push what becomes of one value."""
        if not isinstance(node, dict) or "_target_" not in node or depth > DEEPEST:
            super().build(node, depth)
            return
        target = node["_target_"]
        module, _, name = target.rpartition(".") if isinstance(target, str) else ("", "", "")
        if not module or not name or not module.replace(".", "").isidentifier() or not name.isidentifier():
            raise Unreadable("an object names nothing that can be imported")
        partial = node.get("_partial_") in (True, "true", "True")
        if partial:
            self.named("functools", "partial")
            self.opcodes += b"("
        self.named(module, name)
        if not partial:
            self.opcodes += b"("
        given = node.get("_args_", ())
        for value in given if isinstance(given, list) else (given,) if given else ():
            self.build(value, depth + 1)
        for key, value in node.items():
            if key not in ("_target_", "_partial_", "_args_", "_recursive_", "_convert_"):
                self.build(value, depth + 1)
        self.opcodes += b"tR"


def mentions(source: Source) -> int:
    """How often a text has the mark as a word; within a longer one it is none."""
    count = 0
    at = source.find(MARK, 0, source.size)
    while at >= 0:
        behind = at + len(MARK)
        around = source.read(at - 1, 1) if at else b"", source.read(behind, 1)
        count += not any(byte.isalnum() or byte == b"_" for byte in around)
        at = source.find(MARK, behind, source.size)
    return count


def read_yaml(source: Source, place: Place, survey: Survey) -> bool:
    """Tell what a text in YAML builds; False where not all objects in it were understood."""
    data = source.read(0, source.size)
    if source.partial or not fits(data) or data.count(b"\n") > _MOST_LINES:
        return False
    objects = _objects(data.decode("utf-8", "replace").removeprefix("\ufeff").splitlines())
    if sum("_target_" in found for found in objects) < mentions(source):
        return False
    return add(HydraConfig, {"objects": objects}, place, survey)


def _objects(lines: list[str]) -> list[dict[str, Any]]:
    """Every block of keys with values, those of nested blocks apart."""
    blocks: list[dict[str, Any]] = []
    open_: list[tuple[int, dict[str, Any]]] = []
    for line in lines:
        text = line.lstrip(" ")
        indent = len(line) - len(text)
        begins = text.startswith("- ")
        while text.startswith("- "):
            text = text[2:].lstrip(" ")
            indent = len(line) - len(text)
        key, colon, value = text.partition(":")
        if not text or text.startswith("#") or not colon or (value and value[0] != " "):
            continue
        while open_ and (open_[-1][0] > indent or (begins and open_[-1][0] == indent)):
            open_.pop()
        if not open_ or open_[-1][0] < indent:
            open_.append((indent, {}))
            blocks.append(open_[-1][1])
        open_[-1][1][_scalar(key)] = _scalar(value)
    return blocks


def _scalar(text: str) -> Any:
    """A plain or quoted value; a number as a number, what is not read as nothing."""
    text = text.strip()
    if len(text) > 1 and text[0] in _QUOTES and text[-1] == text[0] and "\\" not in text:
        return text[1:-1]
    text = text.replace("\t#", " #").partition(" #")[0].rstrip()
    if not text or text[0] in _REST or text in ("null", "~") or (text[0] in _QUOTES and text[-1] != text[0]):
        return None
    try:
        return int(text) if len(text) < 20 else text
    except ValueError:
        return text
