"""Volumes: the resource, its metadata and its actions."""

import hashlib
from typing import Any

from volsnap import exception
from volsnap.api import errors, filters, microversions, pagination, serializer, validation, wire
from volsnap.api.v3 import actions, names
from volsnap.api.v3.schemas import metadata as metadata_schemas
from volsnap.api.v3.schemas import volumes as schemas
from volsnap.api.v3.views import volumes as views
from volsnap.db.engine import Row
from volsnap.objects.volume import VolumeStatus
from volsnap.policies import volumes as policies
from volsnap.volume.volumes import NewVolume

_MOST_GIB = 2**31 - 1

_FILTERS = filters.Filterable(
    resource="volume",
    metadata_since=microversions.MIN,
    times=frozenset({"created_at", "updated_at"}),
    fields={
        "id": filters.Field("id"),
        "name": filters.Field("name"),
        "display_name": filters.Field("name"),
        "description": filters.Field("description"),
        "display_description": filters.Field("description"),
        "status": filters.Field("status"),
        "size": filters.Field("size_gib", filters.integer),
        "bootable": filters.Field("bootable", filters.boolean),
        "multiattach": filters.Field("multiattach", filters.boolean),
        "encrypted": filters.Field("encrypted", filters.boolean),
        "availability_zone": filters.Field("availability_zone"),
        "group_id": filters.Field("group_id", since=microversions.GROUP_ID_FILTER, dropped=True),
        "snapshot_id": filters.Field("snapshot_id"),
        "source_volid": filters.Field("source_volid"),
        "volume_type_id": filters.Field("volume_type_id"),
        "host": filters.Field("backend"),
        "project_id": filters.Field("project_id"),
        "user_id": filters.Field("user_id"),
        "consumes_quota": filters.Field("consumes_quota", filters.boolean, since=microversions.CONSUMES_QUOTA),
    },
)

#: What an administrator may set a status to.
_STATUSES = (
    VolumeStatus.CREATING,
    VolumeStatus.AVAILABLE,
    VolumeStatus.DELETING,
    VolumeStatus.ERROR,
    VolumeStatus.ERROR_DELETING,
    VolumeStatus.ERROR_MANAGING,
    VolumeStatus.MANAGING,
    VolumeStatus.ATTACHING,
    VolumeStatus.IN_USE,
    VolumeStatus.DETACHING,
    VolumeStatus.MAINTENANCE,
    VolumeStatus.RESTORING_BACKUP,
    VolumeStatus.ERROR_RESTORING,
    VolumeStatus.RESERVED,
    VolumeStatus.AWAITING_TRANSFER,
    VolumeStatus.BACKING_UP,
    VolumeStatus.ERROR_BACKING_UP,
    VolumeStatus.ERROR_EXTENDING,
    VolumeStatus.DOWNLOADING,
    VolumeStatus.UPLOADING,
    VolumeStatus.RETYPING,
    VolumeStatus.EXTENDING,
)
_ATTACH_STATUSES = (
    "unknown",
    "attached",
    "attaching",
    "detached",
    "reserved",
    "error_attaching",
    "error_detaching",
    "deleted",
)
_MIGRATION_STATUSES = ("migrating", "error", "success", "completing", "none", "starting")

_SORT_KEYS = {
    "id": "id",
    "name": "name",
    "display_name": "name",
    "description": "description",
    "status": "status",
    "size": "size_gib",
    "availability_zone": "availability_zone",
    "bootable": "bootable",
    "user_id": "user_id",
    "project_id": "project_id",
    "volume_type_id": "volume_type_id",
    "snapshot_id": "snapshot_id",
    "source_volid": "source_volid",
    "group_id": "group_id",
    "host": "backend",
    "created_at": "created_at",
    "updated_at": "updated_at",
}


def index(request: wire.Request) -> wire.Response:
    """GET /volumes"""
    return _list(request, is_detailed=False)


def detail(request: wire.Request) -> wire.Response:
    """GET /volumes/detail"""
    return _list(request, is_detailed=True)


def show(request: wire.Request, volume_id: str) -> wire.Response:
    """GET /volumes/{volume_id}"""
    row = _get(request, volume_id, policies.GET)
    return wire.ok({"volume": views.full(row, views.reader(request))})


