"""Which operations may run: order per resource, readers side by side."""

import pathlib
import time
from collections.abc import Iterator

import pytest

from volsnap.db import models, operations
from volsnap.db.engine import Connection, Database

A, B, S, T = "volume-a", "volume-b", "snapshot-s", "snapshot-t"


@pytest.fixture
def conn(tmp_path: pathlib.Path) -> Iterator[Connection]:
    """An empty journal."""
    database = Database(f"sqlite:///{tmp_path}/journal.sqlite")
    with database.engine.begin() as connection:
        models.METADATA.create_all(connection)
        yield connection
        connection.rollback()
    database.close()


def _add(conn: Connection, resource: str, source: str | None = None, **values: object) -> int:
    row = {"kind": "k", "backend": "b", "resource_id": resource, "source_id": source, "project_id": "p"}
    row |= {"user_id": "u", "request_id": "r", "deadline": 0.0, "created_at": "now"}
    return operations.create(conn, {**row, **values})


def _ready(conn: Connection, limit: int = 100) -> list[int]:
    return [row.id for row in operations.ready(conn, "b", ["k"], limit)]


def test_one_resource_in_order(conn: Connection) -> None:
    """The second waits for the first."""
    first, second = _add(conn, A), _add(conn, A)
    assert _ready(conn) == [first]
    assert operations.end(conn, first, 0)
    assert _ready(conn) == [second]


def test_readers_beside_each_other(conn: Connection) -> None:
    """Two snapshots of a volume are cut at once; a change of the volume waits for both, and who comes later for it."""
    readers = [_add(conn, S, A), _add(conn, T, A)]
    change, late = _add(conn, A), _add(conn, "snapshot-u", A)
    assert _ready(conn) == readers
    for reader in readers:
        operations.end(conn, reader, 0)
    assert _ready(conn) == [change]
    operations.end(conn, change, 0)
    assert _ready(conn) == [late]


def test_a_source_is_not_removed_under_its_reader(conn: Connection) -> None:
    """A volume from a snapshot, the snapshot's deletion, the volume's deletion: one after the other."""
    order = [_add(conn, B, S), _add(conn, S, A), _add(conn, A)]
    for one in order:
        assert _ready(conn) == [one]
        operations.end(conn, one, 0)


def test_held_and_put_off_work_still_blocks(conn: Connection) -> None:
    """Neither is ready itself."""
    _add(conn, A, lease_expires=time.time() + 60)
    _add(conn, A)
    _add(conn, B, not_before=time.time() + 60)
    _add(conn, B)
    assert _ready(conn) == []


def test_claim_is_for_one(conn: Connection) -> None:
    """Two who saw the same row: the first gets it; its end needs the right attempt."""
    number = _add(conn, A)
    (row,) = operations.ready(conn, "b", ["k"], 1)
    assert operations.claim(conn, row, "first", 60)
    assert not operations.claim(conn, row, "second", 60)
    assert not operations.end(conn, number, 0)
    assert operations.end(conn, number, 1)


def test_renewal_is_for_what_is_held(conn: Connection) -> None:
    """Only what is named, and only what is still the owner's."""
    numbers = [_add(conn, A, lease_owner="me"), _add(conn, B, lease_owner="me"), _add(conn, S, lease_owner="you")]
    assert operations.renew(conn, "me", [numbers[0], numbers[2]], 60) == {numbers[0]}
    assert _ready(conn) == numbers[1:]
