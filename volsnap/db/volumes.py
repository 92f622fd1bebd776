"""Queries on volumes. A row carries its type's name as ``volume_type``."""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from volsnap.db import engine, page, statuses
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
_STATUSES = statuses.Statuses(volumes, PASSING)
update = _STATUSES.update
claim = _STATUSES.claim
settle = _STATUSES.settle
overdue = _STATUSES.overdue


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


def delete(conn: Connection, volume_id: str) -> None:
    """Remove the row."""
    conn.execute(sa.delete(volumes).where(_C.id == volume_id))
