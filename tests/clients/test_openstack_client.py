"""The stock ``openstack`` program against a running volsnap.

It wants a catalog, so a Keystone of three answers hands one out, with a token of the form
``user:project`` that noauth understands. (Without a catalog the client reads the version document
below /v3 without a token, which noauth answers with 204, as Cinder does.)
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.clients import shell
from tests.unit.cli import keystone as keystones


class OpenStack:
    """The program with its login."""

    def __init__(self, auth_url: str, home: Path) -> None:
        self._environ = {
            "OS_AUTH_URL": auth_url,
            "OS_USERNAME": "admin",
            "OS_PASSWORD": "any",
            "OS_PROJECT_NAME": "p",
            "OS_USER_DOMAIN_ID": "default",
            "OS_PROJECT_DOMAIN_ID": "default",
            "OS_REGION_NAME": "near",
            # From 3.66 on Cinder refuses the "force: false" this client always sends.
            "OS_VOLUME_API_VERSION": "3.65",
        }
        self._home = home

    def run(self, *words: str, code: int = 0) -> str:
        done = shell.run(["openstack", *words], self._environ, self._home)
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
def openstack(server: Any, tmp_path: Path) -> Iterator[OpenStack]:
    keystone = keystones.FakeKeystone(
        f"{server.url.rstrip('/')}/v3", server.project_id, [f"admin:{server.project_id}"] * 100
    )
    yield OpenStack(keystone.url, tmp_path)
    keystone.close()


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
