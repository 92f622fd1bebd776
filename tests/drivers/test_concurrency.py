"""Conformance: snapshots of volumes that are being written, and many threads at once."""

import concurrent.futures
import contextlib
import random
import struct
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from tests.drivers import scenario
from tests.drivers.backend import Backend
from volsnap.volume.drivers import base

#: The writer goes round a ring of that many 4 KiB records.
SLOTS = 128
RECORD = 4096
#: The records lie that far apart between other data, and follow each other in leaps: a copy that is
#: not of one instant sees a later record before, and misses an earlier one behind.
SPREAD = 192 * 1024
LEAP = 61
THREADS = 8


class Writer:
    """A guest: writes records 1, 2, 3 … one after the other, each durable before the next one begins."""

    def __init__(self, backend: Backend, volume: base.VolumeRef, pause_s: float) -> None:
        self.acknowledged = 0
        self._backend = backend
        self._volume = volume
        self._pause_s = pause_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)
        self._error: BaseException | None = None

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                number = self.acknowledged + 1
                self._backend.write(self._volume, place(number), record(number))
                self.acknowledged = number
                if self._pause_s:
                    self._stop.wait(self._pause_s)
        except BaseException as err:  # noqa: BLE001  raised again where the test can see it
            self._error = err

    @contextlib.contextmanager
    def running(self) -> Iterator["Writer"]:
        self._thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            self._thread.join(60)
        if self._error is not None:
            raise self._error

    def wait_for(self, count: int) -> None:
        """Until ``count`` more records are written."""
        goal = self.acknowledged + count
        end = time.monotonic() + 60
        while self.acknowledged < goal and self._error is None:
            assert time.monotonic() < end, "the writer makes no progress"
            time.sleep(0.001)


def place(number: int) -> int:
    """Where in the volume record ``number`` is written."""
    return number * LEAP % SLOTS * SPREAD


def record(number: int) -> bytes:
    """4 KiB that hold ``number`` in every 8 bytes: a torn record shows."""
    return struct.pack("<Q", number) * (RECORD // 8)


def new_ring(backend: Backend) -> base.VolumeRef:
    """A volume with an empty ring, and other data between its slots."""
    volume = scenario.new_volume(backend)
    filler = random.Random(1).randbytes(SPREAD * 8)
    for offset in range(0, SLOTS * SPREAD, len(filler)):
        backend.write(volume, offset, filler)
    for number in range(SLOTS):
        backend.write(volume, place(number), record(0))
    return volume


def assert_prefix(reader: base.SnapshotReader, at_least: int, at_most: int) -> None:
    """The ring is as it was between two records, or inside the one that was in flight.

    No record k+1 without k: with the newest whole record n, every other slot holds the newest
    number ≤ n that belongs there.
    """
    slots = []
    for number in range(SLOTS):
        data = reader.read(place(number), RECORD)
        slots.append(set(struct.unpack(f"<{RECORD // 8}Q", data)))
    newest = max(next(iter(words)) for words in slots if len(words) == 1)
    assert at_least <= newest <= at_most
    for number, words in enumerate(slots):
        allowed = {max(newest - (newest - number) % SLOTS, 0)}
        if (newest + 1) % SLOTS == number:
            allowed.add(newest + 1)  # not acknowledged yet: it may be there in part
        assert words <= allowed, f"slot {number} holds {words}, newest is {newest}"


def _cut(backend: Backend, writer: Writer, snapshot: base.SnapshotRef) -> None:
    """One snapshot, and the proof that it is one instant after everything acknowledged before it."""
    before = writer.acknowledged
    scenario.assert_snapshot_fact(backend.driver.create_snapshot(snapshot), snapshot)
    after = writer.acknowledged + 1
    with backend.driver.open_snapshot(snapshot) as reader:
        assert_prefix(reader, before, after)


def test_snapshots_of_a_volume_that_is_written(backend: Backend) -> None:
    """A guest that writes now and then: each snapshot shows one instant, and none is refused."""
    volume = new_ring(backend)
    with Writer(backend, volume, pause_s=0.1).running() as writer:
        for _ in range(5):
            writer.wait_for(2)
            _cut(backend, writer, scenario.snapshot_ref(volume))


def test_snapshots_of_a_volume_that_is_written_without_pause(backend: Backend) -> None:
    """A guest that never pauses: each snapshot shows one instant.

    A backend that cannot cut then (``cuts_while_written``) says Busy and leaves nothing; it never
    shows a torn one.
    """
    volume = new_ring(backend)
    before = backend.object_names()
    with Writer(backend, volume, pause_s=0).running() as writer:
        for _ in range(3):
            writer.wait_for(10)
            snapshot = scenario.snapshot_ref(volume)
            try:
                _cut(backend, writer, snapshot)
            except base.Busy:
                assert not backend.cuts_while_written
                assert backend.driver.find_snapshot(snapshot) is None
            else:
                backend.driver.delete_snapshot(snapshot)
    assert backend.object_names() == before


def test_group_snapshot_of_volumes_that_are_written(backend: Backend) -> None:
    """One writer alternates between two volumes: no member shows record k+1 when the other lacks k."""
    if not backend.driver.capabilities.group_snapshot:
        pytest.skip("this backend declares no group snapshot")
    volumes = [scenario.new_volume(backend), scenario.new_volume(backend)]
    stop = threading.Event()
    written = [0]

    def write() -> None:
        while not stop.is_set():
            number = written[0] + 1
            backend.write(volumes[number % 2], 0, record(number))
            written[0] = number
            stop.wait(0.02)

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write)
        try:
            for _ in range(5):
                time.sleep(0.05)
                snapshots = [scenario.snapshot_ref(volume) for volume in volumes]
                backend.driver.create_group_snapshot(snapshots)
                newest = [_number(backend, snapshot) for snapshot in snapshots]
                assert abs(newest[0] - newest[1]) == 1, newest
        finally:
            stop.set()
        writing.result(30)


