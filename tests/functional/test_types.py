"""Volume types that lead to one of several backends."""

import pathlib
from collections.abc import Callable

from tests.labs.server import Server


def test_type_leads_to_its_backend(start_server: Callable[..., Server], tmp_path: pathlib.Path) -> None:
    """Two file backends; ``volsnap-manage type create`` for one of them; its volumes go there, whatever is free."""
    backends = {
        name: {"volume_driver": "file", "directory": tmp_path / name, "volume_backend_name": f"{name}-storage"}
        for name in ("one", "two")
    }
    server = start_server(backends=backends)
    made = server.manage("type", "create", "second", "--backend-name", "two-storage")
    assert (made.returncode, made.stderr) == (0, "")
    for _ in range(3):
        volume = server.make_volume(1, volume_type="second")
        assert volume["os-vol-host-attr:host"].startswith("test@two")
        assert volume["volume_type"] == "second"
    again = server.manage("type", "create", "second", "--backend-name", "two-storage")
    assert again.returncode == 1
    assert again.stderr.count("\n") == 1 and "second" in again.stderr
