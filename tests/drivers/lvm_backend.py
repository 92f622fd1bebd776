"""Real LVM for the conformance suite: the guest's block devices, seen and written by LVM's own commands.

Runs only in the guest (``tests/labs/run-in-guest``), where ``GUEST_DISKS`` names empty block devices.
"""

import contextlib
import mmap
import os
import pathlib
import subprocess
import time
from collections.abc import Iterator

from tests.drivers.backend import Backend
from volsnap import units
from volsnap.lowlevel import devmapper
from volsnap.volume.drivers import base
from volsnap.volume.drivers.lvm import LvmDriver, LvmSettings
from volsnap.volume.drivers.lvm_names import snapshot_name

VG = "vs-test"
POOL = "pool"
POOL_BYTES = 512 * units.MIB


def command(*argv: str) -> str:
    """Run one of LVM's commands as an administrator would."""
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, (argv, done.stderr)
    return done.stdout


class LvmBackend(Backend):
    """One volume group on the guest's disks."""

    volume_bytes = 24 * units.MIB
    deadline_s = 10.0

    def __init__(self, name: str) -> None:
        self.name = name
        self.thin = name == "lvm-thin"
        self.many = 12 if self.thin else 6  # each takes two commands of 0.2 s and more
        self.furniture = frozenset({POOL}) if self.thin else frozenset()
        self.driver = self.fresh_driver()
        self.driver.check()

    def settings(self, **changes: object) -> LvmSettings:
        values: dict[str, object] = {
            "volume_group": VG,
            "lvm_type": "thin" if self.thin else "thick",
            "lvm_thin_pool": POOL,
            "lvm_cow_min_mib": 8,
            "lvm_deadline_s": self.deadline_s,
            **changes,
        }
        return LvmSettings(**values)  # type: ignore[arg-type]

    def fresh_driver(self) -> LvmDriver:
        return LvmDriver(self.settings())

    def path(self, volume: base.VolumeRef) -> str:
        # Not /dev/<vg>/<name>: without udev LVM makes that link anew at each change, and it is missing for a moment.
        return f"/dev/mapper/{devmapper.lvm_device_name(VG, base.volume_name(volume.id))}"

    def write(self, volume: base.VolumeRef, offset: int, data: bytes) -> None:
        descriptor = os.open(self.path(volume), os.O_WRONLY)
        try:
            assert os.pwrite(descriptor, data, offset) == len(data)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def read(self, volume: base.VolumeRef, offset: int, length: int) -> bytes:
        descriptor = os.open(self.path(volume), os.O_RDONLY)
        try:
            return os.pread(descriptor, length, offset)
        finally:
            os.close(descriptor)

    def object_names(self) -> set[str]:
        return set(command("lvs", "--noheadings", "-o", "lv_name", VG).split())

    def make_foreign_volume(self, name: str, size_bytes: int) -> None:
        size = f"{size_bytes}b"
        if self.thin:
            command("lvcreate", "-y", "-V", size, "-n", name, "--thinpool", POOL, VG)
        else:
            command("lvcreate", "-y", "-Wn", "-L", size, "-n", name, VG)

    def make_foreign_snapshot(self, volume: base.VolumeRef, name: str) -> None:
        size = [] if self.thin else ["-L", "8m"]
        command("lvcreate", "-y", "-s", *size, "-n", name, f"{VG}/{base.volume_name(volume.id)}")

    def plant_half_volume(self, volume: base.VolumeRef) -> None:
        self.make_foreign_volume(f"_making-{volume.id}", 8 * units.MIB)

    def plant_half_snapshot(self, snapshot: base.SnapshotRef) -> None:
        # lvcreate -s makes the COW area as a plain volume first, and joins it to its origin then
        self.make_foreign_volume(snapshot_name(snapshot.id), 8 * units.MIB)

    def _devices(self) -> list[str]:
        """The group's active devices besides the pool's, told by the kernel: far cheaper than a report."""
        mine = f"{VG.replace('-', '--')}-"
        names = [path.read_text().strip() for path in pathlib.Path("/sys/block").glob("dm-*/dm/name")]
        return [name for name in names if name.startswith(mine) and not name.startswith(mine + POOL)]

    @contextlib.contextmanager
    def full(self) -> Iterator[None]:
        """Thick: no free extent. Thin: data in the pool up to 90 %."""
        if not self.thin:
            command("lvcreate", "-y", "-Wn", "-l", "100%FREE", "-n", "filler", VG)
        else:
            command("lvcreate", "-y", "-V", "4g", "-n", "filler", "--thinpool", POOL, VG)
            self._fill(f"/dev/{VG}/filler", POOL_BYTES * 9 // 10)
        self.furniture |= {"filler"}
        try:
            yield
        finally:
            self.furniture -= {"filler"}
            command("lvremove", "-f", f"{VG}/filler")

    def _fill(self, path: str, length: int) -> None:
        """One sector in each of the pool's chunks takes the whole chunk."""
        text = command("lvs", "--noheadings", "--nosuffix", "--units", "b", "-o", "chunk_size", f"{VG}/{POOL}")
        chunk = int(text)
        page = mmap.mmap(-1, 4096)
        page.write(b"x" * 4096)
        descriptor = os.open(path, os.O_WRONLY | os.O_DIRECT)
        try:
            for offset in range(0, length, chunk):
                os.pwrite(descriptor, page, offset)
        finally:
            os.close(descriptor)

    @contextlib.contextmanager
    def gone(self) -> Iterator[None]:
        """The group is not there under its name, as after a pulled cable and a reboot."""
        command("vgrename", VG, "elsewhere")
        try:
            yield
        finally:
            command("vgrename", "elsewhere", VG)

    def reset(self) -> None:
        """One command, whatever there is; the kernel tells whether it is needed and whether it worked."""
        for _ in range(3):
            if not self._devices():
                return
            chosen = ["-S", "segtype=thin"] if self.thin else []
            subprocess.run(["lvremove", "-f", *chosen, VG], capture_output=True, timeout=120)
            if self._devices():
                time.sleep(0.5)
        assert not self._devices(), f"cannot remove {self._devices()}"


@contextlib.contextmanager
def open_backend(name: str, workdir: pathlib.Path) -> Iterator[LvmBackend]:
    """The group, made on the guest's disks and removed at the end."""
    disks = os.environ.get("GUEST_DISKS", "").split()
    assert disks, "LVM is tested in the guest: tests/labs/run-in-guest -- CMD"
    command("vgcreate", "-y", VG, disks[0])  # one: each command writes the metadata to every disk
    try:
        if name == "lvm-thin":
            size = f"{POOL_BYTES}b"
            command("lvcreate", "-y", "--type", "thin-pool", "-L", size, "-c", "64k", "-n", POOL, VG)
        backend = LvmBackend(name)
        yield backend
        backend.driver.close()
    finally:
        command("vgremove", "-f", "-y", VG)
