"""Conformance: snapshots, proven with bytes. Create, read, delete, restore, revert, group, diff, adopt."""

import itertools
import random

import pytest

from tests.drivers import scenario
from tests.drivers.backend import Backend
from volsnap.volume.drivers import base


def test_a_snapshot_keeps_the_bytes_of_its_moment(backend: Backend) -> None:
    """Write v1, snapshot, write v2: the snapshot reads v1, the volume v2; also after a restart."""
    volume = scenario.new_volume(backend, "v1")
    snapshot = scenario.new_snapshot(backend, volume)
    scenario.stamp(backend, volume, "v2")
    scenario.assert_snapshot(backend.driver, snapshot, "v1")
    scenario.assert_volume(backend, volume, "v2")
    with backend.fresh_driver_closed() as driver:
        scenario.assert_snapshot(driver, snapshot, "v1")


def test_create_snapshot_twice_keeps_the_first_cut(backend: Backend) -> None:
    """A repeated create finds the cut that was made, it does not make another one."""
    volume = scenario.new_volume(backend, "v1")
    snapshot = scenario.new_snapshot(backend, volume)
    scenario.stamp(backend, volume, "v2")
    scenario.assert_snapshot_fact(backend.driver.create_snapshot(snapshot), snapshot)
    scenario.assert_snapshot(backend.driver, snapshot, "v1")


def test_create_refuses_a_snapshot_of_another_size(backend: Backend) -> None:
    """The name is taken by a cut of a time when the volume was smaller."""
    volume = scenario.new_volume(backend, "v1")
    snapshot = scenario.new_snapshot(backend, volume)
    grown = scenario.resized(volume, volume.size_bytes * 2)
    backend.driver.extend_volume(volume, grown.size_bytes)
    with pytest.raises(base.AlreadyExists):
        backend.driver.create_snapshot(base.SnapshotRef(snapshot.id, grown, grown.size_bytes))
    scenario.assert_snapshot(backend.driver, snapshot, "v1")


def test_one_snapshot_id_on_two_volumes(backend: Backend) -> None:
    """The same id asked for on another volume never answers with the first volume's bytes.

    Where names are unique on the backend it is AlreadyExists; where they are unique per volume,
    both exist.
    """
    first = scenario.new_volume(backend, "first")
    second = scenario.new_volume(backend, "second")
    snapshot = scenario.new_snapshot(backend, first)
    twin = base.SnapshotRef(snapshot.id, second, second.size_bytes)
    try:
        fact = backend.driver.create_snapshot(twin)
    except base.AlreadyExists:
        pass
    else:
        assert fact.volume_id == second.id
        scenario.assert_snapshot(backend.driver, twin, "second")
    scenario.assert_snapshot(backend.driver, snapshot, "first")


def test_snapshot_of_an_absent_volume(backend: Backend) -> None:
    """NotFound, and nothing is left behind."""
    before = backend.object_names()
    snapshot = scenario.snapshot_ref(scenario.volume_ref(backend))
    with pytest.raises(base.NotFound):
        backend.driver.create_snapshot(snapshot)
    assert backend.driver.find_snapshot(snapshot) is None
    assert backend.object_names() == before


def test_calls_on_an_absent_snapshot(backend: Backend) -> None:
    """What works *from* it says NotFound; delete succeeds; find says None."""
    volume = scenario.new_volume(backend, "v1")
    absent = scenario.snapshot_ref(volume)
    target = scenario.volume_ref(backend)
    with pytest.raises(base.NotFound):
        backend.driver.create_volume_from_snapshot(absent, target)
    with pytest.raises(base.NotFound):
        backend.driver.revert(volume, absent)
    with pytest.raises(base.NotFound), backend.driver.open_snapshot(absent):
        pass
    backend.driver.delete_snapshot(absent)
    assert backend.driver.find_snapshot(absent) is None
    assert backend.driver.find_volume(target.id) is None
    scenario.assert_volume(backend, volume, "v1")


