"""Expressions: what their value may be, and the calls that computing them makes."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Callable
from typing import Any

from .atoms import EMPTY, Value, attribute, derived, item_of, joined
from .scope import Scope

BUILTINS = frozenset(dir(builtins))
FALSE: Value = frozenset(["sFalse"])
MUTATORS = frozenset("append appendleft extend insert add update setdefault push put write writelines".split())
_PLAIN = frozenset(
    "gbuiltins." + name
    for name in """abs all any bin bool callable chr complex delattr divmod float hasattr hash hex id int isinstance
    issubclass len oct ord pow range round slice sum""".split()
)
"""Builtin functions whose result carries no text of the caller's."""
_CONVERTING = {"gbuiltins." + name: "i" + name for name in "str repr ascii format bytes bytearray memoryview".split()}
_COLLECTING = {
    f"gbuiltins.{name}": f"i{kind}"
    for name, kind in {
        "list": "list", "tuple": "tuple", "dict": "dict", "set": "set", "frozenset": "set", "sorted": "list",
        "reversed": "list", "enumerate": "list", "zip": "list", "iter": "list", "next": "", "min": "", "max": "",
    }.items()
}  # fmt: skip
UNDERSTOOD = frozenset(name.partition(".")[2] for name in (*_PLAIN, *_CONVERTING, *_COLLECTING)) | frozenset(
    "__import__ getattr setattr super type vars".split()
)
"""Builtins that are taken for themselves even where a star import might replace them."""


def evaluate(scope: Scope, node: ast.expr | None) -> Value:
    """Return what an expression may be."""
    if node is None:
        return EMPTY
    rule = _RULES.get(type(node))
    return rule(scope, node) if rule else EMPTY


def _constant(scope: Scope, node: ast.Constant) -> Value:
    value = node.value
    if isinstance(value, str):
        return frozenset(["s" + value]) if 0 < len(value) <= 60 else frozenset(["istr"])
    if isinstance(value, (bytes, int, float)) and not isinstance(value, bool):
        return frozenset(["i" + type(value).__name__])
    return EMPTY


def _name(scope: Scope, node: ast.Name) -> Value:
    return scope.lookup(node.id)


def _attribute(scope: Scope, node: ast.Attribute) -> Value:
    base = evaluate(scope, node.value)
    if "p0" in base and scope.owner:
        scope.loads.add(node.attr)
    return attribute(base, node.attr)


def _subscript(scope: Scope, node: ast.Subscript) -> Value:
    base = evaluate(scope, node.value)
    key = evaluate(scope, node.slice)
    if "gsys.modules" in base:
        return scope.call(node, node.lineno, frozenset(["gsys.modules.__getitem__"]), [key])
    return frozenset([atom for atom in base if atom[0] != "i"])


def _display(scope: Scope, node: ast.List | ast.Tuple | ast.Set) -> Value:
    kind = "i" + type(node).__name__.lower()
    return joined([kind], *[_without_markers(evaluate(scope, item)) for item in node.elts])


def _without_markers(value: Value) -> Value:
    """Elements of a container: the marks of builtin types would be taken for the container's own."""
    return frozenset([atom for atom in value if atom[0] not in "isI"]) if value else value


def _dict(scope: Scope, node: ast.Dict) -> Value:
    keys = derived(*[evaluate(scope, key) for key in node.keys])
    return joined(["idict"], keys, *[_without_markers(evaluate(scope, item)) for item in node.values])


def _binary(scope: Scope, node: ast.BinOp) -> Value:
    left, right = evaluate(scope, node.left), evaluate(scope, node.right)
    kinds = {atom for atom in left | right if atom[0] in "iI" and "|" not in atom}
    if any(atom[0] == "s" for atom in left | right):
        kinds.add("istr")
        kinds |= {atom.partition("%")[0] + "\0" for atom in left if atom[0] == "s" and atom[-1] != "\0"}
    objects = {atom for atom in left | right if atom[0] in "gdk"} if isinstance(node.op, (ast.Add, ast.BitOr)) else ()
    if isinstance(node.op, ast.Div):
        objects = ()
    return joined(derived(left, right), kinds, objects)


