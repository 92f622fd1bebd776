"""The one door to librados and librbd: a kept cluster connection whose calls all end.

Three invariants, each bought with a measurement (Ceph 16.2):

* **No image outlives its cluster handle.** An ``rbd.Image`` closed, or collected, after ``Rados.shutdown()`` hangs or
  kills the process. Images are opened by context managers only, a :class:`Session` counts its users, and it is shut
  down by whoever uses it last.
* **Every call ends inside its deadline.** librbd's own time-outs are not enough (``create_snap`` on a dead OSD takes
  twice ``rados_osd_op_timeout``, ``close`` on a frozen one 12 s), so calls run in worker threads and the caller waits.
  When it gives up, it abandons worker and session: the next call makes a new connection, and the old one is shut down
  when its last call has come back. Nothing is ever interrupted inside librbd.
* **One read-write handle per image and process.** Parallel handles of one image fight for its exclusive lock
  (26 create_snap/s from 8 threads, against 38/s on one handle, and librbd assertions have been seen elsewhere);
  :meth:`Session.image` shares it and closes it with its last user. It never lingers: an idle handle is a watcher,
  and a watcher makes other hosts' deletes fail. Read-only handles register no watch and are opened freely.

rbd and rados are imported with the first connection, so that importing this module needs no Ceph.
"""

import concurrent.futures
import contextlib
import ctypes
import dataclasses
import errno
import functools
import json
import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, ParamSpec, TypeVar

LOG = logging.getLogger(__name__)

T = TypeVar("T")
P = ParamSpec("P")
Report = Callable[[float], None]

#: layering, exclusive-lock, object-map, fast-diff. The object map costs 13 ms per snapshot on an image that has to be
#: opened for it, and makes a diff of 1 TiB 0.2 s instead of 20 s.
FEATURES = 1 | 4 | 8 | 16

_LIST_ATTEMPTS = 100
_USER_SNAPSHOT = 0  # RBD_SNAP_NAMESPACE_TYPE_USER


# ------------------------------------------------------------------------------------------------------------ errors


class CephError(Exception):
    """Ceph refused, with an errno that has no class of its own. The work may have happened."""

    def __init__(self, text: str, code: int = 0) -> None:
        self.code = code
        super().__init__(text)


class NotFound(CephError):
    """The image, snapshot or object is not there (the pool is)."""


class Exists(CephError):
    """Something of that name is there."""


class Busy(CephError):
    """Somebody watches the image, or the snapshot is protected."""


class HasSnapshots(CephError):
    """An image with snapshots (of any namespace) cannot be removed."""


class Full(CephError):
    """Pool quota, store, or a limit on the image."""


class Lost(CephError):
    """No answer, or none in time, or this client was cut off. The work may have happened: ask again."""


_BY_ERRNO: dict[int, type[CephError]] = {
    errno.ENOENT: NotFound,
    errno.EEXIST: Exists,
    errno.EBUSY: Busy,
    errno.ENOTEMPTY: HasSnapshots,
    errno.ENOSPC: Full,
    errno.EDQUOT: Full,
    # What a dead or frozen OSD has been seen to produce: Timeout; 74 from create_snap; ReadOnlyImage when the
    # exclusive lock cannot be had; ESHUTDOWN when the client was blocklisted.
    errno.ETIMEDOUT: Lost,
    errno.EBADMSG: Lost,
    errno.EROFS: Lost,
    errno.ESHUTDOWN: Lost,
    errno.ENOTCONN: Lost,
    errno.EINTR: Lost,
    errno.EAGAIN: Lost,
    errno.ECANCELED: Lost,
}


@contextlib.contextmanager
def translated(what: str) -> Iterator[None]:
    """Turn what the bindings raise into a :class:`CephError`; everything else passes."""
    try:
        yield
    except CephError:
        raise
    except Exception as err:
        if type(err).__module__ not in ("rbd", "rados"):
            raise
        code = abs(getattr(err, "errno", 0) or 0)
        raise _BY_ERRNO.get(code, CephError)(f"{what}: {err}", code) from err


class _Job(threading.local):
    """What this worker thread works for: ``is_given_up`` tells whether its caller still waits."""

    is_given_up: Callable[[], bool] = staticmethod(lambda: False)


_JOB = _Job()


def _door(method: Callable[P, T]) -> Callable[P, T]:
    """Name the call in the error: ``create_snapshot snapshot-…: [errno 2] …``.

    A job whose caller has gone ends at the next call. Otherwise it would wake up with the OSD, minutes later, and go
    on with what its caller has decided otherwise since.
    """

    @functools.wraps(method)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        words = [method.__name__, *(each for each in args if isinstance(each, str))]
        with translated(" ".join(words)):
            if _JOB.is_given_up():
                raise Lost("given up by its caller")
            return method(*args, **kwargs)

    return call


# ------------------------------------------------------------------------------------------------------------ images


