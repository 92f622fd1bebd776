"""Queries on snapshots."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from volsnap.db import page, statuses
from volsnap.db.engine import Connection, Row
from volsnap.db.models import snapshots, volumes

_C = snapshots.c
# Statements of the hot path are built once: building one costs three times as much as running it on SQLite.
_FIND = sa.select(snapshots).where(_C.id == sa.bindparam("row_id"))
_FIND_WITH_VOLUME = (
    sa.select(snapshots, volumes.c.size_gib.label("volume_size_gib"))
    .join(volumes, volumes.c.id == _C.volume_id)
    .where(_C.id == sa.bindparam("row_id"))
)
_INSERT = sa.insert(snapshots)
_IN_ZONE = sa.select(volumes.c.id).where(volumes.c.availability_zone == sa.bindparam("zone"))
_LISTING = page.Listing(sa.select(snapshots), snapshots)
_LISTING_IN_ZONE = page.Listing(sa.select(snapshots).where(_C.volume_id.in_(_IN_ZONE)), snapshots)
#: Statuses that pass; a resource whose work failed never goes back to one of them.
PASSING = frozenset({"creating", "restoring", "deleting"})
_STATUSES = statuses.Statuses(snapshots, PASSING)
update = _STATUSES.update
claim = _STATUSES.claim
settle = _STATUSES.settle
overdue = _STATUSES.overdue


def create(conn: Connection, row: Mapping[str, Any]) -> None:
    """Insert one snapshot."""
    conn.execute(_INSERT, dict(row))


def find(conn: Connection, snapshot_id: str, *, project_id: str | None = None) -> Row | None:
    """The snapshot; None when there is none, or none of ``project_id`` when that is given."""
    row = conn.execute(_FIND, {"row_id": snapshot_id}).one_or_none()
    if row is None or project_id not in (None, row.project_id):
        return None
    return row


def find_with_volume(conn: Connection, snapshot_id: str) -> Row | None:
    """The snapshot with its volume's size now as ``volume_size_gib``."""
    return conn.execute(_FIND_WITH_VOLUME, {"row_id": snapshot_id}).one_or_none()


def list_page(conn: Connection, filters: page.Filters, wanted: page.Page) -> Sequence[Row]:
    """One page of snapshots; ``availability_zone`` filters by the volume's."""
    listing, filters, values = _listing(filters)
    return listing.fetch(conn, filters, wanted, **values)


def count(conn: Connection, filters: page.Filters) -> int:
    """How many snapshots ``filters`` select."""
    listing, filters, values = _listing(filters)
    return listing.count(conn, filters, **values)


def of_volume(conn: Connection, volume_id: str) -> Sequence[Row]:
    """Every snapshot of a volume, oldest first."""
    query = sa.select(snapshots).where(_C.volume_id == volume_id).order_by(_C.created_at, _C.id)
    return conn.execute(query).all()


def on_backend(conn: Connection, backend: str) -> Sequence[Row]:
    """Every snapshot of a backend, for the audit."""
    query = sa.select(_C.id, _C.volume_id, _C.status, _C.size_gib, _C.project_id)
    return conn.execute(query.where(_C.backend == backend)).all()


def delete(conn: Connection, snapshot_id: str) -> None:
    """Remove the row."""
    conn.execute(sa.delete(snapshots).where(_C.id == snapshot_id))


def _listing(filters: page.Filters) -> tuple[page.Listing, page.Filters, dict[str, object]]:
    """The list that serves ``filters``, and what is left of them: the zone is the volume's, not a column here."""
    if "availability_zone" not in filters.equal:
        return _LISTING, filters, {}
    equal = dict(filters.equal)
    zone = equal.pop("availability_zone")
    return _LISTING_IN_ZONE, dataclasses.replace(filters, equal=equal), {"zone": zone}
