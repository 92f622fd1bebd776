"""What the journal promises, one promise a test, on a real database, with a real worker and the file driver."""

import pathlib
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.chaos.house import LIMIT_S, PROJECT, House, OtherService, wait_until
from tests.labs import servers
from volsnap import exception
from volsnap.db import operations
from volsnap.objects.operation import Kind
from volsnap.volume.drivers import base

AWAY = base.Unavailable("The storage does not answer.")


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def database_url(request: pytest.FixtureRequest) -> Iterator[str | None]:
    """An empty database; None: the SQLite file that a house has by itself."""
    if request.param == "sqlite":
        yield None
        return
    server = servers.shared_postgresql()
    name = f"journal-{uuid.uuid4()}"
    yield server.create_database(name)
    server.drop_database(name)


@pytest.fixture
def make_house(tmp_path: pathlib.Path, database_url: str | None) -> Iterator[Callable[..., House]]:
    """Makes a house, started unless ``start=False``."""
    made: list[House] = []

    def make(*, start: bool = True, **options: Any) -> House:
        made.append(House(tmp_path / f"house{len(made)}", database_url, **options))
        return made[-1].start() if start else made[-1]

    yield make
    for house in made:
        house.close()


# ---------------------------------------------------------------------------------------------------- hints and answers


def test_work_is_found_without_a_hint(make_house: Callable[..., House]) -> None:
    """Every wake-up message is lost: a volume and a snapshot are made all the same, by looking."""
    house = make_house()
    house.lose_hints()
    house.made_snapshot(house.made_volume())
    house.assert_clean()


def test_duplicate_hints_do_the_work_once(make_house: Callable[..., House]) -> None:
    """A hundred hints for one request, before and while it is carried out: the driver is called once."""
    house = make_house()
    with house.driver.held("create_volume") as gate:
        volume_id = house.volume()
        for _ in range(100):
            house.parts.client.wake(house.host)
        assert gate.reached.wait(LIMIT_S)
        for _ in range(100):
            house.parts.client.wake(house.host)
        time.sleep(0.5)
    house.wait(volume_id)
    house.wait_idle()
    assert house.driver.count("create_volume") == 1


def test_answer_comes_after_the_cut(make_house: Callable[..., House]) -> None:
    """A snapshot that is cut in time is answered as available, with the time of its cut."""
    house = make_house(create_ack_timeout=LIMIT_S)
    row = house.snapshot(house.made_volume())
    assert (row.status, row.progress) == ("available", "100%")
    assert row.cut_at >= row.created_at


def test_answer_does_not_wait_for_ever(make_house: Callable[..., House]) -> None:
    """The storage holds the cut back: the request is answered with ``creating``, and the cut comes later."""
    house = make_house(create_ack_timeout=0.5)
    volume_id = house.made_volume()
    with house.driver.held("create_snapshot"):
        row = house.snapshot(volume_id)
        assert (row.status, row.cut_at) == ("creating", None)
    house.wait(row.id)
    house.assert_clean()


def test_answer_does_not_wait_once_it_is_put_off(make_house: Callable[..., House]) -> None:
    """The storage does not answer: nobody waits for ``create_ack_timeout`` to hear that it takes longer."""
    house = make_house(create_ack_timeout=2 * LIMIT_S)
    volume_id = house.made_volume()
    house.driver.fail("create_snapshot", AWAY)
    began = time.monotonic()
    row = house.snapshot(volume_id)
    assert time.monotonic() - began < LIMIT_S
    house.wait(row.id)


# --------------------------------------------------------------------------------------------------------------- order


def test_delete_waits_for_the_create(make_house: Callable[..., House]) -> None:
    """A snapshot is deleted (by force) while it is still being cut: first the cut ends, then it is deleted."""
    house = make_house(create_ack_timeout=0)
    volume_id = house.made_volume()
    with house.driver.held("create_snapshot") as gate:
        snapshot_id = house.snapshot(volume_id).id
        assert gate.reached.wait(LIMIT_S)
        house.api.snapshots.delete(house.context, snapshot_id, force=True)
        time.sleep(0.7)
        assert house.driver.count("delete_snapshot") == 0
    house.wait(snapshot_id, None)
    house.assert_clean()


