"""The one door to librados and librbd: a kept cluster connection whose calls all end.

Two invariants, each bought with a measurement (Ceph 16.2); :mod:`~volsnap.lowlevel.ceph_image` has a third:

* **No image outlives its cluster handle.** An ``rbd.Image`` closed, or collected, after ``Rados.shutdown()`` hangs or
  kills the process. Images are opened by context managers only, a :class:`Session` counts its users, and it is shut
  down by whoever uses it last.
* **Every call ends inside its deadline.** librbd's own time-outs are not enough (``create_snap`` on a dead OSD takes
  twice ``rados_osd_op_timeout``, ``close`` on a frozen one 12 s), so calls run in worker threads and the caller waits.
  When it gives up, it abandons worker and session: the next call makes a new connection, and the old one is shut down
  when its last call has come back. Nothing is ever interrupted inside librbd.

rbd and rados are imported with the first connection, so that importing this module needs no Ceph.
"""

import concurrent.futures
import contextlib
import ctypes
import dataclasses
import errno
import json
import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from volsnap.lowlevel import ceph_errors, ceph_image

LOG = logging.getLogger(__name__)

T = TypeVar("T")
Report = ceph_image.Report

#: layering, exclusive-lock, object-map, fast-diff. The object map costs 13 ms per snapshot on an image that has to be
#: opened for it, and makes a diff of 1 TiB 0.2 s instead of 20 s.
FEATURES = 1 | 4 | 8 | 16


# ----------------------------------------------------------------------------------------------------------- session


@dataclasses.dataclass(frozen=True, slots=True)
class Access:
    """Which pool, as whom, and how long a call may take."""

    pool: str
    user: str | None
    conf: str
    deadline_s: float


