"""Conformance: volumes. Create, delete, extend, clone, find, adopt, connect; every call twice."""

import pytest

from tests.drivers import scenario
from tests.drivers.backend import Backend
from volsnap.volume.drivers import base


def test_a_new_volume_reads_as_zeros(backend: Backend) -> None:
    """Dirt of a deleted volume must not shine through.

    1. Make a volume, write to it, delete it.
    2. Make another one: it is all zeros, to the last byte.
    """
    old = scenario.new_volume(backend, "dirt")
    backend.driver.delete_volume(old)
    volume = scenario.new_volume(backend)
    scenario.assert_zeros(backend, volume, 0, volume.size_bytes)


def test_create_finds_before_it_makes(backend: Backend) -> None:
    """Repeated, also by another process, create succeeds and leaves the data alone."""
    volume = scenario.new_volume(backend, "v1")
    again = backend.driver.create_volume(volume)
    assert again == base.VolumeFact(volume.id, volume.size_bytes)
    with backend.fresh_driver_closed() as driver:
        assert driver.create_volume(volume) == again
    scenario.assert_volume(backend, volume, "v1")


def test_create_refuses_a_volume_of_another_size(backend: Backend) -> None:
    """What is there is not what was asked for: it is said, and the data stays."""
    volume = scenario.new_volume(backend, "v1")
    with pytest.raises(base.AlreadyExists):
        backend.driver.create_volume(scenario.resized(volume, volume.size_bytes * 2))
    scenario.assert_volume(backend, volume, "v1")
    assert backend.driver.find_volume(volume.id) == base.VolumeFact(volume.id, volume.size_bytes)


def test_find_volume(backend: Backend) -> None:
    """Absent, present, absent again."""
    volume = scenario.volume_ref(backend)
    assert backend.driver.find_volume(volume.id) is None
    backend.driver.create_volume(volume)
    assert backend.driver.find_volume(volume.id) == base.VolumeFact(volume.id, volume.size_bytes)
    backend.driver.delete_volume(volume)
    assert backend.driver.find_volume(volume.id) is None


def test_delete_volume_twice(backend: Backend) -> None:
    """Delete of an absent volume succeeds, and nothing at all is left of it."""
    before = backend.object_names()
    volume = scenario.new_volume(backend, "v1")
    backend.driver.delete_volume(volume)
    backend.driver.delete_volume(volume)
    backend.driver.delete_volume(scenario.volume_ref(backend))
    assert backend.object_names() == before


def test_delete_refuses_a_volume_with_snapshots(backend: Backend) -> None:
    """Never data loss: a volume with a snapshot cannot be deleted, and both stay usable."""
    volume = scenario.new_volume(backend, "v1")
    snapshot = scenario.new_snapshot(backend, volume)
    with pytest.raises(base.Busy):
        backend.driver.delete_volume(volume)
    scenario.assert_volume(backend, volume, "v1")
    scenario.assert_snapshot(backend.driver, snapshot, "v1")
    backend.driver.delete_snapshot(snapshot)
    backend.driver.delete_volume(volume)
    assert backend.driver.find_volume(volume.id) is None


def test_extend(backend: Backend) -> None:
    """1. Extend a written volume: old bytes stay, the new part is zeros. 2. Again: success."""
    volume = scenario.new_volume(backend, "v1")
    larger = volume.size_bytes * 2
    for _ in range(2):
        fact = backend.driver.extend_volume(volume, larger)
        assert fact == base.VolumeFact(volume.id, larger)
    assert backend.driver.find_volume(volume.id) == fact
    scenario.assert_volume(backend, volume, "v1")
    scenario.assert_zeros(backend, volume, volume.size_bytes, volume.size_bytes)


def test_extend_of_an_absent_volume(backend: Backend) -> None:
    """There is nothing to work from."""
    volume = scenario.volume_ref(backend)
    with pytest.raises(base.NotFound):
        backend.driver.extend_volume(volume, volume.size_bytes * 2)


def test_extend_with_a_snapshot(backend: Backend) -> None:
    """The old snapshot keeps its size and bytes; a new one has the new size."""
    volume = scenario.new_volume(backend, "v1")
    old = scenario.new_snapshot(backend, volume)
    backend.driver.extend_volume(volume, volume.size_bytes * 2)
    grown = scenario.resized(volume, volume.size_bytes * 2)
    scenario.assert_zeros(backend, grown, volume.size_bytes, volume.size_bytes)
    scenario.stamp(backend, grown, "v2")
    new = scenario.new_snapshot(backend, grown)
    scenario.assert_snapshot_fact(backend.driver.find_snapshot(old), old)
    scenario.assert_snapshot(backend.driver, old, "v1")
    scenario.assert_snapshot(backend.driver, new, "v2")


