"""An oslo.messaging driver for one process: ``transport_url = local://``.

oslo.messaging's own in-process driver (``fake://``) looks at its queues every 50 ms, more than a whole snapshot takes;
here a listener sleeps until a message comes. Messages carry plain data and are not kept when the process ends, which
is all that the journal asks of a hint.
"""

import collections
import queue
import threading
from collections.abc import Mapping
from typing import Any

import oslo_messaging
from oslo_messaging._drivers import base

#: How many messages without an answer one queue holds; more are dropped.
_MOST_CASTS = 1000

_Key = tuple[str | None, str, str | None]


class _Incoming(base.RpcIncomingMessage):  # type: ignore[misc]
    """One message on its way to an endpoint."""

    def __init__(
        self,
        ctxt: Mapping[str, Any],
        message: Mapping[str, Any],
        replies: "queue.Queue[Any] | None",
    ) -> None:
        super().__init__(ctxt, message)
        self._replies = replies

    @property
    def is_cast(self) -> bool:
        """Nobody waits for an answer."""
        return self._replies is None

    def reply(self, reply: Any = None, failure: Any = None) -> None:
        if self._replies is not None:
            self._replies.put((reply, failure[1] if failure else None))

    def heartbeat(self) -> None:
        """A call in one process cannot lose its server unnoticed."""

    def requeue(self) -> None:
        """Not offered: nothing of ours asks for it."""


class _Exchange:
    """Every queue of the process, and the listeners that wait on them."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._queues: dict[_Key, collections.deque[_Incoming]] = collections.defaultdict(collections.deque)

    def put(self, target: oslo_messaging.Target, message: _Incoming) -> None:
        with self._changed:
            for key in self._receivers(target):
                # A process without the server that a message is for (an API alone, no broker) must not hoard hints.
                if not message.is_cast or len(self._queues[key]) < _MOST_CASTS:
                    self._queues[key].append(message)
            self._changed.notify_all()

    def _receivers(self, target: oslo_messaging.Target) -> list[_Key]:
        if target.fanout:
            return [key for key in self._queues if key[1] == target.topic and key[2] is not None]
        return [(target.exchange, target.topic, target.server)]

    def get(self, keys: list[_Key], stopped: threading.Event) -> _Incoming | None:
        """The next message of ``keys``; None once ``stopped`` is set."""
        with self._changed:
            while not stopped.is_set():
                for key in keys:
                    if self._queues[key]:
                        return self._queues[key].popleft()
                self._changed.wait()
        return None

    def wake(self) -> None:
        with self._changed:
            self._changed.notify_all()


_EXCHANGE = _Exchange()


class _Listener(base.PollStyleListener):  # type: ignore[misc]
    """Waits for the messages of one server."""

    def __init__(self, keys: list[_Key]) -> None:
        super().__init__()
        self._keys = keys
        self._stopped = threading.Event()

    def poll(
        self, timeout: float | None = None, batch_size: int = 1, batch_timeout: float | None = None
    ) -> list[_Incoming]:
        message = _EXCHANGE.get(self._keys, self._stopped)
        return [] if message is None else [message]

    def stop(self) -> None:
        self._stopped.set()
        _EXCHANGE.wake()


class LocalDriver(base.BaseDriver):  # type: ignore[misc]
    """See the module."""

    def send(
        self,
        target: oslo_messaging.Target,
        ctxt: Mapping[str, Any],
        message: Mapping[str, Any],
        wait_for_reply: bool | None = None,
        timeout: float | None = None,
        **_options: Any,
    ) -> Any:
        replies: queue.Queue[Any] | None = queue.Queue() if wait_for_reply else None
        _EXCHANGE.put(target, _Incoming(ctxt, message, replies))
        if replies is None:
            return None
        try:
            reply, failure = replies.get(timeout=timeout)
        except queue.Empty:
            raise oslo_messaging.MessagingTimeout(f"No reply on topic {target.topic}") from None
        if failure:
            raise failure
        return reply

    def send_notification(
        self, target: oslo_messaging.Target, ctxt: Any, message: Any, version: Any, **_options: Any
    ) -> None:
        self.send(target, ctxt, message)

    def listen(
        self, target: oslo_messaging.Target, batch_size: int, batch_timeout: float | None
    ) -> base.PollStyleListenerAdapter:
        keys: list[_Key] = [
            (target.exchange, target.topic, target.server),
            (target.exchange, target.topic, None),
        ]
        return base.PollStyleListenerAdapter(_Listener(keys), batch_size, batch_timeout)

    def listen_for_notifications(
        self, targets_and_priorities: Any, pool: Any, batch_size: int, batch_timeout: float | None
    ) -> base.PollStyleListenerAdapter:
        keys: list[_Key] = [
            (target.exchange, f"{target.topic}.{priority}", None) for target, priority in targets_and_priorities
        ]
        return base.PollStyleListenerAdapter(_Listener(keys), batch_size, batch_timeout)

    def cleanup(self) -> None:
        """Nothing outlives the process."""
