"""How full the pool is: what clients are told, and when new work is refused.

Invariant: refused is only on numbers that were asked for just now, never on old ones.
"""

import dataclasses
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from volsnap.volume.drivers import base


@dataclasses.dataclass(frozen=True, slots=True)
class Capacity:
    """The pool's numbers. Without a ceph-mgr Ceph reports zeros: then nothing is known, and nothing refused."""

    total_bytes: int
    free_bytes: int
    is_full: bool
    asked_at: float


class Gauge:
    """Asks for the numbers of one pool, and keeps them for a moment.

    :param ask: returns ``ceph df detail``.
    """

    def __init__(self, pool: str, refuse_percent: int, max_age_s: float, ask: Callable[[], Mapping[str, Any]]) -> None:
        self._pool = pool
        self._refuse_percent = refuse_percent
        self._max_age_s = max_age_s
        self._ask = ask
        self._known: Capacity | None = None
        self._lock = threading.Lock()

    def read(self) -> Capacity:
        """The numbers of now."""
        self._known = read_capacity(self._ask(), self._pool, self._refuse_percent)
        return self._known

    def require_space(self) -> None:
        """Refuse while the pool is (nearly) full: Ceph would not answer ENOSPC, writers would just block.

        Numbers of the last second are good enough to allow, never to refuse.

        :raises base.NoSpace: it is.
        """
        known = self._known
        age_s = time.monotonic() - known.asked_at if known else float("inf")
        if known is not None and not known.is_full and age_s <= self._max_age_s:
            return
        # One thread asks; the others of a burst do not queue behind it, which would add up deadlines.
        if not self._lock.acquire(blocking=False):
            if known is None or not known.is_full:
                return
            capacity = self.read()
        else:
            try:
                capacity = self.read()
            finally:
                self._lock.release()
        if capacity.is_full:
            raise base.NoSpace(
                f"pool '{self._pool}' or its cluster is more than {self._refuse_percent} % full "
                "(rbd_refuse_percent); delete something, or add capacity or quota"
            )


def read_capacity(answer: Mapping[str, Any], pool: str, refuse_percent: int) -> Capacity:
    """The pool's share of ``ceph df detail``: it ends at the quota, the fullest OSD, or our own limit."""
    now = time.monotonic()
    stats = next((each["stats"] for each in answer["pools"] if each["name"] == pool), None)
    if not answer["stats"]["total_bytes"] or stats is None:
        return Capacity(0, 0, is_full=False, asked_at=now)
    stored, quota, objects = stats["stored"], stats["quota_bytes"], stats["quota_objects"]
    total = stored + stats["max_avail"]
    if quota:
        total = min(total, quota)
    limit = refuse_percent / 100
    is_full = (
        stats["max_avail"] == 0
        or answer["stats"]["total_used_raw_ratio"] >= limit
        or bool(quota and stored >= quota * limit)
        or bool(objects and stats["objects"] >= objects * limit)
    )
    free = 0 if is_full else max(0, int(total * limit) - stored)
    return Capacity(total, free, is_full, now)
