"""What is refused, with a clear answer, because of where a volume is or what happens to it."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.labs.server import Server


@pytest.fixture
def frozen(start_server: Callable[..., Server]) -> Iterator[Server]:
    """A server whose backend gets frozen by the test."""
    yield start_server()


def test_frozen_backend_changes_nothing(frozen: Server) -> None:
    """Freeze: creating, deleting, extending, reverting and copying are 400s that name the backend. Thaw: they work."""
    volume = frozen.make_volume(1)
    snapshot = frozen.make_snapshot(volume["id"])
    action = f"/volumes/{volume['id']}/action"
    changes: list[tuple[str, str, Any]] = [
        ("POST", "/snapshots", {"snapshot": {"volume_id": volume["id"]}}),
        ("POST", "/volumes", {"volume": {"snapshot_id": snapshot["id"]}}),
        ("POST", "/volumes", {"volume": {"source_volid": volume["id"]}}),
        ("POST", action, {"os-extend": {"new_size": 2}}),
        ("POST", action, {"revert": {"snapshot_id": snapshot["id"]}}),
        ("DELETE", f"/snapshots/{snapshot['id']}", None),
        ("DELETE", f"/volumes/{volume['id']}?cascade=True", None),
    ]
    assert frozen.api("PUT", "/os-services/freeze", {"host": "test@file"})[0] in (200, 202)
    for method, path, body in changes:
        code, answer = frozen.api(method, path, body)
        assert code == 400, (method, path, answer)
        assert "frozen" in answer["badRequest"]["message"]
    assert frozen.operations() == 0
    assert frozen.api("PUT", "/os-services/thaw", {"host": "test@file"})[0] in (200, 202)
    assert frozen.api("DELETE", f"/volumes/{volume['id']}?cascade=True")[0] == 202
    frozen.wait_for(f"/volumes/{volume['id']}", "volume", None)


@pytest.mark.parametrize("status", ["reverting", "deleting", "extending", "error", "creating"])
def test_only_a_whole_volume_is_connected(server: Server, status: str) -> None:
    """An initiator gets no way to a volume that is being changed."""
    volume = server.make_volume(1)
    action = f"/volumes/{volume['id']}/action"
    reset = status if status != "reverting" else "maintenance"
    assert server.api("POST", action, {"os-reset_status": {"status": reset}})[0] == 202
    code, answer = server.api("POST", action, {"os-initialize_connection": {"connector": {"host": "h"}}})
    assert code == 400, answer
    assert server.api("POST", action, {"os-force_delete": {}})[0] == 202
    server.wait_for(f"/volumes/{volume['id']}", "volume", None)


def test_volume_without_a_backend(start_server: Callable[..., Server]) -> None:
    """No backend suits: the volume is ``error`` with a message; made available by hand it still cannot be extended."""
    server = start_server()
    assert server.manage("type", "create", "nowhere", "--backend-name", "none").returncode == 0
    code, body = server.api("POST", "/volumes", {"volume": {"size": 1, "volume_type": "nowhere"}})
    assert (code, body["volume"]["status"]) == (202, "error")
    path = f"/volumes/{body['volume']['id']}"
    messages = server.api("GET", "/messages")[1]["messages"]
    assert [one["resource_uuid"] for one in messages] == [body["volume"]["id"]]
    assert server.api("POST", f"{path}/action", {"os-reset_status": {"status": "available"}})[0] == 202
    code, answer = server.api("POST", f"{path}/action", {"os-extend": {"new_size": 2}})
    assert code == 400 and "no backend" in answer["badRequest"]["message"]
    assert server.api("DELETE", path)[0] == 202
    assert server.api("GET", path)[0] == 404


def test_zone_of_a_copy_is_its_sources(server: Server) -> None:
    """A zone that does not exist is refused for a copy as for a blank volume."""
    volume = server.make_volume(1)
    wanted = {"source_volid": volume["id"], "availability_zone": "mars"}
    code, answer = server.api("POST", "/volumes", {"volume": wanted})
    assert code == 400 and "mars" in answer["badRequest"]["message"]
    assert server.api("DELETE", f"/volumes/{volume['id']}")[0] == 202
    server.wait_for(f"/volumes/{volume['id']}", "volume", None)


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("metadata={'%5Cud800':'a'}", 200),
        (f"metadata={{0x{'f' * 4000}:1}}", 200),
        ("created_at=" + ",".join(["gt:2026-01-01T00:00:00"] * 101), 400),
    ],
)
def test_filters_that_no_database_takes(server: Server, query: str, code: int) -> None:
    """They select nothing, or are refused; they are no fault of ours."""
    assert server.api("GET", f"/volumes?{query}")[0] == code
