"""``volsnap-manage audit`` finds what is planted, mends what is safe to mend, and says so."""

import json
import os
import pathlib
import sqlite3
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from tests.chaos.faults import FaultyDriver
from tests.chaos.house import House
from tests.labs.server import Server
from volsnap.volume import audit, backends
from volsnap.volume.audit import Problem

GIB = 1 << 30


@pytest.fixture
def stopped(start_server: Callable[..., Server]) -> Server:
    """A server that made one volume with one snapshot, and was stopped then."""
    server = start_server()
    volume = server.make_volume(1, name="good")
    server.make_snapshot(volume["id"])
    server.stop()
    return server


def _audit(server: Server, *words: str) -> tuple[int, dict[str, Any]]:
    done = server.manage("audit", "-f", "json", *words)
    return done.returncode, json.loads(done.stdout)


def _plant_file(server: Server, name: str) -> pathlib.Path:
    path = server.file_directory / "volumes" / name
    path.touch()
    os.truncate(path, GIB)
    return path


def _execute(server: Server, statement: str, *values: str) -> None:
    with sqlite3.connect(server.database) as conn:
        conn.execute(statement, values)
    conn.close()


def _one(server: Server, table: str) -> tuple[str, str]:
    """Id and status of the only row."""
    with sqlite3.connect(server.database) as conn:
        ((row_id, status),) = conn.execute(f"SELECT id, status FROM {table}").fetchall()
    conn.close()
    return row_id, status


def _messages(server: Server) -> list[str]:
    with sqlite3.connect(server.database) as conn:
        found = [text for (text,) in conn.execute("SELECT text FROM messages")]
    conn.close()
    return found


def test_nothing_wrong(stopped: Server) -> None:
    """Exit code 0, and the counts are right; the table says so in words."""
    code, report = _audit(stopped)
    assert code == 0
    assert report == {
        "backend": "test@file",
        "volumes": 1,
        "snapshots": 1,
        "objects": 2,
        "foreign": 0,
        "working": 0,
        "findings": [],
    }
    assert "nothing wrong" in stopped.manage("audit").stdout


def test_orphan_is_kept_unless_told(stopped: Server) -> None:
    """A whole object without a row is reported, kept by ``--fix``, and removed with ``--delete-orphans``."""
    orphan = _plant_file(stopped, f"volume-{uuid.uuid4()}")
    code, report = _audit(stopped)
    assert code == 1
    assert [one["problem"] for one in report["findings"]] == [Problem.ORPHAN]
    assert _audit(stopped, "--fix")[0] == 1
    assert orphan.exists()
    code, report = _audit(stopped, "--fix", "--delete-orphans")
    assert (code, [one["done"] for one in report["findings"]]) == (0, ["removed from the storage"])
    assert not orphan.exists()
    assert _audit(stopped)[0] == 0


def test_leftover_is_removed(stopped: Server) -> None:
    """What a killed create left behind and nobody will finish goes with ``--fix``."""
    leftover = _plant_file(stopped, f"volume-{uuid.uuid4()}.part")
    code, report = _audit(stopped)
    assert (code, [one["problem"] for one in report["findings"]]) == (1, [Problem.LEFTOVER])
    assert leftover.exists()
    assert _audit(stopped, "--fix")[0] == 0
    assert not leftover.exists()
    assert _audit(stopped)[0] == 0


def test_foreign_object_is_left_alone(stopped: Server) -> None:
    """A file that is not ours is counted, and is nobody's fault."""
    foreign = _plant_file(stopped, "somebodys-disk")
    code, report = _audit(stopped, "--fix", "--delete-orphans")
    assert (code, report["foreign"], report["findings"]) == (0, 1, [])
    assert foreign.exists()


def test_row_without_an_object(stopped: Server) -> None:
    """The snapshot's file is gone: ``--fix`` shows ``error`` and tells the owner; then nothing is wrong."""
    (cut,) = (stopped.file_directory / "snapshots").glob("*/snapshot-*")
    cut.unlink()
    code, report = _audit(stopped)
    assert (code, [one["problem"] for one in report["findings"]]) == (1, [Problem.MISSING])
    assert _one(stopped, "snapshots")[1] == "available"
    assert _audit(stopped, "--fix")[0] == 0
    assert _one(stopped, "snapshots")[1] == "error"
    assert _messages(stopped) == ["An audit of the storage found: row without an object."]
    assert _audit(stopped)[0] == 0


