"""Rows that go into a table, or are looked up, many at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Dialect
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from ..json_text import dump

SIZES = (32, 8, 4, 2, 1)
"""Rows of one statement: few sizes, so that drivers keep the statements, and within SQLite's limit of values."""

MARKS = {"qmark": "?", "pyformat": "%s"}
"""Placeholder of a value, by what the driver calls its way."""

_AMONG = {"sqlite": "{} IN (SELECT value FROM json_each({}))", "postgresql": "{} = ANY({})"}
"""How a text is looked for among many: by one value, so that it is the same statement whatever their number."""

_Spelling = tuple[str, list[tuple[int, Callable[[Any], Any]]]]
"""Placeholders of one row, and what is to be done to which of its values."""


def execute(connection: Connection, statement: str, values: Sequence[Any]) -> Any:
    """Have the driver run a statement of its own spelling; return its cursor.

    SQLAlchemy's way to the driver takes longer than SQLite takes for a few rows.

    Raises
    ------
    sqlalchemy.exc.DBAPIError
        As SQLAlchemy does.
    """
    driver: Any = connection.connection.driver_connection
    errors = connection.dialect.loaded_dbapi.Error
    try:
        return driver.execute(statement, values)
    except errors as error:
        raise sa.exc.DBAPIError.instance(statement, values, error, errors, dialect=connection.dialect) from error


def _texts(values: Iterable[str], dialect: str) -> Any:
    """Many texts as one value of a statement."""
    return dump(list(values)).decode() if dialect == "sqlite" else list(values)


def execute_among(connection: Connection, head: str, column: str, values: Iterable[str]) -> list[tuple[Any, ...]]:
    """Rows of the statement that begins with `head`, which is followed by WHERE, with one of `values` in `column`."""
    dialect = connection.dialect
    condition = _AMONG[dialect.name].format(column, MARKS[dialect.paramstyle])
    found: list[tuple[Any, ...]] = execute(
        connection, f"{head} WHERE {condition}", (_texts(values, dialect.name),)
    ).fetchall()
    return found


class Texts(sa.types.TypeDecorator[Sequence[str]]):
    """Many texts as one value of a statement, see :class:`among`."""

    impl = sa.Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        """An array, where there are any."""
        return dialect.type_descriptor(sa.Text() if dialect.name == "sqlite" else sa.ARRAY(sa.Text()))

    def process_bind_param(self, value: Sequence[str] | None, dialect: Dialect) -> Any:
        """The value as the driver takes it."""
        return _texts(value or (), dialect.name)


class among(FunctionElement[Any]):
    """``among(column, bindparam(name, type_=Texts()))``: whether a column has one of many texts."""

    # Of a Boolean, SQLite would be asked whether it is 1, and not use an index.
    type = sa.types.NULLTYPE
    inherit_cache = True


@compiles(among)
def _spell_among(element: among, compiler: SQLCompiler, **options: Any) -> str:
    column, values = (compiler.process(part, **options) for part in element.clauses)
    return _AMONG[compiler.dialect.name].format(column, values)


class Rows:
    """Inserts rows of one table with as few statements as there can be.

    A driver gives up the interpreter's lock at every row that it runs on its own, and a busy event loop gives it back
    late: a statement for many rows costs one such wait.

    Parameters
    ----------
    table
        Where to.
    names
        Columns, in the order of the values of a row.
    """

    def __init__(self, table: sa.Table, names: Sequence[str]) -> None:
        self._columns = [table.c[name] for name in names]
        self._head = f"INSERT INTO {table.name} ({', '.join(names)}) VALUES "
        self._dialects: dict[str, _Spelling] = {}

    def insert(self, connection: Connection, rows: Sequence[Sequence[Any]]) -> None:
        """Insert `rows`, all of them or, where the database refuses one, none of this transaction."""
        row, conversions = self._dialect(connection.dialect)
        at = 0
        for size in SIZES:
            while len(rows) - at >= size:
                values: list[Any] = []
                for given in rows[at : at + size]:
                    converted = list(given)
                    for place, convert in conversions:
                        converted[place] = convert(converted[place])
                    values += converted
                execute(connection, self._head + ", ".join([row] * size), values)
                at += size

    def _dialect(self, dialect: Dialect) -> _Spelling:
        """How this database wants a row."""
        if dialect.name not in self._dialects:
            mark = MARKS[dialect.paramstyle]
            found = (column.type.dialect_impl(dialect).bind_processor(dialect) for column in self._columns)
            conversions: list[tuple[int, Callable[[Any], Any]]] = [
                (place, convert) for place, convert in enumerate(found) if convert is not None
            ]
            self._dialects[dialect.name] = f"({', '.join([mark] * len(self._columns))})", conversions
        return self._dialects[dialect.name]
