"""The directory of the file driver: names, facts, and files that appear whole or not at all.

All paths are relative to ``root``, the open directory of one call. Invariant: an object's own name
is given by the rename of a complete, synced file that was locked all the time it was made.
"""

import contextlib
import errno
import fcntl
import os
import re
import stat
import time
from collections.abc import Iterator, Sequence

from volsnap.lowlevel import deadline, sparse
from volsnap.volume.drivers import base

MARKER = "volsnap-file-backend"
VOLUMES = "volumes"
SNAPSHOTS = "snapshots"
PART = ".part"
DELETED = ".deleted"
_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_OURS = re.compile(rf"(volume|snapshot)-({_UUID})(\.part|\.deleted)?")
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
CREATE = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


# -------------------------------------------------------------------------------- names and facts


def volume_path(volume_id: str) -> str:
    return f"{VOLUMES}/{base.volume_name(volume_id)}"


def snapshots_path(volume_id: str) -> str:
    return f"{SNAPSHOTS}/{base.volume_name(volume_id)}"


def snapshot_path(snapshot: base.SnapshotRef) -> str:
    return f"{snapshots_path(snapshot.volume.id)}/{base.snapshot_name(snapshot.id)}"


def place_of(path: str) -> str:
    return path.rpartition("/")[0]


def name_of(path: str) -> str:
    return path.rpartition("/")[2]


def plain_name(name: str) -> str:
    """``name``, if it can be a file's name.

    :raises base.NotFound: it leads somewhere else, or names a leftover, which nobody may adopt.
    """
    if name in ("", ".", "..") or "/" in name or "\0" in name or len(name.encode()) > 255:
        raise base.NotFound(f"There is no object {name!r}.")
    return name


def file_size(root: int, path: str) -> int | None:
    """The size of a file; None: proven absent."""
    try:
        found = os.stat(path, dir_fd=root, follow_symlinks=False)
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(found.st_mode):
        raise base.Failed(f"{path} is not a regular file.")
    return found.st_size


def find_volume(root: int, volume_id: str) -> base.VolumeFact | None:
    size = file_size(root, volume_path(volume_id))
    return None if size is None else base.VolumeFact(volume_id, size)


def find_snapshot(root: int, snapshot: base.SnapshotRef) -> base.SnapshotFact | None:
    size = file_size(root, snapshot_path(snapshot))
    return None if size is None else base.SnapshotFact(snapshot.id, snapshot.volume.id, size)


def get_volume(root: int, volume_id: str) -> base.VolumeFact:
    fact = find_volume(root, volume_id)
    if fact is None:
        raise base.NotFound(f"There is no volume {volume_id}.")
    return fact


def get_snapshot(root: int, snapshot: base.SnapshotRef) -> base.SnapshotFact:
    fact = find_snapshot(root, snapshot)
    if fact is None:
        raise base.NotFound(f"There is no snapshot {snapshot.id} of volume {snapshot.volume.id}.")
    return fact


def find_matching_volume(root: int, volume: base.VolumeRef) -> base.VolumeFact | None:
    """The volume, if it is there and what is asked for.

    :raises base.AlreadyExists: it is there with another size.
    """
    fact = find_volume(root, volume.id)
    if fact is not None and fact.size_bytes != volume.size_bytes:
        raise base.AlreadyExists(f"Volume {volume.id} exists with {fact.size_bytes} bytes, not {volume.size_bytes}.")
    return fact


def get_made_volume(root: int, volume: base.VolumeRef) -> base.VolumeFact:
    """The volume that was just made, by us or by somebody who was faster, re-read from storage."""
    fact = find_matching_volume(root, volume)
    if fact is None:
        raise base.Failed(f"Volume {volume.id} was removed while it was made.")
    return fact