@dataclasses.dataclass(frozen=True, slots=True)
class Snapshot:
    """A snapshot as its image lists it. ``is_user`` is False for trashed, group and mirror snapshots."""

    id: int
    name: str
    size_bytes: int
    is_user: bool


@dataclasses.dataclass(frozen=True, slots=True)
class Parent:
    """What an image was cloned from."""

    pool: str
    image_id: str


@dataclasses.dataclass(frozen=True, slots=True)
class Trashed:
    """An image in the trash."""

    id: str
    name: str


class Image:
    """An open image. Made by :class:`Session` only; every method raises :class:`CephError`."""

    def __init__(self, name: str, opened: Any) -> None:
        self.name = name
        self._rbd = opened

    def close(self) -> None:
        """Also for a job that was given up."""
        with translated(f"close {self.name}"):
            self._rbd.close()

    @_door
    def image_id(self) -> str:
        return str(self._rbd.id())

    @_door
    def size_bytes(self) -> int:
        return int(self._rbd.size())

    @_door
    def resize(self, size_bytes: int) -> None:
        self._rbd.resize(size_bytes)

    @_door
    def snapshots(self) -> list[Snapshot]:
        """All of them, of every namespace.

        The binding looks up the namespaces one by one; when another thread removes a snapshot meanwhile it says "image
        not found", which must never get out of here.
        """
        for _ in range(_LIST_ATTEMPTS):
            try:
                return [
                    Snapshot(each["id"], each["name"], each["size"], each["namespace"] == _USER_SNAPSHOT)
                    for each in self._rbd.list_snaps()
                ]
            except Exception as err:
                if abs(getattr(err, "errno", 0) or 0) != errno.ENOENT:
                    raise
        raise Lost(f"the snapshots of {self.name} change too fast to be listed")

    def find_snapshot(self, name: str) -> Snapshot | None:
        """The user snapshot of that name."""
        for each in self.snapshots():
            if each.name == name and each.is_user:
                return each
        return None

    @_door
    def create_snapshot(self, name: str) -> None:
        self._rbd.create_snap(name)

    @_door
    def remove_snapshot(self, name: str) -> None:
        """With clones of format 2 it moves to the trash namespace and goes with the last of them."""
        self._rbd.remove_snap(name)

    @_door
    def rename_snapshot(self, old: str, new: str) -> None:
        self._rbd.rename_snap(old, new)

    @_door
    def is_protected(self, name: str) -> bool:
        return bool(self._rbd.is_protected_snap(name))

    @_door
    def unprotect(self, name: str) -> None:
        self._rbd.unprotect_snap(name)

    @_door
    def rollback(self, name: str) -> None:
        self._rbd.rollback_to_snap(name)  # its binding has no progress

    @_door
    def flatten(self, report: Report) -> None:
        self._rbd.flatten(_reporting(report))

    @_door
    def parent(self) -> Parent | None:
        """None when it is no clone (any more)."""
        try:
            spec = self._rbd.get_parent_image_spec()
        except Exception as err:
            if abs(getattr(err, "errno", 0) or 0) == errno.ENOENT:
                return None
            raise
        return Parent(spec["pool_name"], str(self._rbd.parent_id()))

    @_door
    def watchers(self) -> int:
        """How many clients have it open for writing; this handle counts when it is one."""
        return len(list(self._rbd.watchers_list()))

    @_door
    def set_metadata(self, key: str, value: str) -> None:
        self._rbd.metadata_set(key, value)

    @_door
    def has_metadata(self, key: str) -> bool:
        return any(name == key for name, _ in self._rbd.metadata_list())

    @_door
    def read(self, offset: int, length: int) -> bytes:
        return bytes(self._rbd.read(offset, length))

    @_door
    def changed(self, offset: int, length: int, since: str | None) -> list[tuple[int, int, bool]]:
        """(offset, length, holds data) of the objects that differ from ``since``, or from nothing, in order."""
        found: list[tuple[int, int, bool]] = []
        self._rbd.diff_iterate(
            offset,
            length,
            since,
            lambda at, size, exists: found.append((at, size, bool(exists))),
            include_parent=True,
            whole_object=True,
        )
        return sorted(found)


def _reporting(report: Report) -> Callable[[int, int], int]:
    """librbd's progress callback; it cannot stop the work, so nothing may be raised from it."""

    def step(done: int, total: int) -> int:
        report(min(1.0, done / total) if total else 1.0)
        return 0

    return step