def create(request: wire.Request) -> wire.Response:
    """POST /volumes"""
    fields = validation.body(request, schemas.CREATE)["volume"]
    request.context.authorize(policies.CREATE)
    wanted = _new_volume(request, fields)
    row = request.api.volumes.create(request.context, wanted)
    return wire.ok({"volume": views.detail(row, views.reader(request))}, 202)


def update(request: wire.Request, volume_id: str) -> wire.Response:
    """PUT /volumes/{volume_id}"""
    fields = validation.body(request, schemas.UPDATE)["volume"]
    changes = names.changes(fields)
    names.check_lengths(changes)
    row = _get(request, volume_id, policies.UPDATE)
    if fields.get("metadata") is not None:
        request.api.volumes.replace_metadata(request.context, volume_id, fields["metadata"])
    if fields:
        row = request.api.volumes.update(request.context, volume_id, **changes)
    return wire.ok({"volume": views.detail(row, views.reader(request))})


def delete(request: wire.Request, volume_id: str) -> wire.Response:
    """DELETE /volumes/{volume_id}"""
    force = request.version >= microversions.FORCE_DELETE and _flag(request, "force")
    _get(request, volume_id, policies.FORCE_DELETE if force else policies.DELETE)
    request.api.volumes.delete(request.context, volume_id, cascade=_flag(request, "cascade"), force=force)
    return wire.empty(202)


def summary(request: wire.Request) -> wire.Response:
    """GET /volumes/summary"""
    request.context.authorize(policies.GET_ALL)
    number, gib, metadata = request.api.volumes.summary(request.context, pagination.wants_all_projects(request))
    view: dict[str, object] = {"total_count": number, "total_size": gib}
    if request.version >= microversions.SUMMARY_METADATA:
        view["metadata"] = {key: sorted(values) for key, values in metadata.items()}
    return wire.ok({"volume-summary": view})


def show_encryption(request: wire.Request, volume_id: str) -> wire.Response:
    """GET /volumes/{volume_id}/encryption"""
    _get(request, volume_id, policies.ENCRYPTION)
    return wire.ok({"encryption_key_id": None})


def show_metadata(request: wire.Request, volume_id: str) -> wire.Response:
    """GET /volumes/{volume_id}/metadata"""
    row = _get(request, volume_id, policies.GET_METADATA)
    response = wire.ok({"metadata": serializer.embed(row.metadata)})
    if request.version >= microversions.METADATA_ETAG:
        response.headers.append(("ETag", _etag(row)))
    return response


def merge_metadata(request: wire.Request, volume_id: str) -> wire.Response:
    """POST /volumes/{volume_id}/metadata"""
    items = validation.body(request, metadata_schemas.ITEMS)["metadata"]
    _check_etag(request, _get(request, volume_id, policies.CREATE_METADATA))
    merged = request.api.volumes.merge_metadata(request.context, volume_id, items)
    return wire.ok({"metadata": merged})


def replace_metadata(request: wire.Request, volume_id: str) -> wire.Response:
    """PUT /volumes/{volume_id}/metadata"""
    items = validation.body(request, metadata_schemas.ITEMS)["metadata"]
    _check_etag(request, _get(request, volume_id, policies.UPDATE_METADATA))
    replaced = request.api.volumes.replace_metadata(request.context, volume_id, items)
    return wire.ok({"metadata": replaced})


def show_metadata_key(request: wire.Request, volume_id: str, key: str) -> wire.Response:
    """GET /volumes/{volume_id}/metadata/{key}"""
    row = _get(request, volume_id, policies.GET_METADATA)
    return wire.ok({"meta": names.one_pair(row.metadata, key, "Volume", volume_id)})


def set_metadata_key(request: wire.Request, volume_id: str, key: str) -> wire.Response:
    """PUT /volumes/{volume_id}/metadata/{key}"""
    items = names.only_key(validation.body(request, metadata_schemas.ITEM)["meta"], key)
    _check_etag(request, _get(request, volume_id, policies.UPDATE_METADATA))
    merged = request.api.volumes.merge_metadata(request.context, volume_id, items)
    return wire.ok({"meta": {key: merged[key]}})


def delete_metadata_key(request: wire.Request, volume_id: str, key: str) -> wire.Response:
    """DELETE /volumes/{volume_id}/metadata/{key}"""
    row = _get(request, volume_id, policies.DELETE_METADATA)
    names.one_pair(row.metadata, key, "Volume", volume_id)
    _check_etag(request, row)
    request.api.volumes.delete_metadata(request.context, volume_id, key)
    return wire.empty(200)


