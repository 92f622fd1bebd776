"""Queries on services: who runs, and what its backend reported last."""

import time
from collections.abc import Sequence

import sqlalchemy as sa

from volsnap.db import engine
from volsnap.db.engine import Connection, Row
from volsnap.db.models import services

_C = services.c
_FIND = sa.select(services).where(_C.binary == sa.bindparam("binary"), _C.host == sa.bindparam("host"))


def report(conn: Connection, binary: str, host: str, zone: str, stats: str) -> None:
    """Record a heartbeat with the service's JSON ``stats``."""
    seen = {"seen_at": time.time(), "updated_at": engine.now(), "stats": stats}
    where = (_C.binary == binary, _C.host == host)
    update = sa.update(services).where(*where).values(**seen)
    if conn.execute(update).rowcount == 0:
        row = {"binary": binary, "host": host, "availability_zone": zone, **seen}
        try:
            with conn.begin_nested():
                conn.execute(sa.insert(services).values(created_at=engine.now(), **row))
        except sa.exc.IntegrityError:  # two processes of one host started at the same time
            conn.execute(update)


def list_all(conn: Connection) -> Sequence[Row]:
    """Every service that ever reported."""
    return conn.execute(sa.select(services).order_by(_C.binary.desc(), _C.host)).all()


def find(conn: Connection, binary: str, host: str) -> Row | None:
    """One service."""
    return conn.execute(_FIND, {"binary": binary, "host": host}).one_or_none()


def update(conn: Connection, binary: str, host: str, **values: object) -> bool:
    """Set columns; False when there is no such service."""
    statement = sa.update(services).where(_C.binary == binary, _C.host == host).values(**values)
    return conn.execute(statement).rowcount == 1
