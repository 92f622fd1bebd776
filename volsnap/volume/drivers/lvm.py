"""Volumes and snapshots in an LVM volume group, plain ("thick") or in a thin pool.

This is the driver as the contract wants it: lookups, checks and errors. What differs between the two layouts is in
``lvm_thick.py`` and ``lvm_thin.py``; the group they work on, and the invariant that **an object under its final name is
whole**, in ``lvm_group.py``; the names in ``lvm_names.py``.

**Commands.** A snapshot is one ``lvcreate``: fill of the pool before, and size and state after, are asked from the
kernel (``lowlevel/devmapper.py``), which costs microseconds. Reports are read only where something is unclear.
"""

import contextlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from volsnap.lowlevel import blockdev, lvm
from volsnap.volume.drivers import base, lvm_group, lvm_names, lvm_thick, lvm_thin

LvmSettings = lvm_group.LvmSettings

_VOLUMES = (lvm.LvKind.PLAIN, lvm.LvKind.ORIGIN, lvm.LvKind.THIN)


class Layout(Protocol):
    """The steps that differ. The driver has looked for what is there; errors may be those of the level below."""

    capabilities: base.Capabilities

    def is_ready(self, found: Mapping[str, lvm.LogicalVolume]) -> bool:
        """What the layout needs for itself is there."""

    def prepare(self, found: Mapping[str, lvm.LogicalVolume]) -> None:
        """Make what the layout needs for itself; the caller holds the turn."""

    def stats(self) -> base.Stats:
        """Capacity now."""

    def care(self, found: Sequence[lvm.LogicalVolume]) -> None:
        """Guard what fills up."""

    def create_blank(self, volume: base.VolumeRef) -> None:
        """A volume of zeros."""

    def extend(self, volume_id: str, size: int) -> None:
        """Grow a volume that is there to at least ``size``, whole extents; the new part reads as zeros."""

    def clone(self, source: base.VolumeFact, volume: base.VolumeRef, progress: base.Progress) -> None:
        """A volume with the bytes of another."""

    def copy(self, cut: str, cut_bytes: int, volume: base.VolumeRef, progress: base.Progress) -> None:
        """A volume with the bytes of a snapshot."""

    def cut(self, snapshot: base.SnapshotRef) -> None:
        """A snapshot, or NoSpace."""

    def revert(
        self,
        volume_id: str,
        target: lvm.LogicalVolume,
        found: Mapping[str, lvm.LogicalVolume],
        progress: base.Progress,
    ) -> None:
        """The bytes of ``target``, a valid snapshot of the volume, again; ``found``: the whole group by name."""

    def diff(self, old: base.SnapshotFact, new: base.SnapshotFact) -> list[base.Extent]:
        """The contract's ``diff`` of two snapshots that are there."""


