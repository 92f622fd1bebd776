"""The stock ``openstack`` program against a running volsnap.

There is no Keystone in noauth: the ``admin_token`` login gives the client a token
(``user:project``) and the endpoint, and nothing else is asked for. The endpoint is the one without a project (microversion 3.67
on): openstacksdk looks for the version document right there.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.clients import shell


class OpenStack:
    """The program with its login."""

    def __init__(self, server: Any, home: Path) -> None:
        self._login = [
            "openstack",
            "--os-auth-type",
            "admin_token",
            "--os-token",
            f"admin:{server.project_id}",
            "--os-endpoint",
            f"{server.url.rstrip('/')}/v3",
            "--os-volume-api-version",
            "3.71",
        ]
        self._home = home

    def run(self, *words: str, code: int = 0) -> str:
        done = shell.run([*self._login, *words], {}, self._home)
        assert done.code == code, f"{words}: exit {done.code}: {done.out}{done.err}"
        return done.out

    def json(self, *words: str) -> Any:
        return json.loads(self.run(*words, "-f", "json"))

    def await_status(self, kind: str, resource: str, status: str) -> None:
        shell.wait_for(
            lambda: self.json(*kind.split(), "show", resource)["status"] == status,
            f"{kind} {resource} {status}",
        )


@pytest.fixture
def openstack(server: Any, tmp_path: Path) -> OpenStack:
    return OpenStack(server, tmp_path)


def test_volume_snapshot(openstack: OpenStack) -> None:
    volume = openstack.json("volume", "create", "--size", "1", "osc-v")["id"]
    openstack.await_status("volume", volume, "available")
    created = openstack.json(
        "volume",
        "snapshot",
        "create",
        "--volume",
        "osc-v",
        "--description",
        "d",
        "--property",
        "k=v",
        "osc-s",
    )
    snapshot = created["id"]
    openstack.await_status("volume snapshot", snapshot, "available")

    rows = openstack.json("volume", "snapshot", "list", "--volume", volume)
    assert [(row["ID"], row["Name"], row["Status"]) for row in rows] == [(snapshot, "osc-s", "available")]
    openstack.run("volume", "snapshot", "set", "--name", "osc-renamed", "--property", "x=y", snapshot)
    openstack.run("volume", "snapshot", "unset", "--property", "k", snapshot)
    shown = openstack.json("volume", "snapshot", "show", "osc-renamed")
    assert shown["id"] == snapshot
    assert shown["properties"] == {"x": "y"}

    openstack.run("volume", "snapshot", "delete", snapshot)
    shell.wait_for(
        lambda: not openstack.json("volume", "snapshot", "list", "--volume", volume),
        "snapshot gone",
    )
    openstack.run("volume", "delete", volume)