class Session:
    """One connection to one pool. Its methods block; :meth:`Client.run` gives them a deadline."""

    def __init__(self, access: Access) -> None:
        # A missing pool, key or library must never look like a missing image: any trouble here is Lost.
        try:
            import rados
            import rbd
        except ImportError as err:
            raise ceph_errors.Lost(f"the Ceph bindings (python3-rados, python3-rbd) are missing: {err}") from err
        self.access = access
        self._lib = rbd
        self._rbd = rbd.RBD()
        self._handles = ceph_image.Handles(self._open)
        try:
            self._rados = rados.Rados(conffile=access.conf, rados_id=access.user or "admin")
        except Exception as err:
            raise ceph_errors.Lost(f"cannot use {access.conf}: {err}") from err
        # Rados and Image close themselves when they are collected, which at interpreter exit, with a call still
        # blocked on them, is the very crash this module exists to avoid: they live until shutdown() says otherwise.
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._rados))
        # create_snap takes up to twice the time-out of one operation. Whole seconds, or 16.2 says EINVAL.
        timeout = str(max(1, int(access.deadline_s * 0.4)))
        for option in ("client_mount_timeout", "rados_mon_op_timeout", "rados_osd_op_timeout"):
            self._rados.conf_set(option, timeout)
        self._rados.conf_set("rbd_default_clone_format", "2")
        self._rados.conf_set("rbd_cache", "false")
        try:
            self._rados.connect()
            self._ioctx = self._rados.open_ioctx(access.pool)
        except Exception as err:
            self._rados.shutdown()
            raise ceph_errors.Lost(
                f"cannot open pool '{access.pool}' as client.{access.user or 'admin'}: {err}"
            ) from err
        # A full pool: what frees space still works, what takes some is refused instead of blocked for ever.
        self._ioctx.set_osdmap_full_try()

    def shutdown(self) -> None:
        """Only with no user left (see :class:`Lease`)."""
        self._ioctx.close()
        self._rados.shutdown()

    # images

    def image(self, name: str) -> contextlib.AbstractContextManager[ceph_image.Image]:
        """The shared read-write handle."""
        return self._handles.use(name)

    @contextlib.contextmanager
    def reading(
        self, name: str | None, snapshot: str | None = None, *, image_id: str | None = None
    ) -> Iterator[ceph_image.Image]:
        """A read-only handle of its own: no watch, no lock."""
        image = self.open_reading(name, snapshot, image_id=image_id)
        try:
            yield image
        finally:
            image.close()

    def open_reading(
        self, name: str | None, snapshot: str | None = None, *, image_id: str | None = None
    ) -> ceph_image.Image:
        """For the one caller whose handle spans several calls; it holds a lease and closes it."""
        return self._open(name, snapshot=snapshot, read_only=True, image_id=image_id)

    def _open(self, name: str | None, **options: Any) -> ceph_image.Image:
        label = name or options["image_id"]
        try:
            with ceph_errors.translated(f"open {label}"):
                return ceph_image.Image(label, self._lib.Image(self._ioctx, name, **options))
        except ceph_errors.NotFound:
            self.prove_pool()
            raise

    @ceph_errors.door
    def prove_pool(self) -> None:
        """ENOENT says "no image" only while the pool itself is there."""
        self._rados.wait_for_latest_osdmap()
        if self._rados.pool_lookup(self.access.pool) != self._ioctx.get_pool_id():
            raise ceph_errors.Lost(f"pool '{self.access.pool}' is gone")

    @ceph_errors.door
    def prove_alive(self) -> None:
        """Return when an OSD of the pool answers, whatever it says: one operation, however many images there are."""
        try:
            with ceph_errors.translated("stat"):
                self._ioctx.stat("rbd_directory")
        except ceph_errors.NotFound:
            self.prove_pool()

    @ceph_errors.door
    def create(self, name: str, size_bytes: int) -> None:
        self._rbd.create(self._ioctx, name, size_bytes, old_format=False, features=FEATURES)

    @ceph_errors.door
    def clone(self, name: str, snapshot: str, child: str) -> None:
        self._rbd.clone(self._ioctx, name, snapshot, self._ioctx, child, features=FEATURES)

    @ceph_errors.door
    def remove(self, name: str) -> None:
        self._rbd.remove(self._ioctx, name)

    @ceph_errors.door
    def rename(self, old: str, new: str) -> None:
        self._rbd.rename(self._ioctx, old, new)

    @ceph_errors.door
    def drop_name(self, name: str) -> None:
        """Remove what maps a name to an image id, and nothing else: half of a rename that was killed."""
        self._ioctx.remove_object(f"rbd_id.{name}")

    @ceph_errors.door
    def image_names(self) -> list[str]:
        return [str(name) for name in self._rbd.list(self._ioctx)]

    @ceph_errors.door
    def move_to_trash(self, name: str) -> None:
        self._rbd.trash_move(self._ioctx, name)

    @ceph_errors.door
    def trash(self) -> list[ceph_image.Trashed]:
        return [ceph_image.Trashed(each["id"], each["name"]) for each in self._rbd.trash_list(self._ioctx)]

    @ceph_errors.door
    def remove_from_trash(self, image_id: str) -> None:
        self._rbd.trash_remove(self._ioctx, image_id)

    # cluster

    @ceph_errors.door
    def mon(self, prefix: str, **arguments: str) -> Any:
        """A monitor command's JSON answer."""
        command = json.dumps({"prefix": prefix, "format": "json", **arguments})
        code, out, error = self._rados.mon_command(command, b"")
        if code:
            raise ceph_errors.BY_ERRNO.get(abs(code), ceph_errors.CephError)(f"{prefix}: {error}", abs(code))
        return json.loads(out) if out.strip() else None


# ------------------------------------------------------------------------------------------------------------ client


class Lease:
    """A session and how many use it; shut down when it is retired and the last one has left."""

    def __init__(self) -> None:
        self.session: Session | None = None
        self.connect_lock = threading.Lock()
        self.users = 0
        self.is_retired = False


class _Workers:
    """Daemon threads that run one job at a time; one that is stuck in librbd is simply not reused.

    Not a ThreadPoolExecutor: that one joins its threads at exit, and bounds them.
    """

    _KEEP_IDLE = 32

    def __init__(self) -> None:
        self._idle: list[queue.SimpleQueue[Callable[[], None]]] = []
        self._lock = threading.Lock()

    def submit(self, job: Callable[[], T]) -> concurrent.futures.Future[T]:
        future: concurrent.futures.Future[T] = concurrent.futures.Future()

        def run() -> None:
            try:
                result = job()
            except BaseException as err:  # noqa: BLE001  (it is raised again by the waiting caller)
                future.set_exception(err)
            else:
                future.set_result(result)

        with self._lock:
            inbox = self._idle.pop() if self._idle else None
        if inbox is None:
            inbox = queue.SimpleQueue()
            threading.Thread(target=self._work, args=(inbox,), name="ceph", daemon=True).start()
        inbox.put(run)
        return future

    def _work(self, inbox: "queue.SimpleQueue[Callable[[], None]]") -> None:
        while True:
            inbox.get()()
            with self._lock:
                if len(self._idle) >= self._KEEP_IDLE:
                    return
                self._idle.append(inbox)


