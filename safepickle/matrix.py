# cython: boundscheck=False, wraparound=False, annotation_typing=False
"""Distances and products of a float32 matrix and one point, for the detectors.

The file is Cython's pure-Python mode like :mod:`safepickle.inference`, with its C types in ``matrix.pxd``. The loops
run column by column without bounds checks, so that a compiler can take several rows at once; each looks at the sizes
of what it is given first. The terms of a row are added in the order of its columns in every build, so that all give the
same sums.
"""

from __future__ import annotations

from array import array
from math import dist
from operator import mul

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import MutableSequence, Sequence
    from typing import Any

COMPILED = not __file__.endswith(".py")
"""Whether this is the compiled build of the module."""

_TURNED_AT = 2
"""Uses after which it pays to lay a matrix out by columns; a scan of one file has fewer."""


class Matrix:
    """A row-major float32 matrix; uncompiled it is kept as tuples, for the C loops behind `dist` and `sum`.

    Parameters
    ----------
    flat
        All values, row by row; not changed afterwards.
    columns
        Values in a row.

    Raises
    ------
    ValueError
        When there is no row, or a part of one is left.
    """

    def __init__(self, flat: memoryview[Any], columns: int) -> None:
        self.flat = flat
        self.columns = columns
        self.count = len(flat) // columns
        if not self.count or self.count * columns != len(flat):
            raise ValueError(f"no whole number of rows of {columns} values")
        self._uses = 0
        self._tuples: list[tuple[float, ...]] = []

    def _turn(self) -> None:
        """Lay the values out by columns; note the usual value of each and the rows that have another."""
        self._turned = array("f", bytes(4 * len(self.flat)))
        self._usual = array("d", bytes(8 * self.columns))
        self._starts = array("I", bytes(4 * (self.columns + 1)))
        self._others = array("I", bytes(4 * len(self.flat)))
        kept = _turn(self.flat, self.count, self.columns, self._turned, self._usual, self._starts, self._others)
        del self._others[kept:]
        self._others.append(0)  # an empty array lends no memory

    def _is_turned(self) -> bool:
        self._uses += 1
        if self._uses == _TURNED_AT:
            self._turn()
        return self._uses >= _TURNED_AT

    def _rows(self) -> list[tuple[float, ...]]:
        if not self._tuples:
            flat, step = self.flat.tolist(), self.columns
            self._tuples = [tuple(flat[start : start + step]) for start in range(0, len(flat), step)]
        return self._tuples

    def squares(self, point: array[float]) -> array[float]:
        """Squared Euclidean distances of `point` to every row."""
        if COMPILED:
            out = array("d", bytes(8 * self.count))
            if self._is_turned():
                _squares_by_column(self._turned, self._usual, self._starts, self._others, point, out)
            else:
                _squares(self.flat, point, out)
            return out
        centre = tuple(point)
        distances = [dist(centre, row) for row in self._rows()]
        return array("d", map(mul, distances, distances))

    def times(self, vector: array[float]) -> array[float]:
        """Matrix times `vector`."""
        if COMPILED:
            out = array("d", bytes(8 * self.count))
            if self._is_turned():
                _times_by_column(self._turned, vector, out)
            else:
                _times(self.flat, vector, out)
            return out
        values = tuple(vector)
        return array("d", [sum(map(mul, row, values)) for row in self._rows()])


def _check(size: int, rows: int, columns: int) -> None:
    if size != rows * columns:
        raise ValueError(f"{size} values are not {rows} rows of {columns}")


def _turn(
    flat: Sequence[float],
    rows: int,
    columns: int,
    turned: MutableSequence[float],
    usual: MutableSequence[float],
    starts: MutableSequence[int],
    others: MutableSequence[int],
) -> int:
    """Fill the last four; how many rows, over all columns, have another value than the usual one."""
    _check(len(flat), rows, columns)
    _check(len(turned), rows, columns)
    _check(len(others), rows, columns)
    _check(len(usual), columns, 1)
    _check(len(starts), columns + 1, 1)
    kept = 0
    for column in range(columns):
        begin = column * rows
        votes = 0
        choice = 0.0
        for row in range(rows):
            value = flat[row * columns + column]
            turned[begin + row] = value
            if votes == 0:
                choice = value
            votes += 1 if value == choice else -1
        usual[column] = choice
        for row in range(rows):
            if turned[begin + row] != choice:
                others[kept] = row
                kept += 1
        starts[column + 1] = kept
    return kept


def _squares(flat: Sequence[float], point: Sequence[float], out: MutableSequence[float]) -> None:
    columns = len(point)
    _check(len(flat), len(out), columns)
    at = 0
    for row in range(len(out)):
        total = 0.0
        for column in range(columns):
            gap = flat[at + column] - point[column]
            total += gap * gap
        out[row] = total
        at += columns


def _squares_by_column(
    turned: Sequence[float],
    usual: Sequence[float],
    starts: Sequence[int],
    others: Sequence[int],
    point: Sequence[float],
    out: MutableSequence[float],
) -> None:
    rows = len(out)
    columns = len(point)
    _check(len(turned), rows, columns)
    _check(len(usual), columns, 1)
    _check(len(starts), columns + 1, 1)
    _check(len(others), starts[columns] + 1, 1)
    for column in range(columns):
        value = point[column]
        begin = column * rows
        if usual[column] == value:  # where most rows are as the point is, nothing is added to them
            for other in range(starts[column], starts[column + 1]):
                row = others[other]
                gap = turned[begin + row] - value
                out[row] += gap * gap
        else:
            for row in range(rows):
                gap = turned[begin + row] - value
                out[row] += gap * gap


def _times(flat: Sequence[float], vector: Sequence[float], out: MutableSequence[float]) -> None:
    columns = len(vector)
    _check(len(flat), len(out), columns)
    at = 0
    for row in range(len(out)):
        total = 0.0
        for column in range(columns):
            total += flat[at + column] * vector[column]
        out[row] = total
        at += columns


def _times_by_column(turned: Sequence[float], vector: Sequence[float], out: MutableSequence[float]) -> None:
    rows = len(out)
    columns = len(vector)
    _check(len(turned), rows, columns)
    for column in range(columns):
        value = vector[column]
        begin = column * rows
        for row in range(rows):
            out[row] += turned[begin + row] * value
