"""The main job through the REST API on the file backend, in one process."""

import pathlib

from tests.labs.server import Server


def _head(path: pathlib.Path) -> bytes:
    with path.open("rb") as disk:
        return disk.read(1024)


def test_snapshot_brings_back_old_bytes(server: Server) -> None:
    """Write v1, snapshot, write v2; a volume from the snapshot holds v1, a revert brings v1 back, and all goes away."""
    volume = server.make_volume(1, name="main")
    path = server.file_directory / "volumes" / f"volume-{volume['id']}"
    with path.open("r+b") as disk:
        disk.write(b"v1" * 512)
    snapshot = server.make_snapshot(volume["id"], name="cut")
    with path.open("r+b") as disk:
        disk.write(b"v2" * 512)

    code, body = server.api("POST", "/volumes", {"volume": {"snapshot_id": snapshot["id"]}})
    assert code == 202
    copy = server.wait_for(f"/volumes/{body['volume']['id']}", "volume")
    assert _head(path.parent / f"volume-{copy['id']}") == b"v1" * 512

    action = {"revert": {"snapshot_id": snapshot["id"]}}
    assert server.api("POST", f"/volumes/{volume['id']}/action", action)[0] == 202
    server.wait_for(f"/volumes/{volume['id']}", "volume")
    assert _head(path) == b"v1" * 512
    server.wait_for(f"/snapshots/{snapshot['id']}", "snapshot")

    assert server.api("DELETE", f"/volumes/{copy['id']}")[0] == 202
    assert server.api("DELETE", f"/volumes/{volume['id']}?cascade=True")[0] == 202
    server.wait_for(f"/volumes/{volume['id']}", "volume", None)
    server.wait_for(f"/volumes/{copy['id']}", "volume", None)
    assert server.operations() == 0
    report = server.audit()
    assert report["findings"] == [] and report["objects"] == 0
