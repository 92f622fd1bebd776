"""The file driver: volumes and snapshots are sparse raw files in a directory. No root, no daemon.

::

    <directory>/volsnap-file-backend                      the marker: this is the backend, mounted
    <directory>/volumes/volume-<uuid>
    <directory>/snapshots/volume-<uuid>/snapshot-<uuid>   a snapshot's directory names its volume
                                        …/….part          being made, or left by a killed create
    <directory>/volumes/volume-<uuid>.deleted             being deleted, or left by a killed delete

Invariant: an object's own name appears only by the rename of a complete, synced file, so whatever
has that name is whole, and whatever ends in ``.part`` or ``.deleted`` is a leftover. Who makes an
object holds a lock (flock) on its ``.part``; the lock ends with the process, so a leftover of a
killed process is told from work in progress, and two makers of one object never mix.

*Absent* is a fact only below an open directory with the marker in it. An unmounted mount point, a
missing or a hanging directory is :class:`base.Unavailable`.

**How much of a point in time a snapshot is.** With reflink: one instant, always. Without: a copy
that is proven to be of one instant, because the volume was not written between its first and its
last byte (see :mod:`volsnap.lowlevel.sparse`). A guest that is frozen, or pauses for as long as its
data takes to be compared from memory (about a second per GiB), does not notice. For a guest that
never pauses that long the driver says :class:`base.Busy` with the ways out; it never keeps a torn
copy. A group is cut in the same way, with or without reflink: one pause common to all members.

``diff`` reads both snapshots where they have data: it is exact and costs O(data).
"""

import contextlib
import dataclasses
import errno
import os
import pathlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from volsnap.lowlevel import deadline, sparse
from volsnap.volume.drivers import base
from volsnap.volume.drivers import file_tree as tree

T = TypeVar("T")

_MARKER_TEXT = b"volsnap keeps volumes here. Without this file the directory counts as not mounted.\n"
_AWAY = {
    errno.ENODEV,
    errno.ENXIO,
    errno.ENOTCONN,
    errno.ESTALE,
    errno.EHOSTDOWN,
    errno.ETIMEDOUT,
    errno.EROFS,
}
_DIFF_GRAIN = 64 * 1024


@dataclasses.dataclass(frozen=True, slots=True)
class FileSettings:
    """The options of ``volsnap.conf.file``; their help texts say what they mean."""

    directory: str
    mount_point: str = ""
    deadline_s: float = 30.0
    reserved_percent: float = 5.0


