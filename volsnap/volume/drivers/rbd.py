"""Ceph RBD: native snapshots, copy-on-write clones, trash for what still has dependents.

What lies in the pool, and what each name promises:

====================== ============================================================================
``volume-ID``          a whole volume; it appears by its final name only when it is whole
``volume-ID.new``      a clone in the making; a crash leaves it, and the next create removes it
``…@snapshot-ID``      a snapshot
``…@clone-ID``         the instant that clone ``volume-ID`` is made from; gone when that is whole
trash, ``volume-ID``   a deleted volume, marked with the image metadata ``volsnap.deleted``
====================== ============================================================================

Invariant: nothing is removed for good before it is marked as deleted, and nothing without our mark is ever purged.

Clones have format 2: no snapshot is protected, and a snapshot with clones can be deleted. Ceph then keeps it in the
image's trash namespace (filtered out here) until its last clone is deleted or flattened. A deleted volume with such
snapshots, or one whose data takes long to remove, waits in the pool's trash; :meth:`RbdDriver.maintain` purges it.

Every call runs in a worker thread with a deadline (:mod:`volsnap.lowlevel.ceph`). When it passes, the outcome is
unknown, never "no": the error is :class:`~volsnap.volume.drivers.base.Unavailable`, and repeating the call ends well.
"""

import contextlib
import dataclasses
import functools
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from volsnap.lowlevel import ceph, ceph_errors, ceph_image
from volsnap.volume.drivers import base, rbd_capacity, rbd_pool, rbd_reader, rbd_trash

T = TypeVar("T")


#: Clients older than mimic cannot open clones of format 2; a cluster that still admits them refuses to make any.
_OLD_RELEASES = frozenset(
    "argonaut bobtail cuttlefish dumpling emperor firefly giant hammer infernalis jewel kraken luminous".split()  # noqa: SIM905
)
_INVENTORY_CHUNK = 32


@dataclasses.dataclass(frozen=True, slots=True)
class RbdSettings:
    """See :mod:`volsnap.conf.rbd`, which has the same names."""

    rbd_pool: str
    rbd_user: str | None = None
    rbd_ceph_conf: str = "/etc/ceph/ceph.conf"
    rbd_cluster_name: str = "ceph"
    rbd_secret_uuid: str | None = None
    rbd_max_clone_depth: int = 5
    rbd_max_snapshots_per_image: int = 400
    rbd_refuse_percent: int = 92
    rbd_stats_max_age_s: float = 1.0
    rbd_deadline_s: float = 20.0
    rbd_purge_wait_s: float = 2.0


