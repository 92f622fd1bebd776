"""The pool's trash: deleted volumes that still have clones, or whose data takes long to remove.

Invariant: nothing without our mark (:data:`~volsnap.volume.drivers.rbd_pool.DELETED`) is ever removed for good.

What waits is known from the storage alone. When a try is due is kept in memory: a refused one (it still has clones)
waits longer each time, and the one that was tried longest ago comes first, so that none keeps the others from their
turn. When a volume is removed, its parent is due at once: it may have lost its last clone.
"""

import concurrent.futures
import contextlib
import dataclasses
import functools
import threading
import time
from collections.abc import Iterable, Sequence

from volsnap.lowlevel import ceph, ceph_errors, ceph_image
from volsnap.volume.drivers import rbd_pool

PURGES_AT_ONCE = 4
#: After the first refusal; doubled with each further one.
RETRY_S = 5.0
MOST_RETRY_S = 300.0
_NEVER = float("inf")


@dataclasses.dataclass(slots=True)
class _Wait:
    """When an image was tried last and is tried again: :data:`_NEVER` when it turned out not to be ours."""

    tried_at: float = -_NEVER
    due_at: float = -_NEVER
    delay_s: float = 0.0
    is_running: bool = False


class Trash:
    """What this process knows about the trash of one pool."""

    def __init__(self, client: ceph.Client, wait_s: float) -> None:
        self._client = client
        self._wait_s = wait_s
        self._waits: dict[str, _Wait] = {}
        self._lock = threading.Lock()

    def purge_due(self, trashed: Iterable[ceph_image.Trashed]) -> None:
        """Try a few of ours, those first that were tried longest ago; forget what is not there any more."""
        ours = [each.id for each in trashed if rbd_pool.VOLUME.fullmatch(each.name)]
        now = time.monotonic()
        with self._lock:
            # One whose try runs may have come into the trash after it was listed.
            running = {image_id: wait for image_id, wait in self._waits.items() if wait.is_running}
            waits = {image_id: self._waits.get(image_id, _Wait()) for image_id in ours}
            self._waits = waits | running
            due = [image_id for image_id in ours if waits[image_id].due_at <= now and image_id not in running]
            due.sort(key=lambda image_id: waits[image_id].tried_at)
        self.purge(due[:PURGES_AT_ONCE])

    def purge(self, image_ids: Sequence[str]) -> None:
        """Remove trashed images of ours; what takes longer than ``wait_s`` goes on in the background."""
        started = [future for image_id in image_ids if (future := self._start(image_id)) is not None]
        end = time.monotonic() + self._wait_s
        for future in started:
            with contextlib.suppress(ceph_errors.CephError, TimeoutError):
                future.result(max(0.0, end - time.monotonic()))

    def _start(self, image_id: str) -> "concurrent.futures.Future[rbd_pool.Purged] | None":
        """One try; None when another one runs, or when it is not due."""
        with self._lock:
            wait, now = self._waits.setdefault(image_id, _Wait()), time.monotonic()
            if wait.is_running or wait.due_at > now:
                return None
            wait.tried_at, wait.is_running = now, True
        future = self._client.start(self._client.claim(), functools.partial(rbd_pool.purge, image_id))
        future.add_done_callback(functools.partial(self._ended, image_id, wait))
        return future

    def _ended(self, image_id: str, wait: _Wait, future: "concurrent.futures.Future[rbd_pool.Purged]") -> None:
        """Gone, not ours (an administrator put it into the trash: it stays), or to be tried again."""
        err = future.exception()
        with self._lock:
            wait.is_running = False
            if err is None:
                wait.due_at = _NEVER
                self._wake(future.result().parent_id)
            elif isinstance(err, ceph_errors.Lost):  # that says nothing about the image
                wait.due_at = time.monotonic() + RETRY_S
            else:
                wait.delay_s = min(wait.delay_s * 2 or RETRY_S, MOST_RETRY_S)
                wait.due_at = time.monotonic() + wait.delay_s

    def _wake(self, image_id: str | None) -> None:
        wait = self._waits.get(image_id) if image_id else None
        if wait is not None and wait.due_at != _NEVER:
            wait.due_at, wait.delay_s = -_NEVER, 0.0
