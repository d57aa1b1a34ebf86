"""What attributes, items and module names lead to: symbolically, importing nothing."""

from __future__ import annotations

from _compat_pickle import IMPORT_MAPPING

from .values import UNKNOWN, Instance, Reference, Shared

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_NAMESPACES = ("__dict__", "__globals__", "f_globals", "f_locals")
_BUILTINS = ("__builtins__", "f_builtins")
_WRAPPED = ("func", "fget", "__func__", "__wrapped__", "__self__", "side_effect", "_target", "callback")
"""Attributes under which a wrapper keeps the callable that it was made with."""
_DICT_METHODS = ("get", "pop", "setdefault", "__getitem__", "items", "values", "keys", "copy", "update")
_MISSING = object()


def attribute(owner: Any, name: Any, *default: Any) -> Any:
    """``getattr(owner, name)``: a :class:`Reference`, or the literal or other value that the attribute has."""
    if not isinstance(name, str) or not name:
        return None
    if isinstance(owner, Reference):
        return _of_reference(owner, name)
    if isinstance(owner, Instance):
        return _of_instance(owner, name)
    if isinstance(owner, Shared):
        return Reference("method", f"builtins.{owner.kind}.{name}", (), (owner,))
    if owner is UNKNOWN:
        return None
    kind = type(owner).__name__
    if name == "__class__":
        return Reference("attribute", f"builtins.{kind}")
    return Reference("method", f"builtins.{kind}.{name}", (), (owner,))


def _of_reference(owner: Reference, name: str) -> Any:
    if owner.kind in ("carrier", "getter", "method") and name in _WRAPPED and name != "__self__":
        return Reference("global" if owner.kind == "carrier" else owner.kind, owner.name, owner.steps)
    if not owner.name:
        return None
    last = owner.name.rpartition(".")[2]
    if name == "__call__" and (owner.kind in ("carrier", "getter", "method") or last.lstrip("_")[:1].islower()):
        return owner
    if name in ("__name__", "__qualname__") and owner.kind in ("global", "attribute"):
        return last
    if name == "__self__":
        if owner.kind == "method" and owner.bound:
            return owner.bound[0]
        return Reference("attribute", owner.name.rpartition(".")[0], owner.steps)
    if last in (*_NAMESPACES, *_BUILTINS) or _is_modules(owner):
        if name in _DICT_METHODS:
            return Reference("method", f"builtins.dict.{name}", owner.steps, (owner,))
        return item(owner, name)
    kind = owner.kind if owner.kind == "computed" else "attribute"
    return Reference(kind, f"{owner.name}.{name}", owner.steps)


def _of_instance(owner: Instance, name: str) -> Any:
    value = _planted(owner.state, name)
    if value is not _MISSING:
        return value
    arguments = owner.arguments if isinstance(owner.arguments, tuple) else ()
    if name in _WRAPPED and arguments and isinstance(arguments[0], (Reference, Instance)):
        return arguments[0]
    if not owner.callee:
        return None
    if name == "__class__":
        return Reference("attribute", owner.callee)
    return Reference("method", f"{owner.callee}.{name}", (), (owner,))


def _planted(state: Any, name: str) -> Any:
    """An attribute that BUILD gave an instance."""
    for part in state if isinstance(state, tuple) else (state,):
        if isinstance(part, dict) and name in part:
            return part[name]
        if isinstance(part, Shared) and part.kind == "dict":
            for key, value in entries(part):
                if key == name:
                    return value
    return _MISSING


def entries(namespace: Any) -> list[tuple[Any, Any]]:
    """Keys and values of a dict that is known, if only in part."""
    if isinstance(namespace, dict):
        return list(namespace.items())
    if isinstance(namespace, Shared) and namespace.kind == "dict":
        return list(zip(namespace.items[::2], namespace.items[1::2], strict=False))
    return []


