"""Changing a row's status by compare and swap: the same for every table whose rows have a life cycle."""

from collections.abc import Collection
from typing import Any

import sqlalchemy as sa

from volsnap.db import engine
from volsnap.db.engine import Connection


class Statuses:
    """The statuses of one table.

    :param passing: statuses that pass; a resource whose work failed never goes back to one of them.
    """

    def __init__(self, table: sa.Table, passing: Collection[str]) -> None:
        self._table = table
        status = table.c.status
        # A resource that never had another status has failed to become anything.
        previous = sa.func.coalesce(table.c.previous_status, "error")
        self._before = sa.case((status.in_(passing), previous), else_=status)
        self._settle = self._settling(sa.bindparam("then"))
        self._settle_back = self._settling(previous)

    def _settling(self, then: sa.ColumnElement[Any]) -> sa.Update:
        """Built once: building a statement costs three times as much as running it on SQLite."""
        status = self._table.c.status
        own = status.in_(sa.bindparam("sources", expanding=True))
        statement = sa.update(self._table).where(self._table.c.id == sa.bindparam("row_id"))
        return statement.values(status=sa.case((own, then), else_=status), updated_at=sa.bindparam("now"))

    def update(self, conn: Connection, row_id: str, **values: Any) -> bool:
        """Set columns; False when the row is gone."""
        statement = sa.update(self._table).where(self._table.c.id == row_id)
        return _changed(conn, statement.values(updated_at=engine.now(), **values))

    def claim(self, conn: Connection, row_id: str, sources: Collection[str], status: str, **values: Any) -> bool:
        """Compare and swap the status: True when the row was in one of ``sources`` and is now in ``status``."""
        statement = sa.update(self._table).where(self._table.c.id == row_id, self._table.c.status.in_(sources))
        return _changed(
            conn,
            statement.values(status=status, previous_status=self._before, updated_at=engine.now(), **values),
        )

    def settle(
        self, conn: Connection, row_id: str, sources: Collection[str], status: str | None, **values: Any
    ) -> None:
        """Set ``values``, and move on from one of ``sources`` to ``status`` (None: the status before).

        A row that moved on by itself keeps its status.
        """
        statement = self._settle_back if status is None else self._settle
        wanted = {"row_id": row_id, "sources": list(sources), "now": engine.now()}
        if status is not None:
            wanted["then"] = status
        conn.execute(statement.values(**values) if values else statement, wanted)

    def overdue(self, conn: Connection, row_id: str, during: str, status: str) -> bool:
        """Show ``status`` instead of ``during``, keeping the status before; True when the row was in ``during``."""
        statement = sa.update(self._table).where(self._table.c.id == row_id, self._table.c.status == during)
        return _changed(conn, statement.values(status=status, updated_at=engine.now()))


def _changed(conn: Connection, statement: sa.Update) -> bool:
    return conn.execute(statement).rowcount == 1
