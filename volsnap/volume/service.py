"""The volume service of one backend: its worker, its RPC endpoint and its care for the storage.

Starting never waits for the storage: while the backend is away the service reports no capacity, so that no new volume
comes, and what is in the journal waits.
"""

import logging
import threading
from collections.abc import Mapping
from typing import Any

import orjson

from volsnap import exception, rpc
from volsnap.db import messages, services, snapshots
from volsnap.db.engine import Database
from volsnap.objects.operation import Resource
from volsnap.objects.snapshot import SnapshotStatus
from volsnap.version import VERSION
from volsnap.volume.drivers import base
from volsnap.volume.journal import Announcer, Journal, tell
from volsnap.volume.manager import Manager
from volsnap.volume.services import BINARY
from volsnap.volume.worker import Worker

LOG = logging.getLogger(__name__)

_OVERFLOWED = (
    "The snapshot lost its content: the space for what changed since it was cut ran full. Delete it, and give "
    "snapshots of this backend more room."
)


class VolumeService:
    """See the module.

    :param host: the backend's name, ``host@section``.
    """

    def __init__(
        self,
        host: str,
        driver: base.Driver,
        database: Database,
        journal: Journal,
        announcer: Announcer,
        transport: Any,
        *,
        backend_name: str,
        zone: str,
        maintain_s: float,
        **worker_options: Any,
    ) -> None:
        self.host = host
        self._driver = driver
        self._database = database
        self._journal = journal
        self._announcer = announcer
        self._backend_name = backend_name
        self._zone = zone
        self._maintain_s = maintain_s
        self._manager = Manager(database, driver)
        self._worker = Worker(host, self._manager, journal, **worker_options)
        self._server = rpc.make_server(transport, host, self)
        self._stopping = threading.Event()
        # Starting to listen lasts until the broker answers; work and care do not need one.
        self._listener = threading.Thread(target=self._server.start, name=f"{host}-listen", daemon=True)
        self._caretaker = threading.Thread(target=self._care, name=f"{host}-care", daemon=True)

    def start(self) -> None:
        """Begin to serve."""
        self._check()
        self._announcer.backends.add(self.host)
        self._worker.start()
        self._caretaker.start()
        self._listener.start()

    def stop(self) -> None:
        """Finish what runs; what is left stays in the journal."""
        listens = not self._listener.is_alive()
        if listens:
            self._server.stop()
        self._stopping.set()
        self._worker.stop()
        self._announcer.backends.discard(self.host)
        self._caretaker.join()
        if listens:
            self._server.wait()
        self._driver.close()

    # the RPC contract (``rpc.py``)

    def wake(self, ctxt: Mapping[str, Any]) -> None:
        """There may be work."""
        self._worker.wake()

    def connect(
        self,
        ctxt: Mapping[str, Any],
        volume_id: str,
        size_gib: int,
        connector: dict[str, Any],
        read_only: bool,
    ) -> dict[str, Any]:
        """What an initiator needs to reach the volume, or ``error``."""
        try:
            return self._manager.connect(volume_id, size_gib, connector, read_only=read_only)
        except exception.VolsnapError as err:
            return {"error": str(err), "later": isinstance(err, exception.ServiceUnavailable)}

    def disconnect(
        self, ctxt: Mapping[str, Any], volume_id: str, size_gib: int, connector: dict[str, Any]
    ) -> dict[str, Any]:
        """Undo :meth:`connect`; empty, or ``error``."""
        try:
            self._manager.disconnect(volume_id, size_gib, connector)
        except exception.VolsnapError as err:
            return {"error": str(err), "later": isinstance(err, exception.ServiceUnavailable)}
        return {}

    # care

    def _check(self) -> bool:
        """Prepare the storage and report; False while it is away."""
        try:
            self._driver.check()
            stats = self._report()
        except base.DriverError as err:
            LOG.error("backend %s cannot be used: %s", self.host, err)
            stats = {"unavailable": str(err)}
        with self._database.write() as conn:
            services.report(conn, BINARY, self.host, self._zone, orjson.dumps(stats).decode())
        return "unavailable" not in stats

    def _report(self) -> dict[str, Any]:
        """Capacity and capabilities, as ``services.stats`` keeps them."""
        stats = self._driver.stats()
        able = self._driver.capabilities
        return {
            "total_bytes": stats.total_bytes,
            "free_bytes": stats.free_bytes,
            "provisioned_bytes": stats.provisioned_bytes,
            "protocol": able.protocol,
            "thin": able.thin,
            "group_snapshot": able.group_snapshot,
            "volume_backend_name": self._backend_name,
            "version": VERSION,
        }

    def _care(self) -> None:
        while not self._stopping.wait(self._maintain_s):
            try:
                if self._check():
                    self._show_lost(self._driver.maintain())
                else:
                    self._journal.tell_waiting(self.host)
                with self._database.write() as conn:
                    messages.expire(conn)
            except (base.DriverError, exception.ServiceUnavailable) as err:
                LOG.warning("care for %s was put off: %s", self.host, err)
            except Exception:
                # The thread's edge: the next round tries again.
                LOG.exception("care for %s broke off", self.host)

    def _show_lost(self, lost: list[base.SnapshotFact]) -> None:
        """Never show a snapshot as available whose content is gone."""
        for fact in lost:
            with self._database.write() as conn:
                row = snapshots.find(conn, fact.id)
                if row is None or row.status != SnapshotStatus.AVAILABLE:
                    continue
                snapshots.claim(conn, fact.id, {SnapshotStatus.AVAILABLE}, SnapshotStatus.ERROR)
                tell(
                    conn,
                    project_id=row.project_id,
                    request_id="",
                    resource=Resource.SNAPSHOT,
                    resource_id=fact.id,
                    action="009",
                    reason=_OVERFLOWED,
                )
