"""Queries on limits, and usage as a count of rows.

Usage is never stored. :func:`lock_project` makes counting and inserting one step for each project: whoever holds the
project's row sees every row that was committed before, and nobody else counts until it commits.
"""

from collections.abc import Mapping

import sqlalchemy as sa
from sqlalchemy.dialects import mysql, postgresql

from volsnap.db import engine
from volsnap.db.engine import Connection
from volsnap.db.models import projects, quota_classes, quotas, snapshots, volumes

VOLUMES = volumes
SNAPSHOTS = snapshots


def _usage(table: sa.Table) -> sa.Select[int, int]:
    number, gib = sa.func.count(), sa.func.coalesce(sa.func.sum(table.c.size_gib), 0)
    return sa.select(number, gib).where(table.c.project_id == sa.bindparam("project_id"), table.c.consumes_quota)


# Statements of the hot path are built once: building one costs three times as much as running it on SQLite.
_USAGE = {table: _usage(table) for table in (VOLUMES, SNAPSHOTS)}
_LIMITS = sa.union_all(
    sa.select(sa.literal(0).label("own"), quota_classes.c.resource, quota_classes.c.hard_limit).where(
        quota_classes.c.class_name == sa.bindparam("class_name")
    ),
    sa.select(sa.literal(1).label("own"), quotas.c.resource, quotas.c.hard_limit).where(
        quotas.c.project_id == sa.bindparam("project_id")
    ),
)


def lock_project(conn: Connection, project_id: str) -> None:
    """Let one transaction of the project at a time count its usage."""
    row = {"id": project_id}
    if conn.dialect.name == "postgresql":
        conn.execute(postgresql.insert(projects).values(row).on_conflict_do_nothing())
    elif conn.dialect.name in ("mysql", "mariadb"):
        conn.execute(mysql.insert(projects).values(row).prefix_with("IGNORE"))
    engine.lock_row(conn, projects, project_id)


def limits(conn: Connection, project_id: str, class_name: str) -> dict[str, int]:
    """The limits set for the project itself, and for the rest those of the quota class."""
    rows = conn.execute(_LIMITS, {"project_id": project_id, "class_name": class_name})
    return {row.resource: row.hard_limit for row in sorted(rows, key=lambda row: row.own)}


def class_limits(conn: Connection, class_name: str) -> dict[str, int]:
    """The limits of a quota class."""
    query = sa.select(quota_classes.c.resource, quota_classes.c.hard_limit)
    rows = conn.execute(query.where(quota_classes.c.class_name == class_name))
    return {row.resource: row.hard_limit for row in rows}


def set_limits(conn: Connection, project_id: str, wanted: Mapping[str, int]) -> None:
    """Set limits of the project."""
    _set(conn, quotas, quotas.c.project_id, project_id, wanted)


def set_class_limits(conn: Connection, class_name: str, wanted: Mapping[str, int]) -> None:
    """Set limits of a quota class."""
    _set(conn, quota_classes, quota_classes.c.class_name, class_name, wanted)


def delete_limits(conn: Connection, project_id: str) -> None:
    """Forget the project's own limits."""
    conn.execute(sa.delete(quotas).where(quotas.c.project_id == project_id))


def usage(conn: Connection, table: sa.Table, project_id: str) -> tuple[int, int]:
    """Number and total GiB of the rows of ``table`` that count against the project."""
    number, gib = conn.execute(_USAGE[table], {"project_id": project_id}).one()
    return int(number), int(gib)


def usage_by_type(conn: Connection, table: sa.Table, project_id: str) -> dict[str, tuple[int, int]]:
    """The same for each volume type's id."""
    number, gib = sa.func.count(), sa.func.coalesce(sa.func.sum(table.c.size_gib), 0)
    query = sa.select(table.c.volume_type_id, number, gib).group_by(table.c.volume_type_id)
    where = (table.c.project_id == project_id, table.c.consumes_quota)
    rows = conn.execute(query.where(*where)).all()
    return {type_id: (int(count), int(size)) for type_id, count, size in rows if type_id}


def _set(
    conn: Connection,
    table: sa.Table,
    owner: sa.Column[str],
    name: str,
    wanted: Mapping[str, int],
) -> None:
    for resource, limit in wanted.items():
        where = (owner == name, table.c.resource == resource)
        if conn.execute(sa.update(table).where(*where).values(hard_limit=limit)).rowcount == 0:
            row = {owner.name: name, "resource": resource, "hard_limit": limit}
            conn.execute(sa.insert(table).values(**row))
