"""What an answer says of a volume."""

import dataclasses
import functools
import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from volsnap.api import microversions, serializer, wire
from volsnap.db import metadata
from volsnap.db.engine import Row
from volsnap.policies import volumes as policies

View = dict[str, Any]

#: The facts from the service side that users see among a volume's metadata.
_VISIBLE_ADMIN_KEYS = ("readonly", "attached_mode")


@dataclasses.dataclass(frozen=True, slots=True)
class Reader:
    """What the reader of a view may see, found out once for a whole list."""

    version: int
    linker: wire.Linker
    is_admin: bool
    sees_host: bool
    sees_project: bool
    sees_migration: bool


def reader(request: wire.Request) -> Reader:
    """The caller as a reader of views."""
    context = request.context
    return Reader(
        request.version,
        request.linker("volumes"),
        is_admin=context.is_admin,
        sees_host=context.can(policies.HOST_ATTRIBUTE),
        sees_project=context.can(policies.TENANT_ATTRIBUTE),
        sees_migration=context.can(policies.MIGRATION_ATTRIBUTE),
    )


def summary(row: Row, linker: wire.Linker) -> View:
    """What the short list has."""
    return {"id": row.id, "name": row.name, "links": linker.links(row.id)}


def detail(row: Row, who: Reader) -> View:
    """What the answer to a change has: all of the volume, nothing of where and whose it is."""
    view = {
        "id": row.id,
        "status": row.status,
        "size": row.size_gib,
        "availability_zone": row.availability_zone,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
        "name": row.name,
        "description": row.description,
        "volume_type": row.volume_type,
        "snapshot_id": row.snapshot_id,
        "source_volid": row.source_volid,
        "metadata": serializer.embed(_visible_metadata(row)),
        "links": who.linker.links(row.id),
        "user_id": row.user_id,
        "bootable": "true" if row.bootable else "false",
        "encrypted": row.encrypted,
        "replication_status": None,
        "consistencygroup_id": None,
        "multiattach": row.multiattach,
        "attachments": (),
        "migration_status": None,
    }
    if who.version >= microversions.GROUP_ID:
        _add_newer(view, row, who.version, is_admin=who.is_admin)
    return view


def full(row: Row, who: Reader) -> View:
    """What showing a volume and the long list have."""
    view = detail(row, who)
    if who.sees_project:
        view["os-vol-tenant-attr:tenant_id"] = row.project_id
    if who.sees_migration:
        view["os-vol-mig-status-attr:migstat"] = None
        view["os-vol-mig-status-attr:name_id"] = None
    if who.sees_host:
        view["os-vol-host-attr:host"] = row.backend
    if row.image_metadata != metadata.EMPTY:
        view["volume_image_metadata"] = serializer.embed(row.image_metadata)
    return view


def summaries(rows: Iterable[Row], request: wire.Request) -> list[View]:
    """The short list."""
    linker = request.linker("volumes")
    return [summary(row, linker) for row in rows]


def details(rows: Iterable[Row], request: wire.Request) -> list[View]:
    """The long list."""
    who = reader(request)
    return [full(row, who) for row in rows]


def connection(info: Mapping[str, Any], connector: Mapping[str, Any]) -> View:
    """What a host needs to reach a volume; the keys that os-brick and Nova look for are always there."""
    multipath = bool(connector.get("enforce_multipath", False))
    data = {
        "access_mode": "rw",
        "qos_specs": None,
        "encrypted": False,
        "cacheable": False,
        "enforce_multipath": multipath,
        **info["data"],
    }
    return {**info, "data": data, "enforce_multipath": multipath}


def _add_newer(view: View, row: Row, version: int, *, is_admin: bool) -> None:
    view["group_id"] = row.group_id
    if version >= microversions.PROVIDER_ID and is_admin:
        view["provider_id"] = None
    if version >= microversions.SHARED_TARGETS:
        # No backend shares one target among volumes; until its service has written to a volume, clients must
        # expect it.
        is_new = row.backend is None or row.updated_at is None
        view["shared_targets"] = is_new
        view["service_uuid"] = None if is_new else _service_uuid(row.backend)
    if version >= microversions.CLUSTER_NAME and is_admin:
        view["cluster_name"] = None
    if version >= microversions.VOLUME_TYPE_ID:
        view["volume_type_id"] = row.volume_type_id
    if version >= microversions.CONSUMES_QUOTA:
        view["consumes_quota"] = row.consumes_quota


def _visible_metadata(row: Row) -> str:
    text: str = row.metadata
    if row.admin_metadata == metadata.EMPTY:
        return text
    facts = metadata.load(row.admin_metadata)
    shown = {key: facts[key] for key in _VISIBLE_ADMIN_KEYS if key in facts}
    return metadata.dump({**metadata.load(text), **shown})


@functools.lru_cache(maxsize=1024)
def _service_uuid(backend: str) -> str:
    """An id for the service of a backend, always the same one."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"volsnap:{backend}"))
