"""CPU time of list requests through the whole application, without a socket: ``python -m tests.unit.api.bench``.

SQLite with 5000 snapshots in one project, each with two pairs of metadata. Prints the median of the CPU milliseconds.
"""

import pathlib
import statistics
import tempfile
import time
import uuid
from typing import Any

import sqlalchemy as sa

from tests.unit.api import client
from volsnap.db import engine, models
from volsnap.db.engine import Database

_ROWS = 5000
_PATHS = (
    "/snapshots/detail?limit=50",
    "/snapshots/detail?limit=1000",
    "/snapshots?limit=1000",
    "/volumes/detail?limit=50",
    "/volumes/detail?limit=1000",
    "/snapshots/{id}",
)


def main() -> None:
    """Fill a database and measure."""
    with tempfile.TemporaryDirectory() as folder:
        made = client.make(pathlib.Path(folder))
        snapshot_id = _fill(made.database)
        for path in _PATHS:
            url = f"/v3/{client.PROJECT}{path.replace('{id}', snapshot_id)}"
            print(f"{_measure(made, url):8.3f} ms  GET {path}")


def _measure(made: client.Client, url: str) -> float:
    times = []
    for _ in range(60):
        start = time.process_time()
        answer = made.get(url)
        times.append((time.process_time() - start) * 1000)
        assert answer.status == 200
    return statistics.median(times[10:])


def _fill(database: Database) -> str:
    volumes = [_row(f"v{number}") for number in range(_ROWS)]
    snapshots: list[dict[str, Any]] = [
        {**_row(f"s{number}"), "volume_id": volumes[number]["id"], "progress": "100%"} for number in range(_ROWS)
    ]
    extra = {"availability_zone": "nova"}
    with database.write() as conn:
        conn.execute(sa.insert(models.volumes), [{**row, **extra} for row in volumes])
        conn.execute(sa.insert(models.snapshots), snapshots)
    snapshot_id: str = snapshots[0]["id"]
    return snapshot_id


def _row(name: str) -> dict[str, Any]:
    return {
        "id": str(uuid.uuid4()),
        "project_id": client.PROJECT,
        "user_id": "admin",
        "status": "available",
        "size_gib": 1,
        "name": name,
        "metadata": '{"a":"b","number":"1"}',
        "backend": "host@file",
        "created_at": engine.now(),
        "updated_at": engine.now(),
    }


if __name__ == "__main__":
    main()
