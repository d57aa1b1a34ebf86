"""Keras: what building a model from its configuration does, told as the pickle that would do the same.

Keras imports ``module`` of every object, takes ``class_name`` from it and hands its ``config`` to ``from_config``;
functions that are named are called while the model is built, and ``__lambda__`` holds marshalled code that becomes such
a function. What classes of Keras itself do with what they are given is to build the objects in it, and each of these is
told here. See ``keras.saving.deserialize_keras_object``.
"""

from __future__ import annotations

from .base64_text import decode_base64
from .json_program import DEEPEST, MOST_BYTES, JsonProgram, add, fits, read_text
from .program import Unreadable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..bytecode.trace import Place
    from .source import Source
    from .survey import Survey

_MOST_EMBEDDED = 16
_MARKS = (b'{"class_name": "', b'{"module": "', b'{"class_name":"', b'{"module":"')
_PLAIN = ("__tensor__", "__numpy__", "__bytes__", "__ellipsis__", "__slice__", "__typespec__")
"""Classes that stand for data: arrays, bytes, shapes."""
_BUILTIN = "keras.layers"
"""Where a class is looked for that names no module, as in models of before Keras 2.12."""


def read_embedded(source: Source, place: Place, survey: Survey) -> None:
    """Look for configurations within the bytes of a file that may hold them as attributes, as HDF5 does."""
    from json import JSONDecoder

    end, position = min(source.size, MOST_BYTES), 0
    for _attempt in range(_MOST_EMBEDDED):
        position = min((found for mark in _MARKS if (found := source.find(mark, position, end)) >= 0), default=-1)
        if position < 0:
            return
        data = source.read(position, end - position)
        if not fits(data):
            return
        text = data.decode("utf-8", "replace")
        length = 1
        try:
            model, length = JSONDecoder().raw_decode(text)
            add(KerasConfig, model, (*place, ("attribute", str(position))), survey)
        except (ValueError, RecursionError):
            pass  # such files are incomplete anyway
        position += len(text[:length].encode("utf-8", "replace"))


def read_value(text: bytes, place: Place, survey: Survey) -> bool:
    """Add what Keras builds from a text that may be a configuration, or hold some: whether it does.

    Parameters
    ----------
    text
        The value of an attribute of an HDF5 file, such as ``model_config`` or ``training_config``.
    """
    return read_text(_KerasAttribute, text, place, survey, "replace")


def _holds_object(node: Any, depth: int) -> bool:
    """Whether anything in a value of JSON is an object to Keras; what is too deep may be."""
    if depth > DEEPEST:
        return True
    if isinstance(node, dict):
        return KerasConfig.keys <= node.keys() or any(_holds_object(part, depth + 1) for part in node.values())
    return isinstance(node, list) and any(_holds_object(part, depth + 1) for part in node)


class KerasConfig(JsonProgram):
    """A model's configuration."""

    step = "keras"
    keys = frozenset(("class_name", "config"))

    def build(self, node: Any, depth: int) -> None:
        if isinstance(node, dict) and self.keys <= node.keys() and depth <= DEEPEST:
            self._object(node, node["class_name"], node["config"], depth)
        else:
            super().build(node, depth)

    def _object(self, node: dict[str, Any], name: Any, config: Any, depth: int) -> None:
        module = node.get("module", _BUILTIN)
        if not isinstance(name, str):
            raise Unreadable("a class has no name")
        if name in _PLAIN or (module is None and name != "__lambda__"):
            # without a module it is something that the program which loads the model has registered by this name
            self.build(config, depth + 1)
        elif not isinstance(module, str) and module is not None:
            raise Unreadable("a module has no name")
        elif name == "__lambda__":
            self._code(config.get("code", config.get("value")) if isinstance(config, dict) else config)
        elif name == "function":
            self.named(str(module), str(config))
            self.opcodes += b"N\x85R"
        else:
            if name == "Lambda" and _is_unread(config):
                self.unread = "the function of a lambda is neither a name nor code"
            own = str(module).partition(".")[0] == "keras"
            self.named(str(module), name if own else name + ".from_config")
            self.build(_with_code(name, config), depth + 1)
            self.opcodes += b"\x86" if own else b"\x85R"
        for key in ("build_config", "compile_config"):
            if isinstance(node.get(key), dict):
                self.build(node[key], depth + 1)
                self.opcodes += b"0"

    def _code(self, code: Any) -> None:
        """``types.FunctionType(marshal.loads(code), globals())``, as ``func_load`` of Keras does."""
        if isinstance(code, list):
            code = code[0] if code else None
        if not isinstance(code, str):
            raise Unreadable("the code of a lambda is no text")
        self.named("types", "FunctionType")
        self.named("marshal", "loads")
        self.binary(decode_base64(code.encode("ascii", "ignore")))
        self.opcodes += b"\x85R}\x86R"


class _KerasAttribute(KerasConfig):
    """A configuration that may be part of an object of another kind, as that of an optimizer is."""

    @classmethod
    def holds(cls, found: Any) -> bool:
        return isinstance(found, dict) and _holds_object(found, 0)


def _with_code(name: str, config: Any) -> Any:
    """The configuration of a layer that calls a function, where this is given as in models of before Keras 2.12."""
    if name != "Lambda" or not isinstance(config, dict):
        return config
    function = config.get("function")
    if not isinstance(function, list) and config.get("function_type") != "lambda":
        return config
    return {**config, "function": {"class_name": "__lambda__", "config": {"code": function}}}


def _is_unread(config: Any) -> bool:
    """Whether the function of a lambda is a text that Keras has never written."""
    function = config.get("function") if isinstance(config, dict) else None
    return isinstance(function, str) and config.get("function_type") != "lambda" and not function.isidentifier()