class LvmDriver(base.Driver):
    """See the module."""

    def __init__(self, settings: lvm_group.LvmSettings) -> None:
        self._thin = settings.thin
        self._group = lvm_group.Group(settings)
        self._lvm = self._group.lvm
        self._layout: Layout = lvm_thin.Thin(self._group) if settings.thin else lvm_thick.Thick(self._group)
        self.capabilities = self._layout.capabilities

    # ------------------------------------------------------------------------------------------------ the backend

    def check(self) -> None:
        with lvm_group.translated():
            self._group.learn_extent()
            found = self._by_name()
            if self._layout.is_ready(found) and not _inactive(found):
                return
            with self._group.serial():
                # Looked at again in our turn: an extend takes its volume down for a moment.
                found = self._by_name()
                self._layout.prepare(found)
                if inactive := _inactive(found):
                    self._lvm.activate(*inactive)

    def _by_name(self) -> dict[str, lvm.LogicalVolume]:
        return {item.name: item for item in self._lvm.logical_volumes()}

    def stats(self) -> base.Stats:
        with lvm_group.translated():
            return self._layout.stats()

    def maintain(self) -> list[base.SnapshotFact]:
        with lvm_group.translated():
            found = self._lvm.logical_volumes()
            self._layout.care(found)
        lost = [lvm_names.snapshot_fact(item) for item in found if not item.valid]
        return [fact for fact in lost if fact is not None]

    def close(self) -> None:
        pass  # there is no connection

    # ---------------------------------------------------------------------------------------------------- volumes

    def create_volume(self, volume: base.VolumeRef) -> base.VolumeFact:
        return self._group.made(volume, lambda: self._layout.create_blank(volume))

    def delete_volume(self, volume: base.VolumeRef) -> None:
        name = lvm_names.volume_name(volume.id)
        with self._group.claimed(name), self._group.serial(), lvm_group.translated():
            found = self._lvm.logical_volumes()
            if cuts := lvm_names.snapshots_of(found, volume.id, thin=self._thin):
                raise base.Busy(f"{name} has {len(cuts)} snapshots")
            present = {item.name for item in found}
            if doomed := [part for part in lvm_names.parts_of_volume(volume.id) if part in present]:
                self._lvm.remove(*doomed)

    def extend_volume(self, volume: base.VolumeRef, new_size_bytes: int) -> base.VolumeFact:
        with self._group.claimed(lvm_names.volume_name(volume.id)), lvm_group.translated():
            self._group.get_volume(volume.id)
            self._layout.extend(volume.id, self._group.rounded(new_size_bytes))
        return self._group.get_volume(volume.id)

    def clone_volume(
        self,
        source: base.VolumeRef,
        volume: base.VolumeRef,
        progress: base.Progress = base.no_progress,
    ) -> base.VolumeFact:
        def make() -> None:
            self._layout.clone(self._group.get_volume(source.id), volume, progress)

        return self._group.made(volume, make)

    def create_volume_from_snapshot(
        self,
        snapshot: base.SnapshotRef,
        volume: base.VolumeRef,
        progress: base.Progress = base.no_progress,
    ) -> base.VolumeFact:
        def make() -> None:
            fact = self._group.get_snapshot(snapshot)
            self._layout.copy(lvm_names.snapshot_name(snapshot.id), fact.size_bytes, volume, progress)

        return self._group.made(volume, make)

    def find_volume(self, volume_id: str) -> base.VolumeFact | None:
        return self._group.find_volume(volume_id)

    # -------------------------------------------------------------------------------------------------- snapshots

    def create_snapshot(self, snapshot: base.SnapshotRef) -> base.SnapshotFact:
        for attempt in range(3):
            try:
                return self._cut(snapshot)
            except base.AlreadyExists:
                if fact := self._existing_cut(snapshot):
                    return fact
            except base.NotFound:
                # The volume was missed: proven by this, unless a revert left it under another name.
                if attempt or self.find_volume(snapshot.volume.id) is None:
                    raise
        raise base.Failed(f"{lvm_names.snapshot_name(snapshot.id)} comes and goes")

    def _cut(self, snapshot: base.SnapshotRef) -> base.SnapshotFact:
        name = lvm_names.snapshot_name(snapshot.id)
        with lvm_group.translated():
            if self._group.device(name):
                raise base.AlreadyExists(name)
            self._layout.cut(snapshot)
            device = self._group.device(name)
        if device is None or device.kind not in ("snapshot", "thin"):
            raise base.Failed(f"{name} was made but is not there: {device}")
        return base.SnapshotFact(snapshot.id, snapshot.volume.id, device.size_bytes)

    def _existing_cut(self, snapshot: base.SnapshotRef) -> base.SnapshotFact | None:
        """What has the name: ours and whole: its fact; half made: it is removed, None; else AlreadyExists."""
        name = lvm_names.snapshot_name(snapshot.id)
        with self._group.serial(), lvm_group.translated():
            for item in self._lvm.logical_volumes([name]):
                fact = lvm_names.snapshot_fact(item)
                if fact is None:
                    self._lvm.remove(name)
                    return None
                same = fact.volume_id == snapshot.volume.id
                if not same or fact.size_bytes != self._group.rounded(snapshot.size_bytes):
                    raise base.AlreadyExists(f"{name} is there: {fact.size_bytes} bytes of volume {fact.volume_id}")
                if not item.active:
                    self._lvm.activate(name)
                return fact
        return None

    def delete_snapshot(self, snapshot: base.SnapshotRef) -> None:
        with self._group.serial(), contextlib.suppress(base.NotFound), lvm_group.translated():
            self._lvm.remove(lvm_names.snapshot_name(snapshot.id))

    def create_group_snapshot(self, snapshots: Sequence[base.SnapshotRef]) -> list[base.SnapshotFact]:
        # LVM resumes each origin when its own snapshot is made, also one that was suspended before.
        raise base.Unsupported("LVM cannot cut several volumes at one instant")

    def find_snapshot(self, snapshot: base.SnapshotRef) -> base.SnapshotFact | None:
        return self._group.find_snapshot(snapshot)

    def revert(
        self,
        volume: base.VolumeRef,
        snapshot: base.SnapshotRef,
        progress: base.Progress = base.no_progress,
    ) -> base.VolumeFact:
        name = lvm_names.volume_name(volume.id)
        with self._group.claimed(name), lvm_group.translated():
            self._group.get_volume(volume.id)
            found = self._by_name()
            target = _revert_target(found, volume.id, snapshot.id)
            if name not in found:
                raise base.Unavailable(f"{name} moved while it was looked at")
            if found[name].open:
                raise base.Busy(f"{name} is in use")
            self._layout.revert(volume.id, target, found, progress)
        return self._group.get_volume(volume.id)

    # ------------------------------------------------------------------------------------------------------- data

    def connect(
        self,
        volume: base.VolumeRef,
        connector: Mapping[str, object],
        *,
        read_only: bool = False,
    ) -> base.Connection:
        self._group.get_volume(volume.id)
        path = f"/dev/{self._group.vg}/{lvm_names.volume_name(volume.id)}"  # as an administrator knows it
        mode = "ro" if read_only else "rw"
        return base.Connection("local", {"device_path": path, "access_mode": mode})

    def disconnect(self, volume: base.VolumeRef, connector: Mapping[str, object]) -> None:
        pass  # a local device needs nothing undone

    @contextlib.contextmanager
    def open_snapshot(self, snapshot: base.SnapshotRef) -> Iterator[base.SnapshotReader]:
        fact = self._group.get_snapshot(snapshot)
        name = lvm_names.snapshot_name(snapshot.id)
        try:
            descriptor = os.open(self._group.path(name), os.O_RDONLY | os.O_CLOEXEC)
        except OSError as err:
            raise base.Unavailable(f"{name} cannot be opened: {err}") from err
        try:
            yield _Reader(self._group, name, descriptor, fact.size_bytes)
        finally:
            os.close(descriptor)

    def diff(self, older: base.SnapshotRef, newer: base.SnapshotRef) -> Iterable[base.Extent]:
        old, new = self._group.get_snapshot(older), self._group.get_snapshot(newer)
        with lvm_group.translated():
            return self._layout.diff(old, new)

    # ----------------------------------------------------------------------------------------------- housekeeping

    def inventory(self) -> Iterable[base.StorageObject]:
        with lvm_group.translated():
            return [lvm_names.storage_object(item) for item in self._lvm.logical_volumes()]

    def discard(self, found: base.StorageObject) -> None:
        if not (match := lvm_names.OURS.fullmatch(found.name)):
            raise base.Unsupported(f"{found.name} is not ours")
        prefix, object_id = match.groups()
        if prefix == "volume-":
            self.delete_volume(base.VolumeRef(object_id, found.size_bytes))
            return
        # Claimed: what a copy or a revert works on right now is no leftover.
        claim = lvm_names.volume_name(object_id)
        with self._group.claimed(claim), self._group.serial(), lvm_group.translated():
            present = self._lvm.logical_volumes()
            if any(item.origin == found.name and not self._thin for item in present):
                raise base.Busy(f"{found.name} has snapshots")
            if prefix == "_old-":
                self._group.settle(object_id)  # it may be the only copy of the volume
                present = self._lvm.logical_volumes([found.name])
            if any(item.name == found.name for item in present):
                self._lvm.remove(found.name)

    def adopt_volume(self, name: str, volume: base.VolumeRef) -> base.VolumeFact:
        target = lvm_names.volume_name(volume.id)
        with self._group.serial(), lvm_group.translated():
            item = self._adoptable(name, target)
            if item.kind not in _VOLUMES:
                raise base.NotFound(f"{name} is a {item.kind.value}, not a volume")
            if item.name != target:
                self._lvm.rename(name, target)
            self._lvm.activate(target)
        return self._group.get_volume(volume.id)

    def adopt_snapshot(self, name: str, snapshot: base.SnapshotRef) -> base.SnapshotFact:
        target, tag = lvm_names.snapshot_name(snapshot.id), lvm_names.of_tag(snapshot.volume.id)
        with self._group.serial(), lvm_group.translated():
            item = self._adoptable(name, target)
            if item.origin != lvm_names.volume_name(snapshot.volume.id) and tag not in item.tags:
                raise base.NotFound(f"{name} is no snapshot of volume {snapshot.volume.id}")
            if tag not in item.tags:
                self._lvm.add_tags(tag, item.name)
            if item.name != target:
                self._lvm.rename(name, target)
            self._lvm.activate(target)
        return self._group.get_snapshot(snapshot)

    def _adoptable(self, name: str, target: str) -> lvm.LogicalVolume:
        wanted = [name, target] if lvm.is_name(name) else [target]
        found = {item.name: item for item in self._lvm.logical_volumes(wanted)}
        if len(found) == 2:
            raise base.AlreadyExists(f"{target} is there already")
        if not found or not lvm.is_name(name):
            raise base.NotFound(f"{self._group.vg} has no {name!r}")
        return found.popitem()[1]


