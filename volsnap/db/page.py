"""Keyset pages: a list whose cost depends on the page, not on how deep it lies or how many rows there are.

A page starts behind its marker: the marker's sort values are read once, and the condition "sorts behind them" is one
range of the index that serves the order. ``id`` always breaks ties, so the order is total.

Statements are built once for each *shape* of a list (which columns are filtered and sorted, not by which values):
building one costs several times as much as running it.
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

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


@dataclasses.dataclass(frozen=True, slots=True)
class _Shape:
    """All of a list's query but its values."""

    dialect: str
    equal: tuple[tuple[str, str], ...]
    like: tuple[str, ...]
    times: tuple[tuple[str, str], ...]
    pairs: int
    sort: tuple[tuple[str, bool], ...] = ()
    marked: bool = False
    offset: bool = False


class Listing:
    """One noun's list.

    :param base: what is selected; may hold parameters of its own.
    :param table: the noun's table, whose columns filters and sorts name.
    """

    def __init__(self, base: sa.Select[*tuple[Any, ...]], table: sa.Table) -> None:
        self._base = base
        self._table = table
        self._marker = sa.select(table).where(table.c.id == sa.bindparam("marker"))
        self._page = functools.lru_cache(256)(self._build_page)
        self._count = functools.lru_cache(64)(self._build_count)

    def fetch(self, conn: Connection, filters: Filters, wanted: Page, **values: object) -> Sequence[Row]:
        """The rows of a page; ``values`` are the base's own parameters.

        :raises exception.NotFound: the marker is no row of the project's.
        """
        shape, bound = _shape(conn, filters)
        sort = _total(wanted.sort)
        bound |= {**values, "limit": wanted.limit}
        if wanted.offset:
            bound["offset"] = wanted.offset
        if wanted.marker is not None:
            bound |= self._marker_values(conn, filters, wanted.marker, sort)
        shape = dataclasses.replace(shape, sort=sort, marked=wanted.marker is not None, offset=bool(wanted.offset))
        return conn.execute(self._page(shape), bound).all()

    def count(self, conn: Connection, filters: Filters, **values: object) -> int:
        """How many rows ``filters`` select."""
        shape, bound = _shape(conn, filters)
        number: int = conn.execute(self._count(shape), {**bound, **values}).scalar_one()
        return number

    def _marker_values(
        self, conn: Connection, filters: Filters, marker: str, sort: tuple[tuple[str, bool], ...]
    ) -> dict[str, object]:
        row = conn.execute(self._marker, {"marker": marker}).one_or_none()
        if row is None or filters.equal.get("project_id", row.project_id) != row.project_id:
            raise exception.NotFound(kind="Marker", id=marker)
        values = row._mapping
        return {f"m{number}": _or_empty(values[name]) for number, (name, _) in enumerate(sort)}

    def _build_page(self, shape: _Shape) -> sa.Select[*tuple[Any, ...]]:
        keys = [(_sortable(self._table.c[name]), ascending) for name, ascending in shape.sort]
        query = self._base.where(*_conditions(self._table, shape))
        if shape.marked:
            query = query.where(_behind(keys))
        query = query.order_by(*(key.asc() if up else key.desc() for key, up in keys))
        query = query.limit(sa.bindparam("limit"))
        return query.offset(sa.bindparam("offset")) if shape.offset else query

    def _build_count(self, shape: _Shape) -> sa.Select[*tuple[Any, ...]]:
        wanted = self._base.where(*_conditions(self._table, shape))
        return wanted.with_only_columns(sa.func.count(), maintain_column_froms=True)


def _shape(conn: Connection, filters: Filters) -> tuple[_Shape, dict[str, object]]:
    """The shape of ``filters``, and the values that its parameters have."""
    values: dict[str, object] = {}
    equal = []
    for name, value in filters.equal.items():
        how = "null" if value is None else "in" if isinstance(value, list | tuple) else "is"
        equal.append((name, how))
        if value is not None:
            values[f"e_{name}"] = list(value) if isinstance(value, list | tuple) else value
    values |= {f"l_{name}": _literal(text) for name, text in filters.like.items()}
    values |= {f"t{number}": time for number, (_, _, time) in enumerate(filters.times)}
    for number, (key, text) in enumerate(filters.metadata.items()):
        values[f"p{number}"] = metadata.pair(key, text)
    shape = _Shape(
        conn.dialect.name,
        tuple(equal),
        tuple(filters.like),
        tuple((name, operator) for name, operator, _ in filters.times),
        len(filters.metadata),
    )
    return shape, values


def _literal(text: str) -> str:
    """``text`` for LIKE, without wildcards."""
    return text.replace("/", "//").replace("%", "/%").replace("_", "/_")


def _conditions(table: sa.Table, shape: _Shape) -> list[sa.ColumnElement[bool]]:
    """The WHERE clauses of a shape."""
    wanted: list[sa.ColumnElement[bool]] = []
    for name, how in shape.equal:
        column = table.c[name]
        if how == "null":
            wanted.append(column.is_(None))
        elif how == "in":
            wanted.append(column.in_(sa.bindparam(f"e_{name}", expanding=True)))
        else:
            wanted.append(column == sa.bindparam(f"e_{name}"))
    wanted += [table.c[name].contains(sa.bindparam(f"l_{name}"), escape="/") for name in shape.like]
    for number, (name, operator) in enumerate(shape.times):
        wanted.append(_TIME_COMPARE[operator](table.c[name], sa.bindparam(f"t{number}")))
    for number in range(shape.pairs):
        wanted.append(metadata.holds(shape.dialect, table.c.metadata, sa.bindparam(f"p{number}", type_=sa.String)))
    return wanted


def _total(sort: Sequence[tuple[str, bool]]) -> tuple[tuple[str, bool], ...]:
    """The sort with ``id`` as the last key, in the direction of the key before it."""
    if any(name == "id" for name, _ in sort):
        return tuple(sort)
    return (*sort, ("id", sort[-1][1]))


def _sortable(column: sa.Column[Any]) -> sa.ColumnElement[Any]:
    """NULL sorts differently on every database and compares with nothing: it sorts as the empty string."""
    return sa.func.coalesce(column, "") if column.nullable else column


def _or_empty(value: object) -> object:
    return "" if value is None else value


def _behind(keys: Sequence[tuple[sa.ColumnElement[Any], bool]]) -> sa.ColumnElement[bool]:
    """The condition "sorts behind the row whose sort values are the parameters m0, m1, …"."""
    steps: list[sa.ColumnElement[bool]] = []
    equal: list[sa.ColumnElement[bool]] = []
    for number, (key, ascending) in enumerate(keys):
        value = sa.bindparam(f"m{number}", type_=key.type)
        steps.append(sa.and_(*equal, key > value if ascending else key < value))
        equal.append(key == value)
    first, ascending = keys[0]
    start = sa.bindparam("m0", type_=first.type)
    # Implied by the rest; it is what lets a database start inside the index instead of filtering it.
    return sa.and_(first >= start if ascending else first <= start, sa.or_(*steps))
