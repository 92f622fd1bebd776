"""The thick layout: plain volumes; a snapshot has a COW area of a size, which is watched and extended.

One invariant: no byte of a snapshot is shown that was read while its COW area may have overflowed.

**Zeros.** A volume is zeroed before it gets its name (BLKZEROOUT; LVM itself clears 4 KiB), since free extents hold
what others deleted. Zeroing at delete would not cover what was deleted by others or before a crash.

**Revert** copies back. ``lvconvert --merge`` destroys the snapshot, and a crash before it is cut again loses it.
The snapshot's exception list (``blockdev.cow_chunks``) names what changed since the cut; those blocks that differ are
written to the volume through its origin device, so every other snapshot keeps its bytes by copy on write, and the one
reverted to needs no space at all. Writing the same bytes again is harmless: after a crash the call is repeated.
"""

import array
import contextlib
import logging
import os
from collections.abc import Iterator, Mapping, Sequence

from volsnap import units
from volsnap.lowlevel import blockdev, devmapper, lvm
from volsnap.volume.drivers import base, lvm_group, lvm_names

LOG = logging.getLogger(__name__)

_ZERO_TAG = "volsnap.zero_from."
#: A COW area must have that much room beyond what a copying revert is about to write.
_COW_SLACK = 2 * units.MIB


