"""What processes owe each other: first reports, supervisors and workers, hints that nobody reads, order of ids."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable

import pytest
import sqlalchemy as sa

from tests.chaos.house import LIMIT_S, House, wait_until
from tests.labs import servers
from tests.labs.server import Server
from volsnap import rpc, rpc_local
from volsnap.db import engine, migrate, services, volumes
from volsnap.db.engine import Database
from volsnap.objects.operation import Kind

_ROOT = pathlib.Path(__file__).parents[2]


def _first_reports(url: str) -> None:
    """Sixteen threads with connections of their own report the same new service at once: none fails, one row."""
    database = Database(url)
    migrate.upgrade(database)
    start = threading.Barrier(16)
    wrong: list[Exception] = []

    def report() -> None:
        start.wait()
        try:
            with database.write() as conn:
                services.report(conn, "volsnap-volume", "h@b", "nova", "{}")
        except Exception as err:  # noqa: BLE001  shown by the assertion below
            wrong.append(err)

    threads = [threading.Thread(target=report) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.read() as conn:
        assert len(services.list_all(conn)) == 1
    database.close()
    assert wrong == []


def test_first_reports_at_once_sqlite(tmp_path: pathlib.Path) -> None:
    """Two services of one host start at the same moment on SQLite."""
    _first_reports(f"sqlite:///{tmp_path}/volsnap.sqlite")


@pytest.mark.postgresql
def test_first_reports_at_once_postgresql() -> None:
    """Two services of one host start at the same moment on PostgreSQL."""
    server = servers.shared_postgresql()
    name = f"reports-{uuid.uuid4()}"
    _first_reports(server.create_database(name))
    server.drop_database(name)


@pytest.mark.postgresql
def test_snapshot_delete_waits_for_the_volume(tmp_path: pathlib.Path) -> None:
    """Steps:

    1. A transaction holds the volume and has submitted an operation on it, but has not committed yet.
    2. A snapshot of the volume is deleted meanwhile: its operation must get a later id *and* be seen later, or both
       could run at the same time. So the request waits for the transaction.
    """
    server = servers.shared_postgresql()
    name = f"order-{uuid.uuid4()}"
    house = House(tmp_path / "house", server.create_database(name)).start()
    try:
        volume_id = house.made_volume()
        snapshot_id = house.made_snapshot(volume_id)
        house.stop()
        deleting = threading.Thread(target=house.api.snapshots.delete, args=(house.context, snapshot_id))
        with house.parts.database.write() as conn:
            volumes.lock(conn, volume_id)
            deleting.start()
            time.sleep(1)
            first = house.parts.journal.submit(
                conn, house.context, Kind.VOLUME_EXTEND, backend=house.host, resource_id=volume_id
            )
        deleting.join(LIMIT_S)
        assert [(row.id > first, row.kind) for row in house.journal()][1:] == [(True, Kind.SNAPSHOT_DELETE)]
        with house.parts.database.write() as conn:
            conn.execute(sa.text("DELETE FROM operations WHERE id = :id"), {"id": first})
    finally:
        house.close()
        server.drop_database(name)


def test_hints_that_nobody_reads_are_not_hoarded() -> None:
    """An API without a volume service in its process and without a broker sends hints for years: memory stays."""
    exchange = rpc_local._Exchange()
    target = rpc.oslo_messaging.Target(topic="t", server="nobody")
    for _ in range(5000):
        exchange.put(target, rpc_local._Incoming({}, {}, None))
    assert max(len(waiting) for waiting in exchange._queues.values()) <= 1000


def _children(pid: int) -> list[int]:
    text = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(word) for word in text.split()]


@pytest.fixture
def api_workers(start_server: Callable[..., Server]) -> Callable[[], tuple[subprocess.Popen[bytes], Server]]:
    """Starts an API with two workers beside a running ``volsnap up`` on the same database."""

    def start() -> tuple[subprocess.Popen[bytes], Server]:
        server = start_server()
        other = Server(
            server.folder / "api", options={"osapi_volume_workers": 2}, database_url=f"sqlite:///{server.database}"
        )
        with (server.folder / "workers.log").open("wb") as log:
            words = [sys.executable, "-m", "volsnap.cmd.api", "--config-file", str(other.config_file)]
            process = subprocess.Popen(words, stdout=log, stderr=log, cwd=_ROOT)
        wait_until(lambda: _answers(other), bool)
        wait_until(lambda: _children(process.pid), lambda pids: len(pids) == 2)
        return process, other

    return start


def _answers(server: Server) -> bool:
    try:
        return server.request("GET", "/healthcheck")[0] == 200
    except OSError:
        return False


def _is_gone(pid: int) -> bool:
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_api_worker_that_dies_is_replaced(
    api_workers: Callable[[], tuple[subprocess.Popen[bytes], Server]],
) -> None:
    """A worker is killed: another one comes; SIGTERM ends all of them, the new one too."""
    process, server = api_workers()
    first = _children(process.pid)
    os.kill(first[0], signal.SIGKILL)
    workers = wait_until(lambda: _children(process.pid), lambda pids: len(pids) == 2 and first[0] not in pids)
    wait_until(lambda: _answers(server), bool)
    process.send_signal(signal.SIGTERM)
    assert process.wait(LIMIT_S) == 0
    assert [pid for pid in workers if not _is_gone(pid)] == []


def test_api_workers_end_with_their_supervisor(
    api_workers: Callable[[], tuple[subprocess.Popen[bytes], Server]],
) -> None:
    """The supervisor is killed: its workers do not go on serving beside the next supervisor's."""
    process, server = api_workers()
    workers = _children(process.pid)
    process.kill()
    process.wait()
    wait_until(lambda: [pid for pid in workers if not _is_gone(pid)], lambda pids: not pids)
    assert not _answers(server)


def test_two_services_of_one_host_share_the_work(start_server: Callable[..., Server]) -> None:
    """``volsnap up`` and a second volume service with the same host and database: nothing is done twice or lost."""
    server = start_server()
    second = subprocess.Popen(
        [sys.executable, "-m", "volsnap.cmd.volume", "--config-file", str(server.config_file)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=_ROOT,
    )
    try:
        volume = server.make_volume(1)
        snapshots = [server.make_snapshot(volume["id"]) for _ in range(30)]
        for one in snapshots:
            assert server.api("DELETE", f"/snapshots/{one['id']}")[0] == 202
        wait_until(server.operations, lambda count: count == 0)
    finally:
        second.terminate()
        assert second.wait(LIMIT_S) == 0
    report = server.audit()
    assert (report["findings"], report["objects"], report["snapshots"]) == ([], 1, 0), json.dumps(report)


def test_time_of_the_tables_sorts() -> None:
    """Text times of different moments sort as the moments do."""
    assert engine.now() < engine.later(1) < engine.later(3600)
