"""Queries on user messages."""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from volsnap.db import engine, page
from volsnap.db.engine import Connection, Row
from volsnap.db.models import messages

_C = messages.c
_LISTING = page.Listing(sa.select(messages), messages)


def create(conn: Connection, row: Mapping[str, Any]) -> None:
    """Insert one message."""
    conn.execute(sa.insert(messages), [dict(row)])


def find(conn: Connection, message_id: str, *, project_id: str | None = None) -> Row | None:
    """The message; None when there is none, or none of ``project_id`` when that is given."""
    query = sa.select(messages).where(_C.id == message_id)
    if project_id is not None:
        query = query.where(_C.project_id == project_id)
    return conn.execute(query).one_or_none()


def list_page(conn: Connection, filters: page.Filters, wanted: page.Page) -> Sequence[Row]:
    """One page of messages."""
    return _LISTING.fetch(conn, filters, wanted)


def delete(conn: Connection, message_id: str) -> bool:
    """Remove the row; False when it is gone."""
    return conn.execute(sa.delete(messages).where(_C.id == message_id)).rowcount == 1


def expire(conn: Connection) -> int:
    """Remove what has passed its time; returns how many."""
    return conn.execute(sa.delete(messages).where(_C.expires_at < engine.now())).rowcount
