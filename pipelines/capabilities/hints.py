"""What annotations and checks tell of values."""

from __future__ import annotations

import ast

from .atoms import EMPTY, Value, joined
from .expressions import evaluate
from .scope import Scope

_ANNOTATED = frozenset("str bytes int float bool list dict tuple set frozenset bytearray complex".split())
_CHECKS = frozenset(["isidentifier", "isdigit", "isdecimal", "isnumeric", "isalnum", "isalpha"])


def annotation(scope: Scope, node: ast.expr | None) -> Value:
    """Instances of the classes that an annotation names; elements count as the container."""
    if node is None:
        return EMPTY
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and len(node.value) < 100:
        try:
            return annotation(scope, ast.parse(node.value, mode="eval").body)
        except (SyntaxError, ValueError):
            return EMPTY
    if isinstance(node, ast.BinOp):
        return annotation(scope, node.left) | annotation(scope, node.right)
    if isinstance(node, ast.Subscript):
        outer = node.value.attr if isinstance(node.value, ast.Attribute) else getattr(node.value, "id", "")
        inner = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        if outer in ("Optional", "Union", "Annotated", "Final", "ClassVar"):
            return joined(*[annotation(scope, item) for item in inner])
        return annotation(scope, node.value)
    if isinstance(node, ast.Name) and node.id in _ANNOTATED:
        return frozenset(["i" + node.id])
    if isinstance(node, (ast.Name, ast.Attribute)):
        return frozenset(
            "I" + atom[1:].replace(":", ".")
            for atom in evaluate(scope, node)
            if atom[0] in "gd" and not atom.startswith(("gtyping.", "gbuiltins.", "gcollections.abc."))
        )
    return EMPTY


def checked(scope: Scope, test: ast.expr) -> Value:
    """What a condition that *fails* tells to be harmless text: ``not x.isidentifier()``, ``x not in ("a", "b")``."""
    if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.Or):
        return joined(*[checked(scope, item) for item in test.values])
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not) and isinstance(test.operand, ast.Call):
        called = test.operand.func
        if isinstance(called, ast.Attribute) and called.attr in _CHECKS:
            return evaluate(scope, called.value)
    if isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(test.ops[0], (ast.NotIn, ast.NotEq)):
        allowed = test.comparators[0]
        items = allowed.elts if isinstance(allowed, (ast.Tuple, ast.List, ast.Set)) else [allowed]
        if all(isinstance(item, ast.Constant) for item in items):
            return evaluate(scope, test.left)
    return EMPTY
