"""The application without a server, and rows in its database."""

import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from tests.unit.api import client
from volsnap.db import engine, models

VOLUME_ID = "0b0b0b0b-0000-4000-8000-000000000001"


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The file of a database without rows."""
    return client.make_database(tmp_path_factory.mktemp("database"))


@pytest.fixture
def api(tmp_path: pathlib.Path, empty_database: pathlib.Path) -> Iterator[client.Client]:
    """An application with an empty database."""
    made = client.make(tmp_path, empty_database)
    yield made
    made.database.close()


@pytest.fixture
def add_volume(api: client.Client) -> Callable[..., str]:
    """Inserts a volume; returns its id."""

    def add(**columns: Any) -> str:
        row = {**_row(VOLUME_ID), "availability_zone": "nova", **columns}
        with api.database.write() as conn:
            conn.execute(sa.insert(models.volumes), [row])
        return str(row["id"])

    return add


@pytest.fixture
def add_snapshot(api: client.Client, add_volume: Callable[..., str]) -> Callable[..., str]:
    """Inserts a snapshot of one volume; returns its id."""
    volume_id = add_volume()
    count = 0

    def add(**columns: Any) -> str:
        nonlocal count
        count += 1
        snapshot_id = f"0c0c0c0c-0000-4000-8000-{count:012}"
        row = {**_row(snapshot_id), "volume_id": volume_id, "progress": "100%", **columns}
        with api.database.write() as conn:
            conn.execute(sa.insert(models.snapshots), [row])
        return snapshot_id

    return add


def _row(row_id: str) -> dict[str, Any]:
    return {
        "id": row_id,
        "project_id": client.PROJECT,
        "user_id": "admin",
        "status": "available",
        "size_gib": 1,
        "backend": "host@file",
        "created_at": engine.now(),
    }
