"""What can be asked of volumes. See ``volume/api.py`` for the rules of every method."""

import dataclasses
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from volsnap import exception
from volsnap.context import RequestContext
from volsnap.db import engine, messages, models, page
from volsnap.db import metadata as text
from volsnap.db import services as service_rows
from volsnap.db import snapshots as snapshot_rows
from volsnap.db import volume_types as type_rows
from volsnap.db import volumes as rows
from volsnap.db.engine import Connection, Database, Row
from volsnap.objects.operation import MOVES, Kind
from volsnap.objects.snapshot import SnapshotStatus
from volsnap.objects.volume import CLONE_SOURCES, SNAPSHOT_SOURCES_FORCED, VolumeStatus
from volsnap.rpc import VolumeClient
from volsnap.volume import scheduler
from volsnap.volume.journal import MESSAGE_TTL_S, Journal
from volsnap.volume.metadata import MetadataItems
from volsnap.volume.quota import Quotas, Request
from volsnap.volume.services import usable_backend
from volsnap.volume.snapshots import Snapshots

_DELETE_REFUSED = (
    "Volume status must be available or error or error_restoring or error_extending or error_managing and must not "
    "be migrating, attached, belong to a group, have snapshots, awaiting a transfer, or be disassociated from "
    "snapshots after volume transfer."
)


@dataclasses.dataclass(frozen=True, slots=True)
class NewVolume:
    """What a client wants a volume to be; ``None`` lets the source or the configuration decide."""

    size_gib: int | None = None
    name: str | None = None
    description: str | None = None
    metadata: Mapping[str, str] = dataclasses.field(default_factory=dict)
    snapshot_id: str | None = None
    source_volid: str | None = None
    #: Name or id.
    volume_type: str | None = None
    availability_zone: str | None = None
    multiattach: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Source:
    """What a new volume is made from: how much, which kind of work, and what it hands down."""

    kind: Kind
    id: str | None = None
    size_gib: int = 0
    backend: str | None = None
    volume_type_id: str | None = None
    bootable: bool = False
    image_metadata: str = text.EMPTY


