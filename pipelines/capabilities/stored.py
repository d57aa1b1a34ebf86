"""Rows as lines of JSON, for the commands that measure them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from .records import Reach, Row, Step


def write_rows(rows: Iterable[Row], path: Path) -> int:
    """Write rows, one a line; return how many."""
    count = 0
    with path.open("w", encoding="utf-8") as file:
        for row in rows:
            reaches = [
                [reach.kind, reach.depth, reach.flows, reach.implicit, [list(_fields(step)) for step in reach.witness]]
                for reach in row.reaches
            ]
            values = [reaches if name == "reaches" else getattr(row, name) for name in Row._fields]
            file.write(json.dumps(values) + "\n")
            count += 1
    return count


def _fields(step: Step) -> Iterator[str | int]:
    return (getattr(step, name) for name in Step._fields)


def read_rows(path: Path) -> Iterator[Row]:
    """Read what :func:`write_rows` wrote."""
    place = Row._fields.index("reaches")
    with path.open(encoding="utf-8") as file:
        for line in file:
            values = json.loads(line)
            values[place] = tuple(
                Reach(kind, depth, flows, implicit, tuple(Step(*step) for step in witness))
                for kind, depth, flows, implicit, witness in values[place]
            )
            yield Row(*values)