_WORKERS = _Workers()


class Client:
    """Runs work on the current session, inside a deadline, and replaces a session that failed."""

    def __init__(self, access: Access) -> None:
        self.access = access
        self._lock = threading.Lock()
        self._lease = Lease()

    def run(self, work: Callable[[Session], T], *, lease: Lease | None = None) -> T:
        """The result of ``work``, or :class:`~volsnap.lowlevel.ceph_errors.Lost` when it did not come back in time.

        :param lease: the session of a claim the caller holds and keeps; by default the current one.
        """
        return self._run_within(self.access.deadline_s, work, lease)

    def _run_within(self, timeout_s: float, work: Callable[[Session], T], lease: Lease | None = None) -> T:
        lease, given_up = self.claim(lease), threading.Event()
        future = self.start(lease, work, given_up)
        try:
            return future.result(timeout_s)
        except concurrent.futures.TimeoutError:
            given_up.set()
            self._retire(lease)
            raise ceph_errors.Lost(f"no answer within {timeout_s:g} s", errno.ETIMEDOUT) from None

    def run_long(self, work: Callable[[Session, Report], T], progress: Report) -> T:
        """The same for work that copies data: it may take as long as the cluster is seen to be alive.

        When ``progress`` raises, the caller is free at once; librbd ends the step it is in behind its back.
        """
        reached, given_up = [0.0], threading.Event()
        lease = self.claim()
        future = self.start(lease, lambda session: work(session, lambda f: reached.__setitem__(0, f)), given_up)
        seen, since = -1.0, time.monotonic()
        try:
            while True:
                with contextlib.suppress(concurrent.futures.TimeoutError):
                    return future.result(0.5)
                fraction = reached[0]
                if fraction != seen:
                    seen, since = fraction, time.monotonic()
                elif time.monotonic() - since > self.access.deadline_s / 2:
                    # Silent: slow (a rollback never reports) or dead? Whoever still answers is slow.
                    self._run_within(self.access.deadline_s / 2, Session.prove_alive)
                    since = time.monotonic()
                progress(fraction)
        except ceph_errors.Lost:
            self._retire(lease)
            raise
        finally:
            given_up.set()

    def start(
        self,
        lease: Lease,
        work: Callable[[Session], T],
        given_up: threading.Event | None = None,
    ) -> concurrent.futures.Future[T]:
        """Run ``work`` on a claim, which is released behind it, without waiting for it."""

        def job() -> T:
            ceph_errors.JOB.is_given_up = given_up.is_set if given_up else lambda: False
            try:
                return work(self._connected(lease))
            except ceph_errors.Lost:
                self._retire(lease)
                raise
            finally:
                self.release(lease)

        return _WORKERS.submit(job)

    def claim(self, lease: Lease | None = None) -> Lease:
        """One more claim on that session, or on the current one; every claim is released once."""
        with self._lock:
            lease = lease or self._lease
            lease.users += 1
            return lease

    def release(self, lease: Lease) -> None:
        """Give a claim back."""
        with self._lock:
            lease.users -= 1
        self._shut_down_if_unused(lease)

    def close(self) -> None:
        """Let go of the connection; calls still under way finish on it. Waits for the usual case, not for a hang."""
        with self._lock:
            lease, self._lease = self._lease, Lease()
            lease.is_retired = True
        done = _WORKERS.submit(lambda: self._shut_down_if_unused(lease))
        with contextlib.suppress(concurrent.futures.TimeoutError):
            done.result(self.access.deadline_s)

    def _connected(self, lease: Lease) -> Session:
        with lease.connect_lock:
            if lease.session is None:
                lease.session = Session(self.access)
            return lease.session

    def _retire(self, lease: Lease) -> None:
        with self._lock:
            if lease is self._lease:
                LOG.warning("Ceph pool %s: connection given up", self.access.pool)
                self._lease = Lease()
            lease.is_retired = True

    def _shut_down_if_unused(self, lease: Lease) -> None:
        with self._lock:
            if lease.users or not lease.is_retired:
                return
            session, lease.session = lease.session, None
        if session is not None:
            session.shutdown()
