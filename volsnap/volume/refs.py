"""From rows (GiB, database) to driver records (bytes, storage)."""

from volsnap.db.engine import Row
from volsnap.units import GIB
from volsnap.volume.drivers import base


def volume_ref(row: Row) -> base.VolumeRef:
    """The driver's view of a volume row."""
    return base.VolumeRef(row.id, row.size_gib * GIB)


def snapshot_ref(row: Row) -> base.SnapshotRef:
    """The driver's view of a snapshot row that carries ``volume_size_gib``."""
    volume = base.VolumeRef(row.volume_id, row.volume_size_gib * GIB)
    return base.SnapshotRef(row.id, volume, row.size_gib * GIB)
