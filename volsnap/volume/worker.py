"""The worker of one backend: claims operations, carries them out, writes what came of them.

Two lanes, so that a copy of a terabyte never stands before a snapshot: *cut* for work of constant cost, *copy* for
work that grows with the data. One thread claims for both, each lane works in a pool of its own, and a further thread
renews the leases.
"""

import concurrent.futures
import logging
import threading
import time
import uuid
from collections.abc import Callable, Collection
from typing import Any

from volsnap import exception
from volsnap.objects.operation import Kind
from volsnap.volume.drivers import base
from volsnap.volume.journal import Journal, Operation
from volsnap.volume.manager import Manager

LOG = logging.getLogger(__name__)

#: How long an operation waits after an answer that left open what happened; doubled each time up to the last.
_FIRST_DELAY_S = 0.5
_LAST_DELAY_S = 10.0

#: How often ``Failed`` (storage does not say why) is tried before the user is told.
_FAILED_TRIES = 3

#: Work that nobody waits for and that must not be given up: what it left would be an orphan.
_CLEANUP = frozenset({Kind.VOLUME_DISCARD, Kind.SNAPSHOT_DISCARD})


class LeaseLost(Exception):
    """Another worker has the operation now, or may have it: stop, and write nothing."""


class Interrupted(Exception):
    """The service ends: stop, and leave the operation to whoever comes next."""


