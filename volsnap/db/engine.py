"""The door to the database: one engine, read connections and write transactions.

The invariant of :meth:`Database.write`: what runs inside is one transaction that is durable when the ``with`` ends,
and writers who lock the same row (:func:`lock_row`) see each other's results. On SQLite every write transaction is
``BEGIN IMMEDIATE`` (one writer at a time); PostgreSQL and MariaDB run at READ COMMITTED with row locks.
"""

import contextlib
import datetime
import sqlite3
import threading
import time
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event, exc

from volsnap import exception

Connection = sa.Connection
Row = sa.Row[*tuple[Any, ...]]

_BUSY_TIMEOUT_MS = 15_000

#: What SQLAlchemy raises when the server is away, a connection broke, or none was free for half a minute.
_AWAY = (exc.OperationalError, exc.InterfaceError, exc.TimeoutError)


def now() -> str:
    """The present time as the tables keep it."""
    return later(0)


def later(seconds: float) -> str:
    """The time ``seconds`` from now as the tables keep it."""
    time_then = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds)
    return time_then.strftime("%Y-%m-%dT%H:%M:%S.%f")


class Database:
    """A database named by its URL.

    :param url: an SQLAlchemy URL; ``sqlite:///PATH``, ``postgresql+psycopg://…`` or ``mysql+pymysql://…``.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.is_sqlite = url.startswith("sqlite")
        self.engine = _sqlite_engine(url) if self.is_sqlite else _server_engine(url)
        self._reader = self.engine.execution_options(isolation_level="AUTOCOMMIT")
        # SQLite's own busy handler sleeps and is not fair: threads of one process queue here instead.
        self._writer_turn: contextlib.AbstractContextManager[Any] = (
            threading.Lock() if self.is_sqlite else contextlib.nullcontext()
        )

    @contextlib.contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection for queries; each statement sees what is committed when it starts.

        :raises exception.ServiceUnavailable: the database does not answer.
        """
        try:
            with self._reader.connect() as conn:
                yield conn
        except _AWAY as err:
            raise exception.ServiceUnavailable(reason="The database does not answer; try again later.") from err

    @contextlib.contextmanager
    def write(self) -> Iterator[Connection]:
        """A write transaction: committed when the block ends, rolled back when it raises.

        :raises exception.ServiceUnavailable: the database does not answer, or could not commit.
        """
        try:
            with self._writer_turn, self.engine.begin() as conn:
                yield conn
        except _AWAY as err:
            raise exception.ServiceUnavailable(reason="The database does not answer; try again later.") from err

    def close(self) -> None:
        """Close every pooled connection."""
        self.engine.dispose()


def lock_row(conn: Connection, table: sa.Table, row_id: str) -> None:
    """Hold the row against other writers until the transaction ends.

    Every write transaction that looks at a volume *and* its snapshots takes the volume's row first, so that what it
    reads afterwards stays true until it commits. SQLite has one writer and needs no lock.
    """
    if conn.dialect.name != "sqlite":
        conn.execute(sa.select(table.c.id).where(table.c.id == row_id).with_for_update())


def _enter_wal(cursor: Any) -> None:
    """SQLite does not wait for its busy timeout when processes change a new file's journal mode at once."""
    deadline = time.monotonic() + _BUSY_TIMEOUT_MS / 1000
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def _sqlite_engine(url: str) -> sa.Engine:
    engine = sa.create_engine(url, connect_args={"check_same_thread": False}, pool_size=32)

    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # sqlite3 must not begin transactions behind our back
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout={_BUSY_TIMEOUT_MS}")
        _enter_wal(cursor)
        cursor.execute("PRAGMA synchronous=FULL")  # a commit that was answered survives power loss
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.execute("PRAGMA cache_size=-8000")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(conn: Connection) -> None:
        if conn.get_execution_options().get("isolation_level") != "AUTOCOMMIT":
            conn.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _server_engine(url: str) -> sa.Engine:
    return sa.create_engine(url, pool_size=32, max_overflow=32, pool_pre_ping=True, isolation_level="READ COMMITTED")


def wait_for(database: Database, timeout_s: float) -> None:
    """Return when the database answers.

    :raises exception.ServiceUnavailable: it did not within ``timeout_s`` seconds.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            with database.read() as conn:
                conn.execute(sa.select(1))
            return
        except exception.ServiceUnavailable:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
