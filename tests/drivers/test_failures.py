"""Conformance: what is left by a crash, a full storage, a storage that is gone; and the inventory that shows it."""

import threading
import time
import uuid
from collections.abc import Callable

import pytest

from tests.drivers import scenario
from tests.drivers.backend import Backend
from volsnap.volume.drivers import base

#: What a call may take beyond the driver's deadline: a noisy machine, a lock, a retry.
MARGIN_S = 5.0


def _ours(backend: Backend) -> list[base.StorageObject]:
    return [item for item in backend.driver.inventory() if item.volume_id or item.snapshot_id]


# -------------------------------------------------------------------------------------- inventory


def test_inventory_is_the_truth(backend: Backend) -> None:
    """Volumes, snapshots and somebody's object are listed once each, with the right fields."""
    volume = scenario.new_volume(backend, "v1")
    plain = scenario.new_volume(backend, times=2)
    snapshots = {s.id for s in (scenario.new_snapshot(backend, volume) for _ in range(3))}
    backend.make_foreign_volume("somebodys-disk", backend.volume_bytes)
    found = [i for i in backend.driver.inventory() if i.name not in backend.furniture]
    assert len(found) == 6
    assert not [item for item in found if item.leftover or not item.valid]
    sizes = {i.volume_id: i.size_bytes for i in found if i.volume_id and not i.is_snapshot}
    assert sizes == {volume.id: volume.size_bytes, plain.id: plain.size_bytes}
    cuts = [item for item in found if item.is_snapshot]
    assert {item.snapshot_id for item in cuts} == snapshots
    for item in cuts:
        assert item.volume_id in (volume.id, None)
        assert item.origin == base.volume_name(volume.id)
        assert item.size_bytes == volume.size_bytes
    (foreign,) = [item for item in found if item.name == "somebodys-disk"]
    assert (foreign.volume_id, foreign.snapshot_id, foreign.is_snapshot) == (None, None, False)
    assert foreign.size_bytes == backend.volume_bytes


def test_inventory_of_an_empty_backend(backend: Backend) -> None:
    """Nothing, besides what the backend itself is made of."""
    assert {item.name for item in backend.driver.inventory()} <= backend.furniture


def test_inventory_shows_somebodys_snapshot_as_not_ours(backend: Backend) -> None:
    """It belongs to our volume, but it is not ours to delete: no ``snapshot_id``, no leftover."""
    volume = scenario.new_volume(backend, "v1")
    backend.make_foreign_snapshot(volume, "somebodys-cut")
    (found,) = [item for item in backend.driver.inventory() if item.is_snapshot]
    assert found.snapshot_id is None
    assert not found.leftover


def test_discard_removes_ours(backend: Backend) -> None:
    """Whole objects of ours that inventory named can be discarded, snapshots first; twice."""
    volume = scenario.new_volume(backend, "v1")
    scenario.new_snapshot(backend, volume)
    found = sorted(_ours(backend), key=lambda item: not item.is_snapshot)
    assert len(found) == 2
    for item in found:
        backend.driver.discard(item)
        backend.driver.discard(item)
    assert backend.object_names() <= backend.furniture


def test_discard_refuses_what_is_not_ours(backend: Backend) -> None:
    """If it is unclear whose it is, the data is kept."""
    backend.make_foreign_volume("somebodys-disk", backend.volume_bytes)
    (found,) = [item for item in backend.driver.inventory() if item.name == "somebodys-disk"]
    with pytest.raises(base.DriverError):
        backend.driver.discard(found)
    assert "somebodys-disk" in backend.object_names()


# ------------------------------------------------------------------------------ half-made objects


def test_half_a_volume_is_not_a_volume(backend: Backend) -> None:
    """A create that was killed in the middle: find says None, the next create makes it whole."""
    volume = scenario.volume_ref(backend)
    backend.plant_half_volume(volume)
    assert backend.driver.find_volume(volume.id) is None
    fact = backend.driver.create_volume(volume)
    assert fact == base.VolumeFact(volume.id, volume.size_bytes)
    scenario.assert_zeros(backend, volume, 0, volume.size_bytes)
    assert not [item for item in backend.driver.inventory() if item.leftover]


