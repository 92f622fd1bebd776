"""What the RBD driver does inside the pool: find, remove, trash, describe; each a step that a session runs.

Invariant: "not there" is proven only by *opening* (:func:`if_there`); a "not found" out of any later call is somebody
else's race, never an absence. Nothing here waits or retries: :mod:`volsnap.volume.drivers.rbd` gives it deadlines.
"""

import contextlib
import dataclasses
import re
from collections.abc import Iterator, Sequence

from volsnap.lowlevel import ceph, ceph_errors, ceph_image
from volsnap.volume.drivers import base

_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
VOLUME = re.compile(rf"volume-({_UUID})(\.new)?")
SNAPSHOT = re.compile(rf"(snapshot|clone)-({_UUID})")
DELETED = "volsnap.deleted"


@dataclasses.dataclass(frozen=True, slots=True)
class Purged:
    """What was done with a trashed image, and what it was cloned from."""

    is_ours: bool
    parent_id: str | None = None


@contextlib.contextmanager
def driver_errors() -> Iterator[None]:
    """The one translation from what Ceph says to what the driver contract says."""
    try:
        yield
    except ceph_errors.Lost as err:
        raise base.Unavailable(f"Ceph: {err}") from err
    except ceph_errors.Full as err:
        raise base.NoSpace(f"Ceph: {err}") from err
    except (ceph_errors.Busy, ceph_errors.HasSnapshots) as err:
        raise base.Busy(f"Ceph: {err}") from err
    except ceph_errors.NotFound as err:
        raise base.NotFound(f"Ceph: {err}") from err
    except ceph_errors.CephError as err:
        raise base.Failed(f"Ceph: {err}") from err


@contextlib.contextmanager
def if_there(opened: contextlib.AbstractContextManager[ceph_image.Image]) -> Iterator[ceph_image.Image | None]:
    """The image, or None when *opening* said that there is none; nobody else's "not found" counts as a proof."""
    with contextlib.ExitStack() as stack:
        try:
            image = stack.enter_context(opened)
        except ceph_errors.NotFound:
            image = None
        yield image


def find_volume(session: ceph.Session, volume_id: str) -> base.VolumeFact | None:
    with if_there(session.reading(base.volume_name(volume_id))) as image:
        return None if image is None else base.VolumeFact(volume_id, image.size_bytes())


def find_matching(session: ceph.Session, volume: base.VolumeRef) -> base.VolumeFact | None:
    """The volume if it is there and has the size that is asked for."""
    fact = find_volume(session, volume.id)
    if fact and fact.size_bytes != volume.size_bytes:
        raise base.AlreadyExists(f"{base.volume_name(volume.id)} exists and has {fact.size_bytes} bytes")
    return fact


def create_volume(session: ceph.Session, volume: base.VolumeRef) -> base.VolumeFact:
    name = base.volume_name(volume.id)
    try:
        session.create(name, volume.size_bytes)
    except ceph_errors.Exists:
        fact = find_matching(session, volume)
        if fact is not None:
            return fact
        remove_halves(session, volume.id)
        session.create(name, volume.size_bytes)
    fact = find_volume(session, volume.id)
    if fact is None:
        raise base.Failed(f"{name} was made and is not there")
    return fact


def finish_rename(session: ceph.Session, volume_id: str) -> bool:
    """Whether the working name leads to the whole volume too; then the rename that was killed is ended.

    librbd first makes the new name, then turns the directory's entry, then removes the old name. In between both names
    open the same image, and removing "the leftover" would remove the volume.
    """
    name, half = base.volume_name(volume_id), f"{base.volume_name(volume_id)}.new"
    with if_there(session.reading(name)) as whole, if_there(session.reading(half)) as rest:
        if whole is None or rest is None or whole.image_id() != rest.image_id():
            return False
    if half in session.image_names():
        session.drop_name(name)
        session.rename(half, name)
    else:
        session.drop_name(half)
    return True


def remove_halves(session: ceph.Session, volume_id: str) -> None:
    """What a killed create leaves: a name whose image has no header, or a clone under its working name.

    Only when ``find_volume`` said that there is no whole one, and when no other call is making it.
    """
    for name in (f"{base.volume_name(volume_id)}.new", base.volume_name(volume_id)):
        try:
            with contextlib.suppress(ceph_errors.NotFound):
                session.remove(name)
        except ceph_errors.Busy as err:
            raise base.Unavailable(f"{name} is half made, and who made it still has it open: {err}") from err


def clone_depth(session: ceph.Session, image: ceph_image.Image) -> int:
    """How many parents it hangs on; by id, for they may be in the trash. Other pools' images end the count."""
    depth = 0
    parent = image.parent()
    while parent is not None:
        depth += 1
        if parent.pool != session.access.pool:
            return depth
        with session.reading(None, image_id=parent.image_id) as above:
            parent = above.parent()
    return depth


