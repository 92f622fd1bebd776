"""Queries on the journal of unfinished work; ``volume/journal.py`` explains the protocol.

Order: an operation may run when no earlier one touches what it touches. Two that only *read* the same source run
beside each other; everything else on one resource runs in the order of the rows' ids.
"""

import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from volsnap.db.engine import Connection, Row
from volsnap.db.models import operations

_C = operations.c
_EARLIER = operations.alias("earlier")


def _none_earlier(condition: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    return ~sa.exists().where(_EARLIER.c.id < _C.id, condition)


# Statements of the hot path are built once: building one costs three times as much as running it on SQLite.
_READY = (
    sa.select(operations)
    .where(
        _C.backend == sa.bindparam("backend"),
        _C.kind.in_(sa.bindparam("kinds", expanding=True)),
        _C.lease_expires < sa.bindparam("now"),
        _C.not_before <= sa.bindparam("now"),
        _none_earlier(_EARLIER.c.resource_id == _C.resource_id),
        _none_earlier(_EARLIER.c.resource_id == _C.source_id),
        _none_earlier(_EARLIER.c.source_id == _C.resource_id),
    )
    .order_by(_C.id)
    .limit(sa.bindparam("limit"))
)
_CLAIM = (
    sa.update(operations)
    .where(
        _C.id == sa.bindparam("row_id"),
        _C.attempt == sa.bindparam("seen"),
        _C.lease_expires == sa.bindparam("seen_lease"),
    )
    .values(attempt=sa.bindparam("next"), lease_owner=sa.bindparam("owner"), lease_expires=sa.bindparam("until"))
)
_END = sa.delete(operations).where(_C.id == sa.bindparam("row_id"), _C.attempt == sa.bindparam("held"))
_WAITING = (
    sa.select(_C.id)
    .where(
        sa.or_(
            _C.resource_id.in_(sa.bindparam("ids", expanding=True)),
            _C.source_id.in_(sa.bindparam("ids", expanding=True)),
        )
    )
    .limit(1)
)
_INSERT = sa.insert(operations)


def create(conn: Connection, row: Mapping[str, Any]) -> int:
    """Insert one operation; returns its id."""
    key = conn.execute(_INSERT, dict(row)).inserted_primary_key
    assert key is not None
    return int(key[0])


def ready(conn: Connection, backend: str, kinds: Collection[str], limit: int) -> Sequence[Row]:
    """Operations that nobody holds, that are due, and that no earlier one blocks; oldest first."""
    wanted = {"backend": backend, "kinds": list(kinds), "now": time.time(), "limit": limit}
    return conn.execute(_READY, wanted).all()


def claim(conn: Connection, row: Row, owner: str, lease_s: float) -> bool:
    """Take the lease on a row that :func:`ready` named; False when somebody was faster."""
    values = {
        "row_id": row.id,
        "seen": row.attempt,
        "seen_lease": row.lease_expires,
        "next": row.attempt + 1,
        "owner": owner,
        "until": time.time() + lease_s,
    }
    return conn.execute(_CLAIM, values).rowcount == 1


def renew(conn: Connection, owner: str, operation_ids: Collection[int], lease_s: float) -> set[int]:
    """Extend the leases of ``owner`` on these operations; returns those it still has."""
    where = (_C.lease_owner == owner, _C.id.in_(operation_ids))
    # Rows are locked in the order of their ids, as a claim does: two workers must not wait for each other.
    held = conn.execute(sa.select(_C.id).where(*where).order_by(_C.id).with_for_update()).scalars().all()
    conn.execute(sa.update(operations).where(*where).values(lease_expires=time.time() + lease_s))
    return set(held)


def end(conn: Connection, operation_id: int, attempt: int) -> bool:
    """Remove a finished operation; False when the lease was lost to a later attempt."""
    return conn.execute(_END, {"row_id": operation_id, "held": attempt}).rowcount == 1


def waiting_since(conn: Connection, backend: str, before: str) -> Sequence[Row]:
    """Operations that nobody holds and that were submitted before a time."""
    query = sa.select(operations).where(_C.backend == backend, _C.lease_expires < time.time(), _C.created_at < before)
    return conn.execute(query.order_by(_C.id)).all()


def has_waiting(conn: Connection, resource_ids: Collection[str]) -> bool:
    """Whether any operation changes or reads one of ``resource_ids``."""
    return conn.execute(_WAITING, {"ids": list(resource_ids)}).first() is not None


def update(conn: Connection, operation_id: int, attempt: int, **values: Any) -> bool:
    """Set columns of an operation whose lease is held; False when it was lost to a later attempt."""
    statement = sa.update(operations).where(_C.id == operation_id, _C.attempt == attempt)
    return conn.execute(statement.values(**values)).rowcount == 1


def release(conn: Connection, operation_id: int, attempt: int, **values: Any) -> bool:
    """Give the lease back and set columns; False when it was lost to a later attempt."""
    return update(conn, operation_id, attempt, lease_owner=None, lease_expires=0.0, **values)


def is_untried(conn: Connection, operation_id: int) -> bool:
    """Whether the operation is still waiting for, or in, its first attempt."""
    query = sa.select(_C.error).where(_C.id == operation_id)
    row = conn.execute(query).one_or_none()
    return row is not None and row.error is None


def list_all(conn: Connection, backend: str | None = None) -> Sequence[Row]:
    """Every unfinished operation, of one backend when it is given."""
    query = sa.select(operations).order_by(_C.id)
    if backend is not None:
        query = query.where(_C.backend == backend)
    return conn.execute(query).all()
