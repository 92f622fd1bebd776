"""What can be asked of volume types."""

from collections.abc import Sequence

from volsnap import exception
from volsnap.context import RequestContext
from volsnap.db import volume_types as rows
from volsnap.db.engine import Database, Row


class Types:
    """The volume types."""

    def __init__(self, database: Database, *, default_name: str) -> None:
        self._database = database
        self._default_name = default_name

    def list(self, context: RequestContext) -> Sequence[Row]:
        """Every type."""
        with self._database.read() as conn:
            return rows.list_all(conn)

    def get(self, context: RequestContext, type_id: str) -> Row:
        """One type by id or name.

        :raises exception.NotFound: there is none.
        """
        with self._database.read() as conn:
            found = rows.find(conn, type_id)
        if found is None:
            raise exception.NotFound(kind="Volume type", id=type_id)
        return found

    def default(self, context: RequestContext) -> Row:
        """The type of a volume that names none.

        :raises exception.NotFound: the configured one does not exist.
        """
        return self.get(context, self._default_name)
