"""What can be asked of snapshots. See ``volume/api.py`` for the rules of every method."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from volsnap import exception
from volsnap.context import RequestContext
from volsnap.db import engine, models, operations, page
from volsnap.db import metadata as text
from volsnap.db import snapshots as rows
from volsnap.db import volumes as volume_rows
from volsnap.db.engine import Connection, Database, Row
from volsnap.objects.operation import MOVES, Kind
from volsnap.objects.snapshot import STATUS_UPDATES, SnapshotStatus
from volsnap.objects.volume import (
    SNAPSHOT_SOURCES,
    SNAPSHOT_SOURCES_FORCED,
    SNAPSHOT_SOURCES_IN_USE,
    VolumeStatus,
)
from volsnap.volume.journal import Journal
from volsnap.volume.metadata import MetadataItems
from volsnap.volume.quota import Quotas, Request
from volsnap.volume.services import usable_backend


class Snapshots:
    """The snapshots of all projects."""

    def __init__(self, database: Database, journal: Journal, quotas: Quotas, *, ack_timeout_s: float) -> None:
        self._database = database
        self._journal = journal
        self._quotas = quotas
        self._ack_timeout_s = ack_timeout_s
        self._metadata = MetadataItems(database, rows, models.snapshots, "Snapshot")
        self.merge_metadata = self._metadata.merge
        self.replace_metadata = self._metadata.replace
        self.delete_metadata = self._metadata.delete

    # reads

    def get(self, context: RequestContext, snapshot_id: str) -> Row:
        """One snapshot.

        :raises exception.NotFound: there is none the caller may see.
        """
        with self._database.read() as conn:
            return self._get(conn, context, snapshot_id)

    def list_page(
        self,
        context: RequestContext,
        filters: page.Filters,
        wanted: page.Page,
        all_tenants: bool = False,
    ) -> Sequence[Row]:
        """One page of the caller's snapshots; of everybody's for an admin who asks with ``all_tenants``.

        :raises exception.NotFound: the marker is unknown.
        """
        with self._database.read() as conn:
            return rows.list_page(conn, page.scoped(filters, context, all_tenants), wanted)

    def count(self, context: RequestContext, filters: page.Filters, all_tenants: bool = False) -> int:
        """How many snapshots :meth:`list_page` would give without a limit."""
        with self._database.read() as conn:
            return rows.count(conn, page.scoped(filters, context, all_tenants))

    # writes

    def create(
        self,
        context: RequestContext,
        *,
        volume_id: str,
        name: str | None,
        description: str | None,
        metadata: Mapping[str, str],
        force: bool = False,
        allow_in_use: bool = False,
    ) -> Row:
        """Take a snapshot; returns when it is cut, or after ``create_ack_timeout`` while it is still ``creating``.

        :param force: also of a volume that is attached or in some other use.
        :param allow_in_use: also of a volume that is attached.
        :raises exception.InvalidStatus: the volume is in no status for it, or its backend is frozen.
        :raises exception.OverQuota: a limit of the project is reached.
        """
        snapshot_id = str(uuid.uuid4())
        with self._database.write() as conn:
            volume_rows.lock(conn, volume_id)
            volume = volume_rows.find(conn, volume_id, project_id=context.visible_project)
            if volume is None:
                raise exception.NotFound(kind="Volume", id=volume_id)
            _check_volume(volume, force=force, allow_in_use=allow_in_use)
            backend = usable_backend(conn, volume)
            self._check_quota(conn, context, volume)
            rows.create(
                conn,
                {
                    "id": snapshot_id,
                    "project_id": context.project_id,
                    "user_id": context.user_id,
                    "volume_id": volume_id,
                    "status": MOVES[Kind.SNAPSHOT_CREATE].during,
                    "size_gib": volume.size_gib,
                    "name": name,
                    "description": description,
                    "metadata": text.dump(metadata),
                    "volume_type_id": volume.volume_type_id,
                    "backend": backend,
                    "created_at": engine.now(),
                },
            )
            operation = self._journal.submit(
                conn,
                context,
                Kind.SNAPSHOT_CREATE,
                backend=backend,
                resource_id=snapshot_id,
                source_id=volume_id,
            )
        self._journal.wake_and_wait(operation, backend, self._ack_timeout_s)
        return self.get(context, snapshot_id)

    def update(self, context: RequestContext, snapshot_id: str, **values: Any) -> Row:
        """Set ``name`` or ``description``; returns the snapshot."""
        with self._database.write() as conn:
            self._get(conn, context, snapshot_id)
            rows.update(conn, snapshot_id, **values)
            return self._get(conn, context, snapshot_id)

    def delete(self, context: RequestContext, snapshot_id: str, force: bool = False) -> None:
        """Begin to delete a snapshot.

        :param force: whatever its status.
        :raises exception.InvalidStatus: its status, or its group, does not allow it.
        """
        with self._database.write() as conn:
            # The work names the volume too: without its lock an operation on it could get a later id, be seen first,
            # and run beside this one.
            volume_rows.lock(conn, self._get(conn, context, snapshot_id).volume_id)
            snapshot = self._get(conn, context, snapshot_id)
            self.submit_delete(conn, context, snapshot, force=force)
        self._journal.wake(snapshot.backend)

    def submit_delete(self, conn: Connection, context: RequestContext, snapshot: Row, *, force: bool = False) -> None:
        """The part of :meth:`delete` that belongs into the caller's transaction."""
        move = MOVES[Kind.SNAPSHOT_DELETE]
        assert move.during is not None
        usable_backend(conn, snapshot)
        sources = frozenset(SnapshotStatus) if force else move.sources
        grouped = snapshot.group_snapshot_id is not None
        if grouped or not rows.claim(conn, snapshot.id, sources, move.during):
            raise exception.InvalidStatus(
                kind="snapshot",
                reason="Snapshot status must be available or error and must not be part of a group.",
            )
        self._journal.submit(
            conn,
            context,
            Kind.SNAPSHOT_DELETE,
            backend=snapshot.backend,
            resource_id=snapshot.id,
            source_id=snapshot.volume_id,
        )

    def reset_status(self, context: RequestContext, snapshot_id: str, status: str) -> None:
        """Set the status by hand (administrators)."""
        self.update(context, snapshot_id, status=status)

    def update_status(
        self, context: RequestContext, snapshot_id: str, status: str, progress: str | None = None
    ) -> None:
        """Let a service that makes the snapshot itself (Nova) report its status.

        :raises exception.Invalid: the present status cannot become ``status``, or is ours: work of our own is on.
        """
        with self._database.write() as conn:
            snapshot = self._get(conn, context, snapshot_id)
            allowed = STATUS_UPDATES.get(snapshot.status)
            if allowed is None or operations.has_waiting(conn, [snapshot_id]):
                raise exception.Invalid(
                    reason=f"Snapshot status {snapshot.status} not allowed for update_snapshot_status"
                )
            values = {"progress": progress} if progress is not None else {}
            if status not in allowed or not rows.claim(conn, snapshot_id, {snapshot.status}, status, **values):
                raise exception.Invalid(
                    reason=f"Provided snapshot status {status} not allowed for snapshot with status {snapshot.status}."
                )

    def _get(self, conn: Connection, context: RequestContext, snapshot_id: str) -> Row:
        snapshot = rows.find(conn, snapshot_id, project_id=context.visible_project)
        if snapshot is None:
            raise exception.NotFound(kind="Snapshot", id=snapshot_id)
        return snapshot

    def _check_quota(self, conn: Connection, context: RequestContext, volume: Row) -> None:
        wanted = Request(
            snapshots=1,
            gib=self._quotas.snapshot_gib(volume.size_gib),
            volume_type=volume.volume_type,
            volume_type_id=volume.volume_type_id,
        )
        self._quotas.check(conn, context.project_id, wanted)


def _check_volume(volume: Row, *, force: bool, allow_in_use: bool) -> None:
    """Whether the volume's status allows a snapshot."""
    if volume.status == VolumeStatus.ERROR:
        raise exception.InvalidStatus(
            kind="volume",
            reason="The snapshot cannot be created when the volume is in error status.",
        )
    sources, names = SNAPSHOT_SOURCES, "available"
    if force or allow_in_use:
        sources, names = SNAPSHOT_SOURCES_IN_USE, "available or in-use"
    if force:
        sources = SNAPSHOT_SOURCES_FORCED
    if volume.status not in sources:
        raise exception.InvalidStatus(
            kind="volume",
            reason=f"Volume {volume.id} status must be {names}, but current status is: {volume.status}.",
        )