class _Shared:
    """The one read-write handle of an image. ``lock`` is held while it opens or closes."""

    __slots__ = ("image", "lock", "users")

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.image: Image | None = None
        self.users = 0


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
            raise Lost(f"the Ceph bindings (python3-rados, python3-rbd) are missing: {err}") from err
        self.access = access
        self._lib = rbd
        self._rbd = rbd.RBD()
        self._lock = threading.Lock()
        self._images: dict[str, _Shared] = {}
        try:
            self._rados = rados.Rados(conffile=access.conf, rados_id=access.user or "admin")
        except Exception as err:
            raise Lost(f"cannot use {access.conf}: {err}") from err
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
            raise Lost(f"cannot open pool '{access.pool}' as client.{access.user or 'admin'}: {err}") from err
        # A full pool: what frees space still works, what takes some is refused instead of blocked for ever.
        self._ioctx.set_osdmap_full_try()
        self.fsid = str(self._rados.get_fsid())

    def shutdown(self) -> None:
        """Only with no user left (see :class:`Lease`)."""
        self._ioctx.close()
        self._rados.shutdown()

    # images

    @contextlib.contextmanager
    def image(self, name: str) -> Iterator[Image]:
        """The shared read-write handle."""
        with self._lock:
            shared = self._images.setdefault(name, _Shared())
            shared.users += 1
        try:
            with shared.lock:
                if shared.image is None:
                    shared.image = self._open(name)
                image = shared.image
            yield image
        finally:
            self._leave(name, shared)

    def _leave(self, name: str, shared: _Shared) -> None:
        # Whoever comes while the last one closes waits for shared.lock and opens again: there are never two handles.
        with shared.lock:
            with self._lock:
                shared.users -= 1
                is_last = shared.users == 0
            image = shared.image
            try:
                if is_last and image is not None:
                    shared.image = None
                    image.close()
            finally:
                with self._lock:
                    if shared.users == 0 and self._images.get(name) is shared:
                        del self._images[name]

    @contextlib.contextmanager
    def reading(self, name: str | None, snapshot: str | None = None, *, image_id: str | None = None) -> Iterator[Image]:
        """A read-only handle of its own: no watch, no lock."""
        image = self.open_reading(name, snapshot, image_id=image_id)
        try:
            yield image
        finally:
            image.close()

    def open_reading(self, name: str | None, snapshot: str | None = None, *, image_id: str | None = None) -> Image:
        """For the one caller whose handle spans several calls; it holds a lease and closes it."""
        return self._open(name, snapshot=snapshot, read_only=True, image_id=image_id)

    def _open(self, name: str | None, **options: Any) -> Image:
        label = name or options["image_id"]
        try:
            with translated(f"open {label}"):
                return Image(label, self._lib.Image(self._ioctx, name, **options))
        except NotFound:
            self.prove_pool()
            raise

    @_door
    def prove_pool(self) -> None:
        """ENOENT says "no image" only while the pool itself is there."""
        self._rados.wait_for_latest_osdmap()
        if self._rados.pool_lookup(self.access.pool) != self._ioctx.get_pool_id():
            raise Lost(f"pool '{self.access.pool}' is gone")

    @_door
    def prove_alive(self) -> None:
        """Return when an OSD of the pool answers, whatever it says."""
        with contextlib.suppress(NotFound), translated("stat"):
            self._ioctx.stat("rbd_directory")

    @_door
    def create(self, name: str, size_bytes: int) -> None:
        self._rbd.create(self._ioctx, name, size_bytes, old_format=False, features=FEATURES)

    @_door
    def clone(self, name: str, snapshot: str, child: str) -> None:
        self._rbd.clone(self._ioctx, name, snapshot, self._ioctx, child, features=FEATURES)

    @_door
    def remove(self, name: str) -> None:
        self._rbd.remove(self._ioctx, name)

    @_door
    def rename(self, old: str, new: str) -> None:
        self._rbd.rename(self._ioctx, old, new)

    @_door
    def drop_name(self, name: str) -> None:
        """Remove what maps a name to an image id, and nothing else: half of a rename that was killed."""
        self._ioctx.remove_object(f"rbd_id.{name}")

    @_door
    def image_names(self) -> list[str]:
        return [str(name) for name in self._rbd.list(self._ioctx)]

    @_door
    def move_to_trash(self, name: str) -> None:
        self._rbd.trash_move(self._ioctx, name)

    @_door
    def trash(self) -> list[Trashed]:
        return [Trashed(each["id"], each["name"]) for each in self._rbd.trash_list(self._ioctx)]

    @_door
    def remove_from_trash(self, image_id: str) -> None:
        self._rbd.trash_remove(self._ioctx, image_id)

    # cluster

    @_door
    def mon(self, prefix: str, **arguments: str) -> Any:
        """A monitor command's JSON answer."""
        command = json.dumps({"prefix": prefix, "format": "json", **arguments})
        code, out, error = self._rados.mon_command(command, b"")
        if code:
            raise _BY_ERRNO.get(abs(code), CephError)(f"{prefix}: {error}", abs(code))
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
        """The result of ``work``, or :class:`Lost` when it did not come back in time.

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
            raise Lost(f"no answer within {timeout_s:g} s", errno.ETIMEDOUT) from None

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
        except Lost:
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
            _JOB.is_given_up = given_up.is_set if given_up else lambda: False
            try:
                return work(self._connected(lease))
            except Lost:
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
