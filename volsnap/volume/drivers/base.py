"""The driver contract: what a storage backend has to promise, and nothing else.

Life of a snapshot, as every driver must support it::

    create_volume ─► (written by somebody) ─► create_snapshot ─► open_snapshot / diff
                                                  │    └─► create_volume_from_snapshot
                                                  ├─► revert
                                                  └─► delete_snapshot ─► delete_volume

Rules that hold for every method:

* **Names derive from our UUID** (:func:`volume_name`, :func:`snapshot_name`), so that any call can be repeated.
* **Create finds before it makes.** A call that is repeated after a crash, a time-out or a lost answer ends in the
  same state: whole object there and matching: success; half an object: it is removed and made again; an object of
  that name that is *not* what was asked for (other size, other origin): :class:`AlreadyExists`.
* **Delete of a proven-absent thing succeeds.** "The command failed" is not a proof; the driver re-reads.
* **Results are facts**, read back from storage after the work, never echoes of the arguments.
* **Every call ends inside the driver's deadline** (``DriverSettings.deadline_s``), except those that copy data; they
  call ``progress`` at least once a second and may be stopped by an exception it raises.
* **Calls may come from many threads.** What must be serial on a backend is serialised by its driver.
* **No call knows** a database, a request, a configuration file of others, or another driver.

The methods raise :class:`DriverError` and its subclasses only. Each says whether it is *final*: when it is not, the
work may or may not have happened, and the caller repeats the call, which finds out.
"""

import abc
import contextlib
import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

#: Called with a fraction 0.0 – 1.0 while data is copied; raises to stop the work.
Progress = Callable[[float], None]


def no_progress(fraction: float) -> None:
    """The :data:`Progress` of callers who do not care."""


def volume_name(volume_id: str) -> str:
    """The name of a volume on every backend."""
    return f"volume-{volume_id}"


def snapshot_name(snapshot_id: str) -> str:
    """The name of a snapshot; LVM reserves names that begin with ``snapshot`` and adds ``_`` in its driver."""
    return f"snapshot-{snapshot_id}"


# ---------------------------------------------------------------------------------------------------------- errors


class DriverError(Exception):
    """Something the backend said. The text is shown to the user: one sentence, what and why, no secret."""

    #: True: the work did not happen and repeating the call gives the same answer.
    final: ClassVar[bool] = True


class NoSpace(DriverError):
    """The backend, the pool or a COW area is (or would become) too full; nothing was left behind."""


class Busy(DriverError):
    """Something else uses the object (a dependent, an open device) and the backend cannot work around it."""


class NotFound(DriverError):
    """The object the call works *from* (source volume, snapshot) is proven absent."""


class AlreadyExists(DriverError):
    """An object of that name exists and is not the one asked for."""


class Unsupported(DriverError):
    """The backend cannot do this; :class:`Capabilities` said so. Reaching it is a bug of the caller."""


class Invalidated(DriverError):
    """The snapshot lost its content (a COW area overflowed); its bytes cannot be had back."""


class Unavailable(DriverError):
    """The backend does not answer, or not inside the deadline. The work may have happened."""

    final: ClassVar[bool] = False


class Failed(DriverError):
    """The backend failed in a way the driver does not know. The work may have happened."""

    final: ClassVar[bool] = False


# --------------------------------------------------------------------------------------------------------- records


@dataclasses.dataclass(frozen=True, slots=True)
class VolumeRef:
    """A volume, as far as a driver needs to know it. ``size_bytes`` is what the database says it has."""

    id: str
    size_bytes: int


@dataclasses.dataclass(frozen=True, slots=True)
class SnapshotRef:
    """A snapshot of ``volume``. ``size_bytes`` is the volume's size when it was cut."""

    id: str
    volume: VolumeRef
    size_bytes: int


@dataclasses.dataclass(frozen=True, slots=True)
class VolumeFact:
    """What storage says about a volume."""

    id: str
    size_bytes: int


