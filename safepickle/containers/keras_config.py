"""Keras: what building a model from its configuration does, told as the pickle that would do the same.

Keras imports ``module`` of every object, takes ``class_name`` from it and hands its ``config`` to ``from_config``;
functions that are named are called while the model is built, and ``__lambda__`` holds marshalled code that becomes such
a function. What classes of Keras itself do with what they are given is to build the objects in it, and each of these is
told here. See ``keras.saving.deserialize_keras_object``.
"""

from __future__ import annotations

from struct import pack

from .base64_text import decode_base64

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..bytecode.trace import Place
    from .source import Source
    from .survey import Survey

_MOST_BYTES = 16 << 20
_DEEPEST = 64
"""Levels of the configuration; a level takes a few of the interpreter's frames."""
_MOST_EMBEDDED = 16
_MARKS = (b'{"class_name": "', b'{"module": "', b'{"class_name":"', b'{"module":"')
_PLAIN = ("__tensor__", "__numpy__", "__bytes__", "__ellipsis__", "__slice__", "__typespec__")
"""Classes that stand for data: arrays, bytes, shapes."""
_BUILTIN = "keras.layers"
"""Where a class is looked for that names no module, as in models of before Keras 2.12."""


class _Unreadable(ValueError):
    """The configuration is none that Keras could build a model from."""


def read(source: Source, place: Place, survey: Survey) -> bool:
    """Add the pickle that a configuration in JSON amounts to; False where the text configures no Keras object."""
    from json import loads

    if source.partial or source.size > _MOST_BYTES:
        survey.fail("unsupported-format", place, 0, f"a configuration of more than {_MOST_BYTES >> 20} MB is not read")
        return True
    try:
        model = loads(source.read(0, source.size))
    except RecursionError:
        survey.fail("budget:depth", place)
        return True
    except ValueError:
        return False
    return _add(model, place, survey)


def read_embedded(source: Source, place: Place, survey: Survey) -> None:
    """Look for configurations within the bytes of a file that may hold them as attributes, as HDF5 does."""
    from json import JSONDecoder

    end, position = min(source.size, _MOST_BYTES), 0
    for _attempt in range(_MOST_EMBEDDED):
        position = min((found for mark in _MARKS if (found := source.find(mark, position, end)) >= 0), default=-1)
        if position < 0:
            return
        text = source.read(position, end - position).decode("utf-8", "replace")
        length = 1
        try:
            model, length = JSONDecoder().raw_decode(text)
            _add(model, (*place, ("attribute", str(position))), survey)
        except (ValueError, RecursionError):
            pass  # such files are incomplete anyway
        position += len(text[:length].encode("utf-8", "replace"))


def _add(model: Any, place: Place, survey: Survey) -> bool:
    if not isinstance(model, dict) or not {"class_name", "config"} <= model.keys():
        return False
    program = _Program()
    try:
        program.build(model, 0)
    except _Unreadable as error:
        survey.fail("unsupported-format", place, 0, f"the configuration cannot be read: {error}")
        return True
    inside = (*place, ("keras", ""))
    if survey.take_unpacked(len(program.opcodes), inside):
        survey.region(survey.keep(program.finished(), inside), inside, "pickle")
    return True


class _Program:
    """Opcodes of a pickle, in the order in which Keras would do the same."""

    def __init__(self) -> None:
        self.opcodes = bytearray(b"\x80\x04")

    def finished(self) -> bytes:
        """The whole stream."""
        return bytes(self.opcodes + b".")

    def build(self, node: Any, depth: int) -> None:
        """Push what becomes of one value of the configuration."""
        if depth > _DEEPEST:
            raise _Unreadable(f"more than {_DEEPEST} levels")
        if isinstance(node, list):
            self._many(b"]", b"e", node, depth)
        elif not isinstance(node, dict):
            self._plain(node)
        elif "class_name" in node and "config" in node:
            self._object(node, node["class_name"], node["config"], depth)
        else:
            self._many(b"}", b"u", [part for pair in node.items() for part in pair], depth)

    def _object(self, node: dict[str, Any], name: Any, config: Any, depth: int) -> None:
        module = node.get("module", _BUILTIN)
        if not isinstance(name, str):
            raise _Unreadable("a class has no name")
        if name in _PLAIN or (module is None and name != "__lambda__"):
            # without a module it is something that the program which loads the model has registered by this name
            self.build(config, depth + 1)
        elif not isinstance(module, str) and module is not None:
            raise _Unreadable("a module has no name")
        elif name == "__lambda__":
            self._code(config.get("code", config.get("value")) if isinstance(config, dict) else config)
        elif name == "function":
            self._global(str(module), str(config))
            self.opcodes += b"N\x85R"
        else:
            own = str(module).partition(".")[0] == "keras"
            self._global(str(module), name if own else name + ".from_config")
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
            raise _Unreadable("the code of a lambda is no text")
        self._global("types", "FunctionType")
        self._global("marshal", "loads")
        self._bytes(decode_base64(code.encode("ascii", "ignore")))
        self.opcodes += b"\x85R}\x86R"

    def _many(self, empty: bytes, fill: bytes, parts: list[Any], depth: int) -> None:
        self.opcodes += empty + b"("
        for part in parts:
            self.build(part, depth + 1)
        self.opcodes += fill

    def _global(self, module: str, name: str) -> None:
        self._text(module)
        self._text(name)
        self.opcodes += b"\x93"

    def _plain(self, value: Any) -> None:
        if value is None:
            self.opcodes += b"N"
        elif isinstance(value, bool):
            self.opcodes += b"\x88" if value else b"\x89"
        elif isinstance(value, str):
            self._text(value)
        elif isinstance(value, float):
            self.opcodes += b"G" + pack(">d", value)
        elif -0x80000000 <= value < 0x80000000:
            self.opcodes += b"J" + pack("<i", value)
        else:
            self._text(str(value))

    def _text(self, text: str) -> None:
        data = text.encode("utf-8", "surrogatepass")
        self.opcodes += (b"\x8c" + pack("<B", len(data)) if len(data) < 256 else b"X" + pack("<I", len(data))) + data

    def _bytes(self, data: bytes) -> None:
        self.opcodes += b"B" + pack("<I", len(data)) + data


def _with_code(name: str, config: Any) -> Any:
    """The configuration of a layer that calls a function, where this is given as in models of before Keras 2.12."""
    if name != "Lambda" or not isinstance(config, dict):
        return config
    function = config.get("function")
    if not isinstance(function, list) and config.get("function_type") != "lambda":
        return config
    return {**config, "function": {"class_name": "__lambda__", "config": {"code": function}}}
