"""skops: what building the objects of ``schema.json`` does, told as the pickle that would do the same.

Each node names a class and one of some twenty loaders. skops asks whoever loads the file which classes to trust; what
is told here is what trusting all of them would do. See ``skops.io``.
"""

from __future__ import annotations

from .json_program import DEEPEST, JsonProgram
from .program import Unreadable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_ABOUT = frozenset(("__class__", "__module__", "__loader__", "__id__", "file", "type", "protocol", "_skops_version"))
"""Keys of a node that hold no objects."""
_HELD = frozenset(("DictNode", "ListNode", "SetNode", "TupleNode", "BytesNode", "BytearrayNode", "SliceNode"))
_STORED = frozenset(("MaskedArrayNode", "SparseMatrixNode", "DTypeNode"))
"""Loaders that make what they store, whatever class the node names."""
_DATA = frozenset(
    (*(f"builtins.{name}" for name in ("dict", "list", "set", "tuple", "bytes", "bytearray", "slice")), "numpy.ndarray")
)
"""Classes of which an instance is nothing but data; of another class its loader makes one by calling it."""
_NAMED = frozenset(("TypeNode", "FunctionNode"))
_CALLED = frozenset(
    ("PartialNode", "OperatorFuncNode", "ConstructorFromReduceNode", "DefaultDictNode", "RandomGeneratorNode",
     "RandomStateNode", "NdArrayNode", "ReduceNode", "TreeNode", "LossNode", "QuantileForestNode",
     "_DictWithDeprecatedKeysNode")
)  # fmt: skip
"""Loaders that call the class, or the function of that name, with what the node holds."""


class SkopsSchema(JsonProgram):
    """The tree of nodes of a skops file."""

    step = "skops"
    keys = frozenset(("__class__", "__module__", "__loader__"))

    def build(self, node: Any, depth: int) -> None:
        """Push what becomes of a node, or of what holds nodes."""
        if isinstance(node, dict) and self.keys <= node.keys() and depth <= DEEPEST:
            self._node(node, depth)
        else:
            super().build(node, depth)

    def _node(self, node: dict[str, Any], depth: int) -> None:
        name, module, loader = node["__class__"], node["__module__"], node["__loader__"]
        if not isinstance(name, str) or not isinstance(module, str):
            raise Unreadable("a class or a module has no name")
        inner = {key: value for key, value in node.items() if key not in _ABOUT}
        content = node.get("content")
        if loader == "CachedNode":
            self.plain(None)
        elif loader == "JsonNode":
            self.plain(content if isinstance(content, str) else None)
        elif loader in _NAMED:
            self._name(module, name, content)
        elif loader == "ObjectNode":
            self.named(module, name)
            self.opcodes += b")\x81"
            if content is not None:
                self.build(content, depth + 1)
                self.opcodes += b"b"
        elif loader == "MethodNode" and isinstance(content, dict):
            self.named("builtins", "getattr")
            self.build(content.get("obj"), depth + 1)
            self.plain(str(content.get("func")))
            self.opcodes += b"\x86R"
        elif loader in _STORED or (loader in _HELD | {"NdArrayNode"} and f"{module}.{name}" in _DATA):
            self.named(module, name)
            self.build(inner, depth + 1)
            self.opcodes += b"\x86"
        elif loader in _CALLED or loader in _HELD:
            self.named(module, name)
            self.build(list(inner.values()), depth + 1)
            self.opcodes += b"\x85R"
        else:
            raise Unreadable(f"a loader is {str(loader)[:40]!r}")

    def _name(self, module: str, name: str, content: Any) -> None:
        """A class or a function; of files of the first protocol the name stands in the content."""
        if isinstance(content, dict):
            module, name = str(content.get("module_path", module)), str(content.get("function", name))
        self.named(module, name)