def test_delete_snapshot_twice(backend: Backend) -> None:
    """Nothing is left of it; the volume is untouched."""
    volume = scenario.new_volume(backend, "v1")
    before = backend.object_names()
    snapshot = scenario.new_snapshot(backend, volume)
    scenario.assert_snapshot_fact(backend.driver.find_snapshot(snapshot), snapshot)
    for _ in range(2):
        backend.driver.delete_snapshot(snapshot)
        assert backend.driver.find_snapshot(snapshot) is None
    assert backend.object_names() == before
    scenario.assert_volume(backend, volume, "v1")


def test_delete_a_snapshot_of_an_absent_volume(backend: Backend) -> None:
    """Volume and snapshot are both absent: still a success."""
    backend.driver.delete_snapshot(scenario.snapshot_ref(scenario.volume_ref(backend)))


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_delete_snapshots_in_any_order(backend: Backend, order: tuple[int, ...]) -> None:
    """Three snapshots, deleted in every order: the others keep their bytes each time."""
    volume = scenario.new_volume(backend)
    snapshots = []
    for number in range(3):
        scenario.stamp(backend, volume, f"v{number}")
        snapshots.append(scenario.new_snapshot(backend, volume))
    scenario.stamp(backend, volume, "now")
    alive = set(range(3))
    for number in order:
        backend.driver.delete_snapshot(snapshots[number])
        alive.remove(number)
        for other in alive:
            scenario.assert_snapshot(backend.driver, snapshots[other], f"v{other}")
    scenario.assert_volume(backend, volume, "now")


def test_many_snapshots_of_one_volume(backend: Backend) -> None:
    """Hundreds of snapshots of one volume, each with its own bytes, deleted in random order."""
    chance = random.Random(7)
    volume = scenario.new_volume(backend)
    snapshots = []
    for number in range(backend.many):
        backend.write(volume, 0, b"%08d" % number + bytes(504))
        snapshots.append(scenario.new_snapshot(backend, volume))
    for number in chance.sample(range(backend.many), min(20, backend.many)):
        with backend.driver.open_snapshot(snapshots[number]) as reader:
            assert reader.read(0, 8) == b"%08d" % number
    listed = {item.snapshot_id for item in backend.driver.inventory() if item.is_snapshot}
    assert listed == {snapshot.id for snapshot in snapshots}
    chance.shuffle(snapshots)
    for snapshot in snapshots:
        backend.driver.delete_snapshot(snapshot)
    backend.driver.delete_volume(volume)
    assert backend.driver.find_volume(volume.id) is None


# ---------------------------------------------------------------------------------------- reading


def test_extents_cover_the_snapshot(backend: Backend) -> None:
    """In order, without gap or overlap, from 0 to the end; what is called zero reads as zeros."""
    volume = scenario.new_volume(backend, "v1")
    snapshot = scenario.new_snapshot(backend, volume)
    with backend.driver.open_snapshot(snapshot) as reader:
        position = 0
        for extent in list(reader.extents()):
            assert extent.offset == position
            assert extent.length > 0
            position += extent.length
            if extent.zero:
                size = min(extent.length, 4 * 1024 * 1024)
                assert reader.read(extent.offset, size) == bytes(size)
        assert position == snapshot.size_bytes
    whole = bytearray(volume.size_bytes)
    for offset in scenario.places(volume.size_bytes):
        whole[offset : offset + scenario.PIECE] = scenario.piece("v1", offset)
    assert scenario.content(backend.driver, snapshot) == bytes(whole)


def test_extents_of_an_empty_snapshot(backend: Backend) -> None:
    """Nothing was ever written: all zeros."""
    volume = scenario.new_volume(backend)
    snapshot = scenario.new_snapshot(backend, volume)
    assert scenario.content(backend.driver, snapshot) == bytes(volume.size_bytes)


def test_read_at_the_end(backend: Backend) -> None:
    """Exactly what was asked for; fewer bytes only behind the end."""
    volume = scenario.new_volume(backend, "v1")
    snapshot = scenario.new_snapshot(backend, volume)
    with backend.driver.open_snapshot(snapshot) as reader:
        assert len(reader.read(3, 1000)) == 1000
        assert len(reader.read(snapshot.size_bytes - 512, 4096)) == 512
        assert reader.read(snapshot.size_bytes, 4096) == b""