def test_clone_outlives_its_snapshot(make_house: Callable[..., House]) -> None:
    """A volume is made from a snapshot, and the snapshot is deleted right after: the copy is whole."""
    house = make_house()
    volume_id = house.made_volume(b"v1")
    snapshot_id = house.made_snapshot(volume_id)
    with house.driver.held("create_volume_from_snapshot") as gate:
        copy_id = house.volume(snapshot_id=snapshot_id)
        house.api.snapshots.delete(house.context, snapshot_id)
        assert gate.reached.wait(LIMIT_S)
        time.sleep(0.7)
        assert house.driver.count("delete_snapshot") == 0
    house.wait(copy_id)
    house.wait(snapshot_id, None)
    assert house.read(copy_id, 2) == b"v1"
    house.assert_clean()


def test_cascade_deletes_the_volume_last(make_house: Callable[..., House]) -> None:
    """Twenty snapshots and their volume in one request: the volume goes when the last of them is gone."""
    house = make_house()
    volume_id = house.made_volume()
    snapshots = [house.made_snapshot(volume_id) for _ in range(20)]
    house.api.volumes.delete(house.context, volume_id, cascade=True)
    house.wait(volume_id, None)
    assert [house.status(one) for one in snapshots] == [None] * 20
    deletes = [name for name, _ in house.driver.calls if name.startswith("delete")]
    assert deletes == ["delete_snapshot"] * 20 + ["delete_volume"]
    house.assert_clean()


def test_cascade_with_a_snapshot_that_stays(make_house: Callable[..., House]) -> None:
    """One snapshot cannot be deleted: it and the volume come back as they were, and both say why."""
    house = make_house()
    volume_id = house.made_volume()
    first, second = house.made_snapshot(volume_id), house.made_snapshot(volume_id)
    house.driver.fail("delete_snapshot", base.Busy("Somebody reads it."))
    house.api.volumes.delete(house.context, volume_id, cascade=True)
    house.wait_idle()
    assert house.status(volume_id) == "available"
    assert sorted([house.status(first) or "", house.status(second) or ""]) == ["", "available"]
    assert house.messages(volume_id)
    house.api.volumes.delete(house.context, volume_id, cascade=True)
    house.wait(volume_id, None)
    house.assert_clean()


def test_revert_and_delete_race(make_house: Callable[..., House]) -> None:
    """Steps, twenty times over:

    1. A revert to a snapshot, a revert to another one and the deletion of the first are sent at the same moment.
    2. Each is accepted or refused; not both reverts.
    3. In the end the volume is available with the bytes of a snapshot whose revert was accepted, or its own.
    """
    house = make_house(create_ack_timeout=LIMIT_S)
    volume_id = house.made_volume(b"v1")
    for _ in range(20):
        house.write(volume_id, b"v1")
        first = house.made_snapshot(volume_id)
        house.write(volume_id, b"v2")
        second = house.made_snapshot(volume_id)
        house.write(volume_id, b"v3")
        accepted = _race(
            lambda first=first: house.api.volumes.revert(house.context, volume_id, first),
            lambda second=second: house.api.volumes.revert(house.context, volume_id, second),
            lambda first=first: house.api.snapshots.delete(house.context, first),
        )
        assert not (accepted[0] and accepted[2])
        house.wait(volume_id)
        house.wait_idle()
        reverted = [data for data, taken in zip((b"v1", b"v2"), accepted[:2], strict=True) if taken]
        possible = reverted or [b"v3"]
        assert house.read(volume_id, 2) in possible
        assert house.status(second) == "available"
        assert house.status(first) == (None if accepted[2] else "available")
        for one in (first, second):
            if house.status(one):
                house.api.snapshots.delete(house.context, one)
        house.wait_idle()
    house.assert_clean()


