"""The stock ``cinder`` program against a running volsnap: nothing of it is ours, so nothing of it
may break.

Main job, as a person types it: create a volume, snapshot it, list, show, rename, tag, make a
volume out of the snapshot, revert, delete all of it.
"""

from pathlib import Path
from typing import Any

import pytest

from tests.clients import shell

MICROVERSIONS = ("3.0", "3.71")


class Cinder:
    """The program with its noauth login, which it takes from the environment alone."""

    def __init__(self, server: Any, home: Path, microversion: str) -> None:
        self._login = [
            "cinder",
            "--os-volume-api-version",
            microversion,
            "--user-id",
            "admin",
            "--project-id",
            server.project_id,
            "--endpoint",
            f"{server.url.rstrip('/')}/v3",
        ]
        self._home = home

    def run(self, *words: str) -> str:
        done = shell.run([*self._login, *words], {"OS_AUTH_TYPE": "noauth"}, self._home)
        assert done.code == 0, f"{words}: {done.out}{done.err}"
        return done.out

    def fail(self, *words: str) -> str:
        done = shell.run([*self._login, *words], {"OS_AUTH_TYPE": "noauth"}, self._home)
        assert done.code != 0, f"{words} succeeded: {done.out}"
        return done.out + done.err

    def show(self, *words: str) -> dict[str, str]:
        return shell.read_properties(self.run(*words))

    def rows(self, *words: str) -> list[dict[str, str]]:
        return shell.read_table(self.run(*words))

    def await_status(self, verb: str, resource: str, status: str) -> None:
        def is_there() -> bool:
            found = self.show(verb, resource)["status"]
            assert not (found.startswith("error") and status != found), f"{verb} {resource}: {found}"
            return found == status

        shell.wait_for(is_there, f"{verb} {resource} {status}")

    def await_absence(self, verb: str, resource: str) -> None:
        shell.wait_for(lambda: all(row["ID"] != resource for row in self.rows(verb)), f"{resource} gone")


@pytest.fixture(params=MICROVERSIONS)
def cinder(server: Any, tmp_path: Path, request: pytest.FixtureRequest) -> Cinder:
    return Cinder(server, tmp_path, request.param)


@pytest.fixture
def newest(server: Any, tmp_path: Path) -> Cinder:
    return Cinder(server, tmp_path, MICROVERSIONS[-1])


def test_main_job(cinder: Cinder) -> None:
    volume = cinder.show("create", "1", "--name", "shell-v", "--metadata", "a=1")["id"]
    cinder.await_status("show", volume, "available")

    snapshot = cinder.show("snapshot-create", volume, "--name", "shell-s", "--description", "d", "--metadata", "k=v")
    assert snapshot["volume_id"] == volume
    assert snapshot["size"] == "1"
    cinder.await_status("snapshot-show", snapshot["id"], "available")

    listed = [row for row in cinder.rows("snapshot-list", "--volume-id", volume) if row["ID"] == snapshot["id"]]
    assert listed[0]["Name"] == "shell-s"
    assert listed[0]["Status"] == "available"
    assert not cinder.rows("snapshot-list", "--volume-id", volume, "--status", "error")
    assert cinder.rows("snapshot-list", "--volume-id", volume, "--limit", "1", "--sort", "name:asc")

    cinder.run("snapshot-rename", snapshot["id"], "shell-renamed")
    assert cinder.show("snapshot-show", "shell-renamed")["id"] == snapshot["id"]
    cinder.run("snapshot-metadata", snapshot["id"], "set", "x=y")
    cinder.run("snapshot-metadata", snapshot["id"], "unset", "k")
    assert cinder.show("snapshot-metadata-show", snapshot["id"]) == {"x": "y"}
    cinder.run("snapshot-metadata-update-all", snapshot["id"], "only=this")
    assert cinder.show("snapshot-metadata-show", snapshot["id"]) == {"only": "this"}

    child = cinder.show("create", "--snapshot-id", snapshot["id"], "--name", "shell-child")
    assert child["size"] == "1"
    cinder.await_status("show", child["id"], "available")
    assert "Invalid" in cinder.fail("delete", volume) or "snapshot" in cinder.fail("delete", volume)

    cinder.run("delete", child["id"])
    cinder.await_absence("list", child["id"])
    cinder.run("snapshot-delete", snapshot["id"])
    cinder.await_absence("snapshot-list", snapshot["id"])
    cinder.run("delete", volume)
    cinder.await_absence("list", volume)


def test_revert_extend_and_cascade(newest: Cinder) -> None:
    volume = newest.show("create", "1", "--name", "shell-r")["id"]
    newest.await_status("show", volume, "available")
    snapshot = newest.show("snapshot-create", volume)["id"]
    newest.await_status("snapshot-show", snapshot, "available")
    newest.run("revert-to-snapshot", snapshot)
    newest.await_status("show", volume, "available")
    newest.run("extend", volume, "2")
    shell.wait_for(lambda: newest.show("show", volume)["size"] == "2", "extend")
    newest.await_status("show", volume, "available")
    newest.run("delete", "--cascade", volume)
    newest.await_absence("list", volume)
    assert all(row["ID"] != snapshot for row in newest.rows("snapshot-list"))


def test_reset_state_and_force_delete(newest: Cinder) -> None:
    volume = newest.show("create", "1")["id"]
    newest.await_status("show", volume, "available")
    snapshot = newest.show("snapshot-create", volume)["id"]
    newest.await_status("snapshot-show", snapshot, "available")
    newest.run("snapshot-reset-state", "--state", "creating", snapshot)
    assert newest.show("snapshot-show", snapshot)["status"] == "creating"
    newest.fail("snapshot-delete", snapshot)
    newest.run("snapshot-delete", "--force", snapshot)
    newest.await_absence("snapshot-list", snapshot)
    newest.run("delete", volume)


@pytest.mark.parametrize(
    "words",
    [
        ("list", "--all-tenants"),
        ("snapshot-list", "--all-tenants"),
        ("absolute-limits",),
        ("service-list",),
        ("get-pools", "--detail"),
        ("type-list",),
        ("availability-zone-list",),
        ("version-list",),
    ],
)
def test_read_only(cinder: Cinder, words: tuple[str, ...]) -> None:
    assert cinder.run(*words)


@pytest.mark.parametrize("words", [("summary",), ("message-list",), ("snapshot-list", "--with-count")])
def test_read_only_of_newer_microversions(newest: Cinder, words: tuple[str, ...]) -> None:
    assert newest.run(*words)


def test_quotas(cinder: Cinder, server: Any) -> None:
    before = cinder.show("quota-show", server.project_id)["snapshots"]
    try:
        assert cinder.show("quota-update", server.project_id, "--snapshots", "17")["snapshots"] == "17"
        assert cinder.show("quota-show", server.project_id)["snapshots"] == "17"
        assert cinder.run("quota-usage", server.project_id)
    finally:
        cinder.run("quota-update", server.project_id, "--snapshots", before)


def test_errors_are_told(cinder: Cinder) -> None:
    assert "No volume" in cinder.fail("snapshot-create", "00000000-0000-0000-0000-00000000dead")
    assert "No snapshot" in cinder.fail("snapshot-show", "00000000-0000-0000-0000-00000000dead")
