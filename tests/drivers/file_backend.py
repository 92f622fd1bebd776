"""A real file system for the file driver: a loop-mounted image, bound to the driver's directory.

``file`` is ext4 (snapshots are copies), ``file-xfs`` is XFS (snapshots are reflinks). The image is
mounted once out of the driver's sight and bound to the place the driver sees, so that "gone" is a
real unmount and nothing is lost by it. Needs root, loop devices and mkfs.
"""

import contextlib
import os
import pathlib
import shutil
from collections.abc import Iterator

from tests.drivers.backend import Backend
from volsnap.lowlevel import run
from volsnap.volume.drivers import base
from volsnap.volume.drivers import file as file_driver

MIB = 1024 * 1024
_IMAGE_BYTES = 1024 * MIB
_MKFS = {
    "file": ("mkfs.ext4", "-q", "-F", "-m", "0", "-E", "lazy_itable_init=1"),
    "file-xfs": ("mkfs.xfs", "-q", "-m", "reflink=1"),
}


class FileBackend(Backend):
    """See the module."""

    deadline_s = 6.0
    volume_bytes = 32 * MIB

    def __init__(self, name: str, hidden: pathlib.Path, directory: pathlib.Path) -> None:
        self.name = name
        self.cuts_while_written = name == "file-xfs"
        self._hidden = hidden
        self.directory = directory
        self.driver = self.fresh_driver()
        self.driver.check()

    def fresh_driver(self) -> file_driver.FileDriver:
        return file_driver.FileDriver(
            file_driver.FileSettings(
                directory=str(self.directory),
                mount_point=str(self.directory),
                deadline_s=self.deadline_s,
            )
        )

    def _volume(self, volume: base.VolumeRef) -> pathlib.Path:
        return self._hidden / "volumes" / f"volume-{volume.id}"

    def _snapshots(self, volume: base.VolumeRef) -> pathlib.Path:
        return self._hidden / "snapshots" / f"volume-{volume.id}"

    def write(self, volume: base.VolumeRef, offset: int, data: bytes) -> None:
        fd = os.open(self._volume(volume), os.O_WRONLY)
        try:
            assert os.pwrite(fd, data, offset) == len(data)
            os.fdatasync(fd)
        finally:
            os.close(fd)

    def read(self, volume: base.VolumeRef, offset: int, length: int) -> bytes:
        fd = os.open(self._volume(volume), os.O_RDONLY)
        try:
            return os.pread(fd, length, offset)
        finally:
            os.close(fd)

    def object_names(self) -> set[str]:
        return {
            path.name
            for place in ("volumes", "snapshots")
            for path in (self._hidden / place).rglob("*")
            if path.is_file()
        }

    def make_foreign_volume(self, name: str, size_bytes: int) -> None:
        path = self._hidden / "volumes" / name
        path.touch()
        os.truncate(path, size_bytes)

    def make_foreign_snapshot(self, volume: base.VolumeRef, name: str) -> None:
        self._snapshots(volume).mkdir(exist_ok=True)
        shutil.copyfile(self._volume(volume), self._snapshots(volume) / name)

    def plant_half_volume(self, volume: base.VolumeRef) -> None:
        path = self._hidden / "volumes" / f"volume-{volume.id}.part"
        path.write_bytes(b"half" * 1000)

    def plant_half_snapshot(self, snapshot: base.SnapshotRef) -> None:
        place = self._snapshots(snapshot.volume)
        place.mkdir(exist_ok=True)
        (place / f"snapshot-{snapshot.id}.part").write_bytes(b"half" * 1000)

    @contextlib.contextmanager
    def full(self) -> Iterator[None]:
        ballast = self._hidden / "ballast"
        fd = os.open(ballast, os.O_WRONLY | os.O_CREAT)
        try:
            size, step = 0, _IMAGE_BYTES
            while step >= 4096:
                try:
                    os.posix_fallocate(fd, size, step)
                    size += step
                except OSError:
                    step //= 2
            yield
        finally:
            os.close(fd)
            ballast.unlink()

    @contextlib.contextmanager
    def gone(self) -> Iterator[None]:
        run.run(["umount", str(self.directory)])
        try:
            yield
        finally:
            run.run(["mount", "--bind", str(self._hidden), str(self.directory)])

    def reset(self) -> None:
        for place in ("volumes", "snapshots"):
            for path in (self._hidden / place).iterdir():
                if path.is_dir():
                    shutil.rmtree(path)
                else:
                    path.unlink()


@contextlib.contextmanager
def open_backend(name: str, workdir: pathlib.Path) -> Iterator[FileBackend]:
    """A mounted file system with a checked driver on it; unmounted and removed at the end."""
    image, hidden, directory = workdir / "image", workdir / "hidden", workdir / "directory"
    image.touch()
    os.truncate(image, _IMAGE_BYTES)
    run.run([*_MKFS[name], str(image)])
    with contextlib.ExitStack() as stack:
        stack.callback(image.unlink)
        for place, options in ((hidden, ["-o", "loop", str(image)]), (directory, ["--bind"])):
            place.mkdir()
            source = [] if place == hidden else [str(hidden)]
            run.run(["mount", *options, *source, str(place)])
            stack.callback(run.run, ["umount", str(place)])
        backend = FileBackend(name, hidden, directory)
        stack.callback(backend.driver.close)
        yield backend
