"""volsnap inside the test's own process: the façade that the REST layer calls, and a volume service with faults.

Everything is real (database, journal, worker, file driver, local transport), only that the driver may be told to fail.
Services of the same house that run in other processes: :class:`OtherService`.
"""

import contextlib
import os
import pathlib
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import sqlalchemy as sa

from tests.chaos.faults import FaultyDriver
from volsnap import exception
from volsnap.cmd import compose
from volsnap.conf import opts
from volsnap.context import RequestContext
from volsnap.db import operations
from volsnap.db.engine import Database
from volsnap.policies.enforcer import Enforcer
from volsnap.volume import audit, backends
from volsnap.volume.drivers import base
from volsnap.volume.service import VolumeService
from volsnap.volume.volumes import NewVolume

PROJECT = "11111111111111111111111111111111"
#: The most that anything may take, from the requirements.
LIMIT_S = 60.0


class House:
    """volsnap with its state under ``folder``; the options are those of ``[DEFAULT]``."""

    def __init__(self, folder: pathlib.Path, database_url: str | None = None, **options: object) -> None:
        self.folder = folder
        self.directory = folder / "backend"
        self.config_file = folder / "volsnap.conf"
        self.database_url = database_url or f"sqlite:///{folder}/volsnap.sqlite"
        self._write_config({"host": f"house-{uuid.uuid4()}", **options})
        self.conf = opts.load(["--config-file", str(self.config_file)], program="test")
        self.host = backends.backend_host(self.conf, "file")
        self.parts = compose.Parts(self.conf)
        self.api = self.parts.volume_api()
        self.context = RequestContext("u", PROJECT, ("admin",), True, Enforcer(self.conf))
        self.driver = FaultyDriver(backends.make_driver(self.conf, "file"))
        self.service: VolumeService | None = None

    def _write_config(self, options: Mapping[str, object]) -> None:
        defaults: dict[str, object] = {
            "state_path": self.folder,
            "enabled_backends": "file",
            "lease_seconds": 1.5,
            "poll_interval": 0.3,
            "maintain_interval": 0.5,
            "operation_deadline": 60,
            "create_ack_timeout": 5,
            **{f"quota_{noun}": -1 for noun in ("volumes", "snapshots", "gigabytes")},
        }
        self.folder.mkdir(parents=True, exist_ok=True)
        lines = ["[DEFAULT]", *(f"{name} = {value}" for name, value in {**defaults, **options}.items())]
        lines += ["[database]", f"connection = {self.database_url}"]
        lines += ["[file]", "volume_driver = file", f"directory = {self.directory}", "deadline_s = 5"]
        self.config_file.write_text("\n".join(lines) + "\n")

    # life

    def make_service(self, driver: Any = None) -> VolumeService:
        """A volume service of this house, not started."""
        conf = self.conf
        return VolumeService(
            self.host,
            driver or self.driver,
            self.parts.database,
            self.parts.journal,
            self.parts.announcer,
            self.parts.transport,
            backend_name="file",
            zone="nova",
            maintain_s=conf.maintain_interval,
            cut_threads=conf.cut_threads,
            copy_threads=conf.copy_threads,
            poll_s=conf.poll_interval,
            lease_s=conf.lease_seconds,
        )

    def start(self) -> "House":
        """Start the volume service; returns when it reported."""
        self.service = self.make_service()
        self.service.start()
        return self

    def stop(self) -> None:
        """Stop the volume service."""
        service, self.service = self.service, None
        if service is not None:
            service.stop()

    def close(self) -> None:
        """End everything."""
        self.driver.heal()
        self.stop()
        self.parts.database.close()

    def lose_hints(self) -> None:
        """No wake-up message arrives any more."""
        self.parts.journal.wake = lambda backend: None

    # requests

    def volume(self, **fields: Any) -> str:
        """A new volume's id; it may not be made yet."""
        fields = {"size_gib": 1, **fields} if not {"snapshot_id", "source_volid"} & set(fields) else fields
        volume_id: str = self.api.volumes.create(self.context, NewVolume(**fields)).id
        return volume_id

    def made_volume(self, data: bytes = b"", **fields: Any) -> str:
        """A volume that is available and begins with ``data``."""
        volume_id = self.volume(**fields)
        self.wait(volume_id)
        self.write(volume_id, data)
        return volume_id

    def snapshot(self, volume_id: str, **options: Any) -> Any:
        """The row of a new snapshot."""
        return self.api.snapshots.create(
            self.context, volume_id=volume_id, name=None, description=None, metadata={}, **options
        )

    def made_snapshot(self, volume_id: str) -> str:
        """A snapshot that is available."""
        snapshot_id: str = self.snapshot(volume_id).id
        self.wait(snapshot_id)
        return snapshot_id

    # facts

    def status(self, resource_id: str) -> str | None:
        """The status of a volume or snapshot; None when it is gone."""
        for noun in (self.api.volumes, self.api.snapshots):
            with contextlib.suppress(exception.NotFound):
                status: str = noun.get(self.context, resource_id).status
                return status
        return None

    def wait(self, resource_id: str, *statuses: str | None) -> str | None:
        """Wait for one of ``statuses`` (``available``); None: until it is gone."""
        wanted = statuses or ("available",)
        return wait_until(lambda: self.status(resource_id), lambda status: status in wanted)

    def wait_idle(self) -> None:
        """Wait until the journal is empty."""
        wait_until(self.journal, lambda rows: not rows)

    def journal(self) -> list[Any]:
        """The operations that are not finished."""
        with self.parts.database.read() as conn:
            return list(operations.list_all(conn))

    def path(self, volume_id: str) -> pathlib.Path:
        """The file of a volume."""
        return self.directory / "volumes" / f"volume-{volume_id}"

    def write(self, volume_id: str, data: bytes) -> None:
        """At the begin of a volume."""
        with self.path(volume_id).open("r+b") as disk:
            disk.write(data)

    def read(self, volume_id: str, length: int) -> bytes:
        """From the begin of a volume."""
        with self.path(volume_id).open("rb") as disk:
            return disk.read(length)

    def messages(self, resource_id: str) -> list[str]:
        """What users were told of a resource."""
        with self.parts.database.read() as conn:
            query = sa.text("SELECT text FROM messages WHERE resource_uuid = :id ORDER BY created_at")
            return list(conn.execute(query, {"id": resource_id}).scalars())

    def used(self) -> dict[str, int]:
        """The project's usage."""
        used = self.api.quotas.usage(self.context, PROJECT)
        return {name: used[name] for name in ("volumes", "snapshots", "gigabytes")}

    def audit(self) -> audit.Report:
        """What is wrong now."""
        driver = backends.make_driver(self.conf, "file")
        try:
            return audit.audit(self.parts.database, driver, self.host)
        finally:
            driver.close()

    def assert_clean(self) -> None:
        """The journal empties by itself, and then rows and objects agree."""
        self.wait_idle()
        report = self.audit()
        assert list(report.findings) == [] and report.working == 0, report

    @contextlib.contextmanager
    def backend_gone(self) -> Iterator[None]:
        """The directory is not there inside the ``with``, as when it is not mounted."""
        away = self.folder / "away"
        self.directory.rename(away)
        try:
            yield
        finally:
            away.rename(self.directory)


