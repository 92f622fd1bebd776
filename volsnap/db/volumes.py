"""Queries on volumes. A row carries its type's name as ``volume_type``."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from volsnap.db import engine, page
from volsnap.db.engine import Connection, Row
from volsnap.db.models import snapshots, volume_types, volumes

_C = volumes.c
_WITH_TYPE = sa.select(volumes, volume_types.c.name.label("volume_type")).select_from(
    volumes.outerjoin(volume_types, _C.volume_type_id == volume_types.c.id)
)
# Statements of the hot path are built once: building one costs three times as much as running it on SQLite.
_FIND = _WITH_TYPE.where(_C.id == sa.bindparam("row_id"))
_INSERT = sa.insert(volumes)
_LISTING = page.Listing(_WITH_TYPE, volumes)
#: Statuses that pass; a resource whose work failed never goes back to one of them.
PASSING = frozenset({"creating", "extending", "reverting", "deleting"})
#: The status to go back to; a resource that never had another has failed to become anything.
_PREVIOUS = sa.func.coalesce(_C.previous_status, "error")
_BEFORE = sa.case((_C.status.in_(PASSING), _PREVIOUS), else_=_C.status)
_OWN = _C.status.in_(sa.bindparam("sources", expanding=True))
_SETTLE = (
    sa.update(volumes)
    .where(_C.id == sa.bindparam("row_id"))
    .values(status=sa.case((_OWN, sa.bindparam("then")), else_=_C.status), updated_at=sa.bindparam("now"))
)
_SETTLE_BACK = (
    sa.update(volumes)
    .where(_C.id == sa.bindparam("row_id"))
    .values(status=sa.case((_OWN, _PREVIOUS), else_=_C.status), updated_at=sa.bindparam("now"))
)


def create(conn: Connection, row: Mapping[str, Any]) -> None:
    """Insert one volume."""
    conn.execute(_INSERT, dict(row))


def find(conn: Connection, volume_id: str, *, project_id: str | None = None) -> Row | None:
    """The volume; None when there is none, or none of ``project_id`` when that is given."""
    row = conn.execute(_FIND, {"row_id": volume_id}).one_or_none()
    if row is None or project_id not in (None, row.project_id):
        return None
    return row


def lock(conn: Connection, volume_id: str) -> None:
    """Hold the volume against other writers until the transaction ends; take it before looking at its snapshots."""
    engine.lock_row(conn, volumes, volume_id)


def list_page(conn: Connection, filters: page.Filters, wanted: page.Page) -> Sequence[Row]:
    """One page of volumes."""
    return _LISTING.fetch(conn, filters, wanted)


def count(conn: Connection, filters: page.Filters) -> int:
    """How many volumes ``filters`` select."""
    return _LISTING.count(conn, filters)


def summary(conn: Connection, project_id: str | None) -> tuple[int, int]:
    """Number and total GiB of a project's volumes; of everybody's when None."""
    query = sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(_C.size_gib), 0))
    if project_id is not None:
        query = query.where(_C.project_id == project_id)
    number, gib = conn.execute(query).one()
    return int(number), int(gib)


def metadata_of_all(conn: Connection, project_id: str | None) -> Sequence[str]:
    """The metadata texts of a project's volumes that have any."""
    query = sa.select(_C.metadata).where(_C.metadata != "{}")
    if project_id is not None:
        query = query.where(_C.project_id == project_id)
    return conn.execute(query).scalars().all()


def on_backend(conn: Connection, backend: str) -> Sequence[Row]:
    """Every volume of a backend, for the audit."""
    query = sa.select(_C.id, _C.status, _C.size_gib, _C.project_id)
    return conn.execute(query.where(_C.backend == backend)).all()


def has_snapshots(conn: Connection, volume_id: str) -> bool:
    """Whether any snapshot row names the volume."""
    query = sa.select(snapshots.c.id).where(snapshots.c.volume_id == volume_id).limit(1)
    return conn.execute(query).first() is not None


def update(conn: Connection, volume_id: str, **values: Any) -> bool:
    """Set columns; False when the row is gone."""
    statement = sa.update(volumes).where(_C.id == volume_id)
    return _changed(conn, statement.values(updated_at=engine.now(), **values))


def claim(conn: Connection, volume_id: str, sources: Collection[str], status: str, **values: Any) -> bool:
    """Compare and swap the status: True when the row was in one of ``sources`` and is now in ``status``."""
    statement = sa.update(volumes).where(_C.id == volume_id, _C.status.in_(sources))
    return _changed(
        conn,
        statement.values(status=status, previous_status=_BEFORE, updated_at=engine.now(), **values),
    )


def settle(conn: Connection, volume_id: str, sources: Collection[str], status: str | None, **values: Any) -> None:
    """Set ``values``, and move on from one of ``sources`` to ``status`` (None: the status before).

    A row that moved on by itself keeps its status.
    """
    statement = _SETTLE_BACK if status is None else _SETTLE
    wanted = {"row_id": volume_id, "sources": list(sources), "now": engine.now()}
    if status is not None:
        wanted["then"] = status
    conn.execute(statement.values(**values) if values else statement, wanted)


def overdue(conn: Connection, volume_id: str, during: str, status: str) -> bool:
    """Show ``status`` instead of ``during``, keeping the status before; True when the row was in ``during``."""
    statement = sa.update(volumes).where(_C.id == volume_id, _C.status == during)
    return _changed(conn, statement.values(status=status, updated_at=engine.now()))


def delete(conn: Connection, volume_id: str) -> None:
    """Remove the row."""
    conn.execute(sa.delete(volumes).where(_C.id == volume_id))


def _changed(conn: Connection, statement: sa.Update) -> bool:
    return conn.execute(statement).rowcount == 1
