"""Pure callables on literals, evaluated by our own table: what a computed name really is.

Nothing of the scanned file is imported or called. Each function here takes the already known argument values
and gives a value, a :class:`~.machine.Reference` to what attribute access or an import would yield, or None.
Results are capped at :data:`LONGEST` characters.
"""

from __future__ import annotations

from .values import Instance, Reference

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

LONGEST = 4096


def fold(callee: Reference, arguments: Any) -> Any:
    """Value of ``callee(*arguments)``, or None when it cannot be told without running anything.

    Parameters
    ----------
    callee
        A reference whose name is in :data:`FOLDABLE`.
    arguments
        Tuple of literals, references, instances or ``UNKNOWN``.
    """
    if not isinstance(arguments, tuple) or callee.kind in ("carrier", "method"):
        return None  # what else it is called with is not known
    if any(isinstance(argument, (str, bytes)) and len(argument) > LONGEST for argument in arguments):
        return None
    try:
        if callee.kind == "getter":
            return _apply_getter(callee, *arguments)
        value = FUNCTIONS[callee.name](*arguments)
    except (TypeError, ValueError, AttributeError, LookupError, OverflowError):
        return None  # the unpickler would raise here, or an argument is unknown
    return value if _is_known(value) else None


def _is_known(value: Any) -> bool:
    """Whether a result is a reference or a literal with nothing unknown in it, of an ordinary length."""
    if isinstance(value, (str, bytes)):
        return len(value) <= LONGEST
    if isinstance(value, (list, tuple)):
        return len(value) <= LONGEST and all(_is_known(item) for item in value)
    return isinstance(value, (int, Reference))


def _attribute(owner: Any, name: Any, *_default: Any) -> Reference | None:
    if not isinstance(name, str):
        return None
    if isinstance(owner, Reference) and owner.name:
        return Reference("attribute", f"{owner.name}.{name}", owner.steps)
    if isinstance(owner, Instance) and owner.callee:
        return Reference("method", f"{owner.callee}.{name}")
    return None


def _getter(name: Any, *more: Any) -> Reference | None:
    """What attrgetter and itemgetter return; the attribute is its last step."""
    return Reference("getter", "operator.attrgetter", (name,)) if isinstance(name, str) and not more else None


def _apply_getter(getter: Reference, owner: Any) -> Reference | None:
    return _attribute(owner, getter.steps[0])


def _item(owner: Any, key: Any) -> Any:
    if isinstance(owner, Reference) and isinstance(key, str):
        head, dot, tail = owner.name.rpartition(".")
        if tail in ("__dict__", "__builtins__", "__globals__") and dot:
            return Reference("attribute", f"{head}.{key}", owner.steps)
        if owner.name == "sys.modules":
            return Reference("attribute", key, owner.steps)
        return None
    if isinstance(owner, (str, bytes, list, tuple, dict)):
        return owner[key]
    return None


def _module(name: Any, *_rest: Any) -> Reference | None:
    return Reference("attribute", name) if isinstance(name, str) and name else None


def _resolved(path: Any, *_rest: Any) -> Reference | None:
    return Reference("attribute", path.replace(":", ".")) if isinstance(path, str) else None


def _carried(target: Any, *_rest: Any) -> Reference | None:
    return Reference("carrier", target.name, target.steps) if isinstance(target, Reference) and target.name else None


def _join(separator: Any, parts: Any) -> Any:
    return separator.join(parts) if isinstance(separator, (str, bytes)) and isinstance(parts, (list, tuple)) else None


def _decoded(data: Any, encoding: Any = "utf-8", *_errors: Any) -> Any:
    if isinstance(data, bytes) and encoding in _TEXT_ENCODINGS and len(data) <= LONGEST:
        return data.decode(encoding)
    if isinstance(data, (str, bytes)) and encoding in ("rot13", "rot_13") and len(data) <= LONGEST:
        return _rot13(data if isinstance(data, str) else data.decode("ascii"))
    if isinstance(data, (str, bytes)) and encoding in ("hex", "hex_codec"):
        return bytes.fromhex(data if isinstance(data, str) else data.decode("ascii"))
    if isinstance(data, (str, bytes)) and encoding in ("base64", "base64_codec"):
        return _unbase64(data)
    return None


