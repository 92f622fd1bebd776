"""Bringing a database's schema to what this version needs."""

import pathlib
import uuid

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
    with database.engine.begin() as conn:
        _one_at_a_time(conn)
        _run(conn)
        if volume_types.find_by_name(conn, DEFAULT_TYPE) is None:
            volume_types.create(conn, str(uuid.uuid4()), DEFAULT_TYPE, "Default Volume Type")
        _let_others(conn)
    return True


def _one_at_a_time(conn: Connection) -> None:
    """SQLite's transaction is exclusive already; the others have advisory locks."""
    if conn.dialect.name == "postgresql":
        conn.execute(sa.text("SELECT pg_advisory_xact_lock(7340117)"))
    elif conn.dialect.name in ("mysql", "mariadb"):
        conn.execute(sa.text("SELECT GET_LOCK('volsnap-migrate', 60)"))


def _let_others(conn: Connection) -> None:
    """MariaDB's lock belongs to the connection, which the pool keeps."""
    if conn.dialect.name in ("mysql", "mariadb"):
        conn.commit()
        conn.execute(sa.text("SELECT RELEASE_LOCK('volsnap-migrate')"))


def _run(conn: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(pathlib.Path(__file__).parent / "migrations"))
    config.attributes["connection"] = conn
    command.upgrade(config, "head")