def test_half_a_volume_is_made_whole_by_any_create(backend: Backend) -> None:
    """The same for a clone and for a volume from a snapshot: they end with the right bytes."""
    source = scenario.new_volume(backend, "v1")
    snapshot = scenario.new_snapshot(backend, source)
    clone, copy = scenario.volume_ref(backend), scenario.volume_ref(backend)
    backend.plant_half_volume(clone)
    backend.plant_half_volume(copy)
    backend.driver.clone_volume(source, clone)
    backend.driver.create_volume_from_snapshot(snapshot, copy)
    scenario.assert_volume(backend, clone, "v1")
    scenario.assert_volume(backend, copy, "v1")
    assert not [item for item in backend.driver.inventory() if item.leftover]


def test_half_a_volume_is_deletable(backend: Backend) -> None:
    """Delete of a half-made volume leaves nothing."""
    before = backend.object_names()
    volume = scenario.volume_ref(backend)
    backend.plant_half_volume(volume)
    backend.driver.delete_volume(volume)
    assert backend.object_names() == before


def test_half_a_volume_is_a_leftover(backend: Backend) -> None:
    """inventory shows it as a leftover of ours, discard removes it; twice."""
    before = backend.object_names()
    volume = scenario.volume_ref(backend)
    backend.plant_half_volume(volume)
    (found,) = [item for item in backend.driver.inventory() if item.leftover]
    assert found.volume_id == volume.id
    for _ in range(2):
        backend.driver.discard(found)
    assert backend.object_names() == before


def test_half_a_snapshot_is_not_a_snapshot(backend: Backend) -> None:
    """find does not show it as valid; the next create cuts a whole one *now*."""
    volume = scenario.new_volume(backend, "v1")
    snapshot = scenario.snapshot_ref(volume)
    backend.plant_half_snapshot(snapshot)
    fact = backend.driver.find_snapshot(snapshot)
    assert fact is None or not fact.valid
    scenario.stamp(backend, volume, "v2")
    scenario.assert_snapshot_fact(backend.driver.create_snapshot(snapshot), snapshot)
    scenario.assert_snapshot(backend.driver, snapshot, "v2")
    assert not [item for item in backend.driver.inventory() if item.leftover]


def test_half_a_snapshot_goes_with_delete(backend: Backend) -> None:
    """Delete of a half-made snapshot leaves nothing of it, and its volume can be deleted."""
    before = backend.object_names()
    volume = scenario.new_volume(backend, "v1")
    snapshot = scenario.snapshot_ref(volume)
    backend.plant_half_snapshot(snapshot)
    backend.driver.delete_snapshot(snapshot)
    backend.driver.delete_volume(volume)
    assert backend.object_names() == before


# --------------------------------------------------------------------------------------- no space


def test_full(backend: Backend) -> None:
    """1. The storage is full: a new volume and a new snapshot are refused with NoSpace.

    2. Nothing is left behind, nothing is lost. 3. With room again, the same calls succeed.
    """
    volume = scenario.new_volume(backend, "v1")
    kept = scenario.new_snapshot(backend, volume)
    wanted, cut = scenario.volume_ref(backend), scenario.snapshot_ref(volume)
    clone = scenario.volume_ref(backend)
    before = backend.object_names()
    with backend.full():
        with pytest.raises(base.NoSpace):
            backend.driver.create_volume(wanted)
        with pytest.raises(base.NoSpace):
            backend.driver.create_snapshot(cut)
        with pytest.raises(base.NoSpace):
            backend.driver.clone_volume(volume, clone)
        assert backend.driver.find_volume(wanted.id) is None
        assert backend.driver.find_snapshot(cut) is None
        assert backend.driver.find_volume(clone.id) is None
        scenario.assert_snapshot(backend.driver, kept, "v1")
    assert backend.object_names() == before
    scenario.assert_volume(backend, volume, "v1")
    backend.driver.create_volume(wanted)
    scenario.assert_snapshot_fact(backend.driver.create_snapshot(cut), cut)
    backend.driver.clone_volume(volume, clone)
    scenario.assert_volume(backend, clone, "v1")


def test_delete_works_on_a_full_storage(backend: Backend) -> None:
    """The way out of "no space" is never blocked by "no space"."""
    volume = scenario.new_volume(backend, "v1")
    snapshot = scenario.new_snapshot(backend, volume)
    with backend.full():
        backend.driver.delete_snapshot(snapshot)
        backend.driver.delete_volume(volume)
        assert backend.driver.find_volume(volume.id) is None


# ------------------------------------------------------------------------------------------- gone


