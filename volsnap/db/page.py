"""Keyset pages: a list whose cost depends on the page, not on how deep it lies or how many rows there are.

A page starts behind its marker: the condition "sorts behind the marker's values" is one range of the index that serves
the order, and the values come from a sub-query of the same statement. ``id`` always breaks ties, so the order is total.

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
        self._marker = table.alias("marker")
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
            bound["marker"] = wanted.marker
        shape = dataclasses.replace(shape, sort=sort, marked=wanted.marker is not None, offset=bool(wanted.offset))
        rows = conn.execute(self._page(shape), bound).all()
        if not rows and wanted.marker is not None:
            self._require_marker(conn, filters, wanted.marker)
        return rows

    def count(self, conn: Connection, filters: Filters, **values: object) -> int:
        """How many rows ``filters`` select."""
        shape, bound = _shape(conn, filters)
        number: int = conn.execute(self._count(shape), {**bound, **values}).scalar_one()
        return number

    def _require_marker(self, conn: Connection, filters: Filters, marker: str) -> None:
        """An empty page may be the end of the list, or the answer to a marker that is none."""
        query = sa.select(self._table.c.project_id).where(self._table.c.id == marker)
        project_id = conn.execute(query).scalar_one_or_none()
        if project_id is None or filters.equal.get("project_id", project_id) != project_id:
            raise exception.NotFound(kind="Marker", id=marker)

    def _build_page(self, shape: _Shape) -> sa.Select[*tuple[Any, ...]]:
        keys = [(key, up) for name, up in shape.sort for key in _sortable(self._table.c[name])]
        query = self._base.where(*_conditions(self._table, shape))
        if shape.marked:
            names = (name for name, _ in shape.sort)
            values = [self._marker_value(shape, key) for name in names for key in _sortable(self._marker.c[name])]
            query = query.where(_behind(keys, values))
        query = query.order_by(*(key.asc() if up else key.desc() for key, up in keys))
        query = query.limit(sa.bindparam("limit"))
        return query.offset(sa.bindparam("offset")) if shape.offset else query

    def _marker_value(self, shape: _Shape, key: sa.ColumnElement[Any]) -> sa.ScalarSelect[Any]:
        """The marker's value of a sort key; none when it is another project's, so that nothing sorts behind it."""
        query = sa.select(key).where(self._marker.c.id == sa.bindparam("marker"))
        if ("project_id", "is") in shape.equal:
            query = query.where(self._marker.c.project_id == sa.bindparam("e_project_id"))
        return query.scalar_subquery()

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


def _sortable(column: sa.ColumnElement[Any]) -> list[sa.ColumnElement[Any]]:
    """The sort keys of a column. NULL sorts behind every value, which databases disagree on, and compares with nothing:
    a flag and a stand-in take its place."""
    if not getattr(column, "nullable", False):
        return [column]
    return [sa.case((column.is_(None), 1), else_=0), sa.func.coalesce(column, "")]


def _behind(
    keys: Sequence[tuple[sa.ColumnElement[Any], bool]], values: Sequence[sa.ScalarSelect[Any]]
) -> sa.ColumnElement[bool]:
    """The condition "sorts behind a row with these values"."""
    steps: list[sa.ColumnElement[bool]] = []
    equal: list[sa.ColumnElement[bool]] = []
    for (key, ascending), value in zip(keys, values, strict=True):
        steps.append(sa.and_(*equal, key > value if ascending else key < value))
        equal.append(key == value)
    first, ascending = keys[0]
    # Implied by the rest; it is what lets a database start inside the index instead of filtering it.
    return sa.and_(first >= values[0] if ascending else first <= values[0], sa.or_(*steps))
