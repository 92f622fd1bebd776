"""What only the file driver can do wrong: mounts, hanging file systems, leftovers, holes."""

import contextlib
import fcntl
import os
import pathlib
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from tests.drivers import file_backend, scenario
from volsnap.volume.drivers import base
from volsnap.volume.drivers import file as file_driver

pytestmark = pytest.mark.file

MIB = 1024 * 1024
_FIFREEZE, _FITHAW = 0xC0045877, 0xC0045878


@pytest.fixture(scope="module")
def ext4(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[file_backend.FileBackend]:
    """A file system without reflink, whatever backends were chosen."""
    with file_backend.open_backend("file", tmp_path_factory.mktemp("ext4")) as opened:
        yield opened


@pytest.fixture
def backend(ext4: file_backend.FileBackend) -> Iterator[file_backend.FileBackend]:
    ext4.reset()
    yield ext4
    ext4.reset()


def _driver(directory: pathlib.Path, **settings: object) -> file_driver.FileDriver:
    return file_driver.FileDriver(
        file_driver.FileSettings(directory=str(directory), **settings)  # type: ignore[arg-type]
    )


def _blocks(path: pathlib.Path) -> int:
    return path.stat().st_blocks * 512


# ------------------------------------------------------------------------------ the directory


def test_first_use_makes_the_directory(tmp_path: pathlib.Path) -> None:
    """An absent directory and an empty one are made into a backend; another driver finds it."""
    for directory in (tmp_path / "absent" / "too", tmp_path / "empty"):
        if directory.name == "empty":
            directory.mkdir()
        _driver(directory).check()
        assert (directory / file_driver.tree.MARKER).exists()
        _driver(directory).check()
        assert _driver(directory).find_volume("absent") is None


def test_before_check_nothing_is_absent(tmp_path: pathlib.Path) -> None:
    """A directory without the marker proves nothing, be it empty or missing."""
    for directory in (tmp_path, tmp_path / "missing"):
        with pytest.raises(base.Unavailable):
            _driver(directory).find_volume("some")


def test_a_directory_with_other_things_is_refused(tmp_path: pathlib.Path) -> None:
    """The setting is wrong: nothing is made there."""
    (tmp_path / "letter").touch()
    with pytest.raises(base.Unavailable, match="letter"):
        _driver(tmp_path).check()
    assert [path.name for path in tmp_path.iterdir()] == ["letter"]


def test_nothing_is_made_below_an_unmounted_mount_point(tmp_path: pathlib.Path) -> None:
    """With ``mount_point`` set, a restart before the mount does not make a second, empty backend."""
    driver = _driver(tmp_path / "mnt" / "volsnap", mount_point=str(tmp_path / "mnt"))
    with pytest.raises(base.Unavailable, match="mount_point"):
        driver.check()
    assert list(tmp_path.iterdir()) == []


def test_a_driver_never_makes_its_directory_anew(tmp_path: pathlib.Path) -> None:
    """It was there and is away: check says so instead of starting over."""
    driver = _driver(tmp_path / "here")
    driver.check()
    (tmp_path / "here").rename(tmp_path / "away")
    with pytest.raises(base.Unavailable):
        driver.check()
    assert not (tmp_path / "here").exists()


@contextlib.contextmanager
def _frozen(directory: pathlib.Path) -> Iterator[None]:
    """Writes to the file system hang, as on a dead server."""
    fd = os.open(directory, os.O_RDONLY)
    try:
        fcntl.ioctl(fd, _FIFREEZE, 0)
        try:
            yield
        finally:
            fcntl.ioctl(fd, _FITHAW, 0)
    finally:
        os.close(fd)


def test_a_hanging_file_system(backend: file_backend.FileBackend) -> None:
    """1. The file system hangs: calls end inside the deadline with Unavailable.

    2. It answers again: what was given up meanwhile leaves nothing, and the calls can be repeated.
    """
    volume = scenario.new_volume(backend, "v1")
    driver = _driver(backend.directory, deadline_s=1.0)
    wanted, cut = scenario.volume_ref(backend), scenario.snapshot_ref(volume)
    with _frozen(backend.directory):
        for call in (
            lambda: driver.create_volume(wanted),
            lambda: driver.create_snapshot(cut),
        ):
            began = time.monotonic()
            with pytest.raises(base.Unavailable):
                call()
            assert time.monotonic() - began < 2.0
        assert driver.find_volume(volume.id) is not None
    driver.create_volume(wanted)
    driver.create_snapshot(cut)
    scenario.assert_snapshot(driver, cut, "v1")
    assert not [item for item in driver.inventory() if item.leftover]


# ------------------------------------------------------------------------------------ holes


def test_copies_stay_sparse(backend: file_backend.FileBackend) -> None:
    """Snapshot, clone and revert take the space of the data, not of the size."""
    volume = scenario.new_volume(backend, "v1", times=8)
    snapshot, clone = scenario.new_snapshot(backend, volume), scenario.volume_ref(backend, times=8)
    backend.driver.clone_volume(volume, clone)
    backend.driver.revert(volume, snapshot)
    files = [path for path in backend.directory.rglob("*-*") if path.is_file()]
    assert [path for path in files if _blocks(path) > MIB] == []


def test_no_room_in_the_middle_of_a_copy(backend: file_backend.FileBackend) -> None:
    """The file size limit of the process stands for a quota that ends inside the copy.

    NoSpace, nothing is left, and the same call succeeds later.
    """
    volume = scenario.new_volume(backend)
    backend.write(volume, 0, os.urandom(MIB) * 16)
    clone = scenario.volume_ref(backend)
    before = backend.object_names()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8 * MIB, hard))
    try:
        with pytest.raises(base.NoSpace):
            backend.driver.clone_volume(volume, clone)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert backend.object_names() == before
    backend.driver.clone_volume(volume, clone)
    assert backend.read(clone, 0, MIB) == backend.read(volume, 0, MIB)