def _every_call(
    driver: base.Driver, volume: base.VolumeRef, snapshot: base.SnapshotRef
) -> dict[str, Callable[[], object]]:
    """Each method of the contract that talks to storage; none of them may change anything if it could."""
    new = base.VolumeRef(str(uuid.uuid4()), volume.size_bytes)
    cut = base.SnapshotRef(str(uuid.uuid4()), volume, volume.size_bytes)

    def read() -> None:
        with driver.open_snapshot(snapshot) as reader:
            reader.read(0, 512)

    return {
        "check": driver.check,
        "stats": driver.stats,
        "create_volume": lambda: driver.create_volume(new),
        "delete_volume": lambda: driver.delete_volume(volume),
        "extend_volume": lambda: driver.extend_volume(volume, volume.size_bytes * 2),
        "clone_volume": lambda: driver.clone_volume(volume, new),
        "create_volume_from_snapshot": lambda: driver.create_volume_from_snapshot(snapshot, new),
        "find_volume": lambda: driver.find_volume(volume.id),
        "create_snapshot": lambda: driver.create_snapshot(cut),
        "delete_snapshot": lambda: driver.delete_snapshot(snapshot),
        "revert": lambda: driver.revert(volume, snapshot),
        "find_snapshot": lambda: driver.find_snapshot(snapshot),
        "connect": lambda: driver.connect(volume, scenario.CONNECTOR),
        "open_snapshot": read,
        "inventory": lambda: list(driver.inventory()),
        "adopt_volume": lambda: driver.adopt_volume("somebodys-disk", new),
        "adopt_snapshot": lambda: driver.adopt_snapshot("somebodys-cut", cut),
    }


def _outcomes(calls: dict[str, Callable[[], object]], limit_s: float) -> dict[str, object]:
    """Run all calls side by side; what each returned or raised, and nothing for one that is still stuck."""
    results: dict[str, object] = {}

    def run(name: str, call: Callable[[], object]) -> None:
        try:
            results[name] = call()
        except Exception as err:  # noqa: BLE001  the test judges it
            results[name] = err

    threads = [threading.Thread(target=run, args=item, name=f"gone-{item[0]}", daemon=True) for item in calls.items()]
    for thread in threads:
        thread.start()
    end = time.monotonic() + limit_s
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
    return dict(results)


def test_gone(backend: Backend) -> None:
    """1. The storage is away: every call ends inside the deadline, and each says Unavailable.

    "It does not answer" is never "it is not there": no find returns None, no delete succeeds.
    2. It is back: nothing is lost, and everything works again.
    """
    volume = scenario.new_volume(backend, "v1")
    snapshot = scenario.new_snapshot(backend, volume)
    before = backend.object_names()
    calls = _every_call(backend.driver, volume, snapshot)
    with backend.gone():
        results = _outcomes(calls, backend.deadline_s + MARGIN_S)
        wrong = {
            name: results.get(name, "no answer inside the deadline")
            for name in calls
            if not isinstance(results.get(name), base.Unavailable)
        }
        assert wrong == {}
    backend.driver.check()
    assert backend.object_names() == before
    scenario.assert_volume(backend, volume, "v1")
    scenario.assert_snapshot(backend.driver, snapshot, "v1")
    scenario.stamp(backend, volume, "v2")
    scenario.new_snapshot(backend, volume)


def test_gone_at_the_start(backend: Backend) -> None:
    """A driver that starts while the storage is away says so in check and is usable later."""
    volume = scenario.new_volume(backend, "v1")
    with backend.fresh_driver_closed() as driver:
        with backend.gone(), pytest.raises(base.Unavailable):
            driver.check()
        driver.check()
        assert driver.find_volume(volume.id) == base.VolumeFact(volume.id, volume.size_bytes)


# ------------------------------------------------------------------------------------------ stats


def test_stats(backend: Backend) -> None:
    """Sane numbers, and a cost that does not grow with the number of objects."""
    stats = backend.driver.stats()
    assert 0 < stats.free_bytes <= stats.total_bytes
    assert stats.provisioned_bytes >= 0
    empty_s = _fastest(backend.driver.stats)
    volume = scenario.new_volume(backend, "v1")
    for _ in range(min(backend.many, 50)):
        scenario.new_snapshot(backend, volume)
    assert _fastest(backend.driver.stats) < 3 * empty_s + 0.05


def test_maintain_reports_nothing_lost(backend: Backend) -> None:
    """With healthy snapshots there is nothing to report; twice."""
    volume = scenario.new_volume(backend, "v1")
    scenario.new_snapshot(backend, volume)
    assert backend.driver.maintain() == []
    assert backend.driver.maintain() == []


def _fastest(call: Callable[[], object]) -> float:
    """The best of five, because the machine is noisy and the worst says nothing."""
    best = float("inf")
    for _ in range(5):
        begin = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - begin)
    return best
