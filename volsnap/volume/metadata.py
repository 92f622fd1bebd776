"""Changing the metadata of a volume or a snapshot, key by key, without losing what others change at the same time."""

from collections.abc import Callable, Mapping
from types import ModuleType

import sqlalchemy as sa

from volsnap import exception
from volsnap.context import RequestContext
from volsnap.db import engine
from volsnap.db import metadata as text
from volsnap.db.engine import Database


class MetadataItems:
    """The metadata of one noun.

    :param rows: the query module of the noun (``find``, ``update``).
    :param kind: the noun in error texts.
    """

    def __init__(self, database: Database, rows: ModuleType, table: sa.Table, kind: str) -> None:
        self._database = database
        self._rows = rows
        self._table = table
        self._kind = kind

    def merge(self, context: RequestContext, row_id: str, items: Mapping[str, str]) -> dict[str, str]:
        """Add or overwrite ``items``; returns all."""
        return self._change(context, row_id, lambda present: {**present, **items})

    def replace(self, context: RequestContext, row_id: str, items: Mapping[str, str]) -> dict[str, str]:
        """Make ``items`` all there is; returns them."""
        return self._change(context, row_id, lambda present: dict(items))

    def delete(self, context: RequestContext, row_id: str, key: str) -> None:
        """Remove one key.

        :raises exception.NotFound: there is no such key.
        """

        def without(present: dict[str, str]) -> dict[str, str]:
            if key not in present:
                raise MetadataKeyNotFound(kind=self._kind, id=row_id, key=key)
            return {name: value for name, value in present.items() if name != key}

        self._change(context, row_id, without)

    def _change(
        self,
        context: RequestContext,
        row_id: str,
        change: Callable[[dict[str, str]], dict[str, str]],
    ) -> dict[str, str]:
        with self._database.write() as conn:
            engine.lock_row(conn, self._table, row_id)
            row = self._rows.find(conn, row_id, project_id=context.visible_project)
            if row is None:
                raise exception.NotFound(kind=self._kind, id=row_id)
            items = change(text.load(row.metadata))
            self._rows.update(conn, row_id, metadata=text.dump(items))
        return items


class MetadataKeyNotFound(exception.NotFound):
    """The resource has no such key. Fields: ``kind``, ``id``, ``key``."""

    msg = "{kind} {id} has no metadata with key {key}."