def wait_until(look: Callable[[], Any], is_good: Callable[[Any], bool], limit_s: float = LIMIT_S) -> Any:
    """What ``look`` returns once it ``is_good``."""
    deadline = time.monotonic() + limit_s
    while not is_good(found := look()):
        assert time.monotonic() < deadline, found
        time.sleep(0.02)
    return found


class OtherService:
    """A volume service of the house in a process of its own, which stops itself at a driver call.

    :param stop_at: the method; the process stops before it, or after it with ``after``. ``claim``: once it has claimed
        its first operation.
    """

    def __init__(self, house: House, stop_at: str | None = None, *, after: bool = False) -> None:
        words = [f"--stop-{'after' if after else 'before'}", stop_at] if stop_at else []
        self._log = house.folder / f"other-{uuid.uuid4()}.log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.chaos.house", str(house.config_file), *words],
                stdout=log,
                stderr=log,
                cwd=pathlib.Path(__file__).parents[2],
            )

    def wait_until_stopped(self) -> None:
        """It has reached the call, and stands still."""
        wait_until(self._state, lambda state: state == "T")

    def _state(self) -> str:
        assert self.process.poll() is None, self._log.read_text()
        return pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()[0]

    def resume(self) -> None:
        """SIGCONT."""
        self.process.send_signal(signal.SIGCONT)

    def log(self) -> str:
        """What it said."""
        return self._log.read_text()

    def end(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.wait()


def stand_still(database: Database) -> None:
    """Stop this process with SIGSTOP, in no transaction: on SQLite one that never ends would stop everybody else."""
    with database._writer_turn:
        os.kill(os.getpid(), signal.SIGSTOP)
        time.sleep(0.5)  # the signal reaches the process's threads one after the other, this one perhaps last


def serve(config_file: str, when: str | None = None, method: str | None = None) -> None:
    """The other process: like ``volsnap-volume``, with the fault in its driver."""
    conf = compose.load(["--config-file", config_file], "other")
    house = House.__new__(House)
    house.conf, house.host, house.parts = conf, backends.backend_host(conf, "file"), compose.Parts(conf)
    driver = FaultyDriver(backends.make_driver(conf, "file"))
    service = house.make_service(driver)
    if method == "claim":
        claim = house.parts.journal.claim

        def claim_and_stop(*arguments: Any, **options: Any) -> Any:
            claimed = claim(*arguments, **options)
            if claimed:
                stand_still(house.parts.database)
            return claimed

        house.parts.journal.claim = claim_and_stop  # type: ignore[method-assign]
    elif method is not None:
        driver.call(method, lambda: stand_still(house.parts.database), after=when == "--stop-after")
    service.start()
    signal.pause()


NOTHING = base.Unavailable("The storage does not answer.")

if __name__ == "__main__":
    serve(*sys.argv[1:])
