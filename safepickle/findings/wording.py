"""Calls written as Python would write them, for the titles of findings."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..bytecode.trace import Call, Descriptor

_ARGUMENTS = 4
_LITERAL = 80
_ENTRIES = 3

LOOKS = {
    "shell": "a shell command", "code": "Python code", "url": "a URL", "path": "a path", "host": "a host name",
    "bytecode": "compiled code", "pickle": "a pickle",
}  # fmt: skip
"""What a literal that says more than a plain one looks like, in words."""

_BRACKETS = {"tuple": ("(", ")"), "list": ("[", "]"), "set": ("{", "}"), "dict": ("{", "}")}
_METHODS = {
    "BUILD": "__setstate__", "append": "append", "extend": "extend", "setitem": "__setitem__", "add": "add",
}  # fmt: skip


def expression(call: Call) -> str:
    """``os.system('echo inert')``; arguments that a redacted Trace does not have are described."""
    callee = call.callee.name or ("<computed>" if call.callee.kind == "computed" else "<unknown>")
    if call.callee.kind == "result":
        callee += "(...)"
    if call.opcode in _METHODS:
        callee += "." + _METHODS[call.opcode]
    arguments = [argument_text(argument) for argument in call.args[:_ARGUMENTS]]
    if len(call.args) > _ARGUMENTS:
        arguments.append("...")
    return f"{callee}({', '.join(arguments)})"


def argument_text(argument: Descriptor, depth: int = 1) -> str:
    """One argument: its literal, or what is known of it."""
    kind = argument.type
    if kind in ("str", "bytes"):
        return _text(argument)
    if argument.ref is not None and argument.ref.name:
        return argument.ref.name + ("(...)" if kind == "result" else "")
    if argument.literal:
        return argument.literal[:40]
    if kind in _BRACKETS:
        opened, closed = _BRACKETS[kind]
        if not argument.length or not depth or not argument.items:
            return f"{opened}{'...' if argument.length else ''}{closed}"
        items = ", ".join(argument_text(item, depth - 1) for item in argument.items[:_ENTRIES])
        alone = "," if kind == "tuple" and argument.length == 1 else ""
        return f"{opened}{items}{', ...' if argument.length > _ENTRIES else alone}{closed}"
    return {"none": "None", "unknown": "?"}.get(kind, f"<{kind}>")


def _text(argument: Descriptor) -> str:
    if not argument.length:
        return "''" if argument.type == "str" else "b''"
    if argument.literal and argument.type == "str":
        return ascii(
            argument.literal if len(argument.literal) <= _LITERAL else argument.literal[: _LITERAL - 3] + "..."
        )
    if argument.literal and argument.length <= _LITERAL:
        return ascii(bytes.fromhex(argument.literal))
    looks = f", {LOOKS.get(argument.looks, argument.looks)}" if argument.looks else ""
    return f"<{argument.type} of {argument.length:,}{looks}>"