def _race(*requests: Callable[[], object]) -> list[bool]:
    """Send all at once; which were accepted."""
    start = threading.Barrier(len(requests))
    accepted = [False] * len(requests)
    wrong: list[Exception] = []

    def run(number: int) -> None:
        start.wait()
        try:
            requests[number]()
            accepted[number] = True
        except (exception.InvalidStatus, exception.NotFound, exception.Invalid):
            pass
        except Exception as err:  # noqa: BLE001  shown by the assertion below
            wrong.append(err)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(requests))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    return accepted


def test_requests_do_not_lock_each_other_out(make_house: Callable[..., House]) -> None:
    """Eight threads send every kind of request for the same three volumes: each is accepted or refused for its status.

    A deadlock of the database would come as an error of the service.
    """
    house = make_house(create_ack_timeout=0)
    volumes = [house.made_volume() for _ in range(3)]
    wrong: list[Exception] = []

    def client(number: int) -> None:
        context, api = house.context, house.api
        for turn in range(25):
            volume_id = volumes[(number + turn) % 3]
            snapshots = [row.id for row in _snapshots(house, volume_id)]
            one = snapshots[turn % len(snapshots)] if snapshots else str(uuid.uuid4())
            requests: list[Callable[[], object]] = [
                lambda volume_id=volume_id: house.snapshot(volume_id, force=True),
                lambda one=one: api.snapshots.delete(context, one),
                lambda volume_id=volume_id, one=one: api.volumes.revert(context, volume_id, one),
                lambda volume_id=volume_id, turn=turn: api.volumes.extend(context, volume_id, 2 + turn),
                lambda one=one: api.volumes.delete(context, house.volume(snapshot_id=one), force=True),
                lambda volume_id=volume_id: api.volumes.delete(
                    context, house.volume(source_volid=volume_id), force=True
                ),
            ]
            try:
                requests[(number * 7 + turn) % 6]()
            except (exception.InvalidStatus, exception.NotFound, exception.Invalid, exception.InvalidInput):
                pass
            except Exception as err:  # noqa: BLE001  shown by the assertion below
                wrong.append(err)

    threads = [threading.Thread(target=client, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    house.assert_clean()
    assert [house.status(one) for one in volumes] == ["available"] * 3


def _snapshots(house: House, volume_id: str) -> Any:
    from volsnap.db import snapshots

    with house.parts.database.read() as conn:
        return snapshots.of_volume(conn, volume_id)


# ------------------------------------------------------------------------------------------------- leases and takeover


@pytest.fixture
def other(make_house: Callable[..., House]) -> Iterator[Callable[..., OtherService]]:
    """Starts another service of a house; killed at the end."""
    running: list[OtherService] = []

    def start(house: House, stop_at: str | None = None, **options: Any) -> OtherService:
        running.append(OtherService(house, stop_at, **options))
        return running[-1]

    yield start
    for one in running:
        one.end()


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_late_create_of_a_deleted_snapshot_leaves_no_orphan(
    make_house: Callable[..., House], other: Callable[..., OtherService], after: bool
) -> None:
    """Steps:

    1. Service A claims a snapshot's creation, and stands still (SIGSTOP) before or after the storage call.
    2. Service B of the same host takes the work over when the lease has run out: the snapshot is available.
    3. The user deletes the snapshot; B does it.
    4. A goes on: its result is dropped, and what it made too late is removed.
    """
    house = make_house(create_ack_timeout=0)
    volume_id = house.made_volume()
    house.stop()
    stalled = other(house, "create_snapshot", after=after)
    snapshot_id = house.snapshot(volume_id).id
    stalled.wait_until_stopped()
    house.start()
    house.wait(snapshot_id)
    house.api.snapshots.delete(house.context, snapshot_id)
    house.wait(snapshot_id, None)
    stalled.resume()
    wait_until(stalled.log, lambda text: "another worker took it over" in text)
    wait_until(house.audit, lambda report: (report.objects, report.working) == (1, 0))
    house.assert_clean()


def test_late_revert_does_not_touch_the_volume(
    make_house: Callable[..., House], other: Callable[..., OtherService]
) -> None:
    """Steps:

    1. Service A claims a revert, and stands still before it begins.
    2. Service B takes it over and does it; the user writes to the volume.
    3. A goes on: it sees that its lease may be lost, and leaves the volume alone.
    """
    house = make_house()
    volume_id = house.made_volume(b"v1")
    snapshot_id = house.made_snapshot(volume_id)
    house.write(volume_id, b"v2")
    house.stop()
    stalled = other(house, "claim")
    house.api.volumes.revert(house.context, volume_id, snapshot_id)
    stalled.wait_until_stopped()
    house.start()
    house.wait(volume_id)
    assert house.read(volume_id, 2) == b"v1"
    house.write(volume_id, b"v3")
    stalled.resume()
    wait_until(stalled.log, lambda text: "another worker took it over" in text)
    assert house.read(volume_id, 2) == b"v3"
    house.assert_clean()


def test_killed_worker_is_replaced(make_house: Callable[..., House], other: Callable[..., OtherService]) -> None:
    """A service is killed in the middle of a copy: another one of the host makes the volume."""
    house = make_house()
    volume_id = house.made_volume(b"v1")
    snapshot_id = house.made_snapshot(volume_id)
    house.stop()
    stalled = other(house, "create_volume_from_snapshot")
    copy_id = house.volume(snapshot_id=snapshot_id)
    stalled.wait_until_stopped()
    stalled.end()
    house.start()
    house.wait(copy_id)
    assert house.read(copy_id, 2) == b"v1"
    house.assert_clean()


def test_long_work_keeps_its_lease(make_house: Callable[..., House]) -> None:
    """A copy that takes twice the lease is carried out once."""
    house = make_house()
    snapshot_id = house.made_snapshot(house.made_volume())
    with house.driver.held("create_volume_from_snapshot") as gate:
        copy_id = house.volume(snapshot_id=snapshot_id)
        assert gate.reached.wait(LIMIT_S)
        time.sleep(3.5)
    house.wait(copy_id)
    assert house.driver.count("create_volume_from_snapshot") == 1
    house.assert_clean()


def test_stop_interrupts_a_copy(make_house: Callable[..., House]) -> None:
    """A service that is stopped does not wait for a copy to end: the next one makes it, at once."""
    house = make_house(lease_seconds=600)
    snapshot_id = house.made_snapshot(house.made_volume(b"v1"))
    with house.driver.held("create_volume_from_snapshot") as gate:
        copy_id = house.volume(snapshot_id=snapshot_id)
        assert gate.reached.wait(LIMIT_S)
        house.stop()
        assert house.status(copy_id) == "creating"
    house.start()
    house.wait(copy_id)
    assert house.read(copy_id, 2) == b"v1"
    house.assert_clean()


def test_stop_finishes_short_work(make_house: Callable[..., House]) -> None:
    """A service that is stopped while it cuts a snapshot ends the cut, keeping its lease, and writes its result."""
    house = make_house(create_ack_timeout=0)
    volume_id = house.made_volume()
    with house.driver.held("create_snapshot") as gate:
        snapshot_id = house.snapshot(volume_id).id
        assert gate.reached.wait(LIMIT_S)
        stopping = threading.Thread(target=house.stop)
        stopping.start()
        time.sleep(3.0)  # twice the lease
        (row,) = house.journal()
        assert row.attempt == 1 and row.lease_expires > time.time()
    stopping.join()
    assert (house.status(snapshot_id), house.journal()) == ("available", [])


# --------------------------------------------------------------------------------------------- storage that is no help


def test_create_while_the_backend_is_gone(make_house: Callable[..., House]) -> None:
    """Steps:

    1. The backend goes away; a volume is made (from a snapshot) and a snapshot is cut.
    2. After ``operation_deadline`` both show ``error``, and the user is told.
    3. The backend comes back: nothing is left of either, and both can be deleted.
    """
    house = make_house(operation_deadline=1, create_ack_timeout=0)
    volume_id = house.made_volume()
    snapshot_id = house.made_snapshot(volume_id)
    with house.backend_gone():
        copy_id = house.volume(snapshot_id=snapshot_id)
        late_id = house.snapshot(volume_id).id
        for resource_id in (copy_id, late_id):
            house.wait(resource_id, "error")
            assert "goes on trying" in house.messages(resource_id)[0]
    house.assert_clean()
    assert house.audit().objects == 2
    house.api.volumes.delete(house.context, copy_id)
    house.api.snapshots.delete(house.context, late_id)
    house.wait(copy_id, None)
    house.wait(late_id, None)
    house.assert_clean()


def test_create_whose_answers_are_lost(make_house: Callable[..., House]) -> None:
    """The storage makes the volume and the snapshot each time, and each time the answer is lost until it is too late:
    what the user was told failed does not exist.
    """
    house = make_house(operation_deadline=1, create_ack_timeout=0)
    volume_id = house.made_volume()
    house.driver.fail("create_volume", AWAY, times=1000, after=True)
    house.driver.fail("create_snapshot", AWAY, times=1000, after=True)
    lost, cut = house.volume(), house.snapshot(volume_id).id
    house.wait(lost, "error")
    house.wait(cut, "error")
    house.driver.heal()
    house.assert_clean()
    assert house.audit().objects == 1


def test_lost_answer_is_found_out(make_house: Callable[..., House]) -> None:
    """The first answer is lost, the second try finds the work done: available, and nobody is told of anything."""
    house = make_house()
    volume_id = house.made_volume()
    house.driver.fail("create_snapshot", AWAY, after=True)
    snapshot_id = house.made_snapshot(volume_id)
    assert house.messages(snapshot_id) == []
    house.assert_clean()


def test_overdue_delete_ends_by_itself(make_house: Callable[..., House]) -> None:
    """The backend is away while things are deleted: ``error_deleting`` after the deadline, gone once it is back."""
    house = make_house(operation_deadline=1)
    volume_id = house.made_volume()
    snapshot_id = house.made_snapshot(volume_id)
    with house.backend_gone():
        house.api.volumes.delete(house.context, volume_id, cascade=True)
        house.wait(snapshot_id, "error_deleting")
        assert len(house.messages(snapshot_id)) == 1
    house.wait(volume_id, None)
    assert house.status(snapshot_id) is None
    house.assert_clean()


def test_overdue_delete_can_be_asked_for_again(make_house: Callable[..., House]) -> None:
    """Deleting something in ``error_deleting`` once more is accepted, and does no harm."""
    house = make_house(operation_deadline=1)
    volume_id = house.made_volume()
    snapshot_id = house.made_snapshot(volume_id)
    with house.backend_gone():
        house.api.snapshots.delete(house.context, snapshot_id)
        house.wait(snapshot_id, "error_deleting")
        house.api.snapshots.delete(house.context, snapshot_id)
    house.wait(snapshot_id, None)
    house.assert_clean()


def test_extend_that_fails_restores_the_size(make_house: Callable[..., House]) -> None:
    """The storage has no room for the growth: available with the old size, the old usage, and the reason."""
    house = make_house()
    volume_id = house.made_volume()
    house.driver.fail("extend_volume", base.NoSpace("There is no room."))
    with house.driver.held("extend_volume"):
        house.api.volumes.extend(house.context, volume_id, 5)
        assert house.used()["gigabytes"] == 5
    house.wait_idle()
    assert house.status(volume_id) == "available"
    assert house.api.volumes.get(house.context, volume_id).size_gib == 1
    assert house.used()["gigabytes"] == 1
    assert house.messages(volume_id) == ["There is no room."]


def test_overdue_extend_ends_by_itself(make_house: Callable[..., House]) -> None:
    """The backend is away: ``error_extending``; once it is back: available with the new size."""
    house = make_house(operation_deadline=1)
    volume_id = house.made_volume()
    with house.backend_gone():
        house.api.volumes.extend(house.context, volume_id, 3)
        house.wait(volume_id, "error_extending")
    house.wait(volume_id)
    assert house.api.volumes.get(house.context, volume_id).size_gib == 3
    assert house.path(volume_id).stat().st_size == 3 << 30
    house.assert_clean()


def test_overdue_revert_ends_by_itself(make_house: Callable[..., House]) -> None:
    """The backend is away: the volume shows ``error``; once it is back: available, with the snapshot's bytes."""
    house = make_house(operation_deadline=1)
    volume_id = house.made_volume(b"v1")
    snapshot_id = house.made_snapshot(volume_id)
    house.write(volume_id, b"v2")
    with house.backend_gone():
        house.api.volumes.revert(house.context, volume_id, snapshot_id)
        house.wait(volume_id, "error")
        assert house.status(snapshot_id) == "restoring"
    house.wait(volume_id)
    assert house.read(volume_id, 2) == b"v1"
    house.wait(snapshot_id)
    house.assert_clean()


def test_three_failures_are_told(make_house: Callable[..., House]) -> None:
    """Storage fails and does not say why: after three tries the user is told, before the deadline; work goes on."""
    house = make_house(operation_deadline=600, create_ack_timeout=0)
    volume_id = house.made_volume()
    snapshot_id = house.made_snapshot(volume_id)
    house.driver.fail("delete_snapshot", base.Failed("It broke."), times=3)
    with house.driver.held("delete_snapshot"):
        house.api.snapshots.delete(house.context, snapshot_id)
        house.wait(snapshot_id, "error_deleting")
        assert house.messages(snapshot_id) == ["It broke. The service goes on trying."]
    house.wait(snapshot_id, None)
    house.driver.fail("create_snapshot", base.Failed("It broke."), times=3, after=True)
    house.wait(house.snapshot(volume_id).id, "error")
    house.assert_clean()
    assert house.audit().objects == 1


def test_forced_delete_that_fails_does_not_end_in_a_passing_status(make_house: Callable[..., House]) -> None:
    """Steps:

    1. A volume is deleted by force while it is still being made, and once more while it is being deleted.
    2. The storage refuses both deletions for good.
    3. The volume does not go back to ``creating`` or ``deleting``, where nobody works on it: it shows ``error``.
    """
    house = make_house()
    house.driver.fail("delete_volume", base.Busy("Somebody has it open."), times=2)
    with house.driver.held("create_volume"):
        volume_id = house.volume()
        house.api.volumes.delete(house.context, volume_id, force=True)
        house.api.volumes.delete(house.context, volume_id, force=True)
    house.wait_idle()
    assert house.status(volume_id) == "error"
    house.api.volumes.delete(house.context, volume_id)
    house.wait(volume_id, None)
    house.assert_clean()


# ---------------------------------------------------------------------------------------------------------------- load


def test_thousands_of_pending_operations(make_house: Callable[..., House]) -> None:
    """Steps:

    1. While no service runs, the journal fills: 2 000 snapshots of one volume wait to be cut, and to be deleted.
    2. Looking for what may run costs with 2 000 waiting about what it costs with 200 (it is not quadratic).
    """
    house = make_house()
    volume_id = house.made_volume()
    house.stop()
    kinds = list(Kind)
    times = []
    for goal in (200, 2000):
        with house.parts.database.write() as conn:
            for _ in range(goal // 2 - len(house.journal()) // 2):
                snapshot_id = str(uuid.uuid4())
                for kind in (Kind.SNAPSHOT_CREATE, Kind.SNAPSHOT_DELETE):
                    house.parts.journal.submit(
                        conn, house.context, kind, backend=house.host, resource_id=snapshot_id, source_id=volume_id
                    )
        assert len(house.journal()) == goal
        with house.parts.database.read() as conn:
            began = time.monotonic()
            for _ in range(10):
                assert len(operations.ready(conn, house.host, kinds, 16)) == 16
            times.append((time.monotonic() - began) / 10)
    print(f"one look: {times[0] * 1000:.2f} ms with 200 waiting, {times[1] * 1000:.2f} ms with 2 000")
    assert times[1] < 20 * max(times[0], 0.001)
    house.start()
    began = time.monotonic()
    wait_until(house.journal, lambda rows: not rows, 4 * LIMIT_S)
    print(f"2 000 operations worked off in {time.monotonic() - began:.1f} s")


def test_usage_is_counted(make_house: Callable[..., House]) -> None:
    """Usage is the number of rows at every moment."""
    house = make_house()
    volume_id = house.made_volume()
    house.made_snapshot(volume_id)
    assert house.used() == {"volumes": 1, "snapshots": 1, "gigabytes": 2}
    assert house.context.project_id == PROJECT


def test_work_that_never_began_is_told_too(make_house: Callable[..., House]) -> None:
    """Steps:

    1. The backend is away; a snapshot's creation is given up, and goes on in the journal as a discard.
    2. The user deletes the snapshot: that work waits behind the discard and is never begun.
    3. It shows ``error_deleting`` with a message all the same; once the backend is back it is gone.
    """
    house = make_house(operation_deadline=1, create_ack_timeout=0)
    volume_id = house.made_volume()
    with house.backend_gone():
        snapshot_id = house.snapshot(volume_id).id
        house.wait(snapshot_id, "error")
        house.api.snapshots.delete(house.context, snapshot_id)
        house.wait(snapshot_id, "error_deleting")
        assert len(house.messages(snapshot_id)) == 2
    house.wait(snapshot_id, None)
    house.assert_clean()


def test_waiting_in_line_is_not_overdue(make_house: Callable[..., House]) -> None:
    """A copy that takes longer than ``operation_deadline`` and one bad answer: it is tried again, and ends well."""
    house = make_house(operation_deadline=1)
    volume_id = house.made_volume(b"v1")
    snapshot_id = house.made_snapshot(volume_id)
    house.driver.fail("create_volume_from_snapshot", AWAY)
    with house.driver.held("create_volume_from_snapshot"):
        copy_id = house.volume(snapshot_id=snapshot_id)
        time.sleep(1.5)
    house.wait(copy_id)
    assert house.messages(copy_id) == []
    house.assert_clean()


def test_discard_leaves_what_somebody_wants(make_house: Callable[..., House]) -> None:
    """Steps:

    1. A volume's creation is given up though the storage made it; the discard waits for the storage.
    2. An administrator sets the volume to ``available``.
    3. The storage answers again: the volume stays.
    """
    house = make_house(operation_deadline=1)
    house.driver.fail("create_volume", AWAY, times=1000, after=True)
    house.driver.fail("delete_volume", AWAY, times=1000)
    volume_id = house.volume()
    house.wait(volume_id, "error")
    house.api.volumes.reset_status(house.context, volume_id, "available")
    house.driver.heal()
    house.wait_idle()
    assert house.status(volume_id) == "available"
    house.assert_clean()
    assert house.audit().objects == 1


def test_refused_revert_leaves_the_volume_usable(make_house: Callable[..., House]) -> None:
    """The storage refuses a revert because somebody has the volume open: available as before, and a message."""
    house = make_house()
    volume_id = house.made_volume(b"v1")
    snapshot_id = house.made_snapshot(volume_id)
    house.driver.fail("revert", base.Busy("Somebody has it open."))
    house.api.volumes.revert(house.context, volume_id, snapshot_id)
    house.wait(volume_id)
    house.wait(snapshot_id)
    assert house.messages(volume_id) == ["Somebody has it open."]
    house.assert_clean()


def test_reported_status_waits_for_our_own_work(make_house: Callable[..., House]) -> None:
    """``os-update_snapshot_status`` is for who makes the snapshot: while our own work is on, it is refused."""
    house = make_house(create_ack_timeout=0)
    volume_id = house.made_volume()
    with house.driver.held("create_snapshot"):
        snapshot_id = house.snapshot(volume_id).id
        with pytest.raises(exception.Invalid):
            house.api.snapshots.update_status(house.context, snapshot_id, "available")
    house.wait(snapshot_id)
    house.assert_clean()
