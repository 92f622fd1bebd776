"""An open RBD image, and the one read-write handle that all who write to it share.

**One read-write handle per image and process.** Parallel handles of one image fight for its exclusive lock (26
create_snap/s from 8 threads, against 38/s on one handle, and librbd assertions have been seen elsewhere);
:class:`Handles` shares it and closes it with its last user. It never lingers: an idle handle is a watcher, and a
watcher makes other hosts' deletes fail. Read-only handles register no watch and are opened freely.
"""

import contextlib
import dataclasses
import errno
import threading
from collections.abc import Callable, Iterator
from typing import Any

from volsnap.lowlevel import ceph_errors

Report = Callable[[float], None]

_LIST_ATTEMPTS = 100
_USER_SNAPSHOT = 0  # RBD_SNAP_NAMESPACE_TYPE_USER


@dataclasses.dataclass(frozen=True, slots=True)
class Snapshot:
    """A snapshot as its image lists it. ``is_user`` is False for trashed, group and mirror snapshots."""

    id: int
    name: str
    size_bytes: int
    is_user: bool


@dataclasses.dataclass(frozen=True, slots=True)
class Parent:
    """What an image was cloned from."""

    pool: str
    image_id: str


@dataclasses.dataclass(frozen=True, slots=True)
class Trashed:
    """An image in the trash."""

    id: str
    name: str


class Image:
    """An open image, made by a session only; every method raises :class:`~volsnap.lowlevel.ceph_errors.CephError`."""

    def __init__(self, name: str, opened: Any) -> None:
        self.name = name
        self._rbd = opened

    def close(self) -> None:
        """Also for a job that was given up."""
        with ceph_errors.translated(f"close {self.name}"):
            self._rbd.close()

    @ceph_errors.door
    def image_id(self) -> str:
        return str(self._rbd.id())

    @ceph_errors.door
    def size_bytes(self) -> int:
        return int(self._rbd.size())

    @ceph_errors.door
    def resize(self, size_bytes: int) -> None:
        self._rbd.resize(size_bytes)

    @ceph_errors.door
    def snapshots(self) -> list[Snapshot]:
        """All of them, of every namespace.

        The binding looks up the namespaces one by one; when another thread removes a snapshot meanwhile it says "image
        not found", which must never get out of here.
        """
        for _ in range(_LIST_ATTEMPTS):
            try:
                return [
                    Snapshot(each["id"], each["name"], each["size"], each["namespace"] == _USER_SNAPSHOT)
                    for each in self._rbd.list_snaps()
                ]
            except Exception as err:
                if abs(getattr(err, "errno", 0) or 0) != errno.ENOENT:
                    raise
        raise ceph_errors.Lost(f"the snapshots of {self.name} change too fast to be listed")

    def find_snapshot(self, name: str) -> Snapshot | None:
        """The user snapshot of that name."""
        for each in self.snapshots():
            if each.name == name and each.is_user:
                return each
        return None

    @ceph_errors.door
    def create_snapshot(self, name: str) -> None:
        self._rbd.create_snap(name)

    @ceph_errors.door
    def remove_snapshot(self, name: str) -> None:
        """With clones of format 2 it moves to the trash namespace and goes with the last of them."""
        self._rbd.remove_snap(name)

    @ceph_errors.door
    def rename_snapshot(self, old: str, new: str) -> None:
        self._rbd.rename_snap(old, new)

    @ceph_errors.door
    def unprotect(self, name: str) -> None:
        self._rbd.unprotect_snap(name)

    @ceph_errors.door
    def rollback(self, name: str) -> None:
        self._rbd.rollback_to_snap(name)  # its binding has no progress

    @ceph_errors.door
    def flatten(self, report: Report) -> None:
        self._rbd.flatten(_reporting(report))

    @ceph_errors.door
    def parent(self) -> Parent | None:
        """None when it is no clone (any more)."""
        try:
            spec = self._rbd.get_parent_image_spec()
        except Exception as err:
            if abs(getattr(err, "errno", 0) or 0) == errno.ENOENT:
                return None
            raise
        return Parent(spec["pool_name"], str(self._rbd.parent_id()))

    @ceph_errors.door
    def watchers(self) -> int:
        """How many clients have it open for writing; this handle counts when it is one."""
        return len(list(self._rbd.watchers_list()))

    @ceph_errors.door
    def set_metadata(self, key: str, value: str) -> None:
        self._rbd.metadata_set(key, value)

    @ceph_errors.door
    def has_metadata(self, key: str) -> bool:
        return any(name == key for name, _ in self._rbd.metadata_list())

    @ceph_errors.door
    def read(self, offset: int, length: int) -> bytes:
        return bytes(self._rbd.read(offset, length))

    @ceph_errors.door
    def changed(self, offset: int, length: int, since: str | None) -> list[tuple[int, int, bool]]:
        """(offset, length, holds data) of the objects that differ from ``since``, or from nothing, in order."""
        found: list[tuple[int, int, bool]] = []
        self._rbd.diff_iterate(
            offset,
            length,
            since,
            lambda at, size, exists: found.append((at, size, bool(exists))),
            include_parent=True,
            whole_object=True,
        )
        return sorted(found)


def _reporting(report: Report) -> Callable[[int, int], int]:
    """librbd's progress callback; it cannot stop the work, so nothing may be raised from it."""

    def step(done: int, total: int) -> int:
        report(min(1.0, done / total) if total else 1.0)
        return 0

    return step


class _Shared:
    """The one read-write handle of an image. ``lock`` is held while it opens or closes."""

    __slots__ = ("image", "lock", "users")

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.image: Image | None = None
        self.users = 0


class Handles:
    """The read-write handles of one session."""

    def __init__(self, open_image: Callable[[str], Image]) -> None:
        self._open = open_image
        self._lock = threading.Lock()
        self._shared: dict[str, _Shared] = {}

    @contextlib.contextmanager
    def use(self, name: str) -> Iterator[Image]:
        """The image's handle, opened by its first user."""
        with self._lock:
            shared = self._shared.setdefault(name, _Shared())
            shared.users += 1
        try:
            with shared.lock:
                if shared.image is None:
                    shared.image = self._open(name)
                image = shared.image
            yield image
        finally:
            self._leave(name, shared)

    def _leave(self, name: str, shared: _Shared) -> None:
        # Whoever comes while the last one closes waits for shared.lock and opens again: there are never two handles.
        with shared.lock:
            with self._lock:
                shared.users -= 1
                is_last = shared.users == 0
            image = shared.image
            try:
                if is_last and image is not None:
                    shared.image = None
                    image.close()
            finally:
                with self._lock:
                    if shared.users == 0 and self._shared.get(name) is shared:
                        del self._shared[name]
