"""Statements: walk a body in order, and keep what each variable may be; branches are joined where they meet."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from typing import Any

from .atoms import EMPTY, Value, attribute, derived, joined, root
from .expressions import assign, evaluate, needed, returned, unpack
from .hints import annotation, checked
from .scope import Scope

Variables = dict[str, Value]


def run(scope: Scope, body: Sequence[ast.stmt]) -> bool:
    """Walk statements; return whether the end of them cannot be reached."""
    needs = scope.needs
    try:
        for node in body:
            rule = _RULES.get(type(node))
            if rule is not None and rule(scope, node):
                return True
    finally:
        scope.needs = needs
    return False


def _expression(scope: Scope, node: ast.Expr) -> None:
    evaluate(scope, node.value)


def _assign(scope: Scope, node: ast.Assign) -> None:
    if len(node.targets) == 1 and _pairs(node.targets[0], node.value):
        assert isinstance(node.targets[0], (ast.Tuple, ast.List)) and isinstance(node.value, (ast.Tuple, ast.List))
        values = [evaluate(scope, item) for item in node.value.elts]
        for target, value in zip(node.targets[0].elts, values, strict=True):
            assign(scope, target, value, node.lineno)
        return
    value = evaluate(scope, node.value)
    for target in node.targets:
        unpack(scope, target, value, node.lineno)


def _pairs(target: ast.expr, value: ast.expr) -> bool:
    if not isinstance(target, (ast.Tuple, ast.List)) or not isinstance(value, (ast.Tuple, ast.List)):
        return False
    starred = any(isinstance(item, ast.Starred) for item in [*target.elts, *value.elts])
    return len(target.elts) == len(value.elts) and not starred


def _annotated_assign(scope: Scope, node: ast.AnnAssign) -> None:
    value = joined(evaluate(scope, node.value), annotation(scope, node.annotation))
    if node.value is not None or value:
        assign(scope, node.target, value, node.lineno)


def _augmented(scope: Scope, node: ast.AugAssign) -> None:
    value = evaluate(scope, node.value)
    if isinstance(node.target, ast.Name):
        objects = frozenset(atom for atom in value if atom[0] in "gdk")
        scope.weaken(node.target.id, joined(derived(value), objects))
    else:
        assign(scope, node.target, joined(derived(value), [atom for atom in value if atom[0] in "gdk"]), node.lineno)


def _return(scope: Scope, node: ast.Return) -> bool:
    returned(scope, node.value)
    return True


def _raise(scope: Scope, node: ast.Raise) -> bool:
    evaluate(scope, node.exc)
    evaluate(scope, node.cause)
    return True


def _leave(scope: Scope, node: ast.stmt) -> bool:
    return True


def _meet(one: Variables, other: Variables) -> Variables:
    found = dict(one)
    for name, value in other.items():
        before = found.get(name)
        if before is None:
            found[name] = value
        elif before is not value:
            found[name] = before | value
    return found


def _if(scope: Scope, node: ast.If) -> bool:
    evaluate(scope, node.test)
    before, needs = dict(scope.variables), scope.needs
    scope.needs = needs | needed(scope, node.test)
    ends = run(scope, node.body)
    after_body = scope.variables
    scope.variables = before
    scope.needs = needs | needed(scope, node.test, holds=False)
    if ends:
        _believe(scope, node.test)
    else_ends = run(scope, node.orelse)
    scope.needs = needs | needed(scope, node.test, holds=False) if ends else needs
    if ends and else_ends:
        return True
    if else_ends:
        scope.variables = after_body
    elif not ends:
        scope.variables = _meet(after_body, scope.variables)
    return False


def _believe(scope: Scope, test: ast.expr) -> None:
    """After a failed check that left: what it tested is harmless from here on."""
    roots = frozenset(root(atom) for atom in checked(scope, test) if atom[0] in "pc~")
    if roots:
        scope.checked |= roots
        scope.strip(roots)


def _loop(scope: Scope, body: Sequence[ast.stmt], orelse: Sequence[ast.stmt]) -> None:
    before, known = dict(scope.variables), set(scope.checked)
    run(scope, body)
    if not scope.looping:
        scope.looping = True
        scope.variables = _meet(before, scope.variables)
        run(scope, body)
        scope.looping = False
    scope.variables = _meet(before, scope.variables)
    scope.strip(frozenset(scope.checked - known))
    run(scope, orelse)


def _for(scope: Scope, node: ast.For | ast.AsyncFor) -> None:
    items = frozenset(atom for atom in evaluate(scope, node.iter) if atom[0] != "i")
    assign(scope, node.target, items, node.lineno)
    _loop(scope, node.body, node.orelse)


def _while(scope: Scope, node: ast.While) -> None:
    evaluate(scope, node.test)
    _loop(scope, node.body, node.orelse)


def _try(scope: Scope, node: ast.Try) -> bool:
    before = dict(scope.variables)
    ends = run(scope, node.body) or run(scope, node.orelse)
    met = _meet(before, scope.variables)
    after = [] if ends else [scope.variables]
    for handler in node.handlers:
        scope.variables = dict(met)
        evaluate(scope, handler.type)
        if handler.name:
            scope.bind(handler.name, EMPTY)
        if not run(scope, handler.body):
            after.append(scope.variables)
    scope.variables = after[0] if after else met
    for other in after[1:]:
        scope.variables = _meet(scope.variables, other)
    return run(scope, node.finalbody) or not after


def _with(scope: Scope, node: ast.With | ast.AsyncWith) -> bool:
    for item in node.items:
        value = evaluate(scope, item.context_expr)
        entered = value
        called = frozenset(atom for atom in value if atom[0] in "cIp")
        if called:
            enter = scope.call(item, node.lineno, attribute(called, "__enter__"), [])
            scope.call(item, node.lineno, attribute(called, "__exit__"), [])
            entered = value | enter
        if item.optional_vars is not None:
            assign(scope, item.optional_vars, entered, node.lineno)
    return run(scope, node.body)


def _match(scope: Scope, node: ast.Match) -> None:
    subject = evaluate(scope, node.subject)
    before = dict(scope.variables)
    met = before
    for case in node.cases:
        scope.variables = dict(before)
        for part in ast.walk(case.pattern):
            name = getattr(part, "name", None) or getattr(part, "rest", None)
            if isinstance(name, str):
                scope.bind(name, subject)
        evaluate(scope, case.guard)
        if not run(scope, case.body):
            met = _meet(met, scope.variables)
    scope.variables = met


def _delete(scope: Scope, node: ast.Delete) -> None:
    for target in node.targets:
        if isinstance(target, ast.Subscript):
            base, key = evaluate(scope, target.value), evaluate(scope, target.slice)
            named = frozenset(atom + ".__delitem__" for atom in base if atom[0] == "g")
            if named:
                scope.call(target, node.lineno, named, [key])


def _assert(scope: Scope, node: ast.Assert) -> None:
    evaluate(scope, node.test)


def _global(scope: Scope, node: ast.Global) -> None:
    if scope.kind != "module":
        scope.globals.update(node.names)


def _nonlocal(scope: Scope, node: ast.Nonlocal) -> None:
    for name in node.names:
        scope.lookup(name)


def _import(scope: Scope, node: ast.Import) -> None:
    for alias in node.names:
        scope.module.imports.setdefault(alias.name, node.lineno) if scope.kind == "module" else None
        if alias.asname:
            scope.bind(alias.asname, frozenset(["g" + alias.name]))
        else:
            first = alias.name.split(".")[0]
            scope.bind(first, frozenset(["g" + first]))


def _import_from(scope: Scope, node: ast.ImportFrom) -> None:
    base = scope.module.absolute("." * node.level + (node.module or ""))
    if scope.kind == "module":
        scope.module.imports.setdefault(base, node.lineno)
    for alias in node.names:
        if alias.name == "*":
            scope.module.stars.setdefault(base, None)
        else:
            scope.bind(alias.asname or alias.name, frozenset([f"g{base}.{alias.name}"]))


def _define(scope: Scope, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
    scope.bind(node.name, scope.module.define(scope, node))


def _class(scope: Scope, node: ast.ClassDef) -> None:
    scope.bind(node.name, scope.module.define_class(scope, node))


_RULES: dict[type, Callable[[Scope, Any], bool | None]] = {
    ast.Expr: _expression, ast.Assign: _assign, ast.AnnAssign: _annotated_assign, ast.AugAssign: _augmented,
    ast.Return: _return, ast.Raise: _raise, ast.Break: _leave, ast.Continue: _leave, ast.If: _if, ast.For: _for,
    ast.AsyncFor: _for, ast.While: _while, ast.Try: _try, ast.TryStar: _try, ast.With: _with, ast.AsyncWith: _with,
    ast.Match: _match, ast.Delete: _delete, ast.Assert: _assert, ast.Global: _global, ast.Nonlocal: _nonlocal,
    ast.Import: _import, ast.ImportFrom: _import_from, ast.FunctionDef: _define, ast.AsyncFunctionDef: _define,
    ast.ClassDef: _class,
}  # fmt: skip
