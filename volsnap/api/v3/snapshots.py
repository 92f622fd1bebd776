"""Snapshots: the resource, its metadata and its actions."""

from typing import Any

from volsnap import exception
from volsnap.api import filters, microversions, pagination, validation, wire
from volsnap.api.v3 import actions, names
from volsnap.api.v3.schemas import metadata as metadata_schemas
from volsnap.api.v3.schemas import snapshots as schemas
from volsnap.api.v3.views import snapshots as views
from volsnap.db.engine import Row
from volsnap.objects.snapshot import SnapshotStatus
from volsnap.policies import snapshots as policies

_FILTERS = filters.Filterable(
    resource="snapshot",
    metadata_since=microversions.SNAPSHOT_METADATA_FILTER,
    refused=frozenset({"created_at", "updated_at"}),
    fields={
        "id": filters.Field("id"),
        "name": filters.Field("name"),
        "display_name": filters.Field("name"),
        "description": filters.Field("description"),
        "display_description": filters.Field("description"),
        "status": filters.Field("status"),
        "volume_id": filters.Field("volume_id"),
        "volume_size": filters.Field("size_gib", filters.integer),
        "volume_type_id": filters.Field("volume_type_id"),
        "group_snapshot_id": filters.Field("group_snapshot_id"),
        "progress": filters.Field("progress"),
        "project_id": filters.Field("project_id"),
        "user_id": filters.Field("user_id"),
        "availability_zone": filters.Field("availability_zone"),
        "consumes_quota": filters.Field("consumes_quota", filters.boolean, since=microversions.CONSUMES_QUOTA),
    },
)

#: What an administrator may set a status to.
_STATUSES = (
    SnapshotStatus.ERROR,
    SnapshotStatus.AVAILABLE,
    SnapshotStatus.CREATING,
    SnapshotStatus.DELETING,
    SnapshotStatus.DELETED,
    SnapshotStatus.UPDATING,
    SnapshotStatus.ERROR_DELETING,
    SnapshotStatus.UNMANAGING,
    SnapshotStatus.BACKING_UP,
    SnapshotStatus.RESTORING,
)

_SORT_KEYS = {
    "id": "id",
    "display_name": "name",
    "description": "description",
    "display_description": "description",
    "status": "status",
    "size": "size_gib",
    "volume_size": "size_gib",
    "volume_id": "volume_id",
    "progress": "progress",
    "user_id": "user_id",
    "project_id": "project_id",
    "created_at": "created_at",
    "updated_at": "updated_at",
}
_SORT_KEYS_WITH_NAME = {**_SORT_KEYS, "name": "name"}


def index(request: wire.Request) -> wire.Response:
    """GET /snapshots"""
    return _list(request, is_detailed=False)


def detail(request: wire.Request) -> wire.Response:
    """GET /snapshots/detail"""
    return _list(request, is_detailed=True)


def show(request: wire.Request, snapshot_id: str) -> wire.Response:
    """GET /snapshots/{snapshot_id}"""
    context = request.context
    row = _get(request, snapshot_id, policies.GET)
    extended = context.can(policies.EXTENDED, row.project_id)
    return wire.ok({"snapshot": views.detail(row, request.version, extended=extended)})


def create(request: wire.Request) -> wire.Response:
    """POST /snapshots"""
    fields = validation.body(request, schemas.CREATE)["snapshot"]
    context = request.context
    context.authorize(policies.CREATE)
    if fields["volume_id"] is None:
        raise exception.NotFound(kind="Volume", id=None)
    row = request.api.snapshots.create(
        context,
        volume_id=fields["volume_id"],
        name=names.name(fields),
        description=names.description(fields),
        metadata=fields.get("metadata") or {},
        allow_in_use=_allow_in_use(request, fields),
    )
    return wire.ok({"snapshot": views.detail(row, request.version, extended=False)}, 202)


def update(request: wire.Request, snapshot_id: str) -> wire.Response:
    """PUT /snapshots/{snapshot_id}"""
    fields = validation.body(request, schemas.UPDATE)["snapshot"]
    _get(request, snapshot_id, policies.UPDATE)
    row = request.api.snapshots.update(request.context, snapshot_id, **names.changes(fields))
    return wire.ok({"snapshot": views.detail(row, request.version, extended=False)})


def delete(request: wire.Request, snapshot_id: str) -> wire.Response:
    """DELETE /snapshots/{snapshot_id}"""
    _get(request, snapshot_id, policies.DELETE)
    request.api.snapshots.delete(request.context, snapshot_id)
    return wire.empty(202)


def show_metadata(request: wire.Request, snapshot_id: str) -> wire.Response:
    """GET /snapshots/{snapshot_id}/metadata"""
    row = _get(request, snapshot_id, policies.GET_METADATA)
    return wire.ok({"metadata": views.summary(row)["metadata"]})


def merge_metadata(request: wire.Request, snapshot_id: str) -> wire.Response:
    """POST /snapshots/{snapshot_id}/metadata"""
    items = validation.body(request, metadata_schemas.ITEMS)["metadata"]
    _get(request, snapshot_id, policies.UPDATE_METADATA)
    merged = request.api.snapshots.merge_metadata(request.context, snapshot_id, items)
    return wire.ok({"metadata": merged})


def replace_metadata(request: wire.Request, snapshot_id: str) -> wire.Response:
    """PUT /snapshots/{snapshot_id}/metadata"""
    items = validation.body(request, metadata_schemas.ITEMS)["metadata"]
    _get(request, snapshot_id, policies.UPDATE_METADATA)
    replaced = request.api.snapshots.replace_metadata(request.context, snapshot_id, items)
    return wire.ok({"metadata": replaced})