def test_the_reserve_is_kept_for_volumes_in_use(backend: file_backend.FileBackend) -> None:
    """A snapshot whose copy would eat the reserve is refused before a byte is written."""
    volume = scenario.new_volume(backend)
    backend.write(volume, 0, os.urandom(MIB) * 16)
    free = backend.driver.stats().free_bytes
    total = backend.driver.stats().total_bytes
    percent = 5.0 + 100.0 * (free - 8 * MIB) / total
    with pytest.raises(base.NoSpace, match="reserved"):
        _driver(backend.directory, reserved_percent=percent).create_snapshot(scenario.snapshot_ref(volume))


# -------------------------------------------------------------------------------- leftovers

_KILLED = """
import os, signal, sys
from volsnap.lowlevel import sparse
from volsnap.volume.drivers import base, file, file_tree
directory, volume_id, snapshot_id, size = sys.argv[1:]
volume = base.VolumeRef(volume_id, int(size))
driver = file.FileDriver(file.FileSettings(directory=directory))
copy = sparse._copy
def copy_and_die(*arguments):
    copy(*arguments)
    os.kill(os.getpid(), signal.SIGKILL)
sparse._copy = copy_and_die
driver.create_snapshot(base.SnapshotRef(snapshot_id, volume, int(size)))
"""


def test_killed_in_the_middle_of_a_copy(backend: file_backend.FileBackend) -> None:
    """1. A process is killed while it copies. 2. No snapshot, one leftover. 3. Again: a whole one."""
    volume = scenario.new_volume(backend, "v1")
    snapshot = scenario.snapshot_ref(volume)
    arguments = [str(backend.directory), volume.id, snapshot.id, str(volume.size_bytes)]
    ended = subprocess.run([sys.executable, "-c", _KILLED, *arguments], check=False)
    assert ended.returncode == -signal.SIGKILL
    assert backend.driver.find_snapshot(snapshot) is None
    (left,) = [item for item in backend.driver.inventory() if item.leftover]
    assert (left.snapshot_id, left.volume_id) == (snapshot.id, volume.id)
    backend.driver.create_snapshot(snapshot)
    scenario.assert_snapshot(backend.driver, snapshot, "v1")
    assert not [item for item in backend.driver.inventory() if item.leftover]


def test_work_in_progress_is_no_leftover_to_discard(backend: file_backend.FileBackend) -> None:
    """Somebody holds the lock of a ``.part``: neither discard nor a delete takes it away."""
    volume = scenario.new_volume(backend, "v1")
    snapshot = scenario.snapshot_ref(volume)
    backend.plant_half_snapshot(snapshot)
    (part,) = backend.directory.rglob("*.part")
    (left,) = [item for item in backend.driver.inventory() if item.leftover]
    with part.open("rb") as maker:
        fcntl.flock(maker, fcntl.LOCK_EX)
        for call in (
            lambda: backend.driver.discard(left),
            lambda: backend.driver.delete_snapshot(snapshot),
            lambda: backend.driver.delete_volume(volume),
        ):
            with pytest.raises(base.Busy):
                call()
        assert part.exists()
    backend.driver.discard(left)
    assert not part.exists()


def test_a_killed_delete_is_finished_by_the_next(backend: file_backend.FileBackend) -> None:
    """The volume has its ``.deleted`` name: absent, a leftover, and gone after delete or discard."""
    for finish_by_discard in (False, True):
        volume = scenario.new_volume(backend, "v1")
        path = backend.directory / "volumes" / f"volume-{volume.id}"
        path.rename(f"{path}.deleted")
        assert backend.driver.find_volume(volume.id) is None
        (left,) = [item for item in backend.driver.inventory() if item.leftover]
        if finish_by_discard:
            backend.driver.discard(left)
        else:
            backend.driver.delete_volume(volume)
        assert backend.object_names() == set()


def test_a_half_deleted_volume_with_a_snapshot_comes_back(
    backend: file_backend.FileBackend,
) -> None:
    """A delete was killed between its two looks for snapshots: the data is kept."""
    volume = scenario.new_volume(backend, "v1")
    snapshot = scenario.new_snapshot(backend, volume)
    path = backend.directory / "volumes" / f"volume-{volume.id}"
    path.rename(f"{path}.deleted")
    with pytest.raises(base.Busy):
        backend.driver.delete_volume(volume)
    scenario.assert_volume(backend, volume, "v1")
    scenario.assert_snapshot(backend.driver, snapshot, "v1")


def test_adopting_a_volume_brings_its_snapshots(backend: file_backend.FileBackend) -> None:
    """A volume of an earlier installation keeps its snapshots under the new name."""
    old = scenario.new_volume(backend, "v1")
    cut = scenario.new_snapshot(backend, old)
    volume = scenario.volume_ref(backend)
    backend.driver.adopt_volume(base.volume_name(old.id), volume)
    moved = base.SnapshotRef(cut.id, volume, cut.size_bytes)
    scenario.assert_snapshot(backend.driver, moved, "v1")
    assert backend.driver.find_volume(old.id) is None