class RbdDriver(base.Driver):
    """One pool."""

    def __init__(self, settings: RbdSettings) -> None:
        self.settings = settings
        self.capabilities = base.Capabilities(
            protocol="ceph",
            thin=True,
            clone_copies=True,  # a clone that would get too deep is flattened, which copies its data
            revert_copies=True,
            diff=True,
            group_snapshot=False,
            shared=True,
            snapshots_per_volume=settings.rbd_max_snapshots_per_image,
        )
        self._client = ceph.Client(
            ceph.Access(
                settings.rbd_pool,
                settings.rbd_user,
                settings.rbd_ceph_conf,
                settings.rbd_deadline_s,
            )
        )
        self._gauge = rbd_capacity.Gauge(
            settings.rbd_pool,
            settings.rbd_refuse_percent,
            settings.rbd_stats_max_age_s,
            lambda: self._run(lambda session: session.mon("df", detail="detail")),
        )
        self._trash = rbd_trash.Trash(self._client, settings.rbd_purge_wait_s)
        self._is_checked = False
        #: Volumes that a call makes or deletes now; guarded by the lock.
        self._in_work: set[str] = set()
        self._in_work_lock = threading.Lock()
        self._hosts: tuple[list[str], list[str]] | None = None

    def check(self) -> None:
        """In full at first and after an error; in between it only proves that an OSD answers."""
        is_checked, self._is_checked = self._is_checked, False
        self._run(ceph.Session.prove_alive if is_checked else self._check)
        self._is_checked = True

    def _check(self, session: ceph.Session) -> None:
        session.image_names()  # the OSDs answer, and the user may read
        release = session.mon("osd dump").get("require_min_compat_client", "")
        if release in _OLD_RELEASES:
            raise base.Unavailable(
                f"the cluster admits clients as old as '{release}', so it makes no clones of "
                "format 2; run 'ceph osd set-require-min-compat-client mimic'"
            )

    # ------------------------------------------------------------------------------------- volumes

    def create_volume(self, volume: base.VolumeRef) -> base.VolumeFact:
        self._gauge.require_space()

        def create(session: ceph.Session) -> base.VolumeFact:
            with self._alone(volume.id):
                return rbd_pool.create_volume(session, volume)

        return self._run(create)

    def delete_volume(self, volume: base.VolumeRef) -> None:
        self._delete_image(base.volume_name(volume.id))

    def extend_volume(self, volume: base.VolumeRef, new_size_bytes: int) -> base.VolumeFact:
        def extend(session: ceph.Session) -> base.VolumeFact:
            with session.image(base.volume_name(volume.id)) as image:
                if image.size_bytes() < new_size_bytes:
                    image.resize(new_size_bytes)
                return base.VolumeFact(volume.id, image.size_bytes())

        return self._run(extend)

    def clone_volume(
        self,
        source: base.VolumeRef,
        volume: base.VolumeRef,
        progress: base.Progress = base.no_progress,
    ) -> base.VolumeFact:
        self._gauge.require_space()

        def clone(session: ceph.Session, report: ceph.Report) -> base.VolumeFact:
            with self._alone(volume.id):
                rbd_pool.finish_rename(session, volume.id)
                return self._clone_volume(session, report, source, volume)

        return self._run_long(clone, progress)

    def _clone_volume(
        self,
        session: ceph.Session,
        report: ceph.Report,
        source: base.VolumeRef,
        volume: base.VolumeRef,
    ) -> base.VolumeFact:
        origin, instant = base.volume_name(source.id), f"clone-{volume.id}"
        fact = rbd_pool.find_matching(session, volume)
        if fact is None:
            with session.image(origin) as image:
                if image.find_snapshot(instant) is None:
                    self._require_snapshot_slot(image)
                    image.create_snapshot(instant)
                try:
                    return self._clone(session, report, origin, instant, volume)
                finally:  # with a clone it moves to the trash namespace, without one it is gone
                    image.remove_snapshot(instant)
        # A crash after the clone was whole left its instant on the source.
        with rbd_pool.if_there(session.reading(origin)) as seen:
            is_left = seen is not None and seen.find_snapshot(instant) is not None
        if is_left:
            rbd_pool.remove_snapshot(session, origin, instant)
        return fact

    def create_volume_from_snapshot(
        self,
        snapshot: base.SnapshotRef,
        volume: base.VolumeRef,
        progress: base.Progress = base.no_progress,
    ) -> base.VolumeFact:
        self._gauge.require_space()
        origin, name = base.volume_name(snapshot.volume.id), base.snapshot_name(snapshot.id)

        def create(session: ceph.Session, report: ceph.Report) -> base.VolumeFact:
            with self._alone(volume.id):
                rbd_pool.finish_rename(session, volume.id)
                fact = rbd_pool.find_matching(session, volume)
                return fact or self._clone(session, report, origin, name, volume)

        return self._run_long(create, progress)

    def _clone(
        self,
        session: ceph.Session,
        report: ceph.Report,
        origin: str,
        snapshot: str,
        volume: base.VolumeRef,
    ) -> base.VolumeFact:
        """Clone under a working name, make it what was asked for, then give it its name: all or nothing."""
        name, half = base.volume_name(volume.id), f"{base.volume_name(volume.id)}.new"
        rbd_pool.remove_halves(session, volume.id)
        with session.reading(origin, snapshot) as parent:
            if parent.size_bytes() > volume.size_bytes:
                raise base.AlreadyExists(f"{origin}@{snapshot} is larger than the volume that was asked for")
            depth = rbd_pool.clone_depth(session, parent) + 1
        session.clone(origin, snapshot, half)
        with session.image(half) as image:
            if depth > self.settings.rbd_max_clone_depth:
                image.flatten(report)
            if image.size_bytes() < volume.size_bytes:
                image.resize(volume.size_bytes)
        session.rename(half, name)
        with session.reading(name) as made:
            return base.VolumeFact(volume.id, made.size_bytes())

    @contextlib.contextmanager
    def _alone(self, volume_id: str) -> Iterator[None]:
        """No two calls make or delete one volume: the second would take the first one's work for half a volume.

        Held in the worker thread, so that it also covers a call whose caller has given up. Between processes the
        caller's leases do the same.
        """
        with self._in_work_lock:
            if volume_id in self._in_work:
                raise base.Unavailable(f"another call works on volume {volume_id} now")
            self._in_work.add(volume_id)
        try:
            yield
        finally:
            with self._in_work_lock:
                self._in_work.discard(volume_id)

    def find_volume(self, volume_id: str) -> base.VolumeFact | None:
        return self._run(lambda session: rbd_pool.find_volume(session, volume_id))

    # --------------------------------------------------------------------------- delete and purge

    def _delete_image(self, name: str) -> None:
        def trash(session: ceph.Session) -> str | None:
            with self._alone(name.removeprefix("volume-").removesuffix(".new")):
                return rbd_pool.trash_image(session, name)

        image_id = self._run(trash)
        if image_id is not None:
            self._trash.purge([image_id])

    def maintain(self) -> list[base.SnapshotFact]:
        self._trash.purge_due(self._run(lambda session: session.trash()))
        return []

    # ----------------------------------------------------------------------------------- snapshots

    def create_snapshot(self, snapshot: base.SnapshotRef) -> base.SnapshotFact:
        self._gauge.require_space()

        def create(session: ceph.Session) -> base.SnapshotFact:
            with session.image(base.volume_name(snapshot.volume.id)) as image:
                return self._cut(session, image, snapshot)

        return self._run(create)

    def _cut(self, session: ceph.Session, image: ceph_image.Image, snapshot: base.SnapshotRef) -> base.SnapshotFact:
        name = base.snapshot_name(snapshot.id)
        found = image.find_snapshot(name)
        if found is not None and not rbd_pool.is_whole(session, base.volume_name(snapshot.volume.id), name):
            rbd_pool.drop_snapshot(image, name)
            found = None
        if found is None:
            self._require_snapshot_slot(image)
            with contextlib.suppress(ceph_errors.Exists):  # a duplicate delivery was faster
                image.create_snapshot(name)
            found = image.find_snapshot(name)
        elif found.size_bytes != snapshot.size_bytes:
            raise base.AlreadyExists(f"{name} exists and has {found.size_bytes} bytes")
        if found is None:
            raise base.Failed(f"{name} was cut and is not there")
        return base.SnapshotFact(snapshot.id, snapshot.volume.id, found.size_bytes)

    def _require_snapshot_slot(self, image: ceph_image.Image) -> None:
        """Trashed snapshots count: what has a limit is the image's list, not what users see of it."""
        limit = self.settings.rbd_max_snapshots_per_image
        if len(image.snapshots()) >= limit:
            raise base.NoSpace(
                f"{image.name} has {limit} snapshots, the most it may have "
                "(rbd_max_snapshots_per_image); delete some of them"
            )

    def delete_snapshot(self, snapshot: base.SnapshotRef) -> None:
        origin, name = base.volume_name(snapshot.volume.id), base.snapshot_name(snapshot.id)
        self._run(lambda session: rbd_pool.remove_snapshot(session, origin, name))

    def create_group_snapshot(self, snapshots: Sequence[base.SnapshotRef]) -> list[base.SnapshotFact]:
        """Not here: librbd gives no safe way to cut user snapshots of several images at one instant.

        Holding all exclusive locks while cutting would do, and does between idle images; but whoever writes meanwhile
        (a guest!) gets EROFS from ``lock_acquire``'s policy. Native group snapshots wait properly, yet have a
        namespace of their own, from which 16.2 neither clones nor deletes single members.
        """
        raise base.Unsupported("RBD cuts no group at one instant")

    def revert(
        self,
        volume: base.VolumeRef,
        snapshot: base.SnapshotRef,
        progress: base.Progress = base.no_progress,
    ) -> base.VolumeFact:
        name = base.snapshot_name(snapshot.id)

        def revert(session: ceph.Session, report: ceph.Report) -> base.VolumeFact:
            with self._alone(volume.id), session.image(base.volume_name(volume.id)) as image:
                if image.find_snapshot(name) is None:
                    raise base.NotFound(f"{name} is not there")
                if image.watchers() > 1:
                    raise base.Busy(f"{image.name} is in use")
                # A rollback gives the image the snapshot's size: the part behind it is cut off, and made again as
                # zeros. A crash in between leaves the small size, so the database's word counts as well.
                size_bytes = max(image.size_bytes(), volume.size_bytes)
                image.rollback(name)
                if image.size_bytes() < size_bytes:
                    image.resize(size_bytes)
                return base.VolumeFact(volume.id, image.size_bytes())

        return self._run_long(revert, progress)

    def find_snapshot(self, snapshot: base.SnapshotRef) -> base.SnapshotFact | None:
        def find(session: ceph.Session) -> base.SnapshotFact | None:
            with rbd_pool.if_there(session.reading(base.volume_name(snapshot.volume.id))) as image:
                found = image and image.find_snapshot(base.snapshot_name(snapshot.id))
            if not found:
                return None
            return base.SnapshotFact(snapshot.id, snapshot.volume.id, found.size_bytes)

        return self._run(find)

    # ----------------------------------------------------------------------------------------- data

    def connect(
        self, volume: base.VolumeRef, connector: Mapping[str, Any], *, read_only: bool = False
    ) -> base.Connection:
        name = base.volume_name(volume.id)

        def find(session: ceph.Session) -> tuple[list[str], list[str]]:
            with session.reading(name):
                return self._hosts or rbd_pool.monitors(session)

        self._hosts = hosts, ports = self._run(find)
        settings = self.settings
        data: dict[str, Any] = {
            "name": f"{settings.rbd_pool}/{name}",
            "hosts": hosts,
            "ports": ports,
            "cluster_name": settings.rbd_cluster_name,
            "auth_enabled": settings.rbd_user is not None,
            "auth_username": settings.rbd_user,
            "secret_type": "ceph",
            "secret_uuid": settings.rbd_secret_uuid,
            "volume_id": volume.id,
            "discard": True,
            "keyring": None,
            "access_mode": "ro" if read_only else "rw",
        }
        return base.Connection("rbd", data)

    def disconnect(self, volume: base.VolumeRef, connector: Mapping[str, Any]) -> None:
        """Nothing was made: initiators talk to the cluster themselves."""

    @contextlib.contextmanager
    def open_snapshot(self, snapshot: base.SnapshotRef) -> Iterator[base.SnapshotReader]:
        origin, name = base.volume_name(snapshot.volume.id), base.snapshot_name(snapshot.id)
        with self._opened(origin, name) as (lease, image, size_bytes):
            yield rbd_reader.Reader(self._client, lease, image, size_bytes)

    @contextlib.contextmanager
    def _opened(self, origin: str, snapshot: str) -> Iterator[tuple[ceph.Lease, ceph_image.Image, int]]:
        """An image that stays open between calls, and the claim that keeps its session alive."""
        lease = self._client.claim()
        try:
            image, size_bytes = self._run(
                lambda session: rbd_pool.open_snapshot(session, origin, snapshot), lease=lease
            )
        except BaseException:
            self._client.release(lease)
            raise
        try:
            yield lease, image, size_bytes
        finally:  # this claim goes with the job that closes; it is not waited for when the OSD is frozen
            closed = self._client.start(lease, lambda session: image.close())
            with contextlib.suppress(ceph_errors.CephError, TimeoutError):
                closed.result(self.settings.rbd_deadline_s)

    def diff(self, older: base.SnapshotRef, newer: base.SnapshotRef) -> Iterable[base.Extent]:
        """By whole objects, from the object maps: 0.2 s for 1 TiB. After a revert, every object with data."""
        origin, since = base.volume_name(newer.volume.id), base.snapshot_name(older.id)
        with self._opened(origin, base.snapshot_name(newer.id)) as (lease, image, size_bytes):
            changed = self._run(
                lambda session: image.changed(0, size_bytes, since),
                lease=lease,
            )
        return [
            base.Extent(at, min(length, size_bytes - at), zero=not has_data)
            for at, length, has_data in changed
            if at < size_bytes
        ]

    # --------------------------------------------------------------------------------- housekeeping

    def inventory(self) -> Iterable[base.StorageObject]:
        """One listing and one read-only open per image (3 ms of CPU each); the deadline holds per chunk."""
        names = self._run(lambda session: session.image_names())
        found: list[base.StorageObject] = []
        for start in range(0, len(names), _INVENTORY_CHUNK):
            chunk = names[start : start + _INVENTORY_CHUNK]
            found += self._run(functools.partial(rbd_pool.describe, chunk))
        return found

    def discard(self, found: base.StorageObject) -> None:
        """The instant of a clone goes without its source being asked, unless a call makes that very clone now."""
        image = (found.origin or "") if found.is_snapshot else found.name
        snapshot = rbd_pool.SNAPSHOT.fullmatch(found.name)
        if not rbd_pool.VOLUME.fullmatch(image) or (found.is_snapshot and not snapshot):
            raise base.Unsupported(f"{found.name} is not one of ours; it is kept")
        if snapshot:
            self._discard_snapshot(image, snapshot)
        else:
            self._delete_image(image)

    def _discard_snapshot(self, origin: str, snapshot: re.Match[str]) -> None:
        def remove(session: ceph.Session) -> None:
            with self._alone(snapshot[2]) if snapshot[1] == "clone" else contextlib.nullcontext():
                rbd_pool.remove_snapshot(session, origin, snapshot[0])

        self._run(remove)

    def adopt_volume(self, name: str, volume: base.VolumeRef) -> base.VolumeFact:
        return self._run(lambda session: rbd_pool.adopt_volume(session, name, volume.id))

    def adopt_snapshot(self, name: str, snapshot: base.SnapshotRef) -> base.SnapshotFact:
        ours = base.snapshot_name(snapshot.id)

        def adopt(session: ceph.Session) -> base.SnapshotFact:
            with session.image(base.volume_name(snapshot.volume.id)) as image:
                theirs, mine = image.find_snapshot(name), image.find_snapshot(ours)
                if theirs and mine:
                    raise base.AlreadyExists(f"{ours} exists besides {name}")
                if theirs:
                    image.rename_snapshot(name, ours)
                elif not mine:
                    raise base.NotFound(f"{image.name} has no snapshot '{name}'")
                mine = image.find_snapshot(ours)
                if mine is None:
                    raise base.Failed(f"{name} was renamed to {ours} and is not there")
                return base.SnapshotFact(snapshot.id, snapshot.volume.id, mine.size_bytes)

        return self._run(adopt)

    def close(self) -> None:
        self._client.close()

    # ------------------------------------------------------------------------------------- capacity

    def stats(self) -> base.Stats:
        """Zeros when the cluster has no ceph-mgr: nothing is known then."""
        capacity = self._gauge.read()
        return base.Stats(capacity.total_bytes, capacity.free_bytes)

    # ---------------------------------------------------------------------------------------- runs

    def _run(self, work: Callable[[ceph.Session], T], *, lease: ceph.Lease | None = None) -> T:
        with rbd_pool.driver_errors():
            return self._client.run(work, lease=lease)

    def _run_long(self, work: Callable[[ceph.Session, ceph.Report], T], progress: base.Progress) -> T:
        with rbd_pool.driver_errors():
            return self._client.run_long(work, progress)
