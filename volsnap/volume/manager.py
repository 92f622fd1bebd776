"""What each kind of work means on storage: rows in, idempotent driver calls, values for the row out.

Nothing here writes a status; ``volume/worker.py`` turns the outcome into one. A resource whose row is gone needs no
work: somebody removed it together with its object.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any

from volsnap import exception
from volsnap.db import engine, snapshots, volumes
from volsnap.db.engine import Database, Row
from volsnap.objects.operation import Kind
from volsnap.objects.volume import VolumeStatus
from volsnap.units import GIB
from volsnap.volume import refs
from volsnap.volume.drivers import base
from volsnap.volume.journal import Operation

Values = dict[str, Any]

#: The statuses of what a discard may remove.
_GIVEN_UP = frozenset({VolumeStatus.ERROR, VolumeStatus.ERROR_DELETING, VolumeStatus.DELETING})


class Manager:
    """Carries out operations on one backend."""

    def __init__(self, database: Database, driver: base.Driver) -> None:
        self._database = database
        self.driver = driver
        self._work: Mapping[Kind, Callable[[Operation, base.Progress], Values]] = {
            Kind.VOLUME_CREATE: self._create_volume,
            Kind.VOLUME_FROM_SNAPSHOT: self._create_volume_from_snapshot,
            Kind.VOLUME_CLONE: self._clone_volume,
            Kind.VOLUME_EXTEND: self._extend_volume,
            Kind.VOLUME_REVERT: self._revert_volume,
            Kind.VOLUME_DELETE: self._delete_volume,
            Kind.VOLUME_DISCARD: self._discard_volume,
            Kind.SNAPSHOT_CREATE: self._create_snapshot,
            Kind.SNAPSHOT_DELETE: self._delete_snapshot,
            Kind.SNAPSHOT_DISCARD: self._discard_snapshot,
        }

    def copy_kinds(self) -> Collection[Kind]:
        """The kinds whose time grows with the data on this backend: they get a lane of their own."""
        able = self.driver.capabilities
        kinds: set[Kind] = set()
        for copies, names in (
            (able.clone_copies, (Kind.VOLUME_FROM_SNAPSHOT, Kind.VOLUME_CLONE)),
            (able.create_copies, (Kind.VOLUME_CREATE, Kind.VOLUME_EXTEND)),
            (able.revert_copies, (Kind.VOLUME_REVERT,)),
        ):
            kinds |= set(names) if copies else set()
        return kinds

    def carry_out(self, operation: Operation, progress: base.Progress) -> Values:
        """Do the work; returns the columns that it determined.

        :raises base.DriverError: as the driver says; final or not.
        """
        return self._work[operation.kind](operation, progress)

    # volumes

    def _create_volume(self, operation: Operation, progress: base.Progress) -> Values:
        volume = self._volume(operation.resource_id)
        if volume is None:
            return {}
        self.driver.create_volume(refs.volume_ref(volume))
        return {}

    def _create_volume_from_snapshot(self, operation: Operation, progress: base.Progress) -> Values:
        volume = self._volume(operation.resource_id)
        if volume is None:
            return {}
        source = self._snapshot_ref(operation.source_id)
        if source is None:
            raise base.NotFound(f"Snapshot {operation.source_id} is gone.")
        self.driver.create_volume_from_snapshot(source, refs.volume_ref(volume), progress)
        return {}

    def _clone_volume(self, operation: Operation, progress: base.Progress) -> Values:
        volume = self._volume(operation.resource_id)
        source = self._volume(operation.source_id)
        if volume is None:
            return {}
        if source is None:
            raise base.NotFound(f"Volume {operation.source_id} is gone.")
        self.driver.clone_volume(refs.volume_ref(source), refs.volume_ref(volume), progress)
        return {}

    def _extend_volume(self, operation: Operation, progress: base.Progress) -> Values:
        """The row has the new size already, so that the quota counts it; the parameters have the old one."""
        volume = self._volume(operation.resource_id)
        if volume is None:
            return {}
        old = base.VolumeRef(volume.id, int(operation.params["old_size_gib"]) * GIB)
        fact = self.driver.extend_volume(old, volume.size_gib * GIB)
        return {"size_gib": fact.size_bytes // GIB}

    def _revert_volume(self, operation: Operation, progress: base.Progress) -> Values:
        volume = self._volume(operation.resource_id)
        source = self._snapshot_ref(operation.source_id)
        if volume is None:
            return {}
        if source is None:
            raise base.NotFound(f"Snapshot {operation.source_id} is gone.")
        self.driver.revert(refs.volume_ref(volume), source, progress)
        return {}

    def _delete_volume(self, operation: Operation, progress: base.Progress) -> Values:
        with self._database.read() as conn:
            volume = volumes.find(conn, operation.resource_id)
            if volume is not None and volumes.has_snapshots(conn, volume.id):
                # A cascade whose snapshots could not all be deleted: their messages say why.
                raise base.Busy("The volume still has snapshots; delete them first.")
        if volume is not None:
            self.driver.delete_volume(refs.volume_ref(volume))
        return {}

    def _discard_volume(self, operation: Operation, progress: base.Progress) -> Values:
        """Remove what a create that was given up may have left, also on the source that it was made from."""
        if self._is_wanted(self._volume(operation.resource_id)):
            return {}
        size_gib = int(operation.params.get("size_gib", 1))
        self.driver.delete_volume(base.VolumeRef(operation.resource_id, size_gib * GIB))
        if operation.source_id is not None:
            for found in self.driver.inventory():
                if found.leftover and found.volume_id == operation.resource_id:
                    self.driver.discard(found)
        return {}

    # snapshots

    def _create_snapshot(self, operation: Operation, progress: base.Progress) -> Values:
        snapshot = self._snapshot_ref(operation.resource_id)
        if snapshot is None:
            return {}
        fact = self.driver.create_snapshot(snapshot)
        if not fact.valid:
            raise base.Invalidated("The snapshot lost its content; there was not enough room.")
        return {"cut_at": engine.now(), "progress": "100%"}

    def _delete_snapshot(self, operation: Operation, progress: base.Progress) -> Values:
        snapshot = self._snapshot_ref(operation.resource_id)
        if snapshot is not None:
            self.driver.delete_snapshot(snapshot)
        return {}

    def _discard_snapshot(self, operation: Operation, progress: base.Progress) -> Values:
        """Remove what a create that was given up, or came too late, may have left; its row may be gone by now."""
        with self._database.read() as conn:
            if self._is_wanted(snapshots.find(conn, operation.resource_id)):
                return {}
        snapshot = self._snapshot_ref(operation.resource_id)
        if snapshot is None and operation.source_id is not None:
            snapshot = base.SnapshotRef(operation.resource_id, base.VolumeRef(operation.source_id, GIB), GIB)
        if snapshot is not None:
            self.driver.delete_snapshot(snapshot)
        return {}

    # rows

    @staticmethod
    def _is_wanted(row: Row | None) -> bool:
        """Somebody said since that the resource is good: what may be there is not removed behind their back."""
        return row is not None and row.status not in _GIVEN_UP

    def _volume(self, volume_id: str | None) -> Row | None:
        if volume_id is None:
            return None
        with self._database.read() as conn:
            return volumes.find(conn, volume_id)

    def _snapshot_ref(self, snapshot_id: str | None) -> base.SnapshotRef | None:
        if snapshot_id is None:
            return None
        with self._database.read() as conn:
            row = snapshots.find_with_volume(conn, snapshot_id)
        return None if row is None else refs.snapshot_ref(row)

    # calls that only look or lead to a volume

    def connect(
        self, volume_id: str, size_gib: int, connector: Mapping[str, Any], *, read_only: bool
    ) -> dict[str, Any]:
        """``driver_volume_type`` and ``data``.

        :raises exception.Invalid: the backend refuses.
        :raises exception.ServiceUnavailable: it does not answer; the same call may work later.
        """
        ref = base.VolumeRef(volume_id, size_gib * GIB)
        try:
            connection = self.driver.connect(ref, connector, read_only=read_only)
        except base.DriverError as err:
            raise _refusal(err) from err
        return {
            "driver_volume_type": connection.driver_volume_type,
            "data": dict(connection.data),
        }

    def disconnect(self, volume_id: str, size_gib: int, connector: Mapping[str, Any]) -> None:
        """Undo :meth:`connect`; raises as it does."""
        ref = base.VolumeRef(volume_id, size_gib * GIB)
        try:
            self.driver.disconnect(ref, connector)
        except base.DriverError as err:
            raise _refusal(err) from err


def _refusal(err: base.DriverError) -> exception.VolsnapError:
    """What a caller who waits for the answer is told."""
    return exception.Invalid(reason=str(err)) if err.final else exception.ServiceUnavailable(reason=str(err))
