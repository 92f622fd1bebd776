"""What can be asked of user messages."""

from collections.abc import Sequence

from volsnap import exception
from volsnap.context import RequestContext
from volsnap.db import messages as rows
from volsnap.db import page
from volsnap.db.engine import Database, Row


class Messages:
    """Messages to users about what failed, and why."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def list_page(self, context: RequestContext, filters: page.Filters, wanted: page.Page) -> Sequence[Row]:
        """One page of the project's messages."""
        with self._database.read() as conn:
            return rows.list_page(conn, page.scoped(filters, context, False), wanted)

    def get(self, context: RequestContext, message_id: str) -> Row:
        """One message.

        :raises exception.NotFound: there is none the caller may see.
        """
        with self._database.read() as conn:
            found = rows.find(conn, message_id, project_id=context.visible_project)
        if found is None:
            raise exception.NotFound(kind="Message", id=message_id)
        return found

    def delete(self, context: RequestContext, message_id: str) -> None:
        """Remove one message.

        :raises exception.NotFound: there is none the caller may see.
        """
        self.get(context, message_id)
        with self._database.write() as conn:
            rows.delete(conn, message_id)
