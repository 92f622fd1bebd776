"""Many clients at once, who make and delete whatever they can, and do not mind errors of the connection.

The storm knows what every volume was filled with, so that in the end the bytes of what is left can be checked.
"""

import collections
import http.client
import random
import threading
import time
from typing import Any, Protocol

import sqlalchemy as sa

from tests.labs.server import Server

#: What a client may be told while it races with others; everything else is a fault of the service.
_FINE = frozenset({200, 202, 204, 400, 404, 409, 413, 503})
_MOST_SNAPSHOTS = 60
_MOST_VOLUMES = 14
#: All of it must be over this long after the last restart.
QUIET_S = 60.0


class Storage(Protocol):
    """The bytes of one backend, seen beside the driver."""

    def write(self, volume_id: str, data: bytes) -> None:
        """At the begin of a volume."""

    def read(self, volume_id: str, snapshot_id: str, length: int) -> bytes:
        """From the begin of a snapshot."""


def fill(volume_id: str) -> bytes:
    """What a volume of ours begins with."""
    return volume_id.encode().ljust(512, b".")


class Storm:
    """``operations`` requests from ``clients`` threads."""

    def __init__(
        self, server: Server, storage: Storage, *, seed: int, operations: int, volumes: int = 5, clients: int = 5
    ) -> None:
        self._server = server
        self._storage = storage
        self.operations = operations
        self._left = operations
        self._lock = threading.Lock()
        self.codes: collections.Counter[str] = collections.Counter()
        self.wrong: list[str] = []
        self._volumes = [self._make_base() for _ in range(volumes)]
        self._base = list(self._volumes)
        self._snapshots: list[str] = []
        self._threads = [
            threading.Thread(target=self._client, args=(random.Random(f"{seed}/{number}"),), name=f"client-{number}")
            for number in range(clients)
        ]

    def _make_base(self) -> str:
        volume_id: str = self._server.make_volume(1)["id"]
        self._storage.write(volume_id, fill(volume_id))
        return volume_id

    # the clients

    def start(self) -> None:
        """Let the clients begin."""
        for thread in self._threads:
            thread.start()

    @property
    def runs(self) -> bool:
        """Whether a client still has something to do."""
        return any(thread.is_alive() for thread in self._threads)

    def wait_for(self, count: int) -> None:
        """Return when that many more requests were begun, or all are over."""
        goal = self._left - count
        while self.runs and self._left > goal:
            time.sleep(0.005)

    def join(self) -> None:
        """Wait for the clients."""
        for thread in self._threads:
            thread.join()

    @property
    def _weights(self) -> list[float]:
        share = self._storage.volume_share
        return [45, 33, 6 * share, 5 * share, 6 * share, 5]

    def _client(self, dice: random.Random) -> None:
        while self._left > 0:
            action = dice.choices(
                [self._cut, self._drop_cut, self._new, self._clone, self._from_cut, self._drop],
                self._weights,
            )[0]
            try:
                action(dice)
            except ConnectionRefusedError:
                time.sleep(0.05)  # nothing was sent
            except (OSError, http.client.HTTPException) as err:
                self._count(type(err).__name__)

    def _count(self, outcome: str) -> None:
        with self._lock:
            self._left -= 1
            self.codes[outcome] += 1

    def _ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        code, answer = self._server.api(method, path, body, timeout_s=30)
        self._count(str(code))
        if code not in _FINE:
            self.wrong.append(f"{method} {path}: {code} {answer}")
        if code == 503:
            time.sleep(0.05)
        return code, answer

    def _pick(self, dice: random.Random, things: list[str]) -> str | None:
        with self._lock:
            return dice.choice(things) if things else None

    def _cut(self, dice: random.Random) -> None:
        volume_id = self._pick(dice, self._volumes)
        if volume_id is None or len(self._snapshots) > _MOST_SNAPSHOTS:
            return self._drop_cut(dice)
        code, answer = self._ask("POST", "/snapshots", {"snapshot": {"volume_id": volume_id, "force": True}})
        if code == 202:
            with self._lock:
                self._snapshots.append(answer["snapshot"]["id"])
        return None

    def _drop_cut(self, dice: random.Random) -> None:
        snapshot_id = self._pick(dice, self._snapshots)
        if snapshot_id is not None and self._ask("DELETE", f"/snapshots/{snapshot_id}")[0] in (202, 404):
            self._forget(self._snapshots, snapshot_id)

    def _new(self, dice: random.Random, **source: str) -> None:
        if len(self._volumes) > _MOST_VOLUMES:
            return self._drop(dice)
        code, answer = self._ask("POST", "/volumes", {"volume": {"size": 1, **source}})
        if code == 202:
            with self._lock:
                self._volumes.append(answer["volume"]["id"])
        return None

    def _clone(self, dice: random.Random) -> None:
        volume_id = self._pick(dice, self._volumes)
        if volume_id is not None:
            self._new(dice, source_volid=volume_id)

    def _from_cut(self, dice: random.Random) -> None:
        snapshot_id = self._pick(dice, self._snapshots)
        if snapshot_id is not None:
            self._new(dice, snapshot_id=snapshot_id)

    def _drop(self, dice: random.Random) -> None:
        volume_id = self._pick(dice, self._volumes[len(self._base) :])
        if volume_id is None:
            return
        if self._ask("DELETE", f"/volumes/{volume_id}?cascade=True")[0] in (202, 404):
            self._forget(self._volumes, volume_id)

    def _forget(self, things: list[str], thing: str) -> None:
        with self._lock:
            if thing in things:
                things.remove(thing)

    # what is left

    def check(self) -> None:
        """Wait for the quiet after the storm, and prove that nothing is wrong in it."""
        began = time.monotonic()
        while (state := self._unfinished()) and time.monotonic() - began < QUIET_S:
            time.sleep(0.2)
        print(f"quiet {time.monotonic() - began:.1f} s after the last restart; answers: {dict(self.codes)}")
        assert not state, (state, self._server.log())
        assert self.wrong == [], self._server.log()
        report = self._server.audit()
        assert report["findings"] == [] and report["working"] == 0, report
        volumes, snapshots = self._list("volumes"), self._list("snapshots")
        assert (report["volumes"], report["snapshots"]) == (len(volumes), len(snapshots))
        assert report["objects"] == len(volumes) + len(snapshots), report
        wrong = [one for one in [*volumes, *snapshots] if one["status"] != "available"]
        assert wrong == [], self._server.log()
        self._check_usage(volumes, snapshots)
        self._check_bytes(volumes, snapshots)
        print(f"left: {len(volumes)} volumes, {len(snapshots)} snapshots")

    def _unfinished(self) -> dict[str, int]:
        """What is still in work, by table and status."""
        engine = sa.create_engine(self._server.database_url)
        found: dict[str, int] = {}
        with engine.connect() as conn:
            for table in ("volumes", "snapshots"):
                query = f"SELECT status, count(*) FROM {table} WHERE status LIKE '%ing' GROUP BY status"
                found |= {f"{table} {status}": count for status, count in conn.execute(sa.text(query))}
            count = conn.execute(sa.text("SELECT count(*) FROM operations")).scalar_one()
        engine.dispose()
        return found | ({"operations": count} if count else {})

    def _list(self, noun: str) -> list[dict[str, Any]]:
        code, answer = self._server.api("GET", f"/{noun}/detail?limit=1000")
        assert code == 200
        found: list[dict[str, Any]] = answer[noun]
        return found

    def _check_usage(self, volumes: list[dict[str, Any]], snapshots: list[dict[str, Any]]) -> None:
        code, answer = self._server.api("GET", f"/os-quota-sets/{self._server.project_id}?usage=True")
        assert code == 200, answer
        used = {name: answer["quota_set"][name]["in_use"] for name in ("volumes", "snapshots", "gigabytes")}
        assert used == {
            "volumes": len(volumes),
            "snapshots": len(snapshots),
            "gigabytes": sum(one["size"] for one in [*volumes, *snapshots]),
        }

    def _check_bytes(self, volumes: list[dict[str, Any]], snapshots: list[dict[str, Any]]) -> None:
        """Every snapshot of a volume that we filled has the bytes that were written to it."""
        for snapshot in snapshots:
            volume_id = snapshot["volume_id"]
            if volume_id in self._base:
                found = self._storage.read(volume_id, snapshot["id"], 512)
                assert found == fill(volume_id), snapshot


def kill_at_random(server: Server, storm: Storm, dice: random.Random) -> int:
    """SIGKILL one of the server's processes again and again until the storm is over; returns how often.

    How far apart is counted in requests, so that a slow machine gets as many kills as a fast one.
    """
    kills = 0
    while storm.runs:
        storm.wait_for(dice.randint(1, storm.operations // 8 + 1))
        time.sleep(dice.uniform(0, 0.1))
        role = dice.choice(server.roles)
        server.kill(role)
        kills += 1
        time.sleep(dice.uniform(0, 0.3))
        server.start_role(role)
    server.start()
    return kills