def _joined_string(scope: Scope, node: ast.JoinedStr) -> Value:
    parts = [evaluate(scope, part.value) for part in node.values if isinstance(part, ast.FormattedValue)]
    first = node.values[0] if node.values else None
    text = first.value if isinstance(first, ast.Constant) else ""
    begins = [f"s{text}\0"] if isinstance(text, str) and 0 < len(text) < 30 else []
    return joined(["istr"], begins, derived(*parts))


def _boolean(scope: Scope, node: ast.BoolOp) -> Value:
    return joined(*[evaluate(scope, value) for value in node.values])


def _compare(scope: Scope, node: ast.Compare) -> Value:
    evaluate(scope, node.left)
    for value in node.comparators:
        evaluate(scope, value)
    return EMPTY


def _unary(scope: Scope, node: ast.UnaryOp) -> Value:
    value = evaluate(scope, node.operand)
    return EMPTY if isinstance(node.op, ast.Not) else derived(value)


def _choice(scope: Scope, node: ast.IfExp) -> Value:
    evaluate(scope, node.test)
    needs = scope.needs
    scope.needs = needs | needed(scope, node.test)
    value = evaluate(scope, node.body)
    scope.needs = needs | needed(scope, node.test, holds=False)
    value |= evaluate(scope, node.orelse)
    scope.needs = needs
    return value


def _comprehension(scope: Scope, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp) -> Value:
    saved = dict(scope.variables)
    for part in node.generators:
        assign(scope, part.target, _elements(evaluate(scope, part.iter)), node.lineno)
        for test in part.ifs:
            evaluate(scope, test)
    if isinstance(node, ast.DictComp):
        value = joined(["idict"], derived(evaluate(scope, node.key)), _without_markers(evaluate(scope, node.value)))
    else:
        kind = "iset" if isinstance(node, ast.SetComp) else "ilist"
        value = joined([kind], _without_markers(evaluate(scope, node.elt)))
    scope.variables = saved
    return value


def _elements(value: Value) -> Value:
    return frozenset([atom for atom in value if atom[0] != "i"])


def _lambda(scope: Scope, node: ast.Lambda) -> Value:
    return scope.module.nested(scope, node, "<lambda>")


def _yield(scope: Scope, node: ast.Yield | ast.YieldFrom) -> Value:
    value = evaluate(scope, node.value)
    scope.returns(value, ())
    return value if isinstance(node, ast.YieldFrom) else EMPTY


def _await(scope: Scope, node: ast.Await) -> Value:
    return evaluate(scope, node.value)


def _starred(scope: Scope, node: ast.Starred) -> Value:
    return evaluate(scope, node.value)


def _named(scope: Scope, node: ast.NamedExpr) -> Value:
    value = evaluate(scope, node.value)
    scope.bind(node.target.id, value)
    return value


def _slice(scope: Scope, node: ast.Slice) -> Value:
    for part in (node.lower, node.upper, node.step):
        evaluate(scope, part)
    return EMPTY


def assign(scope: Scope, target: ast.expr, value: Value, line: int) -> None:
    """Assign a value to a target of any form."""
    if isinstance(target, ast.Name):
        scope.bind(target.id, value)
    elif isinstance(target, ast.Attribute):
        scope.store(evaluate(scope, target.value), target.attr, value, line)
    elif isinstance(target, ast.Subscript):
        _store_item(scope, target, value, line)
    elif isinstance(target, (ast.Tuple, ast.List)):
        for item in target.elts:
            assign(scope, item, _elements(value), line)
    elif isinstance(target, ast.Starred):
        assign(scope, target.value, value, line)


def unpack(scope: Scope, target: ast.expr, value: Value, line: int) -> None:
    """Assign a value, each of its items to a target of its own if there are several."""
    if isinstance(target, (ast.Tuple, ast.List)) and not any(isinstance(part, ast.Starred) for part in target.elts):
        for index, part in enumerate(target.elts):
            assign(scope, part, item_of(value, index), line)
    else:
        assign(scope, target, value, line)