def find_matching_snapshot(root: int, snapshot: base.SnapshotRef) -> base.SnapshotFact | None:
    """The snapshot, if it is there and what is asked for.

    A cut has the size of the file, which is not the database's where a volume was adopted: so the
    volume's own size matches too.

    :raises base.AlreadyExists: it was cut when the volume had another size.
    """
    fact = find_snapshot(root, snapshot)
    if fact is None or fact.size_bytes == snapshot.size_bytes:
        return fact
    volume = find_volume(root, snapshot.volume.id)
    if volume is None or volume.size_bytes != fact.size_bytes:
        raise base.AlreadyExists(
            f"Snapshot {snapshot.id} exists with {fact.size_bytes} bytes, not {snapshot.size_bytes}."
        )
    return fact


def describe(name: str, size: int, origin: str | None) -> base.StorageObject:
    """One file as an inventory line; ``origin``: the directory of snapshots it was found in."""
    of = _OURS.fullmatch(origin) if origin else None
    match = _OURS.fullmatch(name)
    if match is None or match[1] != ("volume" if origin is None else "snapshot"):
        match = None
    return base.StorageObject(
        name=name,
        size_bytes=size,
        is_snapshot=origin is not None,
        volume_id=of[2] if of and match else match[2] if match and origin is None else None,
        snapshot_id=match[2] if match and origin is not None else None,
        origin=origin,
        leftover=match is not None and match[3] is not None,
    )


def is_adoptable(root: int, path: str, target: str) -> bool:
    """True: ``path`` is to be renamed to ``target``; False: that was done already."""
    if path.endswith((PART, DELETED)):
        raise base.NotFound(f"{path} is a leftover of a killed call, not an object.")
    here, there = file_size(root, path), file_size(root, target)
    if here is None and there is None:
        raise base.NotFound(f"There is no object {path}.")
    if here is not None and there is not None and path != target:
        raise base.AlreadyExists(f"{target} exists, so {path} cannot become it.")
    return here is not None and path != target


# -------------------------------------------------------------------------- files and directories


@contextlib.contextmanager
def closing(fd: int) -> Iterator[int]:
    try:
        yield fd
    finally:
        os.close(fd)


def open_source(root: int, path: str) -> int:
    """A file to read from. Opened after the target is claimed: see ``delete_volume``."""
    try:
        return os.open(path, _READ, dir_fd=root)
    except FileNotFoundError as err:
        raise base.NotFound(f"There is no {name_of(path)}.") from err


def sync(root: int, path: str) -> None:
    """Make the names in a directory durable."""
    with closing(os.open(path, DIRECTORY, dir_fd=root)) as fd:
        os.fsync(fd)


def unlink(root: int, path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path, dir_fd=root)


def rename(root: int, old: str, new: str) -> None:
    """Rename if ``old`` is there."""
    with contextlib.suppress(FileNotFoundError):
        os.rename(old, new, src_dir_fd=root, dst_dir_fd=root)


def set_aside(root: int, path: str) -> None:
    """Rename to a leftover's name; on a file system too full for a longer name, leave it."""
    try:
        rename(root, path, path + DELETED)
    except OSError as err:
        if err.errno not in FULL:
            raise


def bring_back(root: int, path: str) -> None:
    """Undo :func:`set_aside`; never over a file that has the name."""
    if file_size(root, path) is None:
        rename(root, path + DELETED, path)


def make_directory(root: int, path: str) -> None:
    try:
        os.mkdir(path, 0o770, dir_fd=root)
    except FileExistsError:
        return
    sync(root, place_of(path))


def list_names(root: int, path: str) -> list[str]:
    """The names in a directory; none if it is not there."""
    try:
        fd = os.open(path, DIRECTORY, dir_fd=root)
    except (FileNotFoundError, NotADirectoryError):
        return []
    with closing(fd):
        return os.listdir(fd)  # noqa: PTH208  pathlib knows no open directories


def list_files(root: int, path: str, beat: deadline.Beat) -> Iterator[tuple[str, int]]:
    """Name and size of each regular file in a directory, sorted; what vanishes meanwhile is left out."""
    for name in sorted(list_names(root, path)):
        beat(0.0)
        with contextlib.suppress(base.Failed):
            size = file_size(root, f"{path}/{name}")
            if size is not None:
                yield name, size