def _encoded(text: Any, encoding: Any = "utf-8", *_errors: Any) -> Any:
    if isinstance(text, str) and encoding in _TEXT_ENCODINGS and len(text) <= LONGEST:
        return text.encode(encoding)
    if isinstance(text, str) and encoding in ("rot13", "rot_13") and len(text) <= LONGEST:
        return _rot13(text)
    return None


def _unbase64(data: Any, *_rest: Any) -> Any:
    from binascii import a2b_base64

    return a2b_base64(data) if isinstance(data, (str, bytes)) and len(data) <= LONGEST else None


def _rot13(text: str) -> str:
    lower, upper = "abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    return text.translate(str.maketrans(lower + upper, lower[13:] + lower[:13] + upper[13:] + upper[:13]))


def _add(left: Any, right: Any) -> Any:
    if type(left) is type(right) and isinstance(left, (str, bytes, int, list, tuple)):
        return left + right
    return None


def _from_numbers(numbers: Any, *_rest: Any) -> Any:
    return bytes(numbers) if isinstance(numbers, (list, tuple)) else None


def _text_method(name: str) -> Callable[..., Any]:
    def apply(text: Any, *arguments: Any) -> Any:
        if not isinstance(text, (str, bytes)) or len(text) > LONGEST:
            return None
        return getattr(text, name)(*arguments)

    return apply


def _replaced(text: Any, old: Any, new: Any) -> Any:
    alike = isinstance(text, (str, bytes)) and type(text) is type(old) is type(new)
    return text.replace(old, new) if alike and text.count(old) * len(new) <= LONGEST else None


def _reversed(items: Any) -> Any:
    if isinstance(items, str):
        return list(reversed(items))
    return list(reversed(items)) if isinstance(items, (list, tuple)) else None


_TEXT_ENCODINGS = ("utf-8", "utf8", "UTF-8", "latin1", "latin-1", "ascii", "iso-8859-1")

FUNCTIONS: dict[str, Callable[..., Any]] = {
    "builtins.getattr": _attribute,
    "builtins.object.__getattribute__": _attribute,
    "inspect.getattr_static": _attribute,
    "operator.attrgetter": _getter,
    "_operator.attrgetter": _getter,
    "operator.getitem": _item,
    "_operator.getitem": _item,
    "builtins.dict.get": _item,
    "builtins.dict.__getitem__": _item,
    "importlib.import_module": _module,
    "importlib.__import__": _module,
    "builtins.__import__": _module,
    "pkgutil.resolve_name": _resolved,
    "pydoc.locate": _resolved,
    "functools.partial": _carried,
    "_functools.partial": _carried,
    "builtins.str.join": _join,
    "builtins.bytes.join": _join,
    "_codecs.decode": _decoded,
    "codecs.decode": _decoded,
    "builtins.bytes.decode": _decoded,
    "builtins.str": lambda text="", *rest: _decoded(text, *rest) if rest else text if isinstance(text, str) else None,
    "_codecs.encode": _encoded,
    "codecs.encode": _encoded,
    "builtins.str.encode": _encoded,
    "base64.b64decode": _unbase64,
    "base64.decodebytes": _unbase64,
    "binascii.a2b_base64": _unbase64,
    "binascii.unhexlify": lambda data: _decoded(data, "hex"),
    "builtins.bytes.fromhex": lambda data: _decoded(data, "hex"),
    "operator.add": _add,
    "_operator.add": _add,
    "operator.concat": _add,
    "_operator.concat": _add,
    "builtins.chr": lambda code: chr(code),
    "builtins.bytes": _from_numbers,
    "builtins.reversed": _reversed,
    "builtins.str.replace": _replaced,
    "builtins.str.lower": _text_method("lower"),
    "builtins.str.upper": _text_method("upper"),
    "builtins.str.strip": _text_method("strip"),
    "builtins.str.__add__": _add,
}
"""Folded callables by canonical name."""

FOLDABLE = frozenset(FUNCTIONS)