@pytest.mark.parametrize("times", [1, 2])
def test_clone(backend: Backend, times: int) -> None:
    """A clone has the source's bytes of that moment; both go their own ways then.

    1. Clone (same size and larger), repeat the call.
    2. Write to the source, then to the clone: neither sees the other's bytes.
    3. Delete the source: the clone lives on.
    """
    source = scenario.new_volume(backend, "v1")
    clone = scenario.volume_ref(backend, times=times)
    fractions: list[float] = []
    fact = backend.driver.clone_volume(source, clone, fractions.append)
    assert fact == base.VolumeFact(clone.id, clone.size_bytes)
    assert all(0.0 <= fraction <= 1.0 for fraction in fractions)
    scenario.stamp(backend, source, "v2")
    assert backend.driver.clone_volume(source, clone) == fact
    scenario.assert_volume(backend, clone, "v1", size_bytes=source.size_bytes)
    scenario.assert_zeros(backend, clone, source.size_bytes, clone.size_bytes - source.size_bytes)
    scenario.stamp(backend, clone, "v3")
    scenario.assert_volume(backend, source, "v2")
    backend.driver.delete_volume(source)
    scenario.assert_volume(backend, clone, "v3")


def test_clone_of_an_absent_volume(backend: Backend) -> None:
    """NotFound, and no clone appears."""
    before = backend.object_names()
    with pytest.raises(base.NotFound):
        backend.driver.clone_volume(scenario.volume_ref(backend), scenario.volume_ref(backend))
    assert backend.object_names() == before


def test_clone_refuses_a_taken_name(backend: Backend) -> None:
    """A volume of that name and another size is there already: it keeps its bytes."""
    source = scenario.new_volume(backend, "v1")
    taken = scenario.new_volume(backend, "mine", times=2)
    with pytest.raises(base.AlreadyExists):
        backend.driver.clone_volume(source, scenario.resized(taken, source.size_bytes))
    scenario.assert_volume(backend, taken, "mine")


def test_clone_stopped_by_progress(backend: Backend) -> None:
    """An exception out of ``progress`` stops the copy; repeated, the clone is made whole.

    A backend that does not copy may never call ``progress``; then there is nothing to stop.
    """

    class StopError(Exception):
        pass

    def stop(fraction: float) -> None:
        raise StopError

    source = scenario.new_volume(backend, "v1")
    clone = scenario.volume_ref(backend)
    try:
        backend.driver.clone_volume(source, clone, stop)
    except StopError:
        assert backend.driver.find_volume(clone.id) is None
    backend.driver.clone_volume(source, clone)
    scenario.assert_volume(backend, clone, "v1")


def test_adopt_volume(backend: Backend) -> None:
    """1. Somebody's object becomes our volume, with its real size. 2. Again: success."""
    backend.make_foreign_volume("somebodys-disk", backend.volume_bytes)
    volume = scenario.volume_ref(backend)
    for _ in range(2):
        fact = backend.driver.adopt_volume("somebodys-disk", volume)
        assert fact == base.VolumeFact(volume.id, backend.volume_bytes)
    assert "somebodys-disk" not in backend.object_names()
    scenario.stamp(backend, volume, "v1")
    scenario.assert_snapshot(backend.driver, scenario.new_snapshot(backend, volume), "v1")


def test_adopt_an_absent_volume(backend: Backend) -> None:
    """NotFound, for a name nobody has and for names no backend can have."""
    for name in ("nobodys-disk", "../escape", ""):
        with pytest.raises(base.NotFound):
            backend.driver.adopt_volume(name, scenario.volume_ref(backend))


def test_adopt_refuses_a_taken_name(backend: Backend) -> None:
    """Both objects exist: nothing is replaced."""
    backend.make_foreign_volume("somebodys-disk", backend.volume_bytes)
    taken = scenario.new_volume(backend, "mine")
    with pytest.raises(base.AlreadyExists):
        backend.driver.adopt_volume("somebodys-disk", taken)
    assert "somebodys-disk" in backend.object_names()
    scenario.assert_volume(backend, taken, "mine")


def test_connect_and_disconnect_twice(backend: Backend) -> None:
    """Both are repeatable, and undoing what was never done succeeds."""
    volume = scenario.new_volume(backend, "v1")
    first = backend.driver.connect(volume, scenario.CONNECTOR)
    again = backend.driver.connect(volume, scenario.CONNECTOR)
    assert first.driver_volume_type
    assert first == again
    read_only = backend.driver.connect(volume, scenario.CONNECTOR, read_only=True)
    assert read_only.driver_volume_type == first.driver_volume_type
    for _ in range(2):
        backend.driver.disconnect(volume, scenario.CONNECTOR)
    scenario.assert_volume(backend, volume, "v1")
    backend.driver.delete_volume(volume)


def test_connect_to_an_absent_volume(backend: Backend) -> None:
    """Connecting has nothing to work from; disconnecting has nothing to undo."""
    volume = scenario.volume_ref(backend)
    with pytest.raises(base.NotFound):
        backend.driver.connect(volume, scenario.CONNECTOR)
    backend.driver.disconnect(volume, scenario.CONNECTOR)


def test_a_restart_forgets_nothing(backend: Backend) -> None:
    """All state is on the storage: another driver object sees and serves the same."""
    volume = scenario.new_volume(backend, "v1")
    snapshot = scenario.new_snapshot(backend, volume)
    scenario.stamp(backend, volume, "v2")
    with backend.fresh_driver_closed() as driver:
        driver.check()
        assert driver.find_volume(volume.id) == base.VolumeFact(volume.id, volume.size_bytes)
        scenario.assert_snapshot_fact(driver.find_snapshot(snapshot), snapshot)
        scenario.assert_snapshot(driver, snapshot, "v1")
