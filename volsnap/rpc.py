"""The one door to oslo.messaging: the transport, and the contract of the calls that cross it.

Contract (topic ``volsnap-volume``, one server per backend):

* ``wake``: cast; "look into the journal". Carries nothing else and may be lost.
* ``connect`` / ``disconnect``: calls; what an initiator needs to reach a volume.
"""

import concurrent.futures
import logging
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any

# oslo.messaging imports eventlet when it is there, though nothing of ours uses it: 18 MB and 0.13 s for nothing, and
# a deprecation warning. It reads "not installed" from this entry.
sys.modules.setdefault("eventlet", None)  # type: ignore[arg-type]

from oslo_service import backend as oslo_service_backend  # noqa: E402

oslo_service_backend.init_backend(oslo_service_backend.BackendType.THREADING)

import oslo_messaging  # noqa: E402
from oslo_config import cfg  # noqa: E402

from volsnap import exception  # noqa: E402

LOG = logging.getLogger(__name__)

TOPIC = "volsnap-volume"
VERSION = "1.0"
_CALL_TIMEOUT_S = 30.0
_CALLS_AT_ONCE = 16
#: What oslo.messaging says when no ``transport_url`` is configured.
_LIBRARY_DEFAULT = "rabbit://"


def make_transport(conf: cfg.ConfigOpts) -> Any:
    """The transport of ``transport_url``; in-process when none is configured."""
    oslo_messaging.TransportURL.parse(conf)  # registers the options of oslo.messaging
    return oslo_messaging.get_rpc_transport(conf, url=_url(conf))


def _url(conf: cfg.ConfigOpts) -> str:
    url: str = conf.transport_url
    return "local://" if url == _LIBRARY_DEFAULT else url


class _Hints:
    """Sends hints from a thread of its own; those for one backend that wait for the broker become one."""

    def __init__(self, send: Callable[[str], None]) -> None:
        self._send = send
        self._changed = threading.Condition()
        self._wanted: set[str] = set()
        self._thread: threading.Thread | None = None

    def add(self, backend: str) -> None:
        """Send a hint soon."""
        with self._changed:
            self._wanted.add(backend)
            self._changed.notify()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="hints", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._wanted)
                wanted, self._wanted = self._wanted, set()
            for backend in wanted:
                self._send(backend)


class VolumeClient:
    """The callers' side of the contract."""

    def __init__(self, transport: Any) -> None:
        target = oslo_messaging.Target(topic=TOPIC, version=VERSION)
        self._client = oslo_messaging.get_rpc_client(transport, target, timeout=_CALL_TIMEOUT_S)
        self._callers = concurrent.futures.ThreadPoolExecutor(_CALLS_AT_ONCE, thread_name_prefix="calls")
        # A broker that hangs would hold a request for minutes; a queue in this process cannot.
        self._hints = None if _url(transport.conf).startswith("local:") else _Hints(self._cast)

    def wake(self, backend: str) -> None:
        """Hint at new work. Never fails nor waits: who misses it finds the work by itself."""
        if self._hints is None:
            self._cast(backend)
        else:
            self._hints.add(backend)

    def _cast(self, backend: str) -> None:
        try:
            self._client.prepare(server=backend, retry=0).cast({}, "wake")
        except Exception as err:  # noqa: BLE001  the transports raise what their libraries raise; the work is safe
            LOG.warning("the hint for %s was not sent: %s: %s", backend, type(err).__name__, err)

    def connect(
        self,
        backend: str,
        volume_id: str,
        size_gib: int,
        connector: Mapping[str, Any],
        read_only: bool,
    ) -> dict[str, Any]:
        """What an initiator needs; ``driver_volume_type`` and ``data``.

        :raises exception.ServiceUnavailable: the backend's service does not answer.
        :raises exception.Invalid: the backend refuses; the text says why.
        """
        result = self._call(
            backend,
            "connect",
            volume_id=volume_id,
            size_gib=size_gib,
            connector=dict(connector),
            read_only=read_only,
        )
        _raise_refusal(result)
        return result

    def disconnect(self, backend: str, volume_id: str, size_gib: int, connector: Mapping[str, Any]) -> None:
        """Undo :meth:`connect`; raises as it does."""
        result = self._call(backend, "disconnect", volume_id=volume_id, size_gib=size_gib, connector=dict(connector))
        _raise_refusal(result)

    def _call(self, backend: str, method: str, **arguments: Any) -> dict[str, Any]:
        """A call that ends: without a broker oslo.messaging waits for one for ever, whatever its time-outs say."""
        client = self._client.prepare(server=backend, retry=0)
        future = self._callers.submit(client.call, {}, method, **arguments)
        try:
            result: dict[str, Any] = future.result(_CALL_TIMEOUT_S + 1)
        except (oslo_messaging.MessagingException, TimeoutError) as err:
            future.cancel()
            raise exception.ServiceUnavailable(
                reason=f"The volume service {backend} does not answer; try again later."
            ) from err
        return result


def _raise_refusal(result: Mapping[str, Any]) -> None:
    """Raise what the service answered instead of a result."""
    if "error" in result:
        kind = exception.ServiceUnavailable if result.get("later") else exception.Invalid
        raise kind(reason=result["error"])


def make_server(transport: Any, backend: str, endpoint: object) -> Any:
    """The server of one backend; ``endpoint`` has the methods of the contract."""
    target = oslo_messaging.Target(topic=TOPIC, server=backend)
    return oslo_messaging.get_rpc_server(transport, target, [endpoint])