def test_a_snapshot_is_read_while_its_volume_is_written(backend: Backend) -> None:
    """An open reader keeps showing the moment of the cut, also to a second reader."""
    volume = scenario.new_volume(backend, "v1")
    snapshot = scenario.new_snapshot(backend, volume)
    with (
        backend.driver.open_snapshot(snapshot) as one,
        backend.driver.open_snapshot(snapshot) as two,
    ):
        scenario.stamp(backend, volume, "v2")
        for offset in scenario.places(volume.size_bytes):
            assert one.read(offset, scenario.PIECE) == scenario.piece("v1", offset)
            assert two.read(offset, scenario.PIECE) == scenario.piece("v1", offset)


def test_diff_never_misses_a_changed_byte(backend: Backend) -> None:
    """1. Random writes, and zeros over data, between two snapshots. 2. Every changed byte is in the diff.

    Applying the named extents of the newer to the bytes of the older gives the bytes of the newer.
    """
    if not backend.driver.capabilities.diff:
        pytest.skip("this backend declares no diff")
    chance = random.Random(11)
    volume = scenario.new_volume(backend, "v1")
    older = scenario.new_snapshot(backend, volume)
    for _ in range(12):
        length = chance.choice([1, 512, 4096, 70_000])
        offset = chance.randrange(volume.size_bytes - length)
        backend.write(volume, offset, chance.randbytes(length))
    backend.write(volume, volume.size_bytes // 2, bytes(scenario.PIECE))
    newer = scenario.new_snapshot(backend, volume)
    target = scenario.content(backend.driver, newer)
    patched = bytearray(scenario.content(backend.driver, older))
    position = 0
    for extent in backend.driver.diff(older, newer):
        assert extent.offset >= position, "extents come in order"
        position = extent.offset + extent.length
        assert position <= newer.size_bytes
        part = slice(extent.offset, position)
        patched[part] = bytes(extent.length) if extent.zero else target[part]
    assert bytes(patched) == target


def test_diff_of_equal_and_grown_snapshots(backend: Backend) -> None:
    """Nothing changed: the diff is small or empty. Grown: writes in the new part are named."""
    if not backend.driver.capabilities.diff:
        pytest.skip("this backend declares no diff")
    volume = scenario.new_volume(backend, "v1")
    first = scenario.new_snapshot(backend, volume)
    second = scenario.new_snapshot(backend, volume)
    assert sum(extent.length for extent in backend.driver.diff(first, second)) == 0
    grown = scenario.resized(volume, volume.size_bytes * 2)
    backend.driver.extend_volume(volume, grown.size_bytes)
    backend.write(grown, grown.size_bytes - 4096, b"\x55" * 4096)
    third = scenario.new_snapshot(backend, grown)
    named = [e for e in backend.driver.diff(second, third) if not e.zero]
    assert any(e.offset <= grown.size_bytes - 4096 < e.offset + e.length for e in named)


# --------------------------------------------------------------------------- volume from snapshot


@pytest.mark.parametrize("times", [1, 2])
def test_volume_from_snapshot(backend: Backend, times: int) -> None:
    """The new volume holds the snapshot's bytes and zeros behind; twice; both live apart then."""
    source = scenario.new_volume(backend, "v1")
    snapshot = scenario.new_snapshot(backend, source)
    scenario.stamp(backend, source, "v2")
    volume = scenario.volume_ref(backend, times=times)
    fact = backend.driver.create_volume_from_snapshot(snapshot, volume)
    assert fact == base.VolumeFact(volume.id, volume.size_bytes)
    scenario.assert_volume(backend, volume, "v1", size_bytes=source.size_bytes)
    behind = volume.size_bytes - source.size_bytes
    scenario.assert_zeros(backend, volume, source.size_bytes, behind)
    scenario.stamp(backend, volume, "v3")
    assert backend.driver.create_volume_from_snapshot(snapshot, volume) == fact
    scenario.assert_volume(backend, volume, "v3")
    scenario.assert_snapshot(backend.driver, snapshot, "v1")
    scenario.assert_volume(backend, source, "v2")


def test_volume_from_snapshot_refuses_a_taken_name(backend: Backend) -> None:
    """A volume of that name and another size is there already: it keeps its bytes."""
    source = scenario.new_volume(backend, "v1")
    snapshot = scenario.new_snapshot(backend, source)
    taken = scenario.new_volume(backend, "mine", times=2)
    wanted = scenario.resized(taken, source.size_bytes)
    with pytest.raises(base.AlreadyExists):
        backend.driver.create_volume_from_snapshot(snapshot, wanted)
    scenario.assert_volume(backend, taken, "mine")


def _orders() -> list[tuple[str, ...]]:
    """Every order of the four objects in which the snapshot goes before its volume."""
    names = ("source", "snapshot", "copy", "copy_of_copy")
    return [o for o in itertools.permutations(names) if o.index("snapshot") < o.index("source")]


@pytest.mark.parametrize("order", _orders(), ids="-".join)
def test_everything_is_deletable_in_every_order(backend: Backend, order: tuple[str, ...]) -> None:
    """Source → snapshot → volume from it → clone of that; after each deletion the rest has its bytes."""
    source = scenario.new_volume(backend, "v1")
    snapshot = scenario.new_snapshot(backend, source)
    scenario.stamp(backend, source, "v2")
    copy, copy_of_copy = scenario.volume_ref(backend), scenario.volume_ref(backend)
    backend.driver.create_volume_from_snapshot(snapshot, copy)
    backend.driver.clone_volume(copy, copy_of_copy)
    volumes = {"source": (source, "v2"), "copy": (copy, "v1"), "copy_of_copy": (copy_of_copy, "v1")}
    for name in order:
        if name == "snapshot":
            backend.driver.delete_snapshot(snapshot)
        else:
            backend.driver.delete_volume(volumes.pop(name)[0])
        for volume, tag in volumes.values():
            scenario.assert_volume(backend, volume, tag)
        if "snapshot" not in order[: order.index(name) + 1]:
            scenario.assert_snapshot(backend.driver, snapshot, "v1")


# ----------------------------------------------------------------------------------------- revert


@pytest.mark.parametrize("target", [0, 1, 2])
def test_revert_to_any_snapshot(backend: Backend, target: int) -> None:
    """1. Three snapshots v0 – v2 and v3 in the volume. 2. Revert to one of them, twice.

    The volume has that one's bytes; all three snapshots stay as they were; the volume takes writes,
    snapshots and another revert afterwards.
    """
    volume = scenario.new_volume(backend)
    snapshots = []
    for number in range(3):
        scenario.stamp(backend, volume, f"v{number}")
        snapshots.append(scenario.new_snapshot(backend, volume))
    scenario.stamp(backend, volume, "v3")
    for _ in range(2):
        fact = backend.driver.revert(volume, snapshots[target])
        assert fact == base.VolumeFact(volume.id, volume.size_bytes)
        scenario.assert_volume(backend, volume, f"v{target}")
    scenario.stamp(backend, volume, "v4")
    for number, snapshot in enumerate(snapshots):
        scenario.assert_snapshot_fact(backend.driver.find_snapshot(snapshot), snapshot)
        scenario.assert_snapshot(backend.driver, snapshot, f"v{number}")
    latest = scenario.new_snapshot(backend, volume)
    backend.driver.revert(volume, snapshots[0])
    scenario.assert_volume(backend, volume, "v0")
    scenario.assert_snapshot(backend.driver, latest, "v4")


def test_revert_takes_back_what_was_written_elsewhere(backend: Backend) -> None:
    """Bytes written after the cut where nothing was before are zeros again."""
    volume = scenario.new_volume(backend, "v1")
    snapshot = scenario.new_snapshot(backend, volume)
    backend.write(volume, volume.size_bytes // 4, b"\xff" * 8192)
    backend.driver.revert(volume, snapshot)
    scenario.assert_zeros(backend, volume, volume.size_bytes // 4, 8192)
    scenario.assert_volume(backend, volume, "v1")


def test_revert_after_extend(backend: Backend) -> None:
    """The volume keeps its larger size; what is behind the snapshot's end reads as zeros."""
    volume = scenario.new_volume(backend, "v1")
    snapshot = scenario.new_snapshot(backend, volume)
    grown = scenario.resized(volume, volume.size_bytes * 2)
    backend.driver.extend_volume(volume, grown.size_bytes)
    scenario.stamp(backend, grown, "v2")
    later = scenario.new_snapshot(backend, grown)
    fact = backend.driver.revert(grown, snapshot)
    assert fact == base.VolumeFact(volume.id, grown.size_bytes)
    scenario.assert_volume(backend, grown, "v1", size_bytes=volume.size_bytes)
    scenario.assert_zeros(backend, grown, volume.size_bytes, volume.size_bytes)
    scenario.assert_snapshot(backend.driver, snapshot, "v1")
    scenario.assert_snapshot(backend.driver, later, "v2")


def test_volume_made_from_a_snapshot_survives_a_revert(backend: Backend) -> None:
    """Neither the copy nor the source sees the other's revert; then all can be deleted."""
    source = scenario.new_volume(backend, "v1")
    snapshot = scenario.new_snapshot(backend, source)
    copy = scenario.volume_ref(backend)
    backend.driver.create_volume_from_snapshot(snapshot, copy)
    scenario.stamp(backend, source, "v2")
    scenario.stamp(backend, copy, "v3")
    backend.driver.revert(source, snapshot)
    scenario.assert_volume(backend, source, "v1")
    scenario.assert_volume(backend, copy, "v3")
    backend.driver.delete_snapshot(snapshot)
    backend.driver.delete_volume(source)
    scenario.assert_volume(backend, copy, "v3")


# ------------------------------------------------------------------------------------------ group


def test_group_snapshot(backend: Backend) -> None:
    """All members at once, with their bytes; a repeated call finds them."""
    if not backend.driver.capabilities.group_snapshot:
        pytest.skip("this backend declares no group snapshot")
    volumes = [scenario.new_volume(backend, f"v1 of {number}") for number in range(3)]
    snapshots = [scenario.snapshot_ref(volume) for volume in volumes]
    for _ in range(2):
        facts = backend.driver.create_group_snapshot(snapshots)
        assert [fact.id for fact in facts] == [snapshot.id for snapshot in snapshots]
        for volume in volumes:
            scenario.stamp(backend, volume, "v2")
    for number, snapshot in enumerate(snapshots):
        scenario.assert_snapshot_fact(backend.driver.find_snapshot(snapshot), snapshot)
        scenario.assert_snapshot(backend.driver, snapshot, f"v1 of {number}")
        backend.driver.delete_snapshot(snapshot)


def test_group_snapshot_with_an_absent_member(backend: Backend) -> None:
    """All or none: one volume is not there, so nothing is cut and nothing is left."""
    if not backend.driver.capabilities.group_snapshot:
        pytest.skip("this backend declares no group snapshot")
    volumes = [scenario.new_volume(backend, "v1"), scenario.volume_ref(backend)]
    volumes.append(scenario.new_volume(backend, "v1"))
    before = backend.object_names()
    snapshots = [scenario.snapshot_ref(volume) for volume in volumes]
    with pytest.raises(base.NotFound):
        backend.driver.create_group_snapshot(snapshots)
    assert [backend.driver.find_snapshot(snapshot) for snapshot in snapshots] == [None] * 3
    assert backend.object_names() == before
    scenario.stamp(backend, volumes[0], "v2")


# ------------------------------------------------------------------------------------------ adopt


def test_adopt_snapshot(backend: Backend) -> None:
    """Somebody's snapshot of our volume becomes ours, with its bytes; twice."""
    volume = scenario.new_volume(backend, "v1")
    backend.make_foreign_snapshot(volume, "somebodys-cut")
    scenario.stamp(backend, volume, "v2")
    snapshot = scenario.snapshot_ref(volume)
    for _ in range(2):
        fact = backend.driver.adopt_snapshot("somebodys-cut", snapshot)
        scenario.assert_snapshot_fact(fact, snapshot)
    scenario.assert_snapshot(backend.driver, snapshot, "v1")
    backend.driver.delete_snapshot(snapshot)
    assert backend.driver.find_snapshot(snapshot) is None


def test_adopt_an_absent_snapshot(backend: Backend) -> None:
    """NotFound, and the volume is untouched."""
    volume = scenario.new_volume(backend, "v1")
    with pytest.raises(base.NotFound):
        backend.driver.adopt_snapshot("nobodys-cut", scenario.snapshot_ref(volume))
    scenario.assert_volume(backend, volume, "v1")