@dataclasses.dataclass(frozen=True, slots=True)
class SnapshotFact:
    """What storage says about a snapshot.

    ``valid`` is False when its content is lost. ``used_bytes`` is the space it takes for itself, where the backend
    can tell cheaply.
    """

    id: str
    volume_id: str
    size_bytes: int
    valid: bool = True
    used_bytes: int | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class StorageObject:
    """One object found on the backend, ours or not.

    ``volume_id``/``snapshot_id`` are set when the name is one of ours (a snapshot has ``snapshot_id`` and, where the
    backend can tell, ``volume_id`` of its origin). ``origin`` is the backend's name of a snapshot's volume.
    ``leftover`` marks a half-made or half-deleted object of ours that the driver itself may remove (see ``discard``); a
    leftover snapshot without ``snapshot_id`` is the instant that the volume ``volume_id`` is being cloned from.
    """

    name: str
    size_bytes: int
    is_snapshot: bool = False
    volume_id: str | None = None
    snapshot_id: str | None = None
    origin: str | None = None
    valid: bool = True
    leftover: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Stats:
    """Capacity. ``free_bytes`` is what new data can still take before the driver refuses."""

    total_bytes: int
    free_bytes: int
    provisioned_bytes: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class Capabilities:
    """What a backend can do; the manager chooses from this, never from an exception."""

    #: The word clients see in ``storage_protocol`` ("file", "lvm", "ceph").
    protocol: str
    #: Space is allotted when data is written.
    thin: bool
    #: Volume from snapshot and clone copy data, always or at times: they run in the lane for long work.
    clone_copies: bool
    #: Revert takes time that grows with the data: it runs in the lane for long work.
    revert_copies: bool
    #: ``diff`` tells the changed extents between two snapshots.
    diff: bool
    #: ``create_group_snapshot`` cuts all members at one instant.
    group_snapshot: bool
    #: Any host that runs this driver reaches the same objects.
    shared: bool
    #: Making and extending a volume writes all of it: they run in the lane for long work.
    create_copies: bool = False
    #: The most snapshots one volume may have; None: no limit worth naming.
    snapshots_per_volume: int | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Connection:
    """How an initiator reaches a volume: ``driver_volume_type`` and ``data`` of the Block Storage API."""

    driver_volume_type: str
    data: Mapping[str, Any]


@dataclasses.dataclass(frozen=True, slots=True)
class Extent:
    """A byte range. ``zero``: it reads as zeros and need not be read."""

    offset: int
    length: int
    zero: bool = False


class SnapshotReader(abc.ABC):
    """An open, read-only snapshot. Not thread-safe; closed by the ``with`` that got it."""

    size_bytes: int

    @abc.abstractmethod
    def read(self, offset: int, length: int) -> bytes:
        """Exactly ``length`` bytes at ``offset`` (fewer only at the end of the snapshot)."""

    @abc.abstractmethod
    def extents(self) -> Iterator[Extent]:
        """All of ``0 … size_bytes`` in order, without gaps; where the backend cannot tell, one data extent."""


# ---------------------------------------------------------------------------------------------------------- driver


