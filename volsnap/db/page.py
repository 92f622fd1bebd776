"""Keyset pages: a list whose cost depends on the page, not on how deep it lies or how many rows there are.

A page starts behind its marker: the marker's sort values are read once, and the condition "sorts behind them" is one
range of the index that serves the order. ``id`` always breaks ties, so the order is total.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import sqlalchemy as sa

from volsnap import exception
from volsnap.context import RequestContext
from volsnap.db import metadata
from volsnap.db.engine import Connection, Row

DEFAULT_SORT = (("created_at", False), ("id", False))

_TIME_COMPARE = {
    "eq": sa.Column.__eq__,
    "neq": sa.Column.__ne__,
    "gt": sa.Column.__gt__,
    "gte": sa.Column.__ge__,
    "lt": sa.Column.__lt__,
    "lte": sa.Column.__le__,
}


@dataclasses.dataclass(frozen=True, slots=True)
class Filters:
    """What the rows of a list have in common. Keys are column names.

    ``equal`` with a list value means "one of"; ``None`` means SQL NULL. ``like`` is a substring. ``times`` compares
    ``(column, operator)`` with operators eq, neq, gt, gte, lt, lte. ``metadata`` names pairs that must be there.
    """

    equal: Mapping[str, object] = dataclasses.field(default_factory=dict)
    like: Mapping[str, str] = dataclasses.field(default_factory=dict)
    times: Sequence[tuple[str, str, str]] = ()
    metadata: Mapping[str, str] = dataclasses.field(default_factory=dict)


def scoped(filters: Filters, context: RequestContext, all_tenants: bool) -> Filters:
    """``filters``, restricted to the caller's project unless an admin asks for everybody's."""
    if all_tenants and context.is_admin:
        return filters
    return dataclasses.replace(filters, equal={**filters.equal, "project_id": context.project_id})


@dataclasses.dataclass(frozen=True, slots=True)
class Page:
    """Which part of a list: ``sort`` is pairs of column name and "ascending"."""

    limit: int
    marker: str | None = None
    offset: int = 0
    sort: Sequence[tuple[str, bool]] = DEFAULT_SORT


def conditions(conn: Connection, table: sa.Table, filters: Filters) -> list[sa.ColumnElement[bool]]:
    """The WHERE clauses of ``filters``."""
    wanted: list[sa.ColumnElement[bool]] = []
    for name, value in filters.equal.items():
        column = table.c[name]
        wanted.append(column.in_(value) if isinstance(value, list | tuple) else column == value)
    for name, text in filters.like.items():
        wanted.append(table.c[name].contains(text, autoescape=True))
    for name, operator, time in filters.times:
        wanted.append(_TIME_COMPARE[operator](table.c[name], time))
    for key, value in filters.metadata.items():
        wanted.append(metadata.has_pair(conn, table.c.metadata, key, value))
    return wanted


def fetch(conn: Connection, query: sa.Select[tuple[object, ...]], table: sa.Table, page: Page) -> Sequence[Row]:
    """The rows of ``query`` that make up ``page``.

    :raises exception.NotFound: the marker is no row of ``query``.
    """
    keys = [(_sortable(table.c[name]), ascending) for name, ascending in _total(page.sort)]
    if page.marker is not None:
        query = query.where(_behind(conn, query, table, keys, page.marker))
    query = query.order_by(*(key.asc() if up else key.desc() for key, up in keys))
    query = query.limit(page.limit)
    if page.offset:
        query = query.offset(page.offset)
    return conn.execute(query).all()


def count(conn: Connection, table: sa.Table, filters: Filters) -> int:
    """How many rows ``filters`` select."""
    query = sa.select(sa.func.count()).select_from(table)
    return conn.execute(query.where(*conditions(conn, table, filters))).scalar_one()


def _total(sort: Sequence[tuple[str, bool]]) -> list[tuple[str, bool]]:
    """The sort with ``id`` as the last key, in the direction of the key before it."""
    if any(name == "id" for name, _ in sort):
        return list(sort)
    return [*sort, ("id", sort[-1][1])]


def _sortable(column: sa.Column[object]) -> sa.ColumnElement[object]:
    """NULL sorts differently on every database and compares with nothing: it sorts as the empty string."""
    if column.nullable:
        return sa.func.coalesce(column, "")
    return column


def _behind(
    conn: Connection,
    query: sa.Select[tuple[object, ...]],
    table: sa.Table,
    keys: Sequence[tuple[sa.ColumnElement[object], bool]],
    marker: str,
) -> sa.ColumnElement[bool]:
    """The condition "sorts behind the row ``marker``"."""
    where = query.with_only_columns(*(key for key, _ in keys)).where(table.c.id == marker)
    values = conn.execute(where).one_or_none()
    if values is None:
        raise exception.NotFound(kind="Marker", id=marker)
    steps: list[sa.ColumnElement[bool]] = []
    equal: list[sa.ColumnElement[bool]] = []
    for (key, ascending), value in zip(keys, values, strict=True):
        beyond = key > value if ascending else key < value
        steps.append(sa.and_(*equal, beyond))
        equal.append(key == value)
    first, ascending = keys[0]
    # Implied by the rest; it is what lets a database start inside the index instead of filtering it.
    bound = first >= values[0] if ascending else first <= values[0]
    return sa.and_(bound, sa.or_(*steps))
