"""The database and the message broker go away and come back: everything is only later."""

import http.client
import pathlib
import signal
import subprocess
import threading
import time
import uuid
from collections.abc import Iterator

import pytest

from tests.chaos.house import LIMIT_S, House, wait_until
from tests.labs import servers
from tests.labs.server import Server
from volsnap import exception
from volsnap.volume.drivers import base

pytestmark = pytest.mark.postgresql


@pytest.fixture
def lab(tmp_path: pathlib.Path) -> Iterator[servers.Servers]:
    """A PostgreSQL of the test's own, which it may stop; RabbitMQ is not started."""
    own = servers.Servers(tmp_path / "lab")
    own.postgresql.start()
    yield own
    own.postgresql.stop()


@pytest.fixture
def house(tmp_path: pathlib.Path, lab: servers.Servers) -> Iterator[House]:
    """A house on that PostgreSQL."""
    made = House(tmp_path / "house", lab.postgresql.create_database("house"), create_ack_timeout=0)
    yield made.start()
    lab.postgresql.start()
    made.close()


def _our_threads(house: House) -> set[str]:
    """The threads that a service cannot do without."""
    wanted = {f"{house.host}-{part}" for part in ("claim", "leases", "care")}
    return wanted & {thread.name for thread in threading.enumerate() if thread.is_alive()}


def test_result_that_could_not_be_written(house: House, lab: servers.Servers) -> None:
    """Steps:

    1. A snapshot is being cut when the database goes away; the cut ends, and its result cannot be written.
    2. The database comes back: the lease of the work nobody does any more runs out, and it is done again.
    """
    volume_id = house.made_volume()
    with house.driver.held("create_snapshot") as gate:
        snapshot_id = house.snapshot(volume_id).id
        assert gate.reached.wait(LIMIT_S)
        lab.postgresql.stop()
    time.sleep(1)
    lab.postgresql.start()
    house.wait(snapshot_id)
    house.assert_clean()


def test_long_copy_outlives_a_restart_of_the_database(house: House, lab: servers.Servers) -> None:
    """The database restarts while a volume is copied: the copy goes on, and is not made twice."""
    snapshot_id = house.made_snapshot(house.made_volume())
    with house.driver.held("create_volume_from_snapshot") as gate:
        copy_id = house.volume(snapshot_id=snapshot_id)
        assert gate.reached.wait(LIMIT_S)
        lab.postgresql.crash()
        lab.postgresql.start()
        time.sleep(2)
    house.wait(copy_id)
    house.assert_clean()


def test_no_thread_dies_with_the_database(house: House, lab: servers.Servers) -> None:
    """Steps:

    1. The database is away for several polls, renewals and rounds of care: a request gets ``ServiceUnavailable``.
    2. It comes back: every thread still lives, and requests are served.
    """
    volume_id = house.made_volume()
    threads = _our_threads(house)
    assert len(threads) == 3
    lab.postgresql.crash()
    with pytest.raises(exception.ServiceUnavailable):
        house.snapshot(volume_id)
    time.sleep(3)
    assert _our_threads(house) == threads
    lab.postgresql.start()
    house.wait(house.snapshot(volume_id).id)
    house.assert_clean()
    assert _our_threads(house) == threads


def test_storage_and_database_away_together(house: House, lab: servers.Servers) -> None:
    """The storage does not answer and the database restarts meanwhile, again and again: the snapshot comes."""
    volume_id = house.made_volume()
    house.driver.fail("create_snapshot", base.Unavailable("The storage does not answer."), times=3)
    snapshot_id = house.snapshot(volume_id).id
    for _ in range(3):
        lab.postgresql.crash()
        lab.postgresql.start()
        time.sleep(0.5)
    house.wait(snapshot_id)
    house.assert_clean()


# ------------------------------------------------------------------------------------------------- separate processes


@pytest.fixture
def split(tmp_path: pathlib.Path, lab: servers.Servers) -> Iterator[Server]:
    """API and volume service as processes of their own."""
    lab.rabbitmq = servers.shared_rabbitmq()
    running = Server(
        tmp_path / "split",
        options={"transport_url": lab.rabbitmq.url, "host": f"split-{uuid.uuid4()}", "create_ack_timeout": 2},
        database_url=lab.postgresql.create_database("split"),
        split=True,
    )
    yield running.start()
    lab.postgresql.start()
    running.stop()
    lab.rabbitmq.start()