class Driver(abc.ABC):
    """One storage backend. See the module for the rules that hold for every method."""

    capabilities: Capabilities

    @abc.abstractmethod
    def check(self) -> None:
        """Return when the backend can be used now.

        Makes what the driver needs for itself (a sub-directory, a thin pool if the settings say so).

        :raises Unavailable: it does not answer, or is not what the settings say; the text names the setting.
        """

    @abc.abstractmethod
    def stats(self) -> Stats:
        """Capacity now, cheaply: cost must not grow with the number of objects."""

    # volumes

    @abc.abstractmethod
    def create_volume(self, volume: VolumeRef) -> VolumeFact:
        """A blank volume that reads as zeros."""

    @abc.abstractmethod
    def delete_volume(self, volume: VolumeRef) -> None:
        """Remove a volume that has no snapshot of ours any more; clones of it live on.

        :raises Busy: it is in use, or still has snapshots.
        """

    @abc.abstractmethod
    def extend_volume(self, volume: VolumeRef, new_size_bytes: int) -> VolumeFact:
        """Grow to ``new_size_bytes``; the new part reads as zeros. Already that large: success."""

    @abc.abstractmethod
    def clone_volume(self, source: VolumeRef, volume: VolumeRef, progress: Progress = no_progress) -> VolumeFact:
        """``volume`` holds the bytes ``source`` had at one instant; its size may be larger."""

    @abc.abstractmethod
    def create_volume_from_snapshot(
        self, snapshot: SnapshotRef, volume: VolumeRef, progress: Progress = no_progress
    ) -> VolumeFact:
        """``volume`` holds the bytes of ``snapshot``; its size may be larger. The snapshot stays deletable."""

    @abc.abstractmethod
    def find_volume(self, volume_id: str) -> VolumeFact | None:
        """The volume as storage has it; None only when it is proven absent or only half made.

        :raises Unavailable: storage cannot be asked now.
        """

    # snapshots

    @abc.abstractmethod
    def create_snapshot(self, snapshot: SnapshotRef) -> SnapshotFact:
        """Cut a crash-consistent point in time of a volume, also while it is written. The cut is when this returns.

        :raises NoSpace: it could not be kept safely; nothing was left behind.
        :raises NotFound: the volume is not there.
        """

    @abc.abstractmethod
    def delete_snapshot(self, snapshot: SnapshotRef) -> None:
        """Remove a snapshot, in any order among others; volumes made from it live on.

        :raises Busy: the backend cannot remove it now.
        """

    @abc.abstractmethod
    def create_group_snapshot(self, snapshots: Sequence[SnapshotRef]) -> list[SnapshotFact]:
        """Cut all at one instant: all of them or none."""

    @abc.abstractmethod
    def revert(self, volume: VolumeRef, snapshot: SnapshotRef, progress: Progress = no_progress) -> VolumeFact:
        """``volume`` (not in use) holds the bytes of ``snapshot`` again; every snapshot of it stays as it was.

        Repeated after a crash it ends the same. A volume that was extended since keeps its size; the part behind the
        snapshot's end reads as zeros.
        """

    @abc.abstractmethod
    def find_snapshot(self, snapshot: SnapshotRef) -> SnapshotFact | None:
        """The snapshot as storage has it, with ``valid=False`` when its content is lost; None: proven absent."""

    # data

    @abc.abstractmethod
    def connect(self, volume: VolumeRef, connector: Mapping[str, Any], *, read_only: bool = False) -> Connection:
        """Make the volume reachable for the initiator that ``connector`` describes. Repeatable."""

    @abc.abstractmethod
    def disconnect(self, volume: VolumeRef, connector: Mapping[str, Any]) -> None:
        """Undo :meth:`connect`. Repeatable; success when there is nothing to undo."""

    @abc.abstractmethod
    def open_snapshot(self, snapshot: SnapshotRef) -> contextlib.AbstractContextManager[SnapshotReader]:
        """Open for reading: ``with driver.open_snapshot(ref) as reader``.

        :raises NotFound: it is not there.
        :raises Invalidated: its content is lost.
        """

    @abc.abstractmethod
    def diff(self, older: SnapshotRef, newer: SnapshotRef) -> Iterable[Extent]:
        """Extents of ``newer`` that may differ from ``older`` (two snapshots of one volume), in order.

        Never misses a changed byte; may name unchanged ones. Only where ``capabilities.diff``.
        """

    # housekeeping

    @abc.abstractmethod
    def inventory(self) -> Iterable[StorageObject]:
        """Every volume and snapshot on the backend, ours and others', with few backend calls."""

    @abc.abstractmethod
    def discard(self, found: StorageObject) -> None:
        """Remove an object of ours that ``inventory`` named (``volsnap-manage audit --fix``). Absent: success."""

    @abc.abstractmethod
    def adopt_volume(self, name: str, volume: VolumeRef) -> VolumeFact:
        """Make the backend's object ``name`` our volume: rename it; the fact carries its real size.

        :raises NotFound: there is no such object.
        """

    @abc.abstractmethod
    def adopt_snapshot(self, name: str, snapshot: SnapshotRef) -> SnapshotFact:
        """Make the backend's snapshot ``name`` of ``snapshot.volume`` our snapshot."""

    @abc.abstractmethod
    def maintain(self) -> list[SnapshotFact]:
        """Periodic care (every few seconds): extend COW areas, watch pool fill, purge what waits for its dependents.

        Returns the snapshots of ours whose content is lost, so that they are never shown as available. Its cost must
        be a command or two, whatever the number of objects.
        """

    @abc.abstractmethod
    def close(self) -> None:
        """Release connections; the object is not used afterwards."""