def returned(scope: Scope, node: ast.expr | None) -> None:
    """Note what a ``return`` gives, item by item if it is a tuple."""
    value = evaluate(scope, node)
    parts = node.elts if isinstance(node, ast.Tuple) else []
    if any(isinstance(part, ast.Starred) for part in parts):
        parts = []
    scope.returns(value, [_without_markers(evaluate(scope, part)) for part in parts])


def _store_item(scope: Scope, target: ast.Subscript, value: Value, line: int) -> None:
    base = evaluate(scope, target.value)
    key = evaluate(scope, target.slice)
    named = frozenset(atom + ".__setitem__" for atom in base if atom[0] == "g")
    if named:
        scope.call(target, line, named, [key, value])
    mutate(scope, target.value, joined(_without_markers(value), derived(key)), line)


def mutate(scope: Scope, node: ast.expr, value: Value, line: int) -> None:
    """Let the container that an expression names hold `value` as well."""
    if isinstance(node, ast.Name):
        if node.id in scope.variables:
            scope.weaken(node.id, value)
    elif isinstance(node, ast.Attribute):
        base = frozenset(atom for atom in evaluate(scope, node.value) if atom[0] in "pc")
        scope.store(base, node.attr, value, line)
    elif isinstance(node, ast.Subscript):
        mutate(scope, node.value, value, line)


def _call(scope: Scope, node: ast.Call) -> Value:
    callee = evaluate(scope, node.func)
    args: list[Value] = []
    star: Value = EMPTY
    for item in node.args:
        value = _passed(scope, item)
        if isinstance(item, ast.Starred) or star:
            star |= value
        else:
            args.append(value)
    keywords: dict[str, Value] = {}
    stars: Value = EMPTY
    for keyword in node.keywords:
        value = _passed(scope, keyword.value)
        if keyword.arg is None:
            stars |= value
        else:
            keywords[keyword.arg] = value
    if len(callee) == 1 and next(iter(callee))[:9] in ("gbuiltins", "gimportli"):
        known = _known(scope, node, next(iter(callee)), args, keywords, star)
        if known is not None:
            return known
    method = node.func if isinstance(node.func, ast.Attribute) else None
    given = joined(star, stars, *args, *keywords.values()) - FALSE
    if method is not None and method.attr in MUTATORS:
        mutate(scope, method.value, _without_markers(given), node.lineno)
    builtin = [atom for atom in callee if atom[0] == "i"]
    if builtin or not callee or all(atom[0] == "s" for atom in callee):
        return _on_builtin(scope, method, builtin, given)
    return scope.call(node, node.lineno, callee, args, keywords, star, stars)


def _on_builtin(scope: Scope, method: ast.Attribute | None, builtin: list[str], given: Value) -> Value:
    """A method of a builtin value: what a container holds comes out, a text is made from text."""
    if method is None:
        return derived(given)
    base = evaluate(scope, method.value)
    name = method.attr
    if any(atom.startswith(("istr", "ibytes", "iint", "ifloat")) for atom in builtin):
        kind = "ilist" if name in ("split", "rsplit", "splitlines", "partition", "rpartition") else "istr"
        return joined([kind], derived(base, given))
    if name in ("get", "pop", "popitem", "popleft", "setdefault"):
        return joined(_elements(base), given if name != "popitem" else EMPTY)
    return base