def act(request: wire.Request, volume_id: str) -> wire.Response:
    """POST /volumes/{volume_id}/action"""
    return actions.dispatch(request, _ACTIONS, volume_id)


def _extend(request: wire.Request, volume_id: str) -> wire.Response:
    fields = validation.body(request, schemas.EXTEND)["os-extend"]
    size_gib = _gib("new_size", fields["new_size"])
    row = _get(request, volume_id, policies.EXTEND)
    may_in_use = request.version >= microversions.EXTEND_IN_USE and request.context.can(
        policies.EXTEND_ATTACHED, row.project_id
    )
    request.api.volumes.extend(request.context, volume_id, size_gib, allow_in_use=may_in_use)
    return wire.empty(202)


def _reset_status(request: wire.Request, volume_id: str) -> wire.Response:
    fields = validation.body(request, schemas.RESET_STATUS)["os-reset_status"]
    names.check_status("Volume", fields.get("status"), _STATUSES)
    names.check_status("Volume attach", fields.get("attach_status"), _ATTACH_STATUSES)
    names.check_status("Volume migration", fields.get("migration_status"), _MIGRATION_STATUSES)
    _get(request, volume_id, policies.RESET_STATUS)
    request.api.volumes.reset_status(
        request.context,
        volume_id,
        status=fields.get("status"),
        attach_status=fields.get("attach_status"),
        migration_status=fields.get("migration_status"),
    )
    return wire.empty(202)


def _force_delete(request: wire.Request, volume_id: str) -> wire.Response:
    validation.body(request, schemas.FORCE_DELETE)
    _get(request, volume_id, policies.FORCE_DELETE_ACTION)
    request.api.volumes.delete(request.context, volume_id, force=True)
    return wire.empty(202)


def _set_bootable(request: wire.Request, volume_id: str) -> wire.Response:
    fields = validation.body(request, schemas.SET_BOOTABLE)["os-set_bootable"]
    _get(request, volume_id, policies.UPDATE)
    request.api.volumes.set_bootable(request.context, volume_id, validation.boolean(fields["bootable"]))
    return wire.empty(200)


def _set_readonly(request: wire.Request, volume_id: str) -> wire.Response:
    fields = validation.body(request, schemas.READONLY)["os-update_readonly_flag"]
    _get(request, volume_id, policies.READONLY)
    request.api.volumes.set_readonly(request.context, volume_id, validation.boolean(fields["readonly"]))
    return wire.empty(202)


def _revert(request: wire.Request, volume_id: str) -> wire.Response:
    fields = validation.body(request, schemas.REVERT)["revert"]
    _get(request, volume_id, policies.REVERT)
    request.api.volumes.revert(request.context, volume_id, str(fields.get("snapshot_id")))
    return wire.empty(202)


def _initialize_connection(request: wire.Request, volume_id: str) -> wire.Response:
    fields = validation.body(request, schemas.INITIALIZE)["os-initialize_connection"]
    _get(request, volume_id, policies.INITIALIZE)
    connector = _connector(fields)
    info = request.api.volumes.initialize_connection(request.context, volume_id, connector)
    return wire.ok({"connection_info": views.connection(info, connector)})


def _terminate_connection(request: wire.Request, volume_id: str) -> wire.Response:
    fields = validation.body(request, schemas.TERMINATE)["os-terminate_connection"]
    _get(request, volume_id, policies.TERMINATE)
    request.api.volumes.terminate_connection(request.context, volume_id, _connector(fields))
    return wire.empty(202)


_ACTIONS = {
    "os-extend": actions.Action(_extend),
    "os-reset_status": actions.Action(_reset_status),
    "os-force_delete": actions.Action(_force_delete),
    "os-set_bootable": actions.Action(_set_bootable),
    "os-update_readonly_flag": actions.Action(_set_readonly),
    "revert": actions.Action(_revert, since=microversions.REVERT),
    "os-initialize_connection": actions.Action(_initialize_connection),
    "os-terminate_connection": actions.Action(_terminate_connection),
}


