"""Volumes and snapshots in an LVM volume group, plain ("thick") or in a thin pool.

One invariant: **an object under its final name is whole.** What takes more than one LVM command is made under a name of
its own and gets the final name by ``lvrename``, which is one atomic change of LVM's metadata. So no mark is needed to
know a half-made object: its name says it.

==========================  ===============================================================================
``volume-<id>``             a volume
``_snapshot-<id>``          a snapshot (LVM reserves names that begin with "snapshot")
``_making-<volume id>``     a volume in the making: being zeroed, copied or resized
``_clone-<volume id>``      the temporary thick snapshot a clone is copied from
``_revert-<volume id>``     a thin revert: the new content, not yet the volume
``_old-<volume id>``        a thin revert: the former content; volume-<id> may be missing beside it
==========================  ===============================================================================

Snapshots carry the tag ``volsnap.of.<volume id>``, written by the same lvcreate: a thin snapshot loses LVM's own
``origin`` when the volume's former content is removed after a revert.

**Commands.** A snapshot is one ``lvcreate``: fill of the pool before, and size and state after, are asked from the
kernel (``lowlevel/devmapper.py``), which costs microseconds. Reports are read only where something is unclear.

**Zeros.** A thick volume is zeroed before it gets its name (BLKZEROOUT; LVM itself clears 4 KiB), since free extents
hold what others deleted. Zeroing at delete would not cover what was deleted by others or before a crash.

**Thick revert** copies back. ``lvconvert --merge`` destroys the snapshot, and a crash before it is cut again loses it.
The snapshot's exception list (``blockdev.cow_chunks``) names what changed since the cut; those blocks that differ are
written to the volume through its origin device, so every other snapshot keeps its bytes by copy on write, and the one
reverted to needs no space at all. Writing the same bytes again is harmless: after a crash the call is repeated.

**Thin revert** copies nothing: a new thin snapshot of the snapshot is renamed to be the volume. Between two renames the
volume is called ``_old-``; whoever misses it then (:meth:`LvmDriver._settle`) finishes or takes back the swap.
"""

import contextlib
import dataclasses
import errno
import logging
import os
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from volsnap import units
from volsnap.lowlevel import blockdev, devmapper, lvm, run
from volsnap.volume.drivers import base

LOG = logging.getLogger(__name__)

_TAG = "volsnap.of."
_ZERO_TAG = "volsnap.zero_from."
_OURS = re.compile(r"(volume-|_snapshot-|_making-|_clone-|_revert-|_old-)([0-9a-fA-F-]{36})")
#: A COW area must have that much room beyond what a copying revert is about to write.
_COW_SLACK = 2 * units.MIB


@dataclasses.dataclass(frozen=True, slots=True)
class LvmSettings:
    """The driver's part of the configuration; ``volsnap/conf/lvm.py`` explains each field."""

    volume_group: str
    lvm_type: str = "thin"
    lvm_thin_pool: str = ""
    lvm_thin_pool_percent: int = 95
    lvm_max_over_subscription_ratio: float = 20.0
    lvm_warn_percent: int = 70
    lvm_refuse_percent: int = 85
    lvm_cow_percent: int = 20
    lvm_cow_min_mib: int = 256
    lvm_cow_extend_percent: int = 50
    lvm_config: str = ""
    lvm_deadline_s: float = 60.0

    @property
    def thin(self) -> bool:
        """Everything lives in a thin pool."""
        return self.lvm_type == "thin"

    @property
    def pool(self) -> str:
        """The thin pool's name, by default Cinder's."""
        return self.lvm_thin_pool or f"{self.volume_group}-pool"


def snapshot_name(snapshot_id: str) -> str:
    """The contract's name with ``_`` before it; Cinder's driver does the same."""
    return "_" + base.snapshot_name(snapshot_id)


#: One lock per volume group and process: LVM serialises commands by a lock file anyway, and waits there cost a process.
_LOCKS: dict[str, threading.RLock] = {}
_ERRORS: dict[lvm.Reason, type[base.DriverError]] = {
    lvm.Reason.VG_MISSING: base.Unavailable,
    lvm.Reason.LV_MISSING: base.NotFound,
    lvm.Reason.EXISTS: base.AlreadyExists,
    lvm.Reason.NO_SPACE: base.NoSpace,
    lvm.Reason.BUSY: base.Busy,
    lvm.Reason.UNKNOWN: base.Failed,
}


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    """Errors of the level below as errors of the contract."""
    try:
        yield
    except run.CommandTimeout as err:
        raise base.Unavailable(f"LVM did not answer: {err}") from err
    except run.CommandError as err:
        kind = base.Unavailable if err.code == 127 else _ERRORS[lvm.reason(err)]
        raise kind(f"{err.argv[0]}: {' '.join(err.stderr.split())}") from err
    except lvm.BadReport as err:
        raise base.Failed(f"LVM's report is not understood: {err}") from err
    except OSError as err:
        if err.errno == errno.EBUSY:
            raise base.Busy(str(err)) from err
        raise base.Failed(f"reading or writing a device failed: {err}") from err