class Leases:
    """The operations that this worker has in work, and until when it is sure to be the only one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._until: dict[int, float] = {}

    def add(self, operation_id: int, until: float) -> None:
        """Work begins; ``until`` in monotonic seconds."""
        with self._lock:
            self._until[operation_id] = until

    def remove(self, operation_id: int) -> None:
        """The work ended, whatever came of it: the lease is not renewed any more."""
        with self._lock:
            self._until.pop(operation_id, None)

    def ids(self) -> set[int]:
        """What is in work now."""
        with self._lock:
            return set(self._until)

    def extend(self, asked: Collection[int], renewed: Collection[int], until: float) -> None:
        """The leases on ``renewed`` hold until then; what was ``asked`` for beside them is lost."""
        with self._lock:
            for operation_id in self._until.keys() & set(asked):
                self._until[operation_id] = until if operation_id in renewed else 0.0

    def is_sure(self, operation_id: int) -> bool:
        """Nobody else can have taken it over yet."""
        with self._lock:
            return time.monotonic() < self._until.get(operation_id, 0.0)


class Lane:
    """A pool of threads for some kinds of work, which knows how many are free."""

    def __init__(self, name: str, threads: int, kinds: Collection[Kind]) -> None:
        self.kinds = frozenset(kinds)
        self._pool = concurrent.futures.ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._lock = threading.Lock()
        self._free = threads

    @property
    def free(self) -> int:
        """How much work the lane could begin now."""
        with self._lock:
            return self._free

    def submit(self, work: Callable[["Lane", Operation], None], operation: Operation) -> None:
        """Begin ``work(lane, operation)``; it calls :meth:`give_back` at its end."""
        with self._lock:
            self._free -= 1
        self._pool.submit(work, self, operation)

    def give_back(self) -> None:
        """One piece of work ended."""
        with self._lock:
            self._free += 1

    def stop(self) -> None:
        """Wait for what runs."""
        self._pool.shutdown(wait=True)


class Worker:
    """Works through the journal of one backend until it is stopped."""

    def __init__(
        self,
        backend: str,
        manager: Manager,
        journal: Journal,
        *,
        cut_threads: int,
        copy_threads: int,
        poll_s: float,
        lease_s: float,
    ) -> None:
        self.backend = backend
        self._manager = manager
        self._journal = journal
        self._owner = f"{backend}/{uuid.uuid4()}"
        self._poll_s = poll_s
        self._lease_s = lease_s
        self._threads = (cut_threads, copy_threads)
        self._lanes: list[Lane] = []
        self._lane_of: dict[Kind, Lane] = {}
        self._leases = Leases()
        self._stopping = threading.Event()
        self._stopped = threading.Event()
        self._bell = threading.Event()
        #: When the first operation that this worker put off falls due (monotonic seconds).
        self._due = float("inf")
        #: The last claim left work behind for want of a free thread.
        self._behind = False
        self._claimer = threading.Thread(target=self._run, name=f"{backend}-claim", daemon=True)
        self._renewer = threading.Thread(target=self._renew, name=f"{backend}-leases", daemon=True)

    def start(self) -> None:
        """Begin to work. The backend was looked at before: only then its driver knows what it can do."""
        copies = frozenset(self._manager.copy_kinds())
        cut_threads, copy_threads = self._threads
        self._lanes = [
            Lane(f"{self.backend}-cut", cut_threads, frozenset(Kind) - copies),
            Lane(f"{self.backend}-copy", copy_threads, copies),
        ]
        self._lane_of = {kind: lane for lane in self._lanes for kind in lane.kinds}
        self._renewer.start()
        self._claimer.start()

    def wake(self) -> None:
        """There may be work."""
        self._bell.set()

    def stop(self) -> None:
        """Finish short work, interrupt copies, begin nothing; what is left stays in the journal."""
        self._stopping.set()
        self._bell.set()
        self._claimer.join()
        for lane in self._lanes:
            lane.stop()
        self._stopped.set()  # leases are kept until the last work ended
        self._renewer.join()

    # claiming

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._bell.clear()
            try:
                taken = self._claim()
            except exception.ServiceUnavailable as err:
                LOG.warning("the journal cannot be read: %s", err)
                taken = 0
            except Exception:
                # The thread's edge: without this thread the backend would stand still for good.
                LOG.exception("claiming for %s broke off", self.backend)
                taken = 0
            if not taken or not self._behind:
                self._bell.wait(min(self._poll_s, max(self._due - time.monotonic(), 0.01)))

    def _claim(self) -> int:
        """Claim as much as there are free threads; returns how much was begun."""
        if self._due <= time.monotonic():
            self._due = float("inf")
        # Said before the lanes are counted: a thread that gets free meanwhile rings the bell.
        self._behind = True
        until = time.monotonic() + self._lease_s
        claimed = self._journal.claim(self.backend, self._lanes, self._owner, besides=self._leases.ids())
        for operation in claimed:
            self._leases.add(operation.id, until)
            self._lane_of[operation.kind].submit(self._one, operation)
        self._behind = any(lane.kinds and not lane.free for lane in self._lanes)
        return len(claimed)

    def _one(self, lane: Lane, operation: Operation) -> None:
        try:
            waiting = self._work(operation)
        except exception.ServiceUnavailable as err:
            # The lease is not renewed any more: it runs out, and another try follows.
            LOG.warning("%s of %s is left to its lease: %s", operation.kind, operation.resource_id, err)
            waiting = False
        except Exception:
            # The thread's edge: as above.
            LOG.exception("%s of %s is left to its lease", operation.kind, operation.resource_id)
            waiting = False
        self._leases.remove(operation.id)
        lane.give_back()
        if waiting or self._behind:
            self._bell.set()

    def _renew(self) -> None:
        while not self._stopped.wait(self._lease_s / 3):
            try:
                self._renew_once()
            except exception.ServiceUnavailable as err:
                LOG.warning("leases could not be renewed: %s", err)
            except Exception:
                # The thread's edge: the next round tries again.
                LOG.exception("leases of %s could not be renewed", self.backend)

    def _renew_once(self) -> None:
        held = self._leases.ids()
        if held:
            until = time.monotonic() + self._lease_s
            self._leases.extend(held, self._journal.renew(self._owner, held), until)

    # working

    def _work(self, operation: Operation) -> bool:
        """Carry one operation out; True when other work waits for its resources."""
        started = time.monotonic()
        try:
            self._require_lease(operation)
            values = self._manager.carry_out(operation, self._progress(operation))
        except LeaseLost:
            self._journal.drop(operation)
            return False
        except Interrupted:
            self._journal.hand_back(operation)
            return False
        except base.DriverError as err:
            return self._refused(operation, err)
        except exception.ServiceUnavailable:
            raise
        except Exception:
            LOG.exception("%s of %s broke off", operation.kind, operation.resource_id)
            return self._refused(operation, base.Failed("The service met an unexpected error."))
        waiting = self._journal.finish(operation, **values)
        LOG.info(
            "%s %s done in %.3f s (attempt %d, %s)",
            operation.kind,
            operation.resource_id,
            time.monotonic() - started,
            operation.attempt,
            operation.request_id,
        )
        return waiting

    def _refused(self, operation: Operation, err: base.DriverError) -> bool:
        """Storage did not do it: for good, or we do not know yet."""
        LOG.warning(
            "%s %s: %s: %s (attempt %d, %s)",
            operation.kind,
            operation.resource_id,
            type(err).__name__,
            err,
            operation.attempt,
            operation.request_id,
        )
        if err.final and operation.kind not in _CLEANUP:
            return self._journal.fail(operation, str(err), **_restored(operation))
        delay = min(_FIRST_DELAY_S * 2 ** min(operation.attempt - 1, 10), _LAST_DELAY_S)
        give_up = isinstance(err, base.Failed) and operation.attempt >= _FAILED_TRIES
        self._journal.postpone(operation, str(err), delay, give_up=give_up)
        self._due = min(self._due, time.monotonic() + delay)
        return True  # the claimer has to look when it falls due

    def _require_lease(self, operation: Operation) -> None:
        """A process that stood still for longer than its lease must not touch the storage: somebody else did.

        :raises LeaseLost: it may have.
        """
        if not self._leases.is_sure(operation.id):
            raise LeaseLost

    def _progress(self, operation: Operation) -> base.Progress:
        last = 0.0

        def report(fraction: float) -> None:
            nonlocal last
            if time.monotonic() - last < 1.0:
                return
            last = time.monotonic()
            if self._stopping.is_set():
                raise Interrupted
            self._require_lease(operation)
            try:
                held = self._journal.report(operation, int(fraction * 100))
            except exception.ServiceUnavailable:
                return  # a database that is away for a moment is no reason to begin a long copy anew
            if not held:
                raise LeaseLost

        return report


def _restored(operation: Operation) -> dict[str, Any]:
    """The columns that a failed operation puts back."""
    if operation.kind is Kind.VOLUME_EXTEND:
        return {"size_gib": int(operation.params["old_size_gib"])}
    return {}