@pytest.mark.parametrize(
    ("table", "status"),
    [("volumes", "deleting"), ("volumes", "reverting"), ("snapshots", "creating"), ("snapshots", "restoring")],
)
def test_stuck_row(stopped: Server, table: str, status: str) -> None:
    """A passing status without work in the journal is found and ended."""
    _execute(stopped, f"UPDATE {table} SET status = ?", status)
    code, report = _audit(stopped)
    assert code == 1
    assert [(one["problem"], one["status"]) for one in report["findings"]] == [(Problem.STUCK, status)]
    assert _audit(stopped, "--fix")[0] == 0
    assert _one(stopped, table)[1] == "error"
    assert _audit(stopped)[0] == 0


def test_work_in_the_journal_is_no_finding(start_server: Callable[..., Server]) -> None:
    """Steps: the backend is away while things are made; the service is killed: what the journal names is not stuck."""
    server = start_server(options={"create_ack_timeout": 0})
    volume = server.make_volume(1)
    away = server.folder / "away"
    server.file_directory.rename(away)
    body = {"snapshot": {"volume_id": volume["id"]}}
    assert server.api("POST", "/snapshots", body)[0] == 202
    server.kill("up")
    away.rename(server.file_directory)
    code, report = _audit(server, "--fix", "--delete-orphans")
    assert (code, report["findings"], report["working"]) == (0, [], 1)
    server.start()


def test_lost_snapshot(tmp_path: pathlib.Path) -> None:
    """A driver that says a snapshot's content is lost: the row is shown as ``error``, and its owner is told."""
    house = House(tmp_path / "house").start()
    try:
        snapshot_id = house.made_snapshot(house.made_volume())

        class Overflowed(FaultyDriver):
            """The storage after a COW area ran full."""

            def inventory(self) -> Any:
                import dataclasses

                for found in self._driver.inventory():
                    yield dataclasses.replace(found, valid=not found.is_snapshot)

        driver: Any = Overflowed(backends.make_driver(house.conf, "file"))
        report = audit.audit(house.parts.database, driver, house.host)
        (finding,) = report.findings
        assert (finding.problem, finding.id) == (Problem.LOST, snapshot_id)
        assert audit.fix(house.parts.database, driver, finding)
        assert house.status(snapshot_id) == "error"
        assert house.messages(snapshot_id)
    finally:
        house.close()


def test_audit_while_everything_moves(tmp_path: pathlib.Path) -> None:
    """Two hundred snapshots come and go while one audit after the other runs: none finds anything."""
    import threading

    house = House(tmp_path / "house").start()
    try:
        volume_id = house.made_volume()
        wrong: list[object] = []
        done = threading.Event()

        def look() -> None:
            while not done.is_set():
                wrong.extend(house.audit().findings)

        looker = threading.Thread(target=look)
        looker.start()
        for _ in range(200):
            house.api.snapshots.delete(house.context, house.made_snapshot(volume_id))
        done.set()
        looker.join()
        assert wrong == []
        house.assert_clean()
    finally:
        house.close()


def test_backend_that_is_away(stopped: Server) -> None:
    """Nothing is reported about storage that cannot be asked: exit code 1, one line, and no row is touched."""
    stopped.file_directory.rename(stopped.folder / "away")
    stopped.file_directory.mkdir()
    (stopped.file_directory / "somebody").touch()
    done = stopped.manage("audit", "--fix")
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and "volsnap-manage: backend file:" in done.stderr
    assert _one(stopped, "volumes")[1] == _one(stopped, "snapshots")[1] == "available"


def test_unknown_backend(stopped: Server) -> None:
    """Bad usage is exit code 2."""
    done = stopped.manage("audit", "--backend", "nonsense")
    assert (done.returncode, done.stdout) == (2, "")