class Thick:
    """See the module."""

    capabilities = base.Capabilities(
        protocol="lvm",
        thin=False,
        clone_copies=True,
        revert_copies=True,
        create_copies=True,
        diff=True,
        group_snapshot=False,
        shared=False,
        snapshots_per_volume=64,
    )

    def __init__(self, group: lvm_group.Group) -> None:
        self._group = group
        self._lvm = group.lvm

    def is_ready(self, found: Mapping[str, lvm.LogicalVolume]) -> bool:
        """Plain volumes need nothing."""
        return True

    def prepare(self, found: Mapping[str, lvm.LogicalVolume]) -> None:
        """Plain volumes need nothing."""

    def stats(self) -> base.Stats:
        """Capacity of the group."""
        group = self._lvm.volume_group()
        return base.Stats(group.size_bytes, group.free_bytes, group.size_bytes - group.free_bytes)

    def care(self, found: Sequence[lvm.LogicalVolume]) -> None:
        """Double the COW areas that fill up; one that cannot grow does not keep the others from it."""
        limit = self._group.settings.lvm_cow_extend_percent
        for cut in found:
            if cut.kind is not lvm.LvKind.THICK_SNAPSHOT or not cut.valid or cut.fill_percent < limit:
                continue
            try:
                self._extend_cow(cut.name, cut.size_bytes, cut.cow_bytes, cut.cow_bytes * 2)
            except base.DriverError as err:
                LOG.error("the COW area of %s is %.0f %% full and cannot grow: %s", cut.name, cut.fill_percent, err)

    # volumes

    def create_blank(self, volume: base.VolumeRef) -> None:
        """Zeroed aside, then named."""
        size = self._group.rounded(volume.size_bytes)
        with self._group.made_aside(volume, lambda making: self._lvm.create_volume(making, size)) as making:
            blockdev.zero(self._group.path(making), 0, size, base.no_progress)

    def extend(self, volume_id: str, size: int) -> None:
        """The tag says what is not yet zeroed, so that a crash after the lvextend shows nobody's old bytes."""
        name = lvm_names.volume_name(volume_id)
        (item,) = self._lvm.logical_volumes([name])
        pending = [tag for tag in item.tags if tag.startswith(_ZERO_TAG)]
        if not pending and item.size_bytes >= size:
            return
        if not pending:
            pending = [f"{_ZERO_TAG}{item.size_bytes}"]
            with self._group.serial():
                self._lvm.add_tags(pending[0], name)
        if item.size_bytes < size:
            with self._group.serial(), self._inactive(item):
                self._lvm.extend(name, size)
        start = int(pending[0].removeprefix(_ZERO_TAG))
        blockdev.zero(self._group.path(name), start, max(size, item.size_bytes) - start, base.no_progress)
        with self._group.serial():
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

    def clone(self, source: base.VolumeFact, volume: base.VolumeRef, progress: base.Progress) -> None:
        """Copied from a temporary snapshot, so that it shows one instant."""
        cut, cow = f"_clone-{volume.id}", self._cow_bytes(source.size_bytes)
        origin = lvm_names.volume_name(source.id)
        self._group.replace(cut, lambda name: self._lvm.create_thick_snapshot(origin, name, cow))
        try:
            self.copy(cut, source.size_bytes, volume, progress)
        finally:
            with self._group.serial():
                self._lvm.remove(cut)

    def copy(self, cut: str, cut_bytes: int, volume: base.VolumeRef, progress: base.Progress) -> None:
        """Copy a snapshot; it has to be valid *after* the copy, or zeros may have been read for its bytes."""
        size, path = self._group.rounded(volume.size_bytes), self._group.path
        with self._group.made_aside(volume, lambda making: self._lvm.create_volume(making, size)) as making:
            try:
                blockdev.copy(path(cut), path(making), cut_bytes, size, progress)
            except OSError as err:
                if not self._group.cut_is_valid(cut):
                    raise base.Invalidated(f"{cut} overflowed while it was copied") from err
                raise
            if not self._group.cut_is_valid(cut):
                raise base.Invalidated(f"{cut} overflowed while it was copied")

    # snapshots

    def cut(self, snapshot: base.SnapshotRef) -> None:
        """One command."""
        origin = lvm_names.volume_name(snapshot.volume.id)
        device = self._group.device(origin)
        cow = self._cow_bytes(device.size_bytes if device else snapshot.size_bytes)
        tags = [lvm_names.of_tag(snapshot.volume.id)]
        with self._group.serial():
            self._lvm.create_thick_snapshot(origin, lvm_names.snapshot_name(snapshot.id), cow, tags)

    def revert(
        self,
        volume_id: str,
        target: lvm.LogicalVolume,
        found: Mapping[str, lvm.LogicalVolume],
        progress: base.Progress,
    ) -> None:
        """Write back what changed since the cut."""
        volume = found[lvm_names.volume_name(volume_id)]
        cuts = lvm_names.snapshots_of(found.values(), volume_id, thin=False)
        windows = list(self._changed_windows(volume, target))
        total, done = sum(length for _, length in windows) or 1, 0
        with (
            blockdev.opened(self._group.path(volume.name), os.O_RDWR) as live,
            blockdev.opened(self._group.path(target.name)) as kept,
        ):
            for offset, length in windows:
                self._make_cow_room(cuts, length)
                _write_back(kept, target.size_bytes, live, offset, length)
                done += length
                progress(done / total)
        if not self._group.cut_is_valid(target.name):
            raise base.Invalidated(f"{target.name} overflowed during the revert")

    def diff(self, old: base.SnapshotFact, new: base.SnapshotFact) -> list[base.Extent]:
        """The exceptions of ``old`` are the chunks that changed since its cut, those after ``new`` too."""
        end = min(old.size_bytes, new.size_bytes)
        try:
            windows = list(blockdev.runs(*self._cow_chunks(lvm_names.snapshot_name(old.id)), end))
        except blockdev.BadCow:
            windows = list(_steps(0, end))
        windows += _steps(old.size_bytes, new.size_bytes)
        return [base.Extent(offset, length) for offset, length in windows]

    def _changed_windows(self, volume: lvm.LogicalVolume, target: lvm.LogicalVolume) -> Iterator[tuple[int, int]]:
        """Where the volume may differ from the snapshot, and all that is behind the snapshot's end."""
        try:
            yield from blockdev.runs(*self._cow_chunks(target.name), target.size_bytes)
        except blockdev.BadCow as err:
            LOG.warning("comparing all of %s: %s", volume.name, err)
            yield from _steps(0, target.size_bytes)
        yield from _steps(target.size_bytes, volume.size_bytes)

    def _cow_chunks(self, name: str) -> tuple[int, "array.array[int]"]:
        return blockdev.cow_chunks(self._group.path(name) + "-cow")

    # COW areas

    def _cow_bytes(self, origin_bytes: int) -> int:
        settings = self._group.settings
        share = origin_bytes * settings.lvm_cow_percent // 100
        wanted = max(share, settings.lvm_cow_min_mib * units.MIB)
        return self._group.rounded(min(wanted, blockdev.cow_full_bytes(origin_bytes)))

    def _extend_cow(self, name: str, origin_bytes: int, cow_bytes: int, wanted: int) -> None:
        size = self._group.rounded(min(wanted, blockdev.cow_full_bytes(origin_bytes)))
        if size > cow_bytes:
            with self._group.serial(), lvm_group.translated():
                self._lvm.extend(name, size)

    def _make_cow_room(self, cuts: Sequence[lvm.LogicalVolume], length: int) -> None:
        """Before ``length`` bytes of the volume are overwritten: no snapshot of it may overflow by that."""
        for cut in cuts:
            device = self._group.device(cut.name)
            if device is None or device.kind != "snapshot":
                continue
            fill = devmapper.cow_fill(device)
            need = fill.used_bytes + length + length // 128 + _COW_SLACK
            if fill.valid and fill.total_bytes < need:
                wanted = max(need, fill.total_bytes * 2)
                self._extend_cow(cut.name, device.size_bytes, fill.total_bytes, wanted)


def _write_back(kept: int, kept_bytes: int, live: int, offset: int, length: int) -> None:
    """Make one window of the volume what the snapshot has there; zeros behind the snapshot's end."""
    inside = max(0, min(length, kept_bytes - offset))
    wanted = blockdev.read_exactly(kept, offset, inside) if inside else b""
    wanted += bytes(length - inside)
    present = blockdev.read_exactly(live, offset, length)
    for place, data in blockdev.differing(wanted, present):
        os.pwrite(live, data, offset + place)
    # Before the next look at the COW areas: what is in the page cache has not filled them yet.
    os.fdatasync(live)


def _steps(begin: int, end: int) -> Iterator[tuple[int, int]]:
    for offset in range(begin, end, blockdev.STEP):
        yield offset, min(blockdev.STEP, end - offset)