def _inactive(found: Mapping[str, lvm.LogicalVolume]) -> list[str]:
    """Objects of ours without a device, as after a reboot."""
    return [name for name, item in found.items() if not item.active and lvm_names.OURS.fullmatch(name)]


def _revert_target(found: Mapping[str, lvm.LogicalVolume], volume_id: str, snapshot_id: str) -> lvm.LogicalVolume:
    """The snapshot, whole, valid and of that volume."""
    name = lvm_names.snapshot_name(snapshot_id)
    target = found.get(name)
    fact = lvm_names.snapshot_fact(target) if target else None
    if target is None or fact is None or fact.volume_id != volume_id:
        raise base.NotFound(f"{name} is not there")
    if not fact.valid:
        raise base.Invalidated(f"{name} overflowed: its content is lost")
    return target


class _Reader(base.SnapshotReader):
    """Reads the snapshot's device. An I/O error of an overflowed snapshot is said as such."""

    def __init__(self, group: lvm_group.Group, name: str, descriptor: int, size_bytes: int) -> None:
        self.size_bytes = size_bytes
        self._group = group
        self._name = name
        self._descriptor = descriptor

    def read(self, offset: int, length: int) -> bytes:
        length = max(0, min(length, self.size_bytes - offset))
        try:
            return blockdev.read_exactly(self._descriptor, offset, length) if length else b""
        except OSError as err:
            if not self._group.cut_is_valid(self._name):
                raise base.Invalidated(f"{self._name} overflowed: its content is lost") from err
            raise base.Unavailable(f"{self._name} cannot be read: {err}") from err

    def extents(self) -> Iterator[base.Extent]:
        yield base.Extent(0, self.size_bytes)
