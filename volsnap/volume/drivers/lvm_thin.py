"""The thin layout: everything lives in a thin pool; snapshots, clones and reverts copy nothing.

One invariant: nothing new is made in a pool that is as full as ``lvm_refuse_percent``, so that what is there can still
be written. The fill is asked from the kernel before each make, which costs microseconds.

**Revert**: a new thin snapshot of the snapshot is renamed to be the volume. Between two renames the volume is called
``_old-``; whoever misses it then (``Group.settle``) finishes or takes back the swap.
"""

import logging
from collections.abc import Mapping, Sequence

from volsnap.lowlevel import devmapper, lvm
from volsnap.volume.drivers import base, lvm_group, lvm_names

LOG = logging.getLogger(__name__)


class Thin:
    """See the module."""

    capabilities = base.Capabilities(
        protocol="lvm",
        thin=True,
        clone_copies=False,
        revert_copies=False,
        diff=False,
        group_snapshot=False,
        shared=False,
    )

    def __init__(self, group: lvm_group.Group) -> None:
        self._group = group
        self._lvm = group.lvm
        self._pool = group.settings.pool
        self._provisioned_bytes = 0

    def is_ready(self, found: Mapping[str, lvm.LogicalVolume]) -> bool:
        """The pool is there."""
        pool = found.get(self._pool)
        return pool is not None and pool.kind is lvm.LvKind.THIN_POOL

    def prepare(self, found: Mapping[str, lvm.LogicalVolume]) -> None:
        """Make the pool when it is missing."""
        pool = found.get(self._pool)
        if pool is None:
            self._lvm.create_thin_pool(self._pool, self._group.settings.lvm_thin_pool_percent)
        elif pool.kind is not lvm.LvKind.THIN_POOL:
            raise base.Unavailable(f"lvm_thin_pool: {self._group.vg}/{pool.name} is a {pool.kind.value}")

    def stats(self) -> base.Stats:
        """Capacity of the pool, up to the limit; the kernel knows it, so it costs no command."""
        pool = self._pool_device()
        fill = devmapper.pool_fill(pool)
        room = max(0.0, self._group.settings.lvm_refuse_percent - fill.data_percent)
        return base.Stats(pool.size_bytes, int(pool.size_bytes * room / 100), self._provisioned_bytes)

    def care(self, found: Sequence[lvm.LogicalVolume]) -> None:
        """Remember what is promised, warn of a pool that fills up."""
        self._provisioned_bytes = sum(item.size_bytes for item in found if item.kind is lvm.LvKind.THIN)
        fill = devmapper.pool_fill(self._pool_device())
        if max(fill.data_percent, fill.metadata_percent) >= self._group.settings.lvm_warn_percent:
            LOG.warning(
                "thin pool %s: data %.0f %%, metadata %.0f %% in use",
                self._pool, fill.data_percent, fill.metadata_percent,
            )  # fmt: skip

    # volumes

    def create_blank(self, volume: base.VolumeRef) -> None:
        """New blocks of the pool read as zeros."""
        self._refuse_when_full(volume.size_bytes)
        with self._group.serial():
            self._lvm.create_thin_volume(self._pool, lvm_names.volume_name(volume.id), volume.size_bytes)

    def extend(self, volume_id: str, size: int) -> None:
        """Nothing but a number."""
        name = lvm_names.volume_name(volume_id)
        device = self._group.device(name)
        if device is None or device.size_bytes < size:
            with self._group.serial():
                self._lvm.extend(name, size)

    def clone(self, source: base.VolumeFact, volume: base.VolumeRef, progress: base.Progress) -> None:
        """A thin snapshot that is called a volume."""
        self.copy(lvm_names.volume_name(source.id), source.size_bytes, volume, progress)

    def copy(self, source: str, source_bytes: int, volume: base.VolumeRef, progress: base.Progress) -> None:
        """The same from a snapshot; a larger one is resized before it gets its name."""
        self._refuse_when_full(volume.size_bytes)
        size = self._group.rounded(volume.size_bytes)
        if size <= source_bytes:
            with self._group.serial():
                self._lvm.create_thin_snapshot(source, lvm_names.volume_name(volume.id))
            return
        with (
            self._group.made_aside(volume, lambda name: self._lvm.create_thin_snapshot(source, name)) as making,
            self._group.serial(),
        ):
            self._lvm.extend(making, size)

    # snapshots

    def cut(self, snapshot: base.SnapshotRef) -> None:
        """One command."""
        self._refuse_when_full(0)
        origin, name = lvm_names.volume_name(snapshot.volume.id), lvm_names.snapshot_name(snapshot.id)
        with self._group.serial():
            self._lvm.create_thin_snapshot(origin, name, [lvm_names.of_tag(snapshot.volume.id)])

    def revert(
        self,
        volume_id: str,
        target: lvm.LogicalVolume,
        found: Mapping[str, lvm.LogicalVolume],
        progress: base.Progress,
    ) -> None:
        """Swap in a new thin snapshot of the snapshot.

        Several turns, so that others do not wait for all of it; but who looks for the volume never sees half a swap.
        """
        name, new, old = (prefix + volume_id for prefix in ("volume-", "_revert-", "_old-"))
        serial = self._group.serial
        if leftovers := [part for part in (new, old) if part in found]:
            with serial():
                self._lvm.remove(*leftovers)
        self._tag_bare_snapshots(volume_id, found)
        with serial():
            self._lvm.create_thin_snapshot(target.name, new)
        if target.size_bytes < found[name].size_bytes:
            with serial():
                self._lvm.extend(new, found[name].size_bytes)
        with serial():
            self._lvm.rename(name, old)
            self._lvm.rename(new, name)
        with serial():
            self._lvm.remove(old)

    def _tag_bare_snapshots(self, volume_id: str, found: Mapping[str, lvm.LogicalVolume]) -> None:
        """Snapshots that others made know their volume by LVM's origin only, which goes with the old content."""
        tag = lvm_names.of_tag(volume_id)
        cuts = lvm_names.snapshots_of(found.values(), volume_id, thin=True)
        if bare := [item.name for item in cuts if tag not in item.tags]:
            with self._group.serial():
                self._lvm.add_tags(tag, *bare)

    def diff(self, old: base.SnapshotFact, new: base.SnapshotFact) -> list[base.Extent]:
        """Not declared: ``thin_delta`` needs a metadata snapshot of the pool, of which there is one at a time."""
        raise base.Unsupported("the thin layout does not tell differences")

    # the pool

    def _pool_device(self) -> devmapper.Device:
        device = self._find_pool()
        if device is None:
            with self._group.serial():
                self._lvm.activate(self._pool)
            device = self._find_pool()
        if device is None:
            raise base.Unavailable(f"lvm_thin_pool: {self._group.vg}/{self._pool} is not active")
        return device

    def _find_pool(self) -> devmapper.Device | None:
        """LVM calls it ``-tpool`` once the pool has a volume, and by the plain name before."""
        for suffix in ("-tpool", ""):
            name = devmapper.lvm_device_name(self._group.vg, self._pool) + suffix
            device = devmapper.find(name)
            if device and device.kind == "thin-pool":
                return device
        return None

    def _refuse_when_full(self, more_bytes: int) -> None:
        pool, settings = self._pool_device(), self._group.settings
        fill = devmapper.pool_fill(pool)
        limit = settings.lvm_refuse_percent
        if not fill.writable or max(fill.data_percent, fill.metadata_percent) >= limit:
            raise base.NoSpace(
                f"thin pool {self._pool}: data {fill.data_percent:.0f} %, metadata "
                f"{fill.metadata_percent:.0f} % in use, nothing new from {limit} %"
            )
        promise = pool.size_bytes * settings.lvm_max_over_subscription_ratio
        if more_bytes and self._provisioned_bytes + more_bytes > promise:
            raise base.NoSpace(
                f"thin pool {self._pool} has promised {self._provisioned_bytes} bytes, "
                "more than lvm_max_over_subscription_ratio allows"
            )
