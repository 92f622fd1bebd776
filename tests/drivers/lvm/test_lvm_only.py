"""What only LVM can do wrong: COW areas overflow, pools fill, commands are needless, a crash between two."""

import dataclasses
import os
import random
from collections.abc import Callable, Sequence

import pytest

from tests.drivers import scenario
from tests.drivers.lvm_backend import POOL, VG, LvmBackend, command
from volsnap import units
from volsnap.lowlevel import blockdev, run
from volsnap.volume.drivers import base
from volsnap.volume.drivers.lvm import LvmDriver
from volsnap.volume.drivers.lvm_names import snapshot_name

pytestmark = pytest.mark.lvm
thick = pytest.mark.parametrize("storage", ["lvm-thick"], indirect=True)
thin = pytest.mark.parametrize("storage", ["lvm-thin"], indirect=True)
both = pytest.mark.parametrize("storage", ["lvm-thick", "lvm-thin"], indirect=True)


class Killed(BaseException):
    """The process died here."""


class Commands:
    """Counts the commands that are run, and can die before one of them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.names: list[str] = []
        self.die_before: int | None = None
        self._run = run.run
        monkeypatch.setattr(run, "run", self.run)

    def run(self, argv: Sequence[str], **options: object) -> str:
        if self.die_before is not None and len(self.names) >= self.die_before:
            raise Killed
        self.names.append(argv[0])
        return self._run(argv, **options)  # type: ignore[arg-type]

    def of(self, call: Callable[[], object]) -> list[str]:
        """The commands of one call."""
        self.names.clear()
        call()
        return list(self.names)


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> Commands:
    return Commands(monkeypatch)


def dirty(backend: LvmBackend, volume: base.VolumeRef, length: int, offset: int = 0) -> None:
    """Overwrite that many bytes with noise."""
    for place in range(offset, offset + length, units.MIB):
        backend.write(volume, place, random.Random(place).randbytes(units.MIB))


# ------------------------------------------------------------------------------------------------- COW overflow


@thick
def test_an_overflowed_snapshot_is_never_shown_as_valid(backend: LvmBackend) -> None:
    """1. A snapshot with an 8 MiB COW area. 2. 16 MiB are written: the kernel invalidates it.

    Every door says so: find, maintain, inventory, open, revert, volume from it; and it can be deleted.
    """
    volume = scenario.new_volume(backend, "v1")
    snapshot = scenario.new_snapshot(backend, volume)
    dirty(backend, volume, 16 * units.MIB)
    driver = backend.driver
    fact = driver.find_snapshot(snapshot)
    assert fact is not None
    assert not fact.valid
    assert [lost.id for lost in driver.maintain()] == [snapshot.id]
    assert [i.valid for i in driver.inventory() if i.is_snapshot] == [False]
    with pytest.raises(base.Invalidated), driver.open_snapshot(snapshot):
        pass
    with pytest.raises(base.Invalidated):
        driver.revert(volume, snapshot)
    copy = scenario.volume_ref(backend)
    with pytest.raises(base.Invalidated):
        driver.create_volume_from_snapshot(snapshot, copy)
    assert driver.find_volume(copy.id) is None
    assert not driver.create_snapshot(snapshot).valid
    driver.delete_snapshot(snapshot)
    assert driver.find_snapshot(snapshot) is None


@thick
def test_a_reader_of_a_snapshot_that_overflows_hears_of_it(backend: LvmBackend) -> None:
    """Never zeros or new bytes for the old ones."""
    volume = scenario.new_volume(backend, "v1")
    snapshot = scenario.new_snapshot(backend, volume)
    with backend.driver.open_snapshot(snapshot) as reader:
        dirty(backend, volume, 16 * units.MIB)
        with pytest.raises(base.Invalidated):
            reader.read(20 * units.MIB, 65536)


@thick
def test_maintain_extends_cow_areas_before_they_overflow(backend: LvmBackend) -> None:
    """Written in pieces with care in between, a snapshot with 8 MiB survives that all of the volume is overwritten."""
    volume = scenario.new_volume(backend, "v1")
    snapshot = scenario.new_snapshot(backend, volume)
    for offset in range(0, volume.size_bytes, 4 * units.MIB):
        dirty(backend, volume, 4 * units.MIB, offset)
        assert backend.driver.maintain() == []
    scenario.assert_snapshot(backend.driver, snapshot, "v1")


@thick
def test_revert_makes_room_for_newer_snapshots(backend: LvmBackend) -> None:
    """1. old, then all is overwritten, then new. 2. The revert to old changes all of it: new has 8 MiB of COW."""
    volume = scenario.new_volume(backend, "v1")
    old = scenario.new_snapshot(backend, volume)
    for offset in range(0, volume.size_bytes, 4 * units.MIB):
        dirty(backend, volume, 4 * units.MIB, offset)
        backend.driver.maintain()
    scenario.stamp(backend, volume, "v2")
    new = scenario.new_snapshot(backend, volume)
    backend.driver.revert(volume, old)
    scenario.assert_volume(backend, volume, "v1")
    scenario.assert_snapshot(backend.driver, old, "v1")
    scenario.assert_snapshot(backend.driver, new, "v2")


# -------------------------------------------------------------------------------------------------- pool guard


@thin
def test_a_pool_at_the_limit_refuses_snapshots(backend: LvmBackend) -> None:
    """One percent below the fill it refuses, one percent above it allows; nothing is left of the refused."""
    volume = scenario.new_volume(backend, "v1")
    dirty(backend, volume, 24 * units.MIB)
    command("lvcreate", "-y", "-V", "1g", "-n", "filler", "--thinpool", POOL, VG)
    backend._fill(f"/dev/{VG}/filler", 128 * units.MIB)
    fill = float(command("lvs", "--noheadings", "-o", "data_percent", f"{VG}/{POOL}"))
    snapshot = scenario.snapshot_ref(volume)
    before = backend.object_names()
    tight = LvmDriver(backend.settings(lvm_refuse_percent=int(fill)))
    with pytest.raises(base.NoSpace):
        tight.create_snapshot(snapshot)
    assert backend.object_names() == before
    roomy = LvmDriver(backend.settings(lvm_refuse_percent=int(fill) + 1))
    assert roomy.create_snapshot(snapshot).valid


# ----------------------------------------------------------------------------------------------------- commands


@both
def test_commands_are_counted(backend: LvmBackend, commands: Commands) -> None:
    """One lvcreate makes a snapshot, one lvremove removes it, and nothing else is run."""
    volume = scenario.volume_ref(backend)
    snapshot = scenario.snapshot_ref(volume)
    driver = backend.driver
    making = commands.of(lambda: driver.create_volume(volume))
    assert making == (["lvcreate"] if backend.thin else ["lvcreate", "lvrename"])
    assert commands.of(lambda: driver.create_snapshot(snapshot)) == ["lvcreate"]
    assert commands.of(lambda: driver.find_volume(volume.id)) == []
    assert commands.of(lambda: driver.find_snapshot(snapshot)) == ["lvs"]
    assert commands.of(driver.check) == ["lvs"]
    assert commands.of(driver.maintain) == ["lvs"]
    assert commands.of(lambda: list(driver.inventory())) == ["lvs"]
    assert commands.of(driver.stats) == ([] if backend.thin else ["vgs"])
    assert commands.of(lambda: driver.delete_snapshot(snapshot)) == ["lvremove"]
    assert commands.of(lambda: driver.delete_volume(volume)) == ["lvs", "lvremove"]


# ---------------------------------------------------------------------------------------------------- crashes


@thin
def test_a_thin_revert_killed_before_any_command(backend: LvmBackend, commands: Commands) -> None:
    """1. A revert dies before its k-th command. 2. A new process looks: the volume is there, old or new.

    3. Every snapshot is as it was. 4. The repeated revert ends, and leaves nothing.
    """
    volume = scenario.new_volume(backend, "v1")
    snapshot = scenario.new_snapshot(backend, volume)
    scenario.stamp(backend, volume, "v2")
    other = scenario.new_snapshot(backend, volume)
    names = backend.object_names()
    commands.names.clear()
    steps = len(commands.of(lambda: backend.driver.revert(volume, snapshot)))
    for k in range(1, steps):
        scenario.stamp(backend, volume, "v2")
        commands.names.clear()
        commands.die_before = k
        with pytest.raises(Killed):
            backend.driver.revert(volume, snapshot)
        commands.die_before = None
        driver = backend.fresh_driver()
        assert driver.find_volume(volume.id) == base.VolumeFact(volume.id, volume.size_bytes)
        first = backend.read(volume, 0, scenario.PIECE)
        assert first in (scenario.piece("v1", 0), scenario.piece("v2", 0))
        scenario.assert_snapshot(driver, snapshot, "v1")
        scenario.assert_snapshot(driver, other, "v2")
        driver.revert(volume, snapshot)
        scenario.assert_volume(backend, volume, "v1")
        assert backend.object_names() == names


@thick
def test_a_thick_revert_killed_in_the_middle(backend: LvmBackend) -> None:
    """Progress raises after the first window: snapshots are as they were; the repeated revert ends with the bytes."""
    volume = scenario.new_volume(backend, "v1")
    snapshot = scenario.new_snapshot(backend, volume)
    scenario.stamp(backend, volume, "v2")
    other = scenario.new_snapshot(backend, volume)

    def die(fraction: float) -> None:
        raise Killed

    with pytest.raises(Killed):
        backend.driver.revert(volume, snapshot, die)
    scenario.assert_snapshot(backend.driver, snapshot, "v1")
    scenario.assert_snapshot(backend.driver, other, "v2")
    backend.fresh_driver().revert(volume, snapshot)
    scenario.assert_volume(backend, volume, "v1")
    scenario.assert_snapshot(backend.driver, snapshot, "v1")
    scenario.assert_snapshot(backend.driver, other, "v2")


@thick
def test_an_extend_killed_before_the_new_part_was_zeroed(
    backend: LvmBackend, commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    """1. The free extents hold somebody's bytes. 2. An extend dies before the tag, before the lvextend,
    and after it before the zeros. 3. Repeated: zeros.
    """

    def die(*_: object) -> None:
        raise Killed

    old = scenario.new_volume(backend)
    dirty(backend, old, old.size_bytes)
    volume = scenario.new_volume(backend, "v1")
    backend.driver.delete_volume(old)
    for k in (1, 2):
        commands.names.clear()
        commands.die_before = k
        with pytest.raises(Killed):
            backend.driver.extend_volume(volume, volume.size_bytes * 2)
        commands.die_before = None
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(blockdev, "zero", die)
        backend.driver.extend_volume(volume, volume.size_bytes * 2)
    backend.fresh_driver().extend_volume(volume, volume.size_bytes * 2)
    scenario.assert_volume(backend, volume, "v1")
    scenario.assert_zeros(backend, volume, volume.size_bytes, volume.size_bytes)


@both
def test_a_device_that_is_open_is_busy(backend: LvmBackend) -> None:
    """Somebody reads it: delete and revert say Busy, nothing happens."""
    volume = scenario.new_volume(backend, "v1")
    snapshot = scenario.new_snapshot(backend, volume)
    descriptor = os.open(backend.path(volume), os.O_RDONLY)
    try:
        with pytest.raises(base.Busy):
            backend.driver.revert(volume, snapshot)
    finally:
        os.close(descriptor)
    with backend.driver.open_snapshot(snapshot), pytest.raises(base.Busy):
        backend.driver.delete_snapshot(snapshot)
    scenario.assert_snapshot(backend.driver, snapshot, "v1")


@thin
def test_cinders_snapshots_without_a_tag_are_whole(backend: LvmBackend) -> None:
    """A group taken over from Cinder: its snapshots have no tag of ours; they stay ours after a revert too."""
    volume = scenario.new_volume(backend, "v1")
    snapshot = scenario.snapshot_ref(volume)
    backend.make_foreign_snapshot(volume, snapshot_name(snapshot.id))
    scenario.stamp(backend, volume, "v2")
    assert not [item for item in backend.driver.inventory() if item.leftover]
    backend.driver.revert(volume, snapshot)
    scenario.assert_volume(backend, volume, "v1")
    found = backend.driver.find_snapshot(dataclasses.replace(snapshot))
    scenario.assert_snapshot_fact(found, snapshot)
