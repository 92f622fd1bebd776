"""The process: how soon it answers, how much memory it takes, and how fast the tools are."""

import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

from benchmarks import measure
from tests.labs.server import Server

STARTS = 5
RUNS = 15


def run() -> int:
    """Measure; returns how many goals were missed."""
    table = measure.Table("The process and the tools")
    with tempfile.TemporaryDirectory(prefix="volsnap-bench-") as folder:
        server = Server(pathlib.Path(folder) / "server")
        starts = []
        for _ in range(STARTS + 1):
            started = time.perf_counter()
            server.start()
            starts.append(time.perf_counter() - started)
            resident = _resident_mb(server.pid("up"))
            server.stop()
        table.line("volsnap up: first start, with an empty database, to first answer", starts[0], "s")
        table.line("volsnap up: start to first answer, median", statistics.median(starts[1:]), "s", 2)
        table.line("resident memory after the start", resident, "MB", 150)
        server.start()
        try:
            _after_work(table, server)
            _tools(table, server)
        finally:
            server.stop()
    return table.missed


def _resident_mb(pid: int) -> float:
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"process {pid} has no memory to read")


def _after_work(table: measure.Table, server: Server) -> None:
    volume = server.make_volume(1)["id"]

    def work(_: int) -> None:
        client = measure.Client(server)
        for _ in range(25):
            client.call("POST", "/snapshots", {"snapshot": {"volume_id": volume}})

    measure.in_threads(8, work)
    table.line("resident memory after 200 creates from 8 clients", _resident_mb(server.pid("up")), "MB", 150)


def _tools(table: measure.Table, server: Server) -> None:
    """``volsnap`` and ``cinder`` list the same 20 snapshots, in turns."""
    folder = pathlib.Path(sys.executable).parent
    common = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "OS_AUTH_TYPE": "noauth"}
    project = server.project_id
    ours = {
        **common,
        "OS_USERNAME": "admin",
        "OS_PROJECT_ID": project,
        "OS_ENDPOINT": f"{server.url}/v3",
    }
    theirs = [
        str(folder / "cinder"),
        *("--os-volume-api-version", "3.71", "--user-id", "admin", "--project-id", project),
        *("--endpoint", f"{server.url}/v3", "snapshot-list", "--limit", "20"),
    ]
    mine = [str(folder / "volsnap"), "snapshot-list", "--limit", "20"]

    def call(words: list[str], environment: dict[str, str]) -> None:
        result = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=60)
        assert result.returncode == 0, result.stderr
        assert result.stdout.count("\n") >= 24, result.stdout

    fast, slow = measure.interleaved_ms([lambda: call(mine, ours), lambda: call(theirs, common)], RUNS)
    table.line("volsnap snapshot-list, start to end", fast, "ms")
    table.line("cinder snapshot-list, start to end", slow, "ms")
    table.line("volsnap against cinder", fast / slow, "×", 0.25)
