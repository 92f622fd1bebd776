"""LVM: our whole path beside the raw ``lvcreate -s``, in turns in one volume group. Runs in the guest."""

import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import uuid

from benchmarks import measure
from tests.drivers import lvm_backend
from tests.labs.server import Server

ROUNDS = 20
_WORKER = re.compile(r"snapshot\.create \S+ done in ([0-9.]+) s")
_LVCREATE = re.compile(r"\['lvcreate', .*'_snapshot-.*: exit 0 in ([0-9.]+) s")


def run() -> int:
    """Measure; returns how many goals were missed."""
    return sum(_measure(name) for name in ("lvm-thick", "lvm-thin"))


def _measure(name: str) -> int:
    table = measure.Table(f"{name} (User-mode Linux guest)")
    with tempfile.TemporaryDirectory(prefix="volsnap-bench-") as folder:
        with lvm_backend.open_backend(name, pathlib.Path(folder)) as backend:
            options = {
                "volume_driver": "lvm",
                "volume_group": lvm_backend.VG,
                "lvm_type": name.removeprefix("lvm-"),
                "lvm_thin_pool": lvm_backend.POOL,
                "lvm_cow_min_mib": 8,
                "lvm_cow_percent": 1,
            }
            server = Server(pathlib.Path(folder) / "server", options={"debug": True}, backends={"lvm": options}).start()
            try:
                _creates(table, server, thin=backend.name == "lvm-thin")
            finally:
                server.stop()
    return table.missed


def _creates(table: measure.Table, server: Server, *, thin: bool) -> None:
    volume = server.make_volume(1)["id"]
    client = measure.Client(server)
    origin = f"{lvm_backend.VG}/volume-{volume}"

    def raw() -> None:
        size = [] if thin else ["-L", "12M"]
        skip = ["-kn"] if thin else []
        _lvm("lvcreate", "-s", "-qq", *size, *skip, "-n", f"raw-{uuid.uuid4()}", origin)

    def create() -> None:
        snapshot = client.call("POST", "/snapshots", {"snapshot": {"volume_id": volume}})["snapshot"]
        assert snapshot["status"] == "available", snapshot

    raw_ms, ours_ms = measure.interleaved_ms([raw, create], ROUNDS)
    # Rounds of care (one lvs) run beside: a command of a create names its snapshot.
    log = (server.folder / "up.log").read_text()
    mine = [line for line in log.splitlines() if "volsnap.lowlevel.run" in line and "_snapshot-" in line]
    table.line("raw lvcreate -s", raw_ms, "ms")
    table.line("create to available, 1 client", ours_ms, "ms")
    table.line("  of that, the worker", _logged_ms(log, _WORKER), "ms")
    table.line("  of that, the lvcreate as the driver ran it", _logged_ms(log, _LVCREATE), "ms")
    table.line("create against raw", ours_ms / raw_ms, "×", 1.5)
    table.line("LVM commands per create", len(mine) / (ROUNDS + 1), "", 1)


def _logged_ms(log: str, pattern: re.Pattern[str]) -> float:
    """The median of the seconds that the log tells."""
    return statistics.median(float(seconds) * 1000 for seconds in pattern.findall(log))


def _lvm(*argv: str) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


if __name__ == "__main__":
    sys.exit(1 if run() else 0)