class Volumes:
    """The volumes of all projects."""

    def __init__(
        self,
        database: Database,
        journal: Journal,
        quotas: Quotas,
        snapshots: Snapshots,
        client: VolumeClient,
        *,
        default_type: str,
        default_zone: str,
        down_time_s: float,
    ) -> None:
        self._database = database
        self._journal = journal
        self._quotas = quotas
        self._snapshots = snapshots
        self._client = client
        self._default_type = default_type
        self._default_zone = default_zone
        self._down_time_s = down_time_s
        self._metadata = MetadataItems(database, rows, models.volumes, "Volume")
        self.merge_metadata = self._metadata.merge
        self.replace_metadata = self._metadata.replace
        self.delete_metadata = self._metadata.delete

    # reads

    def get(self, context: RequestContext, volume_id: str) -> Row:
        """One volume.

        :raises exception.NotFound: there is none the caller may see.
        """
        with self._database.read() as conn:
            return self._get(conn, context, volume_id)

    def list_page(
        self,
        context: RequestContext,
        filters: page.Filters,
        wanted: page.Page,
        all_tenants: bool = False,
    ) -> Sequence[Row]:
        """One page of the caller's volumes; of everybody's for an admin who asks with ``all_tenants``.

        :raises exception.NotFound: the marker is unknown.
        """
        with self._database.read() as conn:
            return rows.list_page(conn, page.scoped(filters, context, all_tenants), wanted)

    def count(self, context: RequestContext, filters: page.Filters, all_tenants: bool = False) -> int:
        """How many volumes :meth:`list_page` would give without a limit."""
        with self._database.read() as conn:
            return rows.count(conn, page.scoped(filters, context, all_tenants))

    def summary(self, context: RequestContext, all_tenants: bool = False) -> tuple[int, int, dict[str, set[str]]]:
        """Number of volumes, their total GiB, and every value of every metadata key."""
        project_id = None if all_tenants and context.is_admin else context.project_id
        with self._database.read() as conn:
            number, gib = rows.summary(conn, project_id)
            texts = rows.metadata_of_all(conn, project_id)
        values: dict[str, set[str]] = {}
        for line in texts:
            for key, value in text.load(line).items():
                values.setdefault(key, set()).add(value)
        return number, gib, values

    # writes

    def create(self, context: RequestContext, wanted: NewVolume) -> Row:
        """Begin to make a volume: blank, from a snapshot or from another volume.

        :raises exception.NotFound: the source or the type does not exist.
        :raises exception.InvalidStatus: the source is in no status for it.
        :raises exception.InvalidInput: the size or the sources do not fit together.
        :raises exception.OverQuota: a limit of the project is reached.
        """
        volume_id = str(uuid.uuid4())
        with self._database.write() as conn:
            source = self._source(conn, context, wanted)
            size_gib = _size(wanted.size_gib, source)
            volume_type = self._type(conn, wanted.volume_type, source)
            backend, zone = self._place(conn, wanted, source, size_gib, volume_type)
            self._check_quota(conn, context, size_gib, volume_type)
            row = _new_row(volume_id, context, wanted, source, size_gib, backend)
            row["availability_zone"] = zone
            row["volume_type_id"] = volume_type.id if volume_type is not None else None
            rows.create(conn, row)
            if backend is None:
                _tell_no_backend(conn, context, volume_id)
            else:
                self._journal.submit(
                    conn,
                    context,
                    source.kind,
                    backend=backend,
                    resource_id=volume_id,
                    source_id=source.id,
                    params={"size_gib": size_gib},
                )
            volume = self._get(conn, context, volume_id)
        if backend is not None:
            self._journal.wake(backend)
        return volume

    def update(self, context: RequestContext, volume_id: str, **values: Any) -> Row:
        """Set columns (name, description, flags, a status by hand); returns the volume."""
        with self._database.write() as conn:
            self._get(conn, context, volume_id)
            rows.update(conn, volume_id, **values)
            return self._get(conn, context, volume_id)

    def delete(self, context: RequestContext, volume_id: str, cascade: bool = False, force: bool = False) -> None:
        """Begin to delete a volume.

        :param cascade: its snapshots too.
        :param force: whatever its status.
        :raises exception.InvalidStatus: its status, its snapshots or its group do not allow it.
        """
        move = MOVES[Kind.VOLUME_DELETE]
        assert move.during is not None
        with self._database.write() as conn:
            rows.lock(conn, volume_id)
            volume = self._get(conn, context, volume_id)
            snapshots = snapshot_rows.of_volume(conn, volume_id)
            sources = frozenset(VolumeStatus) if force else move.sources
            refused = volume.group_id is not None or (snapshots and not cascade)
            if refused or not rows.claim(conn, volume_id, sources, move.during):
                raise exception.InvalidStatus(kind="volume", reason=_DELETE_REFUSED)
            # Each snapshot is work of its own that reads the volume, so the volume's deletion waits for all of them.
            for snapshot in snapshots:
                self._snapshots.submit_delete(conn, context, snapshot, force=force)
            if volume.backend is None:
                rows.delete(conn, volume_id)
            else:
                self._submit(conn, context, Kind.VOLUME_DELETE, volume)
        if volume.backend is not None:
            self._journal.wake(volume.backend)

    def extend(
        self,
        context: RequestContext,
        volume_id: str,
        new_size_gib: int,
        allow_in_use: bool = False,
    ) -> None:
        """Begin to grow a volume. The row has the new size at once, so that nobody overtakes the quota.

        :raises exception.InvalidInput: it is not larger.
        :raises exception.InvalidStatus: the volume is in no status for it.
        :raises exception.OverQuota: a limit of the project is reached.
        """
        move = MOVES[Kind.VOLUME_EXTEND]
        assert move.during is not None
        sources = move.sources if allow_in_use else move.sources - {VolumeStatus.IN_USE}
        with self._database.write() as conn:
            rows.lock(conn, volume_id)
            volume = self._get(conn, context, volume_id)
            if volume.status not in sources:
                raise exception.InvalidStatus(
                    kind="volume",
                    reason=f"Volume {volume_id} status must be '{{'status': 'available'}}' to extend, currently "
                    f"{volume.status}.",
                )
            if new_size_gib <= volume.size_gib:
                raise exception.InvalidInput(
                    reason="New size for extend must be greater than current size. "
                    f"(current: {volume.size_gib}, extended: {new_size_gib})."
                )
            more = Request(
                gib=new_size_gib - volume.size_gib,
                volume_gib=new_size_gib,
                volume_type=volume.volume_type,
                volume_type_id=volume.volume_type_id,
            )
            self._quotas.check(conn, volume.project_id, more)
            rows.claim(conn, volume_id, sources, move.during, size_gib=new_size_gib)
            self._submit(conn, context, Kind.VOLUME_EXTEND, volume, params={"old_size_gib": volume.size_gib})
        self._journal.wake(volume.backend)

    def revert(self, context: RequestContext, volume_id: str, snapshot_id: str) -> None:
        """Begin to give a volume the content of one of its snapshots, the newest or any other.

        :raises exception.InvalidInput: it is no snapshot of the volume.
        :raises exception.InvalidStatus: the volume or the snapshot is not available.
        """
        move = MOVES[Kind.VOLUME_REVERT]
        assert move.during is not None
        with self._database.write() as conn:
            rows.lock(conn, volume_id)
            volume = self._get(conn, context, volume_id)
            snapshot = snapshot_rows.find(conn, snapshot_id, project_id=context.visible_project)
            if snapshot is None or snapshot.volume_id != volume_id:
                raise exception.Invalid(
                    reason=f"Specified snapshot {snapshot_id} is None or not one of volume {volume_id}."
                )
            if not rows.claim(conn, volume_id, move.sources, move.during):
                raise exception.InvalidStatus(
                    kind="volume",
                    reason=f"Volume {volume_id} must be available to be reverted, but is {volume.status}.",
                )
            ready = {SnapshotStatus.AVAILABLE}
            if not snapshot_rows.claim(conn, snapshot_id, ready, SnapshotStatus.RESTORING):
                raise exception.InvalidStatus(
                    kind="snapshot",
                    reason=f"Snapshot {snapshot_id} must be available to revert to, but is {snapshot.status}.",
                )
            self._submit(conn, context, Kind.VOLUME_REVERT, volume, source_id=snapshot_id)
        self._journal.wake(volume.backend)

    def reset_status(
        self,
        context: RequestContext,
        volume_id: str,
        status: str | None = None,
        attach_status: str | None = None,
        migration_status: str | None = None,
    ) -> None:
        """Set the status by hand (administrators). Attachments and migrations keep no status of their own yet."""
        self.update(context, volume_id, **({"status": status} if status else {}))

    def set_bootable(self, context: RequestContext, volume_id: str, bootable: bool) -> None:
        """Say whether the volume can be booted from."""
        self.update(context, volume_id, bootable=bootable)

    def set_readonly(self, context: RequestContext, volume_id: str, readonly: bool) -> None:
        """Say whether initiators may only read the volume."""
        flag = text.dump({"readonly": str(readonly)})
        self.update(context, volume_id, admin_metadata=flag)

    # connections

    def initialize_connection(
        self, context: RequestContext, volume_id: str, connector: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Make the volume reachable for an initiator; returns ``driver_volume_type`` and ``data``.

        :raises exception.Invalid: the backend refuses.
        :raises exception.ServiceUnavailable: its service does not answer.
        """
        volume = self._connectable(context, volume_id)
        read_only = text.load(volume.admin_metadata).get("readonly") == "True"
        return self._client.connect(volume.backend, volume_id, volume.size_gib, connector, read_only)

    def terminate_connection(self, context: RequestContext, volume_id: str, connector: Mapping[str, Any]) -> None:
        """Undo :meth:`initialize_connection`; raises as it does."""
        volume = self._connectable(context, volume_id)
        self._client.disconnect(volume.backend, volume_id, volume.size_gib, connector)

    def _connectable(self, context: RequestContext, volume_id: str) -> Row:
        volume = self.get(context, volume_id)
        if volume.backend is None or volume.status not in SNAPSHOT_SOURCES_FORCED:
            raise exception.InvalidStatus(
                kind="volume",
                reason=f"Volume {volume_id} is {volume.status} and cannot be connected.",
            )
        return volume

    # steps

    def _get(self, conn: Connection, context: RequestContext, volume_id: str) -> Row:
        volume = rows.find(conn, volume_id, project_id=context.visible_project)
        if volume is None:
            raise exception.NotFound(kind="Volume", id=volume_id)
        return volume

    def _submit(self, conn: Connection, context: RequestContext, kind: Kind, volume: Row, **more: Any) -> None:
        backend = usable_backend(conn, volume)
        self._journal.submit(conn, context, kind, backend=backend, resource_id=volume.id, **more)

    def _source(self, conn: Connection, context: RequestContext, wanted: NewVolume) -> Source:
        """Look the source up, and hold it against deletion until the transaction ends."""
        if wanted.snapshot_id is not None and wanted.source_volid is not None:
            raise exception.InvalidInput(reason="May specify only one of backup, imageRef, snapshot, source volume")
        if wanted.snapshot_id is not None:
            return self._source_snapshot(conn, context, wanted.snapshot_id)
        if wanted.source_volid is not None:
            return self._source_volume(conn, context, wanted.source_volid)
        return Source(Kind.VOLUME_CREATE)

    def _source_snapshot(self, conn: Connection, context: RequestContext, snapshot_id: str) -> Source:
        engine.lock_row(conn, models.snapshots, snapshot_id)
        snapshot = snapshot_rows.find(conn, snapshot_id, project_id=context.visible_project)
        if snapshot is None:
            raise exception.NotFound(kind="Snapshot", id=snapshot_id)
        if snapshot.status != SnapshotStatus.AVAILABLE:
            raise exception.InvalidStatus(
                kind="snapshot",
                reason="Originating snapshot status must be one of 'available' values",
            )
        volume = rows.find(conn, snapshot.volume_id)
        assert volume is not None  # the foreign key holds it
        return Source(
            Kind.VOLUME_FROM_SNAPSHOT,
            snapshot_id,
            snapshot.size_gib,
            usable_backend(conn, snapshot),
            snapshot.volume_type_id,
            volume.bootable,
            volume.image_metadata,
        )

    def _source_volume(self, conn: Connection, context: RequestContext, volume_id: str) -> Source:
        rows.lock(conn, volume_id)
        volume = self._get(conn, context, volume_id)
        if volume.status not in CLONE_SOURCES:
            raise exception.InvalidStatus(
                kind="volume",
                reason="Source volume status must be one of 'available, in-use' values",
            )
        return Source(
            Kind.VOLUME_CLONE,
            volume_id,
            volume.size_gib,
            usable_backend(conn, volume),
            volume.volume_type_id,
            volume.bootable,
            volume.image_metadata,
        )

    def _type(self, conn: Connection, wanted: str | None, source: Source) -> Row | None:
        if wanted is not None:
            found = type_rows.find(conn, wanted)
            if found is None:
                raise exception.NotFound(kind="Volume type with name", id=wanted)
            return found
        return type_rows.find(conn, source.volume_type_id or self._default_type)

    def _place(
        self, conn: Connection, wanted: NewVolume, source: Source, size_gib: int, volume_type: Row | None
    ) -> tuple[str | None, str]:
        """Backend and zone of a new volume: those of its source, or what the scheduler finds."""
        services = {service.host: service for service in service_rows.list_all(conn)}
        zone = wanted.availability_zone
        if zone is not None and zone not in {service.availability_zone for service in services.values()}:
            raise exception.Invalid(reason=f"Availability zone '{zone}' is invalid.")
        backend = source.backend or scheduler.choose_backend(
            list(services.values()),
            now=time.time(),
            down_time_s=self._down_time_s,
            size_gib=size_gib,
            extra_specs=orjson.loads(volume_type.extra_specs) if volume_type is not None else {},
            availability_zone=zone,
        )
        service = services.get(backend) if backend is not None else None
        there = service.availability_zone if service is not None else zone or self._default_zone
        if zone not in (None, there):
            raise exception.Invalid(reason=f"Availability zone '{zone}' is invalid: the source is in '{there}'.")
        return backend, there

    def _check_quota(self, conn: Connection, context: RequestContext, size_gib: int, volume_type: Row | None) -> None:
        wanted = Request(
            volumes=1,
            gib=size_gib,
            volume_gib=size_gib,
            volume_type=volume_type.name if volume_type is not None else None,
            volume_type_id=volume_type.id if volume_type is not None else None,
        )
        self._quotas.check(conn, context.project_id, wanted)


def _size(wanted_gib: int | None, source: Source) -> int:
    """The size in GiB that the request and its source come to."""
    if wanted_gib is None and source.id is None:
        raise exception.InvalidInput(reason="size: Volume size must be an integer and greater than 0; give it in GiB.")
    if wanted_gib is None:
        return source.size_gib
    if source.kind is Kind.VOLUME_FROM_SNAPSHOT and wanted_gib < source.size_gib:
        raise exception.InvalidInput(
            reason=f"Volume size '{wanted_gib}'GB cannot be smaller than the snapshot size {source.size_gib}GB. "
            "They must be >= original snapshot size."
        )
    if wanted_gib < source.size_gib:
        raise exception.InvalidInput(
            reason=f"Volume size '{wanted_gib}'GB cannot be smaller than original volume size "
            f"{source.size_gib}GB. They must be >= original volume size."
        )
    return wanted_gib


def _new_row(
    volume_id: str,
    context: RequestContext,
    wanted: NewVolume,
    source: Source,
    size_gib: int,
    backend: str | None,
) -> dict[str, Any]:
    """The columns of a volume that begins its life."""
    return {
        "id": volume_id,
        "project_id": context.project_id,
        "user_id": context.user_id,
        "status": VolumeStatus.ERROR if backend is None else MOVES[source.kind].during,
        "size_gib": size_gib,
        "name": wanted.name,
        "description": wanted.description,
        "metadata": text.dump(wanted.metadata),
        "snapshot_id": wanted.snapshot_id,
        "source_volid": wanted.source_volid,
        "bootable": source.bootable,
        "image_metadata": source.image_metadata,
        "multiattach": wanted.multiattach,
        "backend": backend,
        "created_at": engine.now(),
    }


def _tell_no_backend(conn: Connection, context: RequestContext, volume_id: str) -> None:
    messages.create(
        conn,
        {
            "id": str(uuid.uuid4()),
            "project_id": context.project_id,
            "request_id": context.request_id,
            "resource_type": "VOLUME",
            "resource_uuid": volume_id,
            "action_id": "001",
            "detail_id": "003",
            "level": "ERROR",
            "created_at": engine.now(),
            "expires_at": engine.later(MESSAGE_TTL_S),
        },
    )
