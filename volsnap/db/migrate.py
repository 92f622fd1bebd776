"""Bringing a database's schema to what this version needs."""

import contextlib
import pathlib
import uuid
from collections.abc import Iterator

import sqlalchemy as sa

from volsnap.db import volume_types
from volsnap.db.engine import Connection, Database

#: The newest migration; a test holds it against the files. Kept here so that a start needs no Alembic import.
HEAD = "0001"

DEFAULT_TYPE = "__DEFAULT__"

_VERSIONS = sa.table("alembic_version", sa.column("version_num", sa.String))


def version(database: Database) -> str | None:
    """The schema's version; None for an empty database."""
    with database.read() as conn:
        if not sa.inspect(conn).has_table("alembic_version"):
            return None
        return conn.execute(sa.select(_VERSIONS.c.version_num)).scalar_one_or_none()


def upgrade(database: Database) -> bool:
    """Run what is missing; False when nothing was. Several services may start at once: one of them does it."""
    if version(database) == HEAD:
        return False
    with _turn(database), database.write() as conn:
        _run(conn)
        if volume_types.find_by_name(conn, DEFAULT_TYPE) is None:
            volume_types.create(conn, str(uuid.uuid4()), DEFAULT_TYPE, "Default Volume Type")
    return True


#: How a server lets one connection after the other do something; the lock ends with its connection at the latest.
_TURNS = {
    "postgresql": ("SELECT pg_advisory_lock(7340117)", "SELECT pg_advisory_unlock(7340117)"),
    "mysql": ("SELECT GET_LOCK('volsnap-migrate', 60)", "SELECT RELEASE_LOCK('volsnap-migrate')"),
}
_TURNS["mariadb"] = _TURNS["mysql"]


@contextlib.contextmanager
def _turn(database: Database) -> Iterator[None]:
    """One process at a time; SQLite's write transaction is exclusive already."""
    if database.is_sqlite:
        yield
        return
    take, give = _TURNS[database.engine.dialect.name]
    with database.read() as conn:
        conn.execute(sa.text(take))
        try:
            yield
        finally:
            conn.execute(sa.text(give))


def _run(conn: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(pathlib.Path(__file__).parent / "migrations"))
    config.attributes["connection"] = conn
    command.upgrade(config, "head")