def _number(backend: Backend, snapshot: base.SnapshotRef) -> int:
    with backend.driver.open_snapshot(snapshot) as reader:
        (number,) = struct.unpack("<Q", reader.read(0, 8))
        return int(number)


def _in_threads(work: Callable[[int], None]) -> None:
    """Run ``work(0 … THREADS-1)`` at once; the first error is the test's error."""
    start = threading.Barrier(THREADS)

    def run(number: int) -> None:
        start.wait()
        work(number)

    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        for future in [pool.submit(run, number) for number in range(THREADS)]:
            future.result(240)


def _listed(backend: Backend) -> tuple[set[str | None], set[str | None]]:
    """The ids of volumes and of snapshots in the inventory."""
    found = [item for item in backend.driver.inventory() if item.name not in backend.furniture]
    assert not [item for item in found if item.leftover]
    volumes = {item.volume_id for item in found if not item.is_snapshot}
    return volumes, {item.snapshot_id for item in found if item.is_snapshot}


def test_threads_on_one_volume(backend: Backend) -> None:
    """Eight threads make three snapshots each of one volume and delete one: sixteen are left, all whole."""
    volume = scenario.new_volume(backend, "v1")
    kept: list[base.SnapshotRef] = []

    def work(number: int) -> None:
        mine = [scenario.new_snapshot(backend, volume) for _ in range(3)]
        random.Random(number).shuffle(mine)
        backend.driver.delete_snapshot(mine.pop())
        kept.extend(mine)

    _in_threads(work)
    assert _listed(backend) == ({volume.id}, {snapshot.id for snapshot in kept})
    for snapshot in kept:
        scenario.assert_snapshot(backend.driver, snapshot, "v1")


def test_threads_on_many_volumes(backend: Backend) -> None:
    """Eight threads, each with a life of its own: create, write, snapshot, restore, revert, delete."""
    volumes: list[base.VolumeRef] = []
    snapshots: list[base.SnapshotRef] = []

    def work(number: int) -> None:
        volume = scenario.new_volume(backend, f"v1 of {number}")
        snapshot = scenario.new_snapshot(backend, volume)
        scenario.stamp(backend, volume, f"v2 of {number}")
        copy = scenario.volume_ref(backend)
        backend.driver.create_volume_from_snapshot(snapshot, copy)
        scenario.assert_volume(backend, copy, f"v1 of {number}")
        backend.driver.delete_snapshot(scenario.new_snapshot(backend, volume))
        backend.driver.revert(volume, snapshot)
        scenario.assert_volume(backend, volume, f"v1 of {number}")
        backend.driver.delete_volume(copy)
        volumes.append(volume)
        snapshots.append(snapshot)

    _in_threads(work)
    assert _listed(backend) == ({v.id for v in volumes}, {s.id for s in snapshots})


def test_the_same_call_from_many_threads(backend: Backend) -> None:
    """A duplicate delivery: eight threads ask for the same snapshot; one object, whole, is the result.

    A driver may refuse some of them for now (not final: the caller asks again), but not with a
    final error.
    """
    volume = scenario.new_volume(backend, "v1")
    snapshot = scenario.snapshot_ref(volume)
    made: list[base.SnapshotFact] = []

    def work(number: int) -> None:
        try:
            made.append(backend.driver.create_snapshot(snapshot))
        except base.DriverError as err:
            if err.final:
                raise

    _in_threads(work)
    assert made
    scenario.assert_snapshot_fact(backend.driver.create_snapshot(snapshot), snapshot)
    assert _listed(backend) == ({volume.id}, {snapshot.id})
    scenario.assert_snapshot(backend.driver, snapshot, "v1")
