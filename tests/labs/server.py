"""A running volsnap for tests: real processes, real HTTP, a folder of its own.

One process (``volsnap up``) by default; ``split=True`` starts ``volsnap-api`` and ``volsnap-volume`` beside each other,
as they run on many machines. Processes are ended by pid, and each log lies beside the database.
"""

import http.client
import json
import os
import pathlib
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import Any

PROJECT_ID = "11111111111111111111111111111111"
_START_S = 60.0


def free_port() -> int:
    """A TCP port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Server:
    """volsnap with its state under ``folder``.

    :param options: what stands in ``[DEFAULT]`` beyond the port and the folder.
    :param backends: section name to its options; one file backend by default.
    :param database_url: another database than SQLite.
    :param split: API and volume service as processes of their own (needs ``transport_url`` in ``options``).
    """

    def __init__(
        self,
        folder: pathlib.Path,
        *,
        options: Mapping[str, object] | None = None,
        backends: Mapping[str, Mapping[str, object]] | None = None,
        database_url: str | None = None,
        split: bool = False,
    ) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.project_id = PROJECT_ID
        self.token = f"admin:{PROJECT_ID}"
        self.database = folder / "volsnap.sqlite"
        self.database_url = database_url or f"sqlite:///{self.database}"
        self.file_directory = folder / "volumes"
        self.config_file = folder / "volsnap.conf"
        self._split = split
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._write_config(options or {}, backends or self._file_backend())

    def _file_backend(self) -> Mapping[str, Mapping[str, object]]:
        return {"file": {"volume_driver": "file", "directory": self.file_directory}}

    def _write_config(self, options: Mapping[str, object], backends: Mapping[str, Mapping[str, object]]) -> None:
        defaults = {
            "state_path": self.folder,
            "host": "test",
            "osapi_volume_listen_port": self.port,
            "enabled_backends": ",".join(backends),
            "quota_volumes": -1,
            "quota_snapshots": -1,
            "quota_gigabytes": -1,
            "quota_groups": -1,
        }
        sections: dict[str, Mapping[str, object]] = {
            "DEFAULT": {**defaults, **options},
            "database": {"connection": self.database_url},
            **backends,
        }
        lines = []
        for section, values in sections.items():
            lines += [f"[{section}]", *(f"{name} = {value}" for name, value in values.items()), ""]
        self.folder.mkdir(parents=True, exist_ok=True)
        self.config_file.write_text("\n".join(lines))

    # processes

    @property
    def roles(self) -> list[str]:
        """The names of the processes."""
        return ["volume", "api"] if self._split else ["up"]

    def start(self) -> "Server":
        """Start what does not run, and wait until it answers."""
        for role in self.roles:
            self.start_role(role)
        self.wait_until_up()
        return self

    def start_role(self, role: str) -> None:
        """Start one process."""
        running = self._processes.get(role)
        if running is not None and running.poll() is None:
            return
        with (self.folder / f"{role}.log").open("ab") as log:
            self._processes[role] = subprocess.Popen(
                [sys.executable, "-m", f"volsnap.cmd.{role}", "--config-file", str(self.config_file)],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def wait_until_up(self) -> None:
        """Return when the API answers and every backend reported."""
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline:
            for role, process in self._processes.items():
                if process.poll() is not None:
                    raise RuntimeError(f"volsnap {role} ended with {process.returncode}:\n{self.log()}")
            try:
                status, _ = self.request("GET", "/healthcheck")
                if status == 200 and self._has_backend():
                    return
            except OSError:
                pass
            time.sleep(0.02)
        raise RuntimeError(f"volsnap did not come up:\n{self.log()}")

    def _has_backend(self) -> bool:
        _, body = self.api("GET", "/os-services")
        services = body["services"]
        return bool(services) and all(service["state"] == "up" for service in services)

    def stop(self) -> None:
        """End every process in order."""
        for role in reversed(self.roles):
            self.end_role(role, signal.SIGTERM)

    def kill(self, role: str) -> None:
        """``kill -9`` one process, and reap it."""
        self.end_role(role, signal.SIGKILL)

    def end_role(self, role: str, number: signal.Signals) -> None:
        """Send a signal and wait for the end."""
        process = self._processes.pop(role, None)
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(number)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def pid(self, role: str) -> int:
        """The process's id."""
        return self._processes[role].pid

    def cpu_seconds(self) -> float:
        """User and system time that all processes have used."""
        ticks = 0
        for process in self._processes.values():
            fields = pathlib.Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def log(self) -> str:
        """The ends of all logs."""
        return "\n".join(path.read_text()[-4000:] for path in sorted(self.folder.glob("*.log")))

    # requests

    def request(
        self, method: str, path: str, body: object = None, *, version: str = "3.71", timeout_s: float = 60
    ) -> tuple[int, Any]:
        """One request on a connection of its own; the status and the decoded body (None when it is not JSON)."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout_s)
        try:
            headers = {"X-Auth-Token": self.token, "OpenStack-API-Version": f"volume {version}"}
            if body is not None:
                headers["Content-Type"] = "application/json"
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            response = connection.getresponse()
            text = response.read()
        finally:
            connection.close()
        try:
            return response.status, json.loads(text)
        except ValueError:
            return response.status, None

    def api(self, method: str, path: str, body: object = None, **options: Any) -> tuple[int, Any]:
        """One request below ``/v3/PROJECT``."""
        return self.request(method, f"/v3/{self.project_id}{path}", body, **options)

    def wait_for(self, path: str, noun: str, status: str | None = "available", timeout_s: float = 60) -> dict[str, Any]:
        """Poll a resource until it has ``status`` (None: until it is gone); returns it.

        :raises AssertionError: it ends in an error status, or not in time.
        """
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            code, body = self.api("GET", path)
            if code == 404 and status is None:
                return {}
            assert code == 200, (code, body)
            found: dict[str, Any] = body[noun]
            if found["status"] == status:
                return found
            assert not found["status"].startswith("error"), (found, self.log())
            time.sleep(0.02)
        raise AssertionError(f"{path} is not {status} in time: {body}\n{self.log()}")

    def make_volume(self, size_gib: int = 1, **fields: object) -> dict[str, Any]:
        """A volume that is available."""
        code, body = self.api("POST", "/volumes", {"volume": {"size": size_gib, **fields}})
        assert code == 202, body
        return self.wait_for(f"/volumes/{body['volume']['id']}", "volume")

    def make_snapshot(self, volume_id: str, **fields: object) -> dict[str, Any]:
        """A snapshot that is available."""
        code, body = self.api("POST", "/snapshots", {"snapshot": {"volume_id": volume_id, **fields}})
        assert code == 202, body
        return self.wait_for(f"/snapshots/{body['snapshot']['id']}", "snapshot")

    def operations(self) -> int:
        """How many operations are in the journal (SQLite only)."""
        with sqlite3.connect(self.database) as conn:
            count: int = conn.execute("SELECT count(*) FROM operations").fetchone()[0]
        conn.close()
        return count

    def manage(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run ``volsnap-manage`` on this server's configuration."""
        return subprocess.run(
            [sys.executable, "-m", "volsnap.cmd.manage", "--config-file", str(self.config_file), *words],
            capture_output=True,
            text=True,
            timeout=120,
        )

    def audit(self) -> dict[str, Any]:
        """What ``volsnap-manage audit`` finds on the only backend."""
        result = self.manage("audit", "-f", "json")
        assert result.stdout, result.stderr
        report: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
        return report
