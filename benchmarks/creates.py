"""Creates and deletes on the file backend: what our own path costs, with storage that costs little."""

import pathlib
import tempfile

from benchmarks import measure
from tests.labs.server import Server

CLIENTS = 8
EACH = 100


def run() -> int:
    """Measure; returns how many goals were missed."""
    table = measure.Table(f"Snapshots on the file backend, SQLite, durable commits, {CLIENTS} clients")
    with tempfile.TemporaryDirectory(prefix="volsnap-bench-") as folder:
        server = Server(pathlib.Path(folder) / "server").start()
        try:
            _burst(table, server)
        finally:
            server.stop()
    return table.missed


def _burst(table: measure.Table, server: Server) -> None:
    volumes = [server.make_volume(1)["id"] for _ in range(CLIENTS)]
    clients = [measure.Client(server) for _ in range(CLIENTS)]
    made: list[list[str]] = [[] for _ in range(CLIENTS)]

    def create(number: int) -> None:
        for _ in range(EACH):
            body = {"snapshot": {"volume_id": volumes[number]}}
            snapshot = clients[number].call("POST", "/snapshots", body)["snapshot"]
            assert snapshot["status"] == "available", snapshot
            made[number].append(snapshot["id"])

    def delete(number: int) -> None:
        for snapshot_id in made[number]:
            clients[number].call("DELETE", f"/snapshots/{snapshot_id}")

    before = server.cpu_seconds()
    seconds = measure.in_threads(CLIENTS, create)
    spent = (server.cpu_seconds() - before) * 1000 / (CLIENTS * EACH)
    table.line("creates accepted and done", CLIENTS * EACH / seconds, "1/s", 100, least=True)
    table.line("CPU of a create", spent, "ms", 12)

    before = server.cpu_seconds()
    seconds = measure.in_threads(CLIENTS, delete)
    while clients[0].call("GET", "/snapshots?limit=1")["snapshots"]:
        pass
    spent = (server.cpu_seconds() - before) * 1000 / (CLIENTS * EACH)
    table.line("deletes accepted and done", CLIENTS * EACH / seconds, "1/s")
    table.line("CPU of a delete", spent, "ms")