def test_main_job_over_separate_processes(split: Server) -> None:
    """Write v1, snapshot, write v2; a copy and a revert bring v1 back, and all goes away; a connection is made."""
    volume = split.make_volume(1)
    path = split.file_directory / "volumes" / f"volume-{volume['id']}"
    with path.open("r+b") as disk:
        disk.write(b"v1" * 512)
    snapshot = split.make_snapshot(volume["id"])
    with path.open("r+b") as disk:
        disk.write(b"v2" * 512)
    code, body = split.api("POST", "/volumes", {"volume": {"snapshot_id": snapshot["id"]}})
    assert code == 202
    copy = split.wait_for(f"/volumes/{body['volume']['id']}", "volume")
    assert (path.parent / f"volume-{copy['id']}").read_bytes()[:1024] == b"v1" * 512
    _connect(split, volume["id"])
    assert split.api("POST", f"/volumes/{volume['id']}/action", {"revert": {"snapshot_id": snapshot["id"]}})[0] == 202
    split.wait_for(f"/volumes/{volume['id']}", "volume")
    with path.open("rb") as disk:
        assert disk.read(1024) == b"v1" * 512
    split.wait_for(f"/snapshots/{snapshot['id']}", "snapshot")
    assert split.api("DELETE", f"/volumes/{copy['id']}")[0] == 202
    assert split.api("DELETE", f"/volumes/{volume['id']}?cascade=True")[0] == 202
    for gone in (volume, copy):
        split.wait_for(f"/volumes/{gone['id']}", "volume", None)
    report = split.audit()
    assert (report["findings"], report["objects"], report["working"]) == ([], 0, 0)


def _connect(server: Server, volume_id: str) -> None:
    """The one call that needs the broker."""
    action = {"os-initialize_connection": {"connector": {"host": "h", "initiator": "iqn.x", "ip": "127.0.0.1"}}}
    code, body = server.api("POST", f"/volumes/{volume_id}/action", action)
    assert code == 200, body


def test_broker_is_down(split: Server, lab: servers.Servers) -> None:
    """Steps:

    1. The broker is stopped: volumes and snapshots are made, deleted and listed all the same.
    2. Both processes are started anew without a broker: the same.
    3. The broker comes back: calls over it work again by themselves.
    """
    volume = split.make_volume(1)
    lab.rabbitmq.stop()
    snapshot = split.make_snapshot(volume["id"])
    assert split.api("DELETE", f"/snapshots/{snapshot['id']}")[0] == 202
    split.wait_for(f"/snapshots/{snapshot['id']}", "snapshot", None)
    for role in split.roles:
        split.kill(role)
    split.start()
    split.make_snapshot(volume["id"])
    lab.rabbitmq.start()
    action = {"os-initialize_connection": {"connector": {"host": "h", "initiator": "iqn.x", "ip": "127.0.0.1"}}}
    wait_until(lambda: split.api("POST", f"/volumes/{volume['id']}/action", action)[0], lambda code: code == 200)
    assert split.audit()["findings"] == []


def test_broker_hangs(split: Server, lab: servers.Servers) -> None:
    """The broker accepts connections and never answers (SIGSTOP): snapshots are still made."""
    volume = split.make_volume(1)
    lab.rabbitmq.freeze()
    try:
        snapshots = [split.make_snapshot(volume["id"]) for _ in range(3)]
    finally:
        lab.rabbitmq.thaw()
    assert len({one["id"] for one in snapshots}) == 3


def test_services_end_without_a_broker(split: Server, lab: servers.Servers) -> None:
    """SIGTERM ends both processes though the broker is down."""
    lab.rabbitmq.stop()
    for role in ("volume", "api"):
        process: subprocess.Popen[bytes] = split._processes[role]
        process.send_signal(signal.SIGTERM)
        assert process.wait(LIMIT_S) == 0


def test_database_restarts_under_requests(split: Server, lab: servers.Servers) -> None:
    """Steps:

    1. Clients make and delete snapshots while PostgreSQL crashes and starts again, three times.
    2. They see 202, 404 or 503 and nothing else, above all no 500.
    3. Within a minute everything is quiet and clean.
    """
    volume = split.make_volume(1)
    codes: set[int] = set()
    over = threading.Event()

    def client() -> None:
        while not over.is_set():
            try:
                code, body = split.api("POST", "/snapshots", {"snapshot": {"volume_id": volume["id"]}})
                codes.add(code)
                if code == 202:
                    codes.add(split.api("DELETE", f"/snapshots/{body['snapshot']['id']}")[0])
            except (OSError, http.client.HTTPException):
                codes.add(0)

    clients = [threading.Thread(target=client) for _ in range(3)]
    for one in clients:
        one.start()
    for _ in range(3):
        time.sleep(1.5)
        lab.postgresql.crash()
        time.sleep(0.5)
        lab.postgresql.start()
    time.sleep(1)
    over.set()
    for one in clients:
        one.join()
    assert 202 in codes and codes <= {202, 400, 404, 503}, (codes, split.log())
    wait_until(split.audit, lambda report: report["working"] == 0)
    assert split.audit()["findings"] == []