def trash_image(session: ceph.Session, name: str) -> str | None:
    """Mark it as deleted and move it to the trash; its id, or None when there is (or was) only half of it."""
    ours = VOLUME.fullmatch(name)
    if ours and finish_rename(session, ours[1]) and ours[2]:
        return None
    with if_there(session.image(name)) as image:
        if image is None:
            if ours:
                remove_halves(session, ours[1])
            return None
        for each in image.snapshots():
            if each.is_user and each.name.startswith("clone-"):
                drop_snapshot(image, each.name)  # of a clone that crashed
            elif each.is_user:
                raise base.Busy(f"{name} has snapshots")
        if image.watchers() > 1:
            if ours and ours[2]:
                raise base.Unavailable(f"{name} is half made, and who made it still has it open")
            raise base.Busy(f"{name} is in use")
        image_id = image.image_id()
        image.set_metadata(DELETED, "1")
    session.move_to_trash(name)
    return image_id


def purge(image_id: str, session: ceph.Session) -> Purged:
    """Remove a trashed image if we put it there."""
    with session.reading(None, image_id=image_id) as image:
        if not image.has_metadata(DELETED):
            return Purged(is_ours=False)
        parent = image.parent()
    session.remove_from_trash(image_id)
    return Purged(is_ours=True, parent_id=parent.image_id if parent else None)


def remove_snapshot(session: ceph.Session, origin: str, name: str) -> None:
    with if_there(session.image(origin)) as image:
        if image is not None and image.find_snapshot(name) is not None:
            drop_snapshot(image, name)


def drop_snapshot(image: ceph_image.Image, name: str) -> None:
    with contextlib.suppress(ceph_errors.NotFound):  # somebody else was faster
        try:
            image.remove_snapshot(name)
        except ceph_errors.Busy:
            # Protected: adopted, or made by Cinder. Clones of format 1 keep it so, and that is a true Busy.
            image.unprotect(name)
            image.remove_snapshot(name)


def is_whole(session: ceph.Session, origin: str, snapshot: str) -> bool:
    """Whether a listed snapshot can be opened.

    librbd writes it into the image's header first and makes its object map then: a client killed in between leaves one
    that is listed and answers every attempt to open it with "not found".
    """
    try:
        session.open_reading(origin, snapshot).close()
    except ceph_errors.NotFound:
        return False
    return True


def open_snapshot(session: ceph.Session, origin: str, snapshot: str) -> tuple[ceph_image.Image, int]:
    image = session.open_reading(origin, snapshot)
    try:
        return image, image.size_bytes()
    except BaseException:
        image.close()
        raise


def describe(names: Sequence[str], session: ceph.Session) -> list[base.StorageObject]:
    found: list[base.StorageObject] = []
    for name in names:
        ours = VOLUME.fullmatch(name)
        volume_id = ours[1] if ours else None
        with if_there(session.reading(name)) as image:
            if image is None:  # deleted since it was listed, or a name without an image
                found.append(base.StorageObject(name, 0, volume_id=volume_id, leftover=bool(ours)))
                continue
            size_bytes, snapshots = image.size_bytes(), image.snapshots()
        is_half = bool(ours and ours[2])
        found.append(base.StorageObject(name, size_bytes, volume_id=volume_id, leftover=is_half))
        for each in snapshots:
            if each.is_user:
                found.append(describe_snapshot(each, name, volume_id))
    return found


def describe_snapshot(snapshot: ceph_image.Snapshot, origin: str, volume_id: str | None) -> base.StorageObject:
    """The instant of a clone belongs to the volume that it is made for, not to the one it lies on."""
    ours = SNAPSHOT.fullmatch(snapshot.name) if volume_id else None
    is_instant = bool(ours and ours[1] == "clone")
    return base.StorageObject(
        snapshot.name,
        snapshot.size_bytes,
        is_snapshot=True,
        volume_id=ours[2] if ours and is_instant else volume_id,
        snapshot_id=ours[2] if ours and not is_instant else None,
        origin=origin,
        leftover=is_instant,
    )


def adopt_volume(session: ceph.Session, name: str, volume_id: str) -> base.VolumeFact:
    ours = base.volume_name(volume_id)
    mine = find_volume(session, volume_id)
    with if_there(session.reading(name or ".")) as theirs:
        is_there = theirs is not None
    if not is_there and mine is None:
        raise base.NotFound(f"there is no image '{name}'")
    if not is_there and mine is not None:
        return mine
    if mine is not None:
        raise base.AlreadyExists(f"{ours} exists besides {name}")
    session.rename(name, ours)
    with session.reading(ours) as image:
        return base.VolumeFact(volume_id, image.size_bytes())


def monitors(session: ceph.Session) -> tuple[list[str], list[str]]:
    """Hosts and ports, one per monitor; messenger 1 where there is one, for old initiators."""
    hosts, ports = [], []
    for mon in session.mon("mon dump")["mons"]:
        addresses = mon["public_addrs"]["addrvec"]
        chosen = next((each for each in addresses if each["type"] == "v1"), addresses[0])
        host, _, port = chosen["addr"].rpartition(":")
        hosts.append(host)
        ports.append(port)
    return hosts, ports
