"""Queries on volume types."""

from collections.abc import Mapping, Sequence

import sqlalchemy as sa

from volsnap.db import engine, metadata
from volsnap.db.engine import Connection, Row
from volsnap.db.models import volume_types

_C = volume_types.c


def create(
    conn: Connection, type_id: str, name: str, description: str | None, extra_specs: Mapping[str, str] | None = None
) -> None:
    """Insert a public type."""
    row = {
        "id": type_id,
        "name": name,
        "description": description,
        "extra_specs": metadata.dump(extra_specs or {}),
        "created_at": engine.now(),
    }
    conn.execute(sa.insert(volume_types), [row])


def find(conn: Connection, id_or_name: str) -> Row | None:
    """The type of that id or, when there is none, of that name."""
    by_id = conn.execute(sa.select(volume_types).where(_C.id == id_or_name)).one_or_none()
    return by_id if by_id is not None else find_by_name(conn, id_or_name)


def find_by_name(conn: Connection, name: str) -> Row | None:
    """The type of that name."""
    return conn.execute(sa.select(volume_types).where(_C.name == name)).one_or_none()


def list_all(conn: Connection) -> Sequence[Row]:
    """Every type, newest first."""
    return conn.execute(sa.select(volume_types).order_by(_C.created_at.desc(), _C.id)).all()