def _known(
    scope: Scope, node: ast.Call, callee: str, args: list[Value], keywords: dict[str, Value], star: Value
) -> Value | None:
    """The result of a builtin that the summary itself understands, or None."""
    if callee in _PLAIN:
        return EMPTY
    args = [value - FALSE for value in args]
    if callee in _CONVERTING:
        return joined([_CONVERTING[callee].replace("repr", "str").replace("ascii", "str")], derived(*args, star))
    if callee in _COLLECTING and "key" not in keywords:
        kind = _COLLECTING[callee]
        inside = joined(*args, star, *keywords.values())
        return joined([kind] if kind else [], _without_markers(inside) if kind else _elements(inside))
    if callee == "gbuiltins.super":
        return frozenset(["u"])
    if callee == "gbuiltins.type" and len(args) == 1:
        return attribute(args[0], "__class__")
    if callee == "gbuiltins.vars" and args:
        return attribute(args[0], "__dict__")
    if callee in ("gbuiltins.getattr", "gbuiltins.setattr") and len(args) > 1:
        return _by_name(scope, node, callee, args)
    if callee in ("gimportlib.import_module", "gbuiltins.__import__") and args:
        return _imported(scope, node, callee, args, keywords)
    return None


def _by_name(scope: Scope, node: ast.Call, callee: str, args: list[Value]) -> Value | None:
    names = [atom[1:] for atom in args[1] if atom[0] == "s" and atom[-1] != "\0"]
    fixed = bool(names) and all(atom[0] in "si" and atom[-1] != "\0" for atom in args[1])
    if callee == "gbuiltins.setattr":
        if len(args) > 2:
            for name in names if fixed else ["*"]:
                scope.store(args[0], name, args[2] if fixed else joined(args[2], derived(args[1])), node.lineno)
        return EMPTY if fixed else None
    if not fixed:
        return None
    found = joined(*[attribute(args[0], name) for name in names], *args[2:])
    if "p0" in args[0] and scope.owner:
        scope.loads.update(names)
    return found


def _imported(scope: Scope, node: ast.Call, callee: str, args: list[Value], keywords: dict[str, Value]) -> Value | None:
    names = [atom[1:] for atom in args[0] if atom[0] == "s"]
    if not names or not all(atom[0] == "s" and atom[-1] != "\0" for atom in args[0]):
        return None
    scope.call(node, node.lineno, frozenset([callee]), args, keywords)
    if callee == "gbuiltins.__import__" and "fromlist" not in keywords and len(args) < 4:
        names = [name.split(".")[0] for name in names]
    return frozenset("g" + scope.module.absolute(name) for name in names)


def needed(scope: Scope, test: ast.expr, holds: bool = True) -> frozenset[int]:
    """Parameters that are false by default and must be true for a condition to hold, or not to hold."""
    if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And if holds else ast.Or):
        return frozenset().union(*[needed(scope, item, holds) for item in test.values])
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        return needed(scope, test.operand, not holds)
    if isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(test.ops[0], ast.IsNot if holds else ast.Is):
        other = test.comparators[0]
        return needed(scope, test.left) if isinstance(other, ast.Constant) and other.value is None else frozenset()
    if holds and isinstance(test, ast.Name) and test.id in scope.parameters:
        number = scope.parameters.index(test.id)
        return frozenset([number]) if number in scope.falsy and f"p{number}" in scope.lookup(test.id) else frozenset()
    return frozenset()


def _passed(scope: Scope, node: ast.expr) -> Value:
    """What is passed as an argument; that it is false is kept, as it can switch off what the callee does."""
    if isinstance(node, ast.Constant) and (node.value is None or node.value is False):
        return FALSE
    return evaluate(scope, node)


_RULES: dict[type, Callable[[Scope, Any], Value]] = {
    ast.Constant: _constant, ast.Name: _name, ast.Attribute: _attribute, ast.Subscript: _subscript,
    ast.List: _display, ast.Tuple: _display, ast.Set: _display, ast.Dict: _dict, ast.BinOp: _binary,
    ast.JoinedStr: _joined_string, ast.BoolOp: _boolean, ast.Compare: _compare, ast.UnaryOp: _unary,
    ast.IfExp: _choice, ast.ListComp: _comprehension, ast.SetComp: _comprehension, ast.DictComp: _comprehension,
    ast.GeneratorExp: _comprehension, ast.Lambda: _lambda, ast.Yield: _yield, ast.YieldFrom: _yield,
    ast.Await: _await, ast.Starred: _starred, ast.NamedExpr: _named, ast.Slice: _slice, ast.Call: _call,
}  # fmt: skip
