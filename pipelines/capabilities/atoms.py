"""Abstract values: sets of atoms, each a short text that names what a value may be or be made from.

========== ==========================================================================================
``p2``      the third parameter of the function (captured variables come after the parameters)
``p0.cmd``  an attribute of it, up to three names long; an element of a container counts as the container
``c7``      the result of the function's call number 7; ``c7.run`` an attribute of it; ``c7.#1`` its second item, where
            it was unpacked
``g<name>`` what a full dotted name stands for: ``gos.path.join``
``d<m>:<q>`` the function or class defined as `q` in module `m`
``k3``      the function's closure number 3 (a nested function or a lambda)
``I<name>`` an instance of the class of that name; ``I<name>|run`` an attribute of it
``ilist``   an instance of a builtin type
``sabc``    the literal string ``abc``
``u.run``   an attribute of ``super()``
``~p2``     something made from ``p2`` (joined, formatted, converted), no longer the thing itself; ``~p2.`` is an
            attribute of that
========== ==========================================================================================
"""

from __future__ import annotations

from collections.abc import Iterable

Value = frozenset[str]
EMPTY: Value = frozenset()
MAX_ATTRIBUTES = 3
MAX_ATOMS = 48
"""A value of more atoms keeps the first in sorted order: parameters' and calls' come after definitions'."""


def joined(*values: Iterable[str]) -> Value:
    """Return what may be any of `values`."""
    return frozenset().union(*values)


def derived(*values: Iterable[str]) -> Value:
    """Return what is made from `values`: nothing of them but where they come from."""
    return frozenset(
        [atom if atom[0] == "~" else "~" + short(atom) for value in values for atom in value if atom[0] in "pc~"]
    )


def short(atom: str) -> str:
    """An atom with one attribute at most."""
    return ".".join(atom.split(".", 2)[:2])


def attribute(value: Iterable[str], name: str) -> Value:
    """Return attribute `name` of a value."""
    found = set()
    for atom in value:
        head = atom[0]
        if head in "pck":
            found.add(f"{atom}.{name}" if atom.count(".") < MAX_ATTRIBUTES else "~" + short(atom))
        elif head in "gu":
            found.add(f"{atom}.{name}")
        elif head == "d":
            found.add(f"g{atom[1:].replace(':', '.')}.{name}")
        elif head == "I":
            found.add(f"{atom}.{name}" if "|" in atom else f"{atom}|{name}")
        elif head == "i":
            found.add(f"{atom.split('.')[0]}.{name}")
        elif head == "s":
            found.add(f"istr.{name}")
        else:
            found.add(atom if atom[-1] == "." else atom + ".")
    return frozenset(found)


def item_of(value: Iterable[str], index: int) -> Value:
    """Return what stands at `index` in a value that is unpacked; but for results the whole counts as its items."""
    return frozenset(
        [f"{atom}.#{index}" if atom[0] == "c" and "." not in atom else atom for atom in value if atom[0] != "i"]
    )


def item_at(path: str) -> int:
    """The index that a path of attributes begins with, -1 if it begins with an attribute."""
    return int(path[1:].partition(".")[0]) if path[:1] == "#" else -1


def result_of(atom: str) -> int:
    """Number of the call whose result, or an item of it, an atom is; -1 for all else."""
    if atom[0] != "c":
        return -1
    number, _, path = atom[1:].partition(".")
    return int(number) if not path or (path[0] == "#" and "." not in path) else -1


def root(atom: str) -> str:
    """The parameter or call that an atom is or comes from: ``p0`` of ``~p0.cmd``."""
    return atom.lstrip("~").split(".", 1)[0]


def without(value: Value, roots: frozenset[str]) -> Value:
    """Leave out the atoms of some parameters and calls."""
    return frozenset([atom for atom in value if atom[0] not in "pc~" or root(atom) not in roots])


def kept(value: Iterable[str], heads: str = "pc~gdk") -> list[str]:
    """The atoms of some heads, sorted, as summaries keep them. What is there itself need not be there derived."""
    found = {atom for atom in value if atom[0] in heads}
    if len(found) > MAX_ATOMS:
        found = {("~" + short(atom) if atom[0] in "pc" else atom) for atom in found}
    return sorted(atom for atom in found if atom[0] != "~" or atom[1:] not in found)[: 4 * MAX_ATOMS]
