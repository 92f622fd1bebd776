"""RBD: our whole path beside the raw calls it rests on, in turns on one cluster."""

import contextlib
import pathlib
import tempfile
import threading
import uuid
from collections.abc import Iterator
from typing import Any

import rados
import rbd

from benchmarks import measure
from tests.labs import ceph
from tests.labs.server import Server

POOL = "volumes"
RAW_POOL = "images"
GIB = 1 << 30
ROUNDS = 40
CLIENTS = 16
EACH = 12


def run() -> int:
    """Measure; returns how many goals were missed."""
    table = measure.Table("Ceph RBD (one monitor, one OSD, bluestore)")
    with tempfile.TemporaryDirectory(prefix="volsnap-bench-") as folder:
        with ceph.cluster(pathlib.Path(folder) / "ceph") as cluster, raw_pool(cluster) as pool:
            backend = {"volume_driver": "rbd", "rbd_pool": POOL, "rbd_ceph_conf": cluster.conf}
            server = Server(pathlib.Path(folder) / "server", backends={"ceph": backend}).start()
            try:
                _one_client(table, server, pool)
                _many_clients(table, server, pool)
                _bursts(table, server)
            finally:
                server.stop()
    return table.missed


@contextlib.contextmanager
def raw_pool(cluster: ceph.Cluster) -> Iterator[Any]:
    """A pool opened by the bindings alone, on a connection that is kept."""
    client = rados.Rados(conffile=str(cluster.conf))
    client.connect()
    pool = client.open_ioctx(RAW_POOL)
    try:
        yield pool
    finally:
        pool.close()
        client.shutdown()


def raw_snapshot(pool: Any, image_name: str) -> None:
    """The raw call: open, snap, close."""
    with rbd.Image(pool, image_name) as image:
        image.create_snap(str(uuid.uuid4()))


def _one_client(table: measure.Table, server: Server, pool: Any) -> None:
    rbd.RBD().create(pool, "one", GIB)
    volume = server.make_volume(1)["id"]
    client = measure.Client(server)

    def create() -> None:
        snapshot = client.call("POST", "/snapshots", {"snapshot": {"volume_id": volume}})["snapshot"]
        assert snapshot["status"] == "available", snapshot

    raw, ours = measure.interleaved_ms([lambda: raw_snapshot(pool, "one"), create], ROUNDS)
    table.line("raw open + create_snap + close, 1 client", raw, "ms")
    table.line("create to available, 1 client", ours, "ms")
    table.line("create against raw, 1 client", ours / raw, "×", 1.5)
    table.line("CPU of a create, librbd's threads included", measure.cpu_ms(server, create, ROUNDS), "ms", 25)


def _many_clients(table: measure.Table, server: Server, pool: Any) -> None:
    for number in range(CLIENTS):
        rbd.RBD().create(pool, f"many{number}", GIB)
    volumes = [server.make_volume(1)["id"] for _ in range(CLIENTS)]
    clients = [measure.Client(server) for _ in range(CLIENTS)]

    def raw(number: int) -> None:
        for _ in range(EACH):
            raw_snapshot(pool, f"many{number}")

    def ours(number: int) -> None:
        for _ in range(EACH):
            body = {"snapshot": {"volume_id": volumes[number]}}
            clients[number].call("POST", "/snapshots", body)

    raw_seconds = ours_seconds = 0.0
    for _ in range(3):
        raw_seconds += measure.in_threads(CLIENTS, raw)
        ours_seconds += measure.in_threads(CLIENTS, ours)
    count = 3 * CLIENTS * EACH
    table.line(f"raw rate, {CLIENTS} clients", count / raw_seconds, "1/s")
    table.line(f"our rate, {CLIENTS} clients", count / ours_seconds, "1/s")
    table.line(f"our rate against raw, {CLIENTS} clients", raw_seconds / ours_seconds * 100, "%", 70, least=True)


def _bursts(table: measure.Table, server: Server) -> None:
    for volumes in (1, 50):
        ids = [server.make_volume(1)["id"] for _ in range(volumes)]
        made = _burst(table, server, ids)
        _delete_burst(table, server, made, volumes)


def _burst(table: measure.Table, server: Server, volumes: list[str]) -> list[str]:
    made: list[str] = []
    lock = threading.Lock()

    def create(number: int) -> None:
        client = measure.Client(server)
        for turn in range(25):
            volume = volumes[(number * 25 + turn) % len(volumes)]
            snapshot = client.call("POST", "/snapshots", {"snapshot": {"volume_id": volume}})["snapshot"]
            with lock:
                made.append(snapshot["id"])

    seconds = measure.in_threads(8, create)
    for snapshot_id in made:
        server.wait_for(f"/snapshots/{snapshot_id}", "snapshot")
    table.line(f"burst of 200 creates from 8 clients, {len(volumes)} volumes: all well", 200 / seconds, "1/s")
    return made


def _delete_burst(table: measure.Table, server: Server, made: list[str], volumes: int) -> None:
    def delete(number: int) -> None:
        client = measure.Client(server)
        for snapshot_id in made[number::8]:
            client.call("DELETE", f"/snapshots/{snapshot_id}")

    client = measure.Client(server)
    wanted = set(made)

    def work(_: int) -> None:
        measure.in_threads(8, delete)
        while wanted & {one["id"] for one in client.call("GET", "/snapshots")["snapshots"]}:
            pass

    seconds = measure.in_threads(1, work)
    table.line(f"burst of 200 deletes from 8 clients, {volumes} volumes: all well", 200 / seconds, "1/s")
    assert server.audit()["findings"] == []