def _list(request: wire.Request, *, is_detailed: bool) -> wire.Response:
    context = request.context
    context.authorize(policies.GET_ALL)
    with_count = pagination.wants_count(request)
    all_projects = pagination.wants_all_projects(request)
    wanted = filters.select(request, _FILTERS)
    if wanted is None:
        return pagination.nothing(request, "volumes", with_count=with_count)
    page = pagination.parse(request, _SORT_KEYS)
    with pagination.marker_of("Volume"):
        rows = request.api.volumes.list_page(context, wanted, page, all_projects)
    body: dict[str, object] = {
        "volumes": views.details(rows, request) if is_detailed else views.summaries(rows, request)
    }
    last_id = rows[-1].id if rows else None
    body |= pagination.next_link(request, "volumes", last_id, len(rows), page.limit)
    if with_count:
        body["count"] = request.api.volumes.count(context, wanted, all_projects)
    return wire.ok(body)


def _get(request: wire.Request, volume_id: str, rule: str) -> Row:
    """The volume, when it is there for the caller and policy allows ``rule`` on it."""
    row = request.api.volumes.get(request.context, volume_id)
    request.context.authorize(rule, row.project_id)
    return row


def _new_volume(request: wire.Request, fields: dict[str, Any]) -> NewVolume:
    """What the request wants.

    :raises exception.Invalid: it wants what cannot be.
    """
    changes = names.changes(fields)
    names.check_lengths(changes)
    _check_sources(fields)
    return NewVolume(
        size_gib=None if fields.get("size") is None else _gib("size", fields["size"]),
        name=changes.get("name"),
        description=changes.get("description"),
        metadata=fields.get("metadata") or {},
        snapshot_id=fields.get("snapshot_id"),
        source_volid=fields.get("source_volid"),
        volume_type=fields.get("volume_type"),
        availability_zone=fields.get("availability_zone"),
        multiattach=_multiattach(request, fields.get("multiattach")),
    )


def _check_sources(fields: dict[str, Any]) -> None:
    image = fields.get("imageRef") or fields.get("image_id")
    given = [
        fields.get("snapshot_id"),
        fields.get("source_volid"),
        fields.get("backup_id"),
        image,
    ]
    if len([source for source in given if source]) > 1:
        raise exception.InvalidInput(reason="May specify only one of backup, imageRef, snapshot, source volume")
    if image:
        raise exception.Invalid(reason="Invalid image identifier or unable to access requested image.")
    if fields.get("backup_id"):
        raise exception.NotFound(kind="Backup", id=fields["backup_id"])
    group_id = fields.get("group_id") or fields.get("consistencygroup_id")
    if group_id:
        raise exception.NotFound(kind="Group", id=group_id)


def _multiattach(request: wire.Request, value: object) -> bool:
    wanted = validation.boolean(value)
    if wanted and request.version >= microversions.MULTIATTACH_BY_TYPE:
        raise exception.InvalidInput(
            reason="multiattach is no longer a field of volumes since microversion 3.50; "
            "choose a volume type that allows it."
        )
    if wanted:
        request.context.authorize(policies.MULTIATTACH)
    return wanted


def _gib(field: str, value: int | str) -> int:
    """A size that may have come as text."""
    gib = int(value)
    if not 1 <= gib <= _MOST_GIB:
        raise exception.Invalid(
            reason=f"Invalid input for field/attribute {field}. Value: {value}. "
            f"It must be a number of GiB from 1 to {_MOST_GIB}."
        )
    return gib


def _connector(fields: dict[str, Any]) -> dict[str, Any]:
    connector = fields["connector"]
    if isinstance(connector, dict):
        return connector
    raise exception.InvalidInput(reason="connector must be an object that describes the host, as os-brick makes it.")


def _flag(request: wire.Request, name: str) -> bool:
    text = request.parameter(name)
    return text is not None and filters.boolean(name, text)


def _etag(row: Row) -> str:
    return f'"{hashlib.sha256(row.metadata.encode()).hexdigest()[:32]}"'


def _check_etag(request: wire.Request, row: Row) -> None:
    """Refuse a change of metadata that is not what the client believes it is."""
    wanted = request.header("If-Match")
    if request.version < microversions.METADATA_ETAG or wanted is None:
        return
    # Cinder's ETags have no quotes, and its clients send them back as they are.
    if not {tag.strip().strip('"') for tag in wanted.split(",")} & {"*", _etag(row).strip('"')}:
        raise errors.PreconditionFailed
