"""Our own ``volsnap`` program against a running volsnap: the main job, start to end, by names
alone.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.clients import shell

Run = Callable[..., shell.Done]


@pytest.fixture
def volsnap(server: Any, tmp_path: Path) -> Run:
    environ = {
        "OS_AUTH_TYPE": "noauth",
        "OS_USERNAME": "admin",
        "OS_PROJECT_ID": server.project_id,
        "OS_ENDPOINT": f"{server.url.rstrip('/')}/v3",
    }

    def run(*words: str, code: int = 0) -> shell.Done:
        done = shell.run(["volsnap", *words], environ, tmp_path)
        assert done.code == code, f"{words}: exit {done.code}: {done.out}{done.err}"
        return done

    return run


def test_main_job(volsnap: Run) -> None:
    volsnap("create", "1", "--name", "our-v", "--wait")
    created = volsnap("snapshot-create", "our-v", "--name", "our-s", "--metadata", "k=v", "--wait", "-f", "json")
    snapshot = json.loads(created.out)
    assert snapshot["status"] == "available"
    assert "available 100%" in created.err

    rows = json.loads(volsnap("snapshot-list", "--volume-id", "our-v", "-f", "json").out)
    assert [row["id"] for row in rows] == [snapshot["id"]]
    assert snapshot["id"] in volsnap("snapshot-list").out
    assert volsnap("snapshot-show", "our-s", "-f", "value", "-c", "metadata").out == '{"k": "v"}\n'

    volsnap("snapshot-metadata", "our-s", "set", "x=y")
    volsnap("snapshot-metadata", "our-s", "unset", "k")
    assert json.loads(volsnap("snapshot-metadata-show", "our-s", "-f", "json").out) == {"x": "y"}
    volsnap("snapshot-rename", "our-s", "our-s2", "--description", "renamed")

    child = volsnap("create", "--snapshot-id", "our-s2", "--name", "our-child", "--wait", "-f", "json")
    assert json.loads(child.out)["size"] == 1
    volsnap("revert-to-snapshot", "our-s2", "--wait")
    refused = volsnap("delete", "our-v", code=1)
    assert refused.err.count("\n") == 1

    volsnap("delete", "our-child", "--wait")
    volsnap("snapshot-delete", "our-s2", "--wait")
    volsnap("extend", "our-v", "2", "--wait")
    assert volsnap("show", "our-v", "-f", "value", "-c", "size").out == "2\n"
    volsnap("delete", "our-v", "--wait")
    assert volsnap("show", "our-v", code=1).out == ""


def test_cascade_and_several(volsnap: Run) -> None:
    volsnap("create", "1", "--name", "our-c", "--wait")
    for name in ("c1", "c2", "c3"):
        volsnap("snapshot-create", "--name", name, "our-c", "--wait")
    volsnap("snapshot-delete", "c1", "c2", "--wait")
    volsnap("delete", "--cascade", "our-c", "--wait")
    assert volsnap("snapshot-show", "c3", code=1).err.count("\n") == 1


def test_connection_information(volsnap: Run) -> None:
    volsnap("create", "1", "--name", "our-conn", "--wait")
    info = json.loads(volsnap("connect", "our-conn").out)
    assert info["driver_volume_type"]
    assert info["data"]
    volsnap("delete", "our-conn", "--force", "--wait")


@pytest.mark.parametrize(
    "words",
    [
        "list --all-tenants",
        "snapshot-list --all-tenants --with-count",
        "summary",
        "absolute-limits",
        "quota-show",
        "quota-show --usage",
        "service-list",
        "get-pools --detail",
        "message-list",
        "type-list",
    ],
)
@pytest.mark.parametrize("form", ["table", "json"])
def test_read_only(volsnap: Run, words: str, form: str) -> None:
    out = volsnap(*words.split(), "-f", form).out
    if form == "json":
        json.loads(out)


def test_an_error_of_the_service_is_one_line(volsnap: Run) -> None:
    done = volsnap("snapshot-create", "00000000-0000-0000-0000-00000000dead", code=1)
    assert done.err.count("\n") == 1
    assert "could not be found" in done.err
