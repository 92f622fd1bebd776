"""What an answer says of a snapshot."""

from collections.abc import Iterable
from typing import Any

from volsnap.api import microversions, serializer
from volsnap.db.engine import Row

View = dict[str, Any]

_PROJECT = "os-extended-snapshot-attributes:project_id"
_PROGRESS = "os-extended-snapshot-attributes:progress"
#: Ours: when the point in time was cut; null until it is. ``docs/compatibility.md`` tells of it.
_CUT_AT = "volsnap:cut_at"


def summary(row: Row) -> View:
    """The keys that every answer has."""
    return {
        "id": row.id,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
        "name": row.name,
        "description": row.description,
        "volume_id": row.volume_id,
        "status": row.status,
        "size": row.size_gib,
        "metadata": serializer.embed(row.metadata),
    }


def detail(row: Row, version: int, *, extended: bool) -> View:
    """Everything that ``version`` shows; ``extended`` adds the project and the progress."""
    view = summary(row)
    if version >= microversions.GROUP_SNAPSHOTS:
        view["group_snapshot_id"] = row.group_snapshot_id
    if version >= microversions.SNAPSHOT_USER_ID:
        view["user_id"] = row.user_id
    if version >= microversions.CONSUMES_QUOTA:
        view["consumes_quota"] = row.consumes_quota
    view[_CUT_AT] = row.cut_at
    if extended:
        view[_PROJECT] = row.project_id
        view[_PROGRESS] = row.progress
    return view


def summaries(rows: Iterable[Row]) -> list[View]:
    """The short list."""
    return [summary(row) for row in rows]


def details(rows: Iterable[Row], version: int, *, extended: bool) -> list[View]:
    """The long list."""
    return [detail(row, version, extended=extended) for row in rows]