def remove_leftovers(root: int, path: str) -> bool:
    """Remove the half-made files in a directory of snapshots; True: there are whole ones."""
    whole = False
    for name in list_names(root, path):
        if name.endswith(PART):
            remove_part(root, f"{path}/{name.removesuffix(PART)}")
        else:
            whole = True
    return whole


def probe_reflink(root: int) -> bool:
    """Ask the file system itself: types and versions say too little."""
    names = [f"{MARKER}.probe{number}" for number in (1, 2)]
    with contextlib.ExitStack() as stack:
        fds = []
        for name in names:
            stack.callback(unlink, root, name)
            fds.append(stack.enter_context(closing(os.open(name, CREATE, 0o600, dir_fd=root))))
        sparse.write_all(fds[0], bytes(4096), 0)
        return sparse.reflink(sparse.Pair(*fds))


# ------------------------------------------------------------------------------- making an object


class _New:
    """Objects in the making: open, empty, locked ``.part`` files."""

    def __init__(self, root: int, paths: Sequence[str], beat: deadline.Beat) -> None:
        self.fds: list[int] = []
        #: False: each object was there already when its lock was had.
        self.absent = True
        self.published = False
        self._root = root
        self._paths = paths
        self._beat = beat

    def publish(self) -> None:
        """Give the files their names, durably."""
        for fd in self.fds:
            os.fsync(fd)
        self._beat.wanted()  # an object nobody waits for any more would be nobody's
        with contextlib.ExitStack() as undo:
            for path in self._paths:
                os.rename(path + PART, path, src_dir_fd=self._root, dst_dir_fd=self._root)
                undo.callback(rename, self._root, path, path + PART)
            undo.pop_all()
        self.published = True
        for place in {place_of(path) for path in self._paths}:
            sync(self._root, place)


@contextlib.contextmanager
def making(root: int, paths: Sequence[str], beat: deadline.Beat) -> Iterator[_New]:
    """Lock and make the ``.part`` files of ``paths``; what is not published at the end is removed."""
    new = _New(root, paths, beat)
    with contextlib.ExitStack() as stack:
        claimed = {}
        for path in sorted(paths):  # one order for all, so that two groups never wait in a circle
            claimed[path] = stack.enter_context(closing(_claim(root, path, beat)))
            stack.callback(_abandon, root, path, new)
        new.fds = [claimed[path] for path in paths]
        new.absent = any(file_size(root, path) is None for path in paths)
        yield new


def _abandon(root: int, path: str, new: _New) -> None:
    """Runs before the lock is gone, so the ``.part`` is still ours; gone directories took it along."""
    if not new.published:
        unlink(root, path + PART)


def _claim(root: int, path: str, beat: deadline.Beat) -> int:
    """The ``.part`` of ``path``, empty and locked. Waits for whoever is making the same object."""
    while True:
        fd = os.open(path + PART, CREATE, 0o660, dir_fd=root)
        try:
            if _locked(fd) and _is_named(root, path + PART, fd):
                os.ftruncate(fd, 0)
                return fd
            beat.wanted()
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)
        time.sleep(0.005)


def _locked(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_named(root: int, path: str, fd: int) -> bool:
    """The file was not renamed or removed by its former maker while we waited for the lock."""
    try:
        return os.path.samestat(os.stat(path, dir_fd=root), os.fstat(fd))
    except FileNotFoundError:
        return False


def remove_part(root: int, path: str) -> None:
    """Remove the leftover of a killed maker.

    :raises base.Busy: its maker is alive.
    """
    try:
        fd = os.open(path + PART, _READ, dir_fd=root)
    except FileNotFoundError:
        return
    with closing(fd):
        if not _locked(fd):
            raise base.Busy(f"{name_of(path)} is being made right now.")
        if _is_named(root, path + PART, fd):
            unlink(root, path + PART)