def static_attribute(path: Any, owner: Any) -> Any:
    """Attribute after attribute, as ``operator.attrgetter(path)`` looks them up; None where `path` is no text."""
    if not isinstance(path, str):
        return None
    for name in path.split("."):
        owner = attribute(owner, name)
        if owner is None:
            return None
    return owner


def item(owner: Any, key: Any) -> Any:
    """``owner[key]``."""
    if isinstance(owner, Reference):
        return _item_of_reference(owner, key)
    if isinstance(owner, Instance):
        if key == "__builtins__":  # of whatever namespace
            return Reference("attribute", "builtins.__dict__")
        if owner.callee.rpartition(".")[2] in ("__subclasses__", "mro"):
            return Reference("computed", f"{owner.callee}.item")
        return None
    if isinstance(owner, Shared):
        return None
    if isinstance(owner, (str, bytes, bytearray, list, tuple, dict)):
        if isinstance(key, Instance):
            key = _slice(key)
        return owner[key]
    return None


def _item_of_reference(owner: Reference, key: Any) -> Any:
    head, _dot, tail = owner.name.rpartition(".")
    if key == "__builtins__":
        return Reference("attribute", "builtins.__dict__", owner.steps)
    if tail in ("__mro__", "__bases__"):
        return Reference("computed", f"{owner.name}.item", owner.steps)
    if not isinstance(key, str):
        return None
    kind = "computed" if owner.kind == "computed" else "attribute"
    if tail in _BUILTINS:
        return Reference("attribute", f"builtins.{key}", owner.steps)
    if tail == "__globals__":
        return Reference(kind, f"{_module_of(head)}.{key}", owner.steps)
    if tail in _NAMESPACES and head:
        return Reference(kind, f"{head}.{key}", owner.steps)
    if _is_modules(owner):
        return Reference("attribute", key, owner.steps)
    return None


def _is_modules(owner: Reference) -> bool:
    return owner.name == "sys.modules" or owner.name.endswith(".sys.modules")


def _module_of(function: str) -> str:
    """Module of a function's globals: what is before its name, and before its class if it is a method."""
    owner, _dot, last = function.rpartition(".")
    outer, dot, inner = owner.rpartition(".")
    method = last[:2] == last[-2:] == "__" or inner.lstrip("_")[:1].isupper()
    return outer if dot and method else owner


def _slice(made: Instance) -> slice:
    if made.callee != "builtins.slice" or not isinstance(made.arguments, tuple):
        raise TypeError("no index")
    bounds = [None if bound is None else int(bound) for bound in made.arguments]
    return slice(*bounds)


def module(name: Any, package: Any = None, *_rest: Any) -> Reference | None:
    """``importlib.import_module(name, package)``."""
    if not isinstance(name, str) or not name:
        return None
    if name.startswith(".") and isinstance(package, str):
        return Reference("attribute", f"{package}{name}")
    return Reference("attribute", IMPORT_MAPPING.get(name, name))


def top_module(name: Any, _globals: Any = None, _locals: Any = None, fromlist: Any = (), *_level: Any) -> Any:
    """``__import__(name)``: the top package unless something is to be taken from the module."""
    found = module(name)
    if found is not None and not fromlist:
        return Reference("attribute", found.name.partition(".")[0])
    return found


def resolved(path: Any, *_rest: Any) -> Reference | None:
    """``pkgutil.resolve_name`` and ``pydoc.locate``."""
    return Reference("attribute", path.replace(":", ".").strip(".")) if isinstance(path, str) and path else None


def field(path: Any, arguments: Any, keywords: Any = None) -> Any:
    """``string.Formatter().get_field(path, arguments, keywords)``: the object, and the name of the first part."""
    from _string import formatter_field_name_split  # type: ignore[import-not-found]

    if not isinstance(path, str):
        return None
    first, rest = formatter_field_name_split(path)
    found = item(arguments if isinstance(first, int) else keywords, first)
    for is_attribute, name in rest:
        found = attribute(found, name) if is_attribute else item(found, name)
    return None if found is None else (found, first)