class FileDriver(base.Driver):
    """See the module and :class:`base.Driver`."""

    def __init__(self, settings: FileSettings) -> None:
        self._settings = settings
        self._directory = os.path.abspath(settings.directory)
        self._calls = deadline.Calls(settings.deadline_s)
        self._was_here = False
        self._set_reflink(can=False)

    def _set_reflink(self, *, can: bool) -> None:
        self._reflink = can
        self.capabilities = base.Capabilities(
            protocol="file",
            thin=True,
            clone_copies=not can,
            revert_copies=not can,
            diff=True,
            group_snapshot=True,
            shared=False,
        )

    # ------------------------------------------------------------------------------- the backend

    def check(self) -> None:
        def work(beat: deadline.Beat) -> bool:
            try:
                root = self._open_root()
            except base.Unavailable:
                if self._was_here:  # it went away; making a new one would hide that
                    raise
                self._make_root()
                root = self._open_root()
            with tree.closing(root):
                return tree.probe_reflink(root)

        self._set_reflink(can=self._guarded("check", work))
        self._was_here = True

    def stats(self) -> base.Stats:
        def work(root: int, beat: deadline.Beat) -> base.Stats:
            space = os.fstatvfs(root)
            return base.Stats(space.f_blocks * space.f_frsize, max(0, self._free(root)))

        return self._call("stats", work)

    def maintain(self) -> list[base.SnapshotFact]:
        return self._call("maintain", lambda root, beat: [])

    def close(self) -> None:
        """Nothing is kept open between two calls, so that the file system can be unmounted."""

    def _guarded(
        self,
        what: str,
        work: Callable[[deadline.Beat], T],
        progress: base.Progress = base.no_progress,
    ) -> T:
        """``work`` inside the deadline, with the errors of the operating system translated."""

        def translated(beat: deadline.Beat) -> T:
            try:
                return work(beat)
            except OSError as err:
                raise self._meaning(what, err) from err

        try:
            return self._calls.run(translated, progress)
        except deadline.StuckError as err:
            raise base.Unavailable(
                f"The file system of {self._directory} did not answer within "
                f"{self._settings.deadline_s:g} s (deadline_s)."
            ) from err

    def _call(
        self,
        what: str,
        work: Callable[[int, deadline.Beat], T],
        progress: base.Progress = base.no_progress,
    ) -> T:
        """``work(root, beat)`` with the backend's directory open: all its paths start there.

        One open directory per call means that a call sees one file system from begin to end.
        """

        def with_root(beat: deadline.Beat) -> T:
            with tree.closing(self._open_root()) as root:
                return work(root, beat)

        return self._guarded(what, with_root, progress)

    def _meaning(self, what: str, err: OSError) -> base.DriverError:
        reason = os.strerror(err.errno) if err.errno else str(err)
        if err.errno in tree.FULL:
            return base.NoSpace(f"The file system of {self._directory} has no room: {reason}.")
        if err.errno in _AWAY:
            return base.Unavailable(f"The file system of {self._directory} failed: {reason}.")
        return base.Failed(f"{what} failed in {self._directory}: {reason}.")

    def _open_root(self) -> int:
        """The directory, proven to be the backend by its marker."""
        try:
            root = os.open(self._directory, tree.DIRECTORY)
        except OSError as err:
            raise base.Unavailable(
                f"The directory {self._directory} (setting directory) cannot be opened: {os.strerror(err.errno or 0)}."
            ) from err
        try:
            os.stat(tree.MARKER, dir_fd=root)
        except OSError as err:
            os.close(root)
            raise base.Unavailable(
                f"{self._directory} (setting directory) has no marker {tree.MARKER}: is its file system mounted?"
            ) from err
        return root

    def _make_root(self) -> None:
        """First use. The marker comes last, so that a directory that has it is complete."""
        mount_point = self._settings.mount_point
        if mount_point and not os.path.ismount(mount_point):
            raise base.Unavailable(f"Nothing is mounted on {mount_point} (setting mount_point).")
        try:
            pathlib.Path(self._directory).mkdir(parents=True, exist_ok=True)
            self._refuse_strangers("", {tree.VOLUMES, tree.SNAPSHOTS, tree.MARKER, "lost+found"})
            for name in (tree.VOLUMES, tree.SNAPSHOTS):
                pathlib.Path(self._directory, name).mkdir(exist_ok=True)
                self._refuse_strangers(name, set())
            with tree.closing(os.open(self._directory, tree.DIRECTORY)) as root:
                with tree.closing(os.open(tree.MARKER, tree.CREATE, 0o644, dir_fd=root)) as marker:
                    sparse.write_all(marker, _MARKER_TEXT, 0)
                    os.fsync(marker)
                os.fsync(root)
        except OSError as err:
            raise base.Unavailable(
                f"The directory {self._directory} (setting directory) cannot be made: {os.strerror(err.errno or 0)}."
            ) from err

    def _refuse_strangers(self, place: str, known: set[str]) -> None:
        """A directory with other things in it is not ours to use: the setting is wrong."""
        strangers = {found.name for found in pathlib.Path(self._directory, place).iterdir()} - known
        if strangers:
            raise base.Unavailable(
                f"{self._directory} (setting directory) has no marker {tree.MARKER} but holds "
                f"{min(strangers)}: it is not an empty directory for volsnap."
            )

    def _free(self, root: int) -> int:
        """Bytes that new objects may still take; negative when the reserve is touched."""
        space = os.fstatvfs(root)
        reserve = int(space.f_blocks * self._settings.reserved_percent / 100)
        return (space.f_bavail - reserve) * space.f_frsize

    def _require_room(self, root: int, need_bytes: int) -> None:
        free = self._free(root)
        if free <= need_bytes:
            raise base.NoSpace(
                f"The file system of {self._directory} has {max(0, free)} bytes for new data "
                f"({self._settings.reserved_percent:g} % stay reserved); {need_bytes} are needed."
            )

    # --------------------------------------------------------------------------------- volumes

    def create_volume(self, volume: base.VolumeRef) -> base.VolumeFact:
        def work(root: int, beat: deadline.Beat) -> base.VolumeFact:
            if fact := tree.find_matching_volume(root, volume):
                return fact
            self._require_room(root, 0)
            with tree.making(root, [tree.volume_path(volume.id)], beat) as new:
                if new.absent:
                    os.ftruncate(new.fds[0], volume.size_bytes)
                    new.publish()
            return tree.get_made_volume(root, volume)

        return self._call("create_volume", work)

    def delete_volume(self, volume: base.VolumeRef) -> None:
        """Removal goes by way of ``.deleted``: a snapshot that is made at the same time either finds no
        volume, or is found here and the volume comes back.
        """

        def work(root: int, beat: deadline.Beat) -> None:
            path, cuts = tree.volume_path(volume.id), tree.snapshots_path(volume.id)
            if tree.remove_leftovers(root, cuts):
                tree.bring_back(root, path)
                raise base.Busy(f"Volume {volume.id} has snapshots.")
            tree.remove_part(root, path)
            tree.set_aside(root, path)
            try:
                os.rmdir(cuts, dir_fd=root)
            except FileNotFoundError:
                pass
            except OSError as err:
                tree.bring_back(root, path)
                raise base.Busy(f"A snapshot of volume {volume.id} is being made.") from err
            tree.unlink(root, path + tree.DELETED)
            tree.unlink(root, path)
            tree.sync(root, tree.VOLUMES)

        self._call("delete_volume", work)

    def extend_volume(self, volume: base.VolumeRef, new_size_bytes: int) -> base.VolumeFact:
        def work(root: int, beat: deadline.Beat) -> base.VolumeFact:
            fact = tree.get_volume(root, volume.id)
            if fact.size_bytes >= new_size_bytes:
                return fact
            self._require_room(root, 0)
            flags = os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
            with tree.closing(os.open(tree.volume_path(volume.id), flags, dir_fd=root)) as fd:
                os.ftruncate(fd, new_size_bytes)
                os.fsync(fd)
            return tree.get_volume(root, volume.id)

        return self._call("extend_volume", work)

    def clone_volume(
        self,
        source: base.VolumeRef,
        volume: base.VolumeRef,
        progress: base.Progress = base.no_progress,
    ) -> base.VolumeFact:
        def work(root: int, beat: deadline.Beat) -> base.VolumeFact:
            return self._volume_out_of(root, tree.volume_path(source.id), volume, beat)

        return self._call("clone_volume", work, progress)

    def create_volume_from_snapshot(
        self,
        snapshot: base.SnapshotRef,
        volume: base.VolumeRef,
        progress: base.Progress = base.no_progress,
    ) -> base.VolumeFact:
        def work(root: int, beat: deadline.Beat) -> base.VolumeFact:
            return self._volume_out_of(root, tree.snapshot_path(snapshot), volume, beat)

        return self._call("create_volume_from_snapshot", work, progress)

    def _volume_out_of(self, root: int, source: str, volume: base.VolumeRef, beat: deadline.Beat) -> base.VolumeFact:
        if fact := tree.find_matching_volume(root, volume):
            return fact
        with (
            tree.making(root, [tree.volume_path(volume.id)], beat) as new,
            tree.closing(tree.open_source(root, source)) as fd,
        ):
            if new.absent:
                if os.fstat(fd).st_size > volume.size_bytes:
                    raise base.Unsupported(f"Volume {volume.id} would be smaller than its source.")
                self._bring([sparse.Pair(fd, new.fds[0])], root, beat)
                os.ftruncate(new.fds[0], volume.size_bytes)
                new.publish()
        return tree.get_made_volume(root, volume)

    def find_volume(self, volume_id: str) -> base.VolumeFact | None:
        return self._call("find_volume", lambda root, beat: tree.find_volume(root, volume_id))

    def _bring(self, pairs: Sequence[sparse.Pair], root: int, beat: deadline.Beat) -> None:
        """Targets hold their sources, all as of one instant."""
        need = 0 if self._reflink else sum(os.fstat(pair.source).st_blocks * 512 for pair in pairs)
        self._require_room(root, need)
        try:
            sparse.cut(
                pairs,
                beat,
                can_reflink=self._reflink,
                patience_s=self._settings.deadline_s / 4,
            )
        except sparse.MovingError as err:
            raise base.Busy(
                "The volume is written faster than its data can be copied in one instant: "
                "freeze or pause the guest for the snapshot, detach the volume, or keep the "
                f"directory {self._directory} on a file system with reflink (XFS, btrfs)."
            ) from err

    # ------------------------------------------------------------------------------- snapshots

    def create_snapshot(self, snapshot: base.SnapshotRef) -> base.SnapshotFact:
        return self.create_group_snapshot([snapshot])[0]

    def create_group_snapshot(self, snapshots: Sequence[base.SnapshotRef]) -> list[base.SnapshotFact]:
        def work(root: int, beat: deadline.Beat) -> list[base.SnapshotFact]:
            if any(tree.find_matching_snapshot(root, snapshot) is None for snapshot in snapshots):
                self._cut(root, snapshots, beat)
            return [tree.get_snapshot(root, snapshot) for snapshot in snapshots]

        return self._call("create_snapshot", work)

    def _cut(self, root: int, snapshots: Sequence[base.SnapshotRef], beat: deadline.Beat) -> None:
        """Cut all that are missing. Whoever finds some of a group there finds a killed attempt: the
        whole group is cut again, so that it is one instant."""
        for snapshot in snapshots:
            tree.get_volume(root, snapshot.volume.id)
            tree.make_directory(root, tree.snapshots_path(snapshot.volume.id))
        paths = [tree.snapshot_path(snapshot) for snapshot in snapshots]
        with contextlib.ExitStack() as stack:
            new = stack.enter_context(tree.making(root, paths, beat))
            if not new.absent:
                return
            sources = [tree.volume_path(snapshot.volume.id) for snapshot in snapshots]
            files = (tree.closing(tree.open_source(root, path)) for path in sources)
            fds = [stack.enter_context(file) for file in files]
            pairs = [sparse.Pair(*pair) for pair in zip(fds, new.fds, strict=True)]
            self._bring(pairs, root, beat)
            new.publish()

    def delete_snapshot(self, snapshot: base.SnapshotRef) -> None:
        def work(root: int, beat: deadline.Beat) -> None:
            path = tree.snapshot_path(snapshot)
            with contextlib.suppress(FileNotFoundError):
                tree.remove_part(root, path)
                tree.unlink(root, path)
                tree.sync(root, tree.place_of(path))

        self._call("delete_snapshot", work)

    def revert(
        self,
        volume: base.VolumeRef,
        snapshot: base.SnapshotRef,
        progress: base.Progress = base.no_progress,
    ) -> base.VolumeFact:
        def work(root: int, beat: deadline.Beat) -> base.VolumeFact:
            size_bytes = tree.get_volume(root, volume.id).size_bytes
            with (
                tree.making(root, [tree.volume_path(volume.id)], beat) as new,
                tree.closing(tree.open_source(root, tree.snapshot_path(snapshot))) as fd,
            ):
                self._bring([sparse.Pair(fd, new.fds[0])], root, beat)
                os.ftruncate(new.fds[0], max(size_bytes, os.fstat(fd).st_size))
                new.publish()
            return tree.get_volume(root, volume.id)

        return self._call("revert", work, progress)

    def find_snapshot(self, snapshot: base.SnapshotRef) -> base.SnapshotFact | None:
        return self._call("find_snapshot", lambda root, beat: tree.find_snapshot(root, snapshot))

    # ------------------------------------------------------------------------------------ data

    def connect(
        self, volume: base.VolumeRef, connector: Mapping[str, Any], *, read_only: bool = False
    ) -> base.Connection:
        """What os-brick calls the ``local`` connector: the initiator is on this host."""
        self._call("connect", lambda root, beat: tree.get_volume(root, volume.id))
        data = {
            "device_path": os.path.join(self._directory, tree.volume_path(volume.id)),
            "format": "raw",
            "access_mode": "ro" if read_only else "rw",
        }
        return base.Connection("local", data)

    def disconnect(self, volume: base.VolumeRef, connector: Mapping[str, Any]) -> None:
        """There is nothing to undo."""

    @contextlib.contextmanager
    def open_snapshot(self, snapshot: base.SnapshotRef) -> Iterator[base.SnapshotReader]:
        def work(root: int, beat: deadline.Beat) -> tuple[int, int]:
            fd = tree.open_source(root, tree.snapshot_path(snapshot))
            return fd, os.fstat(fd).st_size

        fd, size_bytes = self._call("open_snapshot", work)
        with tree.closing(fd):
            yield _Reader(fd, size_bytes, self._guarded)

    def diff(self, older: base.SnapshotRef, newer: base.SnapshotRef) -> Iterable[base.Extent]:
        def work(root: int, beat: deadline.Beat) -> list[sparse.Range]:
            with (
                tree.closing(tree.open_source(root, tree.snapshot_path(older))) as old,
                tree.closing(tree.open_source(root, tree.snapshot_path(newer))) as new,
            ):
                return sparse.differences(old, new, os.fstat(new).st_size, _DIFF_GRAIN, beat)

        return [_extent(found) for found in self._call("diff", work)]

    # ---------------------------------------------------------------------------- housekeeping

    def inventory(self) -> Iterable[base.StorageObject]:
        def work(root: int, beat: deadline.Beat) -> list[base.StorageObject]:
            files = tree.list_files(root, tree.VOLUMES, beat)
            found = [tree.describe(name, size, None) for name, size in files]
            for origin in tree.list_names(root, tree.SNAPSHOTS):
                files = tree.list_files(root, f"{tree.SNAPSHOTS}/{origin}", beat)
                found += [tree.describe(name, size, origin) for name, size in files]
            return found

        return self._call("inventory", work)

    def discard(self, found: base.StorageObject) -> None:
        if found.volume_id is None and found.snapshot_id is None:
            raise base.Unsupported(f"{found.name} is not an object of volsnap.")
        if not found.leftover and not found.is_snapshot:
            self.delete_volume(base.VolumeRef(found.volume_id or "", found.size_bytes))
            return

        def work(root: int, beat: deadline.Beat) -> None:
            place = f"{tree.SNAPSHOTS}/{found.origin}" if found.is_snapshot else tree.VOLUMES
            path = f"{place}/{tree.plain_name(found.name)}"
            with contextlib.suppress(FileNotFoundError):
                if path.endswith(tree.PART):
                    tree.remove_part(root, path.removesuffix(tree.PART))
                else:
                    tree.unlink(root, path)
                tree.sync(root, place)

        self._call("discard", work)

    def adopt_volume(self, name: str, volume: base.VolumeRef) -> base.VolumeFact:
        """Snapshots that lie under the old name come along, first, so that none is lost."""

        def work(root: int, beat: deadline.Beat) -> base.VolumeFact:
            target = tree.volume_path(volume.id)
            if tree.is_adoptable(root, f"{tree.VOLUMES}/{tree.plain_name(name)}", target):
                tree.rename(root, f"{tree.SNAPSHOTS}/{name}", tree.snapshots_path(volume.id))
                os.rename(f"{tree.VOLUMES}/{name}", target, src_dir_fd=root, dst_dir_fd=root)
                tree.sync(root, tree.SNAPSHOTS)
                tree.sync(root, tree.VOLUMES)
            return tree.get_volume(root, volume.id)

        return self._call("adopt_volume", work)

    def adopt_snapshot(self, name: str, snapshot: base.SnapshotRef) -> base.SnapshotFact:
        def work(root: int, beat: deadline.Beat) -> base.SnapshotFact:
            place, target = tree.snapshots_path(snapshot.volume.id), tree.snapshot_path(snapshot)
            if tree.is_adoptable(root, f"{place}/{tree.plain_name(name)}", target):
                os.rename(f"{place}/{name}", target, src_dir_fd=root, dst_dir_fd=root)
                tree.sync(root, place)
            return tree.get_snapshot(root, snapshot)

        return self._call("adopt_snapshot", work)


class _Reader(base.SnapshotReader):
    """An open snapshot file; each access ends inside the driver's deadline."""

    def __init__(self, fd: int, size_bytes: int, guarded: Callable[..., Any]) -> None:
        self.size_bytes = size_bytes
        self._fd = fd
        self._guarded = guarded

    def read(self, offset: int, length: int) -> bytes:
        def work(beat: deadline.Beat) -> bytes:
            parts: list[bytes] = []
            at, end = offset, min(offset + length, self.size_bytes)
            while at < end and (part := os.pread(self._fd, end - at, at)):
                parts.append(part)
                at += len(part)
            return parts[0] if len(parts) == 1 else b"".join(parts)

        data: bytes = self._guarded("read", work)
        return data

    def extents(self) -> Iterator[base.Extent]:
        def work(beat: deadline.Beat) -> list[base.Extent]:
            found = []
            for part in sparse.ranges(self._fd, self.size_bytes):
                found.append(_extent(part))
                beat((part.offset + part.length) / self.size_bytes)
            return found

        yield from self._guarded("extents", work)


def _extent(part: sparse.Range) -> base.Extent:
    return base.Extent(part.offset, part.length, zero=part.hole)
