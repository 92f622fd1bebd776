"""Names and tags of our objects in a volume group, and what a line of LVM's report says with them.

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

One invariant: nothing here asks LVM or the kernel; a report goes in, facts come out.
"""

import re
from collections.abc import Iterable

from volsnap.lowlevel import lvm
from volsnap.volume.drivers import base

OURS = re.compile(r"(volume-|_snapshot-|_making-|_clone-|_revert-|_old-)([0-9a-fA-F-]{36})")
#: What an interrupted call may leave; the driver itself may remove it.
_LEFTOVERS = ("_making-", "_clone-", "_revert-", "_old-")
_OF = "volsnap.of."


def volume_name(volume_id: str) -> str:
    """The contract's name."""
    return base.volume_name(volume_id)


def snapshot_name(snapshot_id: str) -> str:
    """The contract's name with ``_`` before it; Cinder's driver does the same."""
    return "_" + base.snapshot_name(snapshot_id)


def making_name(volume_id: str) -> str:
    """A volume in the making."""
    return f"_making-{volume_id}"


def parts_of_volume(volume_id: str) -> list[str]:
    """Every name that belongs to a volume, itself last: a delete cut short leaves what is recognised."""
    return [prefix + volume_id for prefix in (*_LEFTOVERS, "volume-")]


def of_tag(volume_id: str) -> str:
    """The tag of a volume's snapshots."""
    return _OF + volume_id


def is_cut(item: lvm.LogicalVolume) -> bool:
    """A snapshot, not a thin volume that was made from one."""
    if item.kind is lvm.LvKind.THICK_SNAPSHOT:
        return True
    if not (match := OURS.fullmatch(item.name)):
        return item.origin is not None
    return match[1] == "_snapshot-"


def snapshots_of(found: Iterable[lvm.LogicalVolume], volume_id: str, *, thin: bool) -> list[lvm.LogicalVolume]:
    """Thick: everything that LVM would remove with its origin. Thin: what is a snapshot by name or tag."""
    name, tag = volume_name(volume_id), of_tag(volume_id)
    return [item for item in found if tag in item.tags or (item.origin == name and (not thin or is_cut(item)))]


def snapshot_fact(item: lvm.LogicalVolume) -> base.SnapshotFact | None:
    """None: the name is not a snapshot's, or the object is not a whole snapshot."""
    found = storage_object(item)
    if found.snapshot_id is None or found.volume_id is None or found.leftover:
        return None
    used = int(item.cow_bytes * item.fill_percent / 100) if item.cow_bytes else None
    return base.SnapshotFact(found.snapshot_id, found.volume_id, item.size_bytes, item.valid, used)


def storage_object(item: lvm.LogicalVolume) -> base.StorageObject:
    """What the inventory says of a logical volume, ours or not."""
    match = OURS.fullmatch(item.name)
    prefix, object_id = match.groups() if match else ("", None)
    cut = is_cut(item)
    volume_id, snapshot_id = object_id, None
    if cut and prefix != "_clone-":
        volume_id, snapshot_id = _origin_id(item), object_id
    origin = item.origin
    if snapshot_id and volume_id:
        origin = volume_name(volume_id)  # LVM forgets it after a thin revert
    return base.StorageObject(
        name=item.name,
        size_bytes=item.size_bytes,
        is_snapshot=cut,
        volume_id=volume_id if match else None,
        snapshot_id=snapshot_id,
        origin=origin,
        valid=item.valid,
        leftover=prefix in _LEFTOVERS or (prefix == "_snapshot-" and _is_half_cut(item, volume_id)),
    )


def _origin_id(item: lvm.LogicalVolume) -> str | None:
    """The volume a snapshot belongs to: by our tag, else (Cinder's snapshots) by LVM's origin."""
    for tag in item.tags:
        if tag.startswith(_OF):
            return tag.removeprefix(_OF)
    origin = OURS.fullmatch(item.origin or "")
    return origin[2] if origin else None


def _is_half_cut(item: lvm.LogicalVolume, volume_id: str | None) -> bool:
    """``lvcreate -s`` makes the COW area as a plain volume first, and joins it to its origin then."""
    return volume_id is None or (item.kind is not lvm.LvKind.THIN and item.origin is None)