class LvmDriver(base.Driver):
    """See the module."""

    def __init__(self, settings: LvmSettings) -> None:
        self._settings = settings
        self._vg = settings.volume_group
        self._lvm = lvm.Lvm(self._vg, settings.lvm_deadline_s, settings.lvm_config)
        self._lock = _LOCKS.setdefault(self._vg, threading.RLock())
        self._busy: set[str] = set()
        self._busy_lock = threading.Lock()
        self._extent_bytes = 4 * units.MIB
        self._provisioned_bytes = 0
        self.capabilities = base.Capabilities(
            protocol="lvm",
            thin=settings.thin,
            clone_copies=not settings.thin,
            revert_copies=not settings.thin,
            diff=not settings.thin,
            group_snapshot=False,
            shared=False,
            snapshots_per_volume=None if settings.thin else 64,
        )

    # ------------------------------------------------------------------------------------------------ the backend

    def check(self) -> None:
        with self._serial(), _translated():
            self._extent_bytes = self._lvm.volume_group().extent_bytes
            found = {item.name: item for item in self._lvm.logical_volumes()}
            if self._settings.thin:
                pool = found.get(self._settings.pool)
                if pool is None:
                    share = self._settings.lvm_thin_pool_percent
                    self._lvm.create_thin_pool(self._settings.pool, share)
                elif pool.kind is not lvm.LvKind.THIN_POOL:
                    raise base.Unavailable(f"lvm_thin_pool: {self._vg}/{pool.name} is a {pool.kind.value}")
            inactive = [i.name for i in found.values() if not i.active and _OURS.fullmatch(i.name)]
            if inactive:
                self._lvm.activate(*inactive)

    def stats(self) -> base.Stats:
        with _translated():
            group = self._lvm.volume_group()
            if not self._settings.thin:
                used = group.size_bytes - group.free_bytes
                return base.Stats(group.size_bytes, group.free_bytes, used)
            pool = self._pool_device()
        fill = devmapper.pool_fill(pool)
        room = max(0.0, self._settings.lvm_refuse_percent - fill.data_percent)
        free = int(pool.size_bytes * room / 100)
        return base.Stats(pool.size_bytes, free, self._provisioned_bytes)

    def maintain(self) -> list[base.SnapshotFact]:
        with _translated():
            found = self._lvm.logical_volumes()
        self._provisioned_bytes = sum(i.size_bytes for i in found if i.kind is lvm.LvKind.THIN)
        if self._settings.thin:
            self._warn_of_fill()
        cuts = [item for item in found if item.kind is lvm.LvKind.THICK_SNAPSHOT]
        for cut in cuts:
            if cut.valid and cut.fill_percent >= self._settings.lvm_cow_extend_percent:
                try:
                    self._extend_cow(cut.name, cut.size_bytes, cut.cow_bytes, cut.cow_bytes * 2)
                except base.DriverError as err:
                    LOG.error(
                        "the COW area of %s is %.0f %% full and cannot grow: %s",
                        cut.name, cut.fill_percent, err,
                    )  # fmt: skip
        facts = [self._snapshot_fact(item) for item in cuts if not item.valid]
        return [fact for fact in facts if fact is not None]

    def close(self) -> None:
        pass  # there is no connection

    # ---------------------------------------------------------------------------------------------------- volumes

    def create_volume(self, volume: base.VolumeRef) -> base.VolumeFact:
        name = base.volume_name(volume.id)
        with self._claimed(name):
            return self._made(volume, lambda: self._create_blank(volume))

    def _create_blank(self, volume: base.VolumeRef) -> None:
        name, making = base.volume_name(volume.id), f"_making-{volume.id}"
        if self._settings.thin:
            self._refuse_when_full(volume.size_bytes)
            with self._serial():
                self._lvm.create_thin_volume(self._settings.pool, name, volume.size_bytes)
            return
        with self._made_aside(making, name):
            self._replace(making, lambda: self._lvm.create_volume(making, self._rounded(volume.size_bytes)))
            blockdev.zero(self._path(making), 0, self._rounded(volume.size_bytes), base.no_progress)

    def delete_volume(self, volume: base.VolumeRef) -> None:
        name = base.volume_name(volume.id)
        with self._claimed(name), self._serial(), _translated():
            found = self._lvm.logical_volumes()
            if cuts := self._snapshots_of(found, volume.id):
                raise base.Busy(f"{name} has {len(cuts)} snapshots")
            parts = [p + volume.id for p in ("_clone-", "_making-", "_revert-", "_old-", "volume-")]
            present = {item.name for item in found}
            if doomed := [part for part in parts if part in present]:
                self._lvm.remove(*doomed)

    def extend_volume(self, volume: base.VolumeRef, new_size_bytes: int) -> base.VolumeFact:
        name, size = base.volume_name(volume.id), self._rounded(new_size_bytes)
        fact = self._get_volume(volume.id)
        with self._claimed(name), _translated():
            if self._settings.thin:
                if fact.size_bytes < size:
                    with self._serial():
                        self._lvm.extend(name, size)
            else:
                self._extend_thick(name, size)
        return self._get_volume(volume.id)

    def _extend_thick(self, name: str, size: int) -> None:
        """The tag says what is not yet zeroed, so that a crash after the lvextend shows nobody's old bytes."""
        (item,) = self._lvm.logical_volumes([name])
        pending = [tag for tag in item.tags if tag.startswith(_ZERO_TAG)]
        if not pending and item.size_bytes >= size:
            return
        if not pending:
            pending = [f"{_ZERO_TAG}{item.size_bytes}"]
            with self._serial():
                self._lvm.add_tags(pending[0], name)
        if item.size_bytes < size:
            with self._serial(), self._inactive(item):
                self._lvm.extend(name, size)
        start = int(pending[0].removeprefix(_ZERO_TAG))
        blockdev.zero(self._path(name), start, max(size, item.size_bytes) - start, base.no_progress)
        with self._serial():
            self._lvm.delete_tags(pending[0], name)

    @contextlib.contextmanager
    def _inactive(self, item: lvm.LogicalVolume) -> Iterator[None]:
        """LVM extends the origin of thick snapshots only while it is inactive."""
        if item.kind is not lvm.LvKind.ORIGIN:
            yield
            return
        self._lvm.deactivate(item.name)
        try:
            yield
        finally:
            self._lvm.activate(item.name)

    def clone_volume(
        self,
        source: base.VolumeRef,
        volume: base.VolumeRef,
        progress: base.Progress = base.no_progress,
    ) -> base.VolumeFact:
        name = base.volume_name(source.id)

        def make() -> None:
            real = self._get_volume(source.id)
            if self._settings.thin:
                self._thin_copy(name, real.size_bytes, volume)
                return
            cut = f"_clone-{volume.id}"
            cow = self._cow_bytes(real.size_bytes)
            self._replace(cut, lambda: self._lvm.create_thick_snapshot(name, cut, cow))
            try:
                self._full_copy(cut, real.size_bytes, volume, progress)
            finally:
                with self._serial():
                    self._lvm.remove(cut)

        with self._claimed(base.volume_name(volume.id)):
            return self._made(volume, make)

    def create_volume_from_snapshot(
        self,
        snapshot: base.SnapshotRef,
        volume: base.VolumeRef,
        progress: base.Progress = base.no_progress,
    ) -> base.VolumeFact:
        name = snapshot_name(snapshot.id)

        def make() -> None:
            fact = self._get_snapshot(snapshot)
            if self._settings.thin:
                self._thin_copy(name, fact.size_bytes, volume)
            else:
                self._full_copy(name, fact.size_bytes, volume, progress)

        with self._claimed(base.volume_name(volume.id)):
            return self._made(volume, make)

    def _thin_copy(self, source: str, source_bytes: int, volume: base.VolumeRef) -> None:
        self._refuse_when_full(volume.size_bytes)
        name, making = base.volume_name(volume.id), f"_making-{volume.id}"
        if self._rounded(volume.size_bytes) <= source_bytes:
            with self._serial():
                self._lvm.create_thin_snapshot(source, name)
            return
        with self._made_aside(making, name):
            self._replace(making, lambda: self._lvm.create_thin_snapshot(source, making))
            with self._serial():
                self._lvm.extend(making, self._rounded(volume.size_bytes))

    def _full_copy(self, source: str, source_bytes: int, volume: base.VolumeRef, progress: base.Progress) -> None:
        """Copy a thick snapshot; it has to be valid *after* the copy, or zeros may have been read for its bytes."""
        name, making = base.volume_name(volume.id), f"_making-{volume.id}"
        size = self._rounded(volume.size_bytes)
        with self._made_aside(making, name):
            self._replace(making, lambda: self._lvm.create_volume(making, size))
            try:
                blockdev.copy(self._path(source), self._path(making), source_bytes, size, progress)
            except OSError as err:
                if not self._cut_is_valid(source):
                    raise base.Invalidated(f"{source} overflowed while it was copied") from err
                raise
            if not self._cut_is_valid(source):
                raise base.Invalidated(f"{source} overflowed while it was copied")

    def find_volume(self, volume_id: str) -> base.VolumeFact | None:
        name = base.volume_name(volume_id)
        with _translated():
            if device := self._device(name):
                return base.VolumeFact(volume_id, device.size_bytes)
            with self._serial():
                return self._settle(volume_id)

    def _settle(self, volume_id: str) -> base.VolumeFact | None:
        """The volume has no device: prove its absence, activate it, or finish a thin revert that was interrupted."""
        name, new, old = (p + volume_id for p in ("volume-", "_revert-", "_old-"))
        found = {item.name: item for item in self._lvm.logical_volumes([name, new, old])}
        if name not in found and old in found:
            # Both renames belong together. `new` is whole when the first one was done.
            self._lvm.rename(new if new in found else old, name)
            found[name] = found[new if new in found else old]
        if name not in found:
            return None
        if not found[name].active:
            self._lvm.activate(name)
        return base.VolumeFact(volume_id, found[name].size_bytes)

    # -------------------------------------------------------------------------------------------------- snapshots

    def create_snapshot(self, snapshot: base.SnapshotRef) -> base.SnapshotFact:
        name = snapshot_name(snapshot.id)
        for attempt in range(3):
            try:
                with _translated():
                    if self._device(name):
                        raise base.AlreadyExists(name)
                    self._cut(snapshot)
                    device = self._device(name)
                if device is None or device.kind not in ("snapshot", "thin"):
                    raise base.Failed(f"{name} was made but is not there: {device}")
                return base.SnapshotFact(snapshot.id, snapshot.volume.id, device.size_bytes)
            except base.AlreadyExists:
                if fact := self._existing_cut(snapshot):
                    return fact
            except base.NotFound:
                # The volume was missed: proven by this, unless a revert left it under another name.
                if attempt or self.find_volume(snapshot.volume.id) is None:
                    raise
        raise base.Failed(f"{name} comes and goes")

    def _cut(self, snapshot: base.SnapshotRef) -> None:
        origin, name = base.volume_name(snapshot.volume.id), snapshot_name(snapshot.id)
        tags = [_TAG + snapshot.volume.id]
        if self._settings.thin:
            self._refuse_when_full(0)
            with self._serial():
                self._lvm.create_thin_snapshot(origin, name, tags)
            return
        device = self._device(origin)
        size = device.size_bytes if device else snapshot.size_bytes
        with self._serial():
            self._lvm.create_thick_snapshot(origin, name, self._cow_bytes(size), tags)

    def _existing_cut(self, snapshot: base.SnapshotRef) -> base.SnapshotFact | None:
        """What has the name: ours and whole: its fact; half made: it is removed, None; else AlreadyExists."""
        name = snapshot_name(snapshot.id)
        with self._serial(), _translated():
            for item in self._lvm.logical_volumes([name]):
                fact = self._snapshot_fact(item)
                if fact is None:
                    self._lvm.remove(name)
                    return None
                same = fact.volume_id == snapshot.volume.id
                if not same or fact.size_bytes != self._rounded(snapshot.size_bytes):
                    raise base.AlreadyExists(f"{name} is there: {fact.size_bytes} bytes of volume {fact.volume_id}")
                if not item.active:
                    self._lvm.activate(name)
                return fact
        return None

    def delete_snapshot(self, snapshot: base.SnapshotRef) -> None:
        with self._serial(), contextlib.suppress(base.NotFound), _translated():
            self._lvm.remove(snapshot_name(snapshot.id))

    def create_group_snapshot(self, snapshots: Sequence[base.SnapshotRef]) -> list[base.SnapshotFact]:
        # LVM resumes each origin when its own snapshot is made, also one that was suspended before.
        raise base.Unsupported("LVM cannot cut several volumes at one instant")

    def find_snapshot(self, snapshot: base.SnapshotRef) -> base.SnapshotFact | None:
        name = snapshot_name(snapshot.id)
        with _translated():
            for item in self._lvm.logical_volumes([name]):
                fact = self._snapshot_fact(item)
                if fact is None or fact.volume_id != snapshot.volume.id:
                    return None
                if fact.valid and not item.active:
                    with self._serial():
                        self._lvm.activate(name)
                return fact
        return None

    # ----------------------------------------------------------------------------------------------------- revert

    def revert(
        self,
        volume: base.VolumeRef,
        snapshot: base.SnapshotRef,
        progress: base.Progress = base.no_progress,
    ) -> base.VolumeFact:
        name = base.volume_name(volume.id)
        with self._claimed(name), _translated():
            self._get_volume(volume.id)
            found = {item.name: item for item in self._lvm.logical_volumes()}
            target = found.get(snapshot_name(snapshot.id))
            fact = self._snapshot_fact(target) if target else None
            if target is None or fact is None or fact.volume_id != volume.id:
                raise base.NotFound(f"{snapshot_name(snapshot.id)} is not there")
            if not fact.valid:
                raise base.Invalidated(f"{target.name} overflowed: its content is lost")
            if name not in found:
                raise base.Unavailable(f"{name} moved while it was looked at")
            if found[name].open:
                raise base.Busy(f"{name} is in use")
            if self._settings.thin:
                self._swap(volume.id, target, found)
            else:
                cuts = self._snapshots_of(found.values(), volume.id)
                self._copy_back(found[name], target, cuts, progress)
        return self._get_volume(volume.id)

    def _swap(
        self,
        volume_id: str,
        target: lvm.LogicalVolume,
        found: Mapping[str, lvm.LogicalVolume],
    ) -> None:
        name, new, old = (p + volume_id for p in ("volume-", "_revert-", "_old-"))
        with self._serial():
            if leftovers := [part for part in (new, old) if part in found]:
                self._lvm.remove(*leftovers)
            # Snapshots that others made know their volume by LVM's origin only, which goes with `old`.
            bare = [
                item.name for item in self._snapshots_of(found.values(), volume_id) if _TAG + volume_id not in item.tags
            ]
            if bare:
                self._lvm.add_tags(_TAG + volume_id, *bare)
            self._lvm.create_thin_snapshot(target.name, new)
            if target.size_bytes < found[name].size_bytes:
                self._lvm.extend(new, found[name].size_bytes)
            self._lvm.rename(name, old)
            self._lvm.rename(new, name)
            self._lvm.remove(old)

    def _copy_back(
        self,
        volume: lvm.LogicalVolume,
        target: lvm.LogicalVolume,
        cuts: Sequence[lvm.LogicalVolume],
        progress: base.Progress,
    ) -> None:
        windows = list(self._changed_windows(volume, target))
        total = sum(length for _, length in windows) or 1
        done = 0
        with (
            blockdev.opened(self._path(volume.name), os.O_RDWR) as live,
            blockdev.opened(self._path(target.name)) as kept,
        ):
            for offset, length in windows:
                self._make_cow_room(cuts, length)
                inside = max(0, min(length, target.size_bytes - offset))
                wanted = blockdev.read_exactly(kept, offset, inside) if inside else b""
                wanted += bytes(length - inside)
                present = blockdev.read_exactly(live, offset, length)
                for place, data in blockdev.differing(wanted, present):
                    os.pwrite(live, data, offset + place)
                # Before the next look at the COW areas: what is in the page cache has not filled them yet.
                os.fdatasync(live)
                done += length
                progress(done / total)
        if not self._cut_is_valid(target.name):
            raise base.Invalidated(f"{target.name} overflowed during the revert")

    def _changed_windows(self, volume: lvm.LogicalVolume, target: lvm.LogicalVolume) -> Iterator[tuple[int, int]]:
        """Where the volume may differ from the snapshot, and all that is behind the snapshot's end."""
        try:
            yield from blockdev.runs(*self._cow_chunks(target.name), target.size_bytes)
        except blockdev.BadCow as err:
            LOG.warning("comparing all of %s: %s", volume.name, err)
            yield from _steps(0, target.size_bytes)
        yield from _steps(target.size_bytes, volume.size_bytes)

    def _cow_chunks(self, name: str) -> tuple[int, Any]:
        return blockdev.cow_chunks(f"/dev/mapper/{devmapper.lvm_device_name(self._vg, name)}-cow")

    # ------------------------------------------------------------------------------------------------------- data

    def connect(
        self,
        volume: base.VolumeRef,
        connector: Mapping[str, Any],
        *,
        read_only: bool = False,
    ) -> base.Connection:
        self._get_volume(volume.id)
        path = self._path(base.volume_name(volume.id))
        mode = "ro" if read_only else "rw"
        return base.Connection("local", {"device_path": path, "access_mode": mode})

    def disconnect(self, volume: base.VolumeRef, connector: Mapping[str, Any]) -> None:
        pass  # a local device needs nothing undone

    @contextlib.contextmanager
    def open_snapshot(self, snapshot: base.SnapshotRef) -> Iterator[base.SnapshotReader]:
        fact = self._get_snapshot(snapshot)
        name = snapshot_name(snapshot.id)
        try:
            descriptor = os.open(self._path(name), os.O_RDONLY | os.O_CLOEXEC)
        except OSError as err:
            raise base.Unavailable(f"{name} cannot be opened: {err}") from err
        try:
            yield _Reader(self, name, descriptor, fact.size_bytes)
        finally:
            os.close(descriptor)

    def diff(self, older: base.SnapshotRef, newer: base.SnapshotRef) -> Iterable[base.Extent]:
        """Thick: the exceptions of ``older`` are the chunks that changed since its cut, those after ``newer`` too."""
        if self._settings.thin:
            raise base.Unsupported("the thin layout does not tell differences")
        old, new = self._get_snapshot(older), self._get_snapshot(newer)
        with _translated():
            try:
                chunk, numbers = self._cow_chunks(snapshot_name(older.id))
                end = min(old.size_bytes, new.size_bytes)
                windows = list(blockdev.runs(chunk, numbers, end))
            except blockdev.BadCow:
                windows = list(_steps(0, min(old.size_bytes, new.size_bytes)))
        windows += _steps(old.size_bytes, new.size_bytes)
        return [base.Extent(offset, length) for offset, length in windows]

    # ----------------------------------------------------------------------------------------------- housekeeping

    def inventory(self) -> Iterable[base.StorageObject]:
        with _translated():
            return [_storage_object(item) for item in self._lvm.logical_volumes()]

    def discard(self, found: base.StorageObject) -> None:
        if not (match := _OURS.fullmatch(found.name)):
            raise base.Unsupported(f"{found.name} is not ours")
        prefix, object_id = match.groups()
        if prefix == "volume-":
            self.delete_volume(base.VolumeRef(object_id, found.size_bytes))
            return
        with self._serial(), _translated():
            present = self._lvm.logical_volumes()
            if any(item.origin == found.name and not self._settings.thin for item in present):
                raise base.Busy(f"{found.name} has snapshots")
            if prefix == "_old-":
                self._settle(object_id)  # it may be the only copy of the volume
                present = self._lvm.logical_volumes([found.name])
            if any(item.name == found.name for item in present):
                self._lvm.remove(found.name)

    def adopt_volume(self, name: str, volume: base.VolumeRef) -> base.VolumeFact:
        target = base.volume_name(volume.id)
        with self._serial(), _translated():
            item = self._adoptable(name, target)
            if item.kind not in (lvm.LvKind.PLAIN, lvm.LvKind.ORIGIN, lvm.LvKind.THIN):
                raise base.NotFound(f"{name} is a {item.kind.value}, not a volume")
            if item.name != target:
                self._lvm.rename(name, target)
            self._lvm.activate(target)
        return self._get_volume(volume.id)

    def adopt_snapshot(self, name: str, snapshot: base.SnapshotRef) -> base.SnapshotFact:
        target = snapshot_name(snapshot.id)
        with self._serial(), _translated():
            item = self._adoptable(name, target)
            tag = _TAG + snapshot.volume.id
            if item.origin != base.volume_name(snapshot.volume.id) and tag not in item.tags:
                raise base.NotFound(f"{name} is no snapshot of volume {snapshot.volume.id}")
            if tag not in item.tags:
                self._lvm.add_tags(tag, item.name)
            if item.name != target:
                self._lvm.rename(name, target)
            self._lvm.activate(target)
        return self._get_snapshot(snapshot)

    def _adoptable(self, name: str, target: str) -> lvm.LogicalVolume:
        wanted = [name, target] if lvm.is_name(name) else [target]
        found = {item.name: item for item in self._lvm.logical_volumes(wanted)}
        if len(found) == 2:
            raise base.AlreadyExists(f"{target} is there already")
        if not found or not lvm.is_name(name):
            raise base.NotFound(f"{self._vg} has no {name!r}")
        return found.popitem()[1]

    # ---------------------------------------------------------------------------------------------------- helpers

    @contextlib.contextmanager
    def _serial(self) -> Iterator[None]:
        """One LVM command of ours at a time on the group."""
        if not self._lock.acquire(timeout=self._settings.lvm_deadline_s):
            raise base.Unavailable(f"LVM is busy with {self._vg}")
        try:
            yield
        finally:
            self._lock.release()

    @contextlib.contextmanager
    def _claimed(self, name: str) -> Iterator[None]:
        """Long work on one object, which does not hold the group's lock, is done by one caller at a time."""
        end = time.monotonic() + self._settings.lvm_deadline_s / 2
        while True:
            with self._busy_lock:
                if name not in self._busy:
                    self._busy.add(name)
                    break
            if time.monotonic() > end:
                raise base.Unavailable(f"{name} is being worked on")
            time.sleep(0.02)
        try:
            yield
        finally:
            with self._busy_lock:
                self._busy.discard(name)

    def _made(self, volume: base.VolumeRef, make: Callable[[], None]) -> base.VolumeFact:
        """Find, else make, else find what took the name in between; the fact is read back."""
        name = base.volume_name(volume.id)
        with _translated():
            if self._device(name) is None:
                making = f"_making-{volume.id}"
                if self._device(making):  # an interrupted call left it; asking costs no command
                    with self._serial():
                        self._lvm.remove(making)
                with contextlib.suppress(base.AlreadyExists), _translated():
                    make()
        fact = self._get_volume(volume.id)
        if fact.size_bytes != self._rounded(volume.size_bytes):
            raise base.AlreadyExists(f"{name} is there and has {fact.size_bytes} bytes")
        return fact

    @contextlib.contextmanager
    def _made_aside(self, making: str, name: str) -> Iterator[None]:
        """Inside, ``making`` is filled; then it gets its name. Whatever goes wrong, it is removed."""
        try:
            yield
            with self._serial():
                self._lvm.rename(making, name)
        except BaseException:
            try:
                with self._serial(), contextlib.suppress(base.NotFound), _translated():
                    self._lvm.remove(making)
            except base.DriverError as err:
                LOG.warning("%s is left behind: %s", making, err)
            raise

    def _replace(self, name: str, create: Callable[[], None]) -> None:
        """Create a temporary object; one of that name is a leftover of an interrupted call."""
        with self._serial():
            try:
                create()
            except run.CommandError as err:
                if lvm.reason(err) is not lvm.Reason.EXISTS:
                    raise
                self._lvm.remove(name)
                create()

    def _get_volume(self, volume_id: str) -> base.VolumeFact:
        if fact := self.find_volume(volume_id):
            return fact
        raise base.NotFound(f"{base.volume_name(volume_id)} is not there")

    def _get_snapshot(self, snapshot: base.SnapshotRef) -> base.SnapshotFact:
        fact = self.find_snapshot(snapshot)
        if fact is None:
            raise base.NotFound(f"{snapshot_name(snapshot.id)} is not there")
        if not fact.valid:
            raise base.Invalidated(f"{snapshot_name(snapshot.id)} overflowed: its content is lost")
        return fact

    def _path(self, name: str) -> str:
        return f"/dev/{self._vg}/{name}"

    def _device(self, name: str) -> devmapper.Device | None:
        return devmapper.find(devmapper.lvm_device_name(self._vg, name))

    def _rounded(self, size_bytes: int) -> int:
        return -(-size_bytes // self._extent_bytes) * self._extent_bytes

    def _snapshot_fact(self, item: lvm.LogicalVolume) -> base.SnapshotFact | None:
        """None: the name is not a snapshot's, or the object is not a whole snapshot."""
        found = _storage_object(item)
        if found.snapshot_id is None or found.volume_id is None or found.leftover:
            return None
        used = int(item.cow_bytes * item.fill_percent / 100) if item.cow_bytes else None
        return base.SnapshotFact(found.snapshot_id, found.volume_id, item.size_bytes, item.valid, used)

    def _snapshots_of(self, found: Iterable[lvm.LogicalVolume], volume_id: str) -> list[lvm.LogicalVolume]:
        """Thick: everything that LVM would remove with its origin. Thin: what is a snapshot by name or tag."""
        name = base.volume_name(volume_id)
        return [
            item
            for item in found
            if _TAG + volume_id in item.tags or (item.origin == name and (not self._settings.thin or _is_cut(item)))
        ]

    def _cut_is_valid(self, name: str) -> bool:
        device = self._device(name)
        if device is None:
            return False
        return device.kind != "snapshot" or devmapper.cow_fill(device).valid

    # ----------------------------------------------------------------------------------------------------- guards

    def _cow_bytes(self, origin_bytes: int) -> int:
        share = origin_bytes * self._settings.lvm_cow_percent // 100
        wanted = max(share, self._settings.lvm_cow_min_mib * units.MIB)
        return self._rounded(min(wanted, blockdev.cow_full_bytes(origin_bytes)))

    def _extend_cow(self, name: str, origin_bytes: int, cow_bytes: int, wanted: int) -> None:
        size = self._rounded(min(wanted, blockdev.cow_full_bytes(origin_bytes)))
        if size > cow_bytes:
            with self._serial(), _translated():
                self._lvm.extend(name, size)

    def _make_cow_room(self, cuts: Sequence[lvm.LogicalVolume], length: int) -> None:
        """Before ``length`` bytes of the volume are overwritten: no snapshot of it may overflow by that."""
        for cut in cuts:
            device = self._device(cut.name)
            if device is None or device.kind != "snapshot":
                continue
            fill = devmapper.cow_fill(device)
            need = fill.used_bytes + length + length // 128 + _COW_SLACK
            if fill.valid and fill.total_bytes < need:
                wanted = max(need, fill.total_bytes * 2)
                self._extend_cow(cut.name, device.size_bytes, fill.total_bytes, wanted)

    def _pool_device(self) -> devmapper.Device:
        device = self._find_pool()
        if device is None:
            with self._serial():
                self._lvm.activate(self._settings.pool)
            device = self._find_pool()
        if device is None:
            raise base.Unavailable(f"lvm_thin_pool: {self._vg}/{self._settings.pool} is not active")
        return device

    def _find_pool(self) -> devmapper.Device | None:
        """LVM calls it ``-tpool`` once the pool has a volume, and by the plain name before."""
        for suffix in ("-tpool", ""):
            name = devmapper.lvm_device_name(self._vg, self._settings.pool) + suffix
            device = devmapper.find(name)
            if device and device.kind == "thin-pool":
                return device
        return None

    def _refuse_when_full(self, more_bytes: int) -> None:
        pool = self._pool_device()
        fill = devmapper.pool_fill(pool)
        limit = self._settings.lvm_refuse_percent
        if not fill.writable or max(fill.data_percent, fill.metadata_percent) >= limit:
            raise base.NoSpace(
                f"thin pool {self._settings.pool}: data {fill.data_percent:.0f} %, metadata "
                f"{fill.metadata_percent:.0f} % in use, nothing new from {limit} %"
            )
        promise = pool.size_bytes * self._settings.lvm_max_over_subscription_ratio
        if more_bytes and self._provisioned_bytes + more_bytes > promise:
            raise base.NoSpace(
                f"thin pool {self._settings.pool} has promised {self._provisioned_bytes} bytes, "
                "more than lvm_max_over_subscription_ratio allows"
            )

    def _warn_of_fill(self) -> None:
        fill = devmapper.pool_fill(self._pool_device())
        if max(fill.data_percent, fill.metadata_percent) >= self._settings.lvm_warn_percent:
            LOG.warning(
                "thin pool %s: data %.0f %%, metadata %.0f %% in use",
                self._settings.pool, fill.data_percent, fill.metadata_percent,
            )  # fmt: skip


class _Reader(base.SnapshotReader):
    """Reads the snapshot's device. An I/O error of an overflowed snapshot is said as such."""

    def __init__(self, driver: LvmDriver, name: str, descriptor: int, size_bytes: int) -> None:
        self.size_bytes = size_bytes
        self._driver = driver
        self._name = name
        self._descriptor = descriptor

    def read(self, offset: int, length: int) -> bytes:
        length = max(0, min(length, self.size_bytes - offset))
        try:
            data = blockdev.read_exactly(self._descriptor, offset, length) if length else b""
        except OSError as err:
            if not self._driver._cut_is_valid(self._name):
                raise base.Invalidated(f"{self._name} overflowed: its content is lost") from err
            raise base.Unavailable(f"{self._name} cannot be read: {err}") from err
        return data

    def extents(self) -> Iterator[base.Extent]:
        yield base.Extent(0, self.size_bytes)


def _is_cut(item: lvm.LogicalVolume) -> bool:
    """A snapshot, not a thin volume that was made from one."""
    if item.kind is lvm.LvKind.THICK_SNAPSHOT:
        return True
    if not (match := _OURS.fullmatch(item.name)):
        return item.origin is not None
    return match[1] == "_snapshot-"


def _storage_object(item: lvm.LogicalVolume) -> base.StorageObject:
    match = _OURS.fullmatch(item.name)
    prefix, object_id = match.groups() if match else ("", None)
    is_cut = _is_cut(item)
    volume_id, snapshot_id = object_id, None
    if is_cut and prefix != "_clone-":
        of = [tag.removeprefix(_TAG) for tag in item.tags if tag.startswith(_TAG)]
        if not of and item.origin and (origin := _OURS.fullmatch(item.origin)):
            of = [origin[2]]
        snapshot_id = object_id
        volume_id = of[0] if of else None
    origin_name = item.origin
    if snapshot_id and volume_id:
        origin_name = base.volume_name(volume_id)  # LVM forgets it after a thin revert
    half_cut = prefix == "_snapshot-" and (
        volume_id is None or (item.kind is not lvm.LvKind.THIN and item.origin is None)
    )
    return base.StorageObject(
        name=item.name,
        size_bytes=item.size_bytes,
        is_snapshot=is_cut,
        volume_id=volume_id if match else None,
        snapshot_id=snapshot_id,
        origin=origin_name,
        valid=item.valid,
        leftover=half_cut or prefix in ("_making-", "_clone-", "_revert-", "_old-"),
    )


def _steps(begin: int, end: int) -> Iterator[tuple[int, int]]:
    for offset in range(begin, end, blockdev.STEP):
        yield offset, min(blockdev.STEP, end - offset)