def show_metadata_key(request: wire.Request, snapshot_id: str, key: str) -> wire.Response:
    """GET /snapshots/{snapshot_id}/metadata/{key}"""
    row = _get(request, snapshot_id, policies.GET_METADATA)
    return wire.ok({"meta": names.one_pair(row.metadata, key, "Snapshot", snapshot_id)})


def set_metadata_key(request: wire.Request, snapshot_id: str, key: str) -> wire.Response:
    """PUT /snapshots/{snapshot_id}/metadata/{key}"""
    items = names.only_key(validation.body(request, metadata_schemas.ITEM)["meta"], key)
    _get(request, snapshot_id, policies.UPDATE_METADATA)
    merged = request.api.snapshots.merge_metadata(request.context, snapshot_id, items)
    return wire.ok({"meta": {key: merged[key]}})


def delete_metadata_key(request: wire.Request, snapshot_id: str, key: str) -> wire.Response:
    """DELETE /snapshots/{snapshot_id}/metadata/{key}"""
    row = _get(request, snapshot_id, policies.DELETE_METADATA)
    names.one_pair(row.metadata, key, "Snapshot", snapshot_id)
    request.api.snapshots.delete_metadata(request.context, snapshot_id, key)
    return wire.empty(200)


def act(request: wire.Request, snapshot_id: str) -> wire.Response:
    """POST /snapshots/{snapshot_id}/action"""
    return actions.dispatch(request, _ACTIONS, snapshot_id)


def _reset_status(request: wire.Request, snapshot_id: str) -> wire.Response:
    fields = validation.body(request, schemas.RESET_STATUS)["os-reset_status"]
    names.check_status("Snapshot", fields["status"], _STATUSES)
    _get(request, snapshot_id, policies.RESET_STATUS)
    request.api.snapshots.reset_status(request.context, snapshot_id, fields["status"])
    return wire.empty(202)


def _force_delete(request: wire.Request, snapshot_id: str) -> wire.Response:
    validation.body(request, schemas.FORCE_DELETE)
    _get(request, snapshot_id, policies.FORCE_DELETE)
    request.api.snapshots.delete(request.context, snapshot_id, force=True)
    return wire.empty(202)


def _update_status(request: wire.Request, snapshot_id: str) -> wire.Response:
    fields = validation.body(request, schemas.UPDATE_STATUS)["os-update_snapshot_status"]
    _get(request, snapshot_id, policies.UPDATE_STATUS)
    request.api.snapshots.update_status(
        request.context, snapshot_id, fields["status"], progress=_progress(fields.get("progress"))
    )
    return wire.empty(202)


_ACTIONS = {
    "os-reset_status": actions.Action(_reset_status),
    "os-force_delete": actions.Action(_force_delete),
    "os-update_snapshot_status": actions.Action(_update_status),
}


def _list(request: wire.Request, *, is_detailed: bool) -> wire.Response:
    context = request.context
    context.authorize(policies.GET_ALL)
    sort_keys = _SORT_KEYS_WITH_NAME if request.version >= microversions.SNAPSHOT_SORT_NAME else _SORT_KEYS
    with_count = pagination.wants_count(request)
    all_projects = pagination.wants_all_projects(request)
    wanted = filters.select(request, _FILTERS)
    if wanted is None:
        return pagination.nothing(request, "snapshots", with_count=with_count)
    page = pagination.parse(request, sort_keys)
    with pagination.marker_of("Snapshot"):
        rows = request.api.snapshots.list_page(context, wanted, page, all_projects)
    extended = is_detailed and context.can(policies.EXTENDED)
    body: dict[str, object] = {
        "snapshots": views.details(rows, request.version, extended=extended) if is_detailed else views.summaries(rows)
    }
    last_id = rows[-1].id if rows else None
    body |= pagination.next_link(request, "snapshots", last_id, len(rows), page.limit)
    if with_count:
        body["count"] = request.api.snapshots.count(context, wanted, all_projects)
    return wire.ok(body)


def _get(request: wire.Request, snapshot_id: str, rule: str) -> Row:
    """The snapshot, when it is there for the caller and policy allows ``rule`` on it."""
    row = request.api.snapshots.get(request.context, snapshot_id)
    request.context.authorize(rule, row.project_id)
    return row


def _allow_in_use(request: wire.Request, fields: dict[str, Any]) -> bool:
    """Whether the client agrees to a snapshot of a volume in use; since 3.66 everybody does."""
    force = fields.get("force")
    if request.version < microversions.SNAPSHOT_IN_USE:
        return validation.boolean(force)
    if force is not None and not validation.boolean(force):
        request.api.volumes.get(request.context, fields["volume_id"])  # what is missing goes before what is wrong
        raise exception.Invalid(
            reason="Since microversion 3.66 the 'force' flag is invalid for this request.  "
            "For backward compatability, however, when the 'force' flag is passed with a value "
            "evaluating to True, it is silently ignored."
        )
    return True


def _progress(text: str | None) -> str | None:
    if text is None:
        return None
    number = text.removesuffix("%")
    if not (number.isascii() and number.isdigit() and len(number) < 4 and int(number) <= 100):
        raise exception.InvalidInput(reason="progress must be an integer percentage between 0 and 100")
    return f"{int(number)}%"
