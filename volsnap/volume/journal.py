"""The journal of unfinished work: how a request's intent survives everything.

The protocol, in the order of a request's life:

1. **Intent.** The request's one transaction claims the resource's status, counts the quota, writes the row *and* an
   operation (:meth:`Journal.submit`). Committed together, or not at all.
2. **Hint.** A message wakes the backend's worker. It carries no state; a worker that never gets it finds the
   operation when it next looks.
3. **Lease.** A worker claims the operation for ``lease_seconds`` and renews while it lives (:meth:`Journal.claim`,
   :meth:`Journal.renew`). Each claim raises ``attempt``, the fence: what an earlier attempt still writes is refused.
4. **Work.** Driver calls that may be repeated.
5. **Result.** The new status and the end of the operation in one transaction (:meth:`Journal.finish`,
   :meth:`Journal.fail`), or the operation goes back to wait (:meth:`Journal.postpone`) when storage left it open.

A finished operation has no row. So recovery after a crash is no special code: what is in the journal is to be done.
"""

import dataclasses
import logging
import threading
import time
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Protocol

import orjson

from volsnap.context import RequestContext
from volsnap.db import engine, messages, operations, snapshots, volumes
from volsnap.db.engine import Connection, Database, Row
from volsnap.objects.operation import MOVES, Kind, Move, Resource
from volsnap.objects.snapshot import SnapshotStatus
from volsnap.objects.volume import VolumeStatus

LOG = logging.getLogger(__name__)

#: How long a user message is kept, in seconds.
MESSAGE_TTL_S = 30 * 86400

_FIRST_LOOK_S = 0.010
_LAST_LOOK_S = 0.200
#: An announcement may come before somebody expects it.
_LOCAL_LOOK_S = 0.500

_ROWS: Mapping[Resource, Any] = {Resource.VOLUME: volumes, Resource.SNAPSHOT: snapshots}


@dataclasses.dataclass(frozen=True, slots=True)
class Operation:
    """One claimed piece of work."""

    id: int
    kind: Kind
    backend: str
    resource_id: str
    source_id: str | None
    params: Mapping[str, Any]
    project_id: str
    user_id: str
    request_id: str
    attempt: int
    deadline: float

    @property
    def move(self) -> Move:
        """The status moves of this kind of work."""
        return MOVES[self.kind]

    @property
    def is_overdue(self) -> bool:
        """Whether the user has been, or must now be, told that storage does not answer."""
        return 0 < self.deadline < time.time()


class Lane(Protocol):
    """Where a worker does some kinds of work."""

    @property
    def kinds(self) -> frozenset[Kind]:
        """What is done there."""

    @property
    def free(self) -> int:
        """How much more could begin now."""


class Announcer:
    """Tells threads of this process that an operation was worked on, so that they need not ask the database."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[int, threading.Event] = {}
        #: Backends whose worker runs in this process.
        self.backends: set[str] = set()

    def expect(self, operation_id: int) -> threading.Event:
        """The event that :meth:`announce` will set."""
        with self._lock:
            return self._waiting.setdefault(operation_id, threading.Event())

    def forget(self, operation_id: int) -> None:
        """Nobody waits any more."""
        with self._lock:
            self._waiting.pop(operation_id, None)

    def announce(self, operation_id: int) -> None:
        """The operation ended, or was put off."""
        with self._lock:
            event = self._waiting.get(operation_id)
        if event is not None:
            event.set()


class Journal:
    """The journal in one database.

    :param wake: casts the hint to a backend's workers.
    :param lease_s: how long a claim lasts without renewal.
    :param deadline_s: how long the user waits for storage to answer before being told.
    """

    def __init__(
        self,
        database: Database,
        announcer: Announcer,
        wake: Callable[[str], None],
        *,
        lease_s: float,
        deadline_s: float,
    ) -> None:
        self._database = database
        self._announcer = announcer
        self.wake = wake
        self._lease_s = lease_s
        self._deadline_s = deadline_s

    # the request's side

    def submit(
        self,
        conn: Connection,
        context: RequestContext,
        kind: Kind,
        *,
        backend: str,
        resource_id: str,
        source_id: str | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> int:
        """Write the intent inside the request's transaction; returns the operation's id. Then :attr:`wake`."""
        row = {
            "kind": kind,
            "backend": backend,
            "resource_id": resource_id,
            "source_id": source_id,
            "params": orjson.dumps(params or {}).decode(),
            "project_id": context.project_id,
            "user_id": context.user_id,
            "request_id": context.request_id,
            "created_at": engine.now(),
        }
        return operations.create(conn, row)

    def wake_and_wait(self, operation_id: int, backend: str, timeout_s: float) -> None:
        """Wake the workers; return when the operation ended or was put off, or after ``timeout_s`` seconds."""
        event = self._announcer.expect(operation_id)
        deadline = time.monotonic() + timeout_s
        # A worker in this process announces; another process can only be watched through the database.
        pause = _LOCAL_LOOK_S if backend in self._announcer.backends else _FIRST_LOOK_S
        try:
            self.wake(backend)
            while not event.wait(min(pause, max(deadline - time.monotonic(), 0))):
                if time.monotonic() >= deadline or not self._is_untried(operation_id):
                    return
                pause = min(pause * 1.5, max(pause, _LAST_LOOK_S))
        finally:
            self._announcer.forget(operation_id)

    def _is_untried(self, operation_id: int) -> bool:
        with self._database.read() as conn:
            return operations.is_untried(conn, operation_id)

    # the worker's side

    def claim(self, backend: str, lanes: Sequence[Lane], owner: str, besides: Collection[int] = ()) -> list[Operation]:
        """Take what may run now, of each lane's kinds as much as it has room for.

        :param besides: operations that the caller still works on, though their leases may have run out.
        """
        room = {lane: lane.free for lane in lanes}
        lane_of = {kind: lane for lane in lanes for kind in lane.kinds if room[lane]}
        if not lane_of:
            return []
        with self._database.read() as conn:
            rows = operations.ready(conn, backend, lane_of, sum(room.values()) + len(besides))
        chosen = []
        for row in rows:
            lane = lane_of[Kind(row.kind)]
            if room[lane] and row.id not in besides:
                room[lane] -= 1
                chosen.append(row)
        if not chosen:
            return []
        with self._database.write() as conn:
            return [_operation(row) for row in chosen if operations.claim(conn, row, owner, self._lease_s)]

    def renew(self, owner: str, operation_ids: Collection[int]) -> set[int]:
        """Keep the leases of ``owner`` on these operations; to be called well within ``lease_s``.

        Only what is really worked on may be named: the lease of anything else must run out. Returns those that are
        still the owner's.
        """
        with self._database.write() as conn:
            return operations.renew(conn, owner, operation_ids, self._lease_s)

    def report(self, operation: Operation, percent: int) -> bool:
        """Record progress; False when the lease was lost and the work should stop."""
        with self._database.write() as conn:
            return operations.update(conn, operation.id, operation.attempt, progress=percent)

    def finish(self, operation: Operation, **values: Any) -> bool:
        """The work is done: write ``values`` and the new status, and end the operation.

        Returns whether other work waits for a resource of this one.
        """
        move = operation.move
        with self._database.write() as conn:
            if not operations.end(conn, operation.id, operation.attempt):
                return self._fenced(conn, operation)
            if move.removes:
                _ROWS[move.resource].delete(conn, operation.resource_id)
            else:
                _settle(conn, operation, move.done, **values)
            waiting = _let_go(conn, operation)
        self._announcer.announce(operation.id)
        return waiting

    def fail(self, operation: Operation, reason: str, **values: Any) -> bool:
        """Storage says it is impossible: write the status and tell the user why, and end the operation.

        Returns whether other work waits for a resource of this one.
        """
        with self._database.write() as conn:
            if not operations.end(conn, operation.id, operation.attempt):
                return self._fenced(conn, operation)
            _settle(conn, operation, operation.move.failed, **values)
            _tell(conn, operation, reason)
            waiting = _let_go(conn, operation)
        self._announcer.announce(operation.id)
        return waiting

    def postpone(self, operation: Operation, reason: str, delay_s: float, *, give_up: bool = False) -> None:
        """Storage left its answer open: try again after ``delay_s``; past the deadline, tell the user.

        :param give_up: tell the user now.
        """
        move = operation.move
        late = (give_up or operation.is_overdue) and move.overdue is not None
        values: dict[str, Any] = {"not_before": time.time() + delay_s, "error": reason}
        if not operation.deadline:  # the clock starts with the first open answer, not while the work waited or went on
            values["deadline"] = time.time() + self._deadline_s
        if late and move.undo is not None:
            values["kind"] = move.undo
        with self._database.write() as conn:
            if not operations.release(conn, operation.id, operation.attempt, **values):
                self._fenced(conn, operation)
            elif late and _overdue(conn, operation, move):
                _tell(conn, operation, f"{reason} The service goes on trying.")
        self._announcer.announce(operation.id)

    def tell_waiting(self, backend: str) -> None:
        """While the storage is away, work that was never begun is late too: tell its users."""
        with self._database.write() as conn:
            for row in operations.waiting_since(conn, backend, engine.later(-self._deadline_s)):
                operation = _operation(row)
                move = operation.move
                if move.overdue is None or not _overdue(conn, operation, move):
                    continue
                if move.undo is not None:
                    operations.update(conn, row.id, row.attempt, kind=move.undo)
                _tell(conn, operation, "The storage does not answer. The service goes on trying.")

    def hand_back(self, operation: Operation) -> None:
        """Stop working on it without a result: whoever claims next begins at once."""
        with self._database.write() as conn:
            if not operations.release(conn, operation.id, operation.attempt):
                self._fenced(conn, operation)

    def drop(self, operation: Operation) -> None:
        """The lease was lost while the work ran: write nothing, but leave nothing behind either."""
        with self._database.write() as conn:
            self._fenced(conn, operation)

    def _fenced(self, conn: Connection, operation: Operation) -> bool:
        """Drop a result that came too late.

        What was *made* too late may be an orphan: another worker made it too, and since then it was deleted, perhaps
        before our storage call and not after. So it is removed once more; no other object ever has its name.
        """
        LOG.warning(
            "%s of %s: another worker took it over; this result is dropped",
            operation.kind,
            operation.resource_id,
        )
        move = operation.move
        if move.undo is not None:
            row = _ROWS[move.resource].find(conn, operation.resource_id)
            if row is None or row.status in _DELETED:
                operations.create(conn, _undoing(operation, move.undo))
        return False


def tell(
    conn: Connection,
    *,
    project_id: str,
    request_id: str,
    resource: Resource,
    resource_id: str,
    action: str,
    reason: str,
) -> None:
    """Leave a message for the user: what failed, and why."""
    row = {
        "id": str(uuid.uuid4()),
        "project_id": project_id,
        "request_id": request_id,
        "resource_type": "VOLUME" if resource is Resource.VOLUME else "VOLUME_SNAPSHOT",
        "resource_uuid": resource_id,
        "action_id": action,
        "detail_id": "001",
        "level": "ERROR",
        "text": reason,
        "created_at": engine.now(),
        "expires_at": engine.later(MESSAGE_TTL_S),
    }
    messages.create(conn, row)


def _tell(conn: Connection, operation: Operation, reason: str) -> None:
    """Tell the user who asked for ``operation``."""
    tell(
        conn,
        project_id=operation.project_id,
        request_id=operation.request_id,
        resource=operation.move.resource,
        resource_id=operation.resource_id,
        action=_ACTIONS[operation.kind],
        reason=reason,
    )


#: The action ids of the Block Storage API's user messages.
_ACTIONS: Mapping[Kind, str] = {
    Kind.VOLUME_CREATE: "008",
    Kind.VOLUME_FROM_SNAPSHOT: "008",
    Kind.VOLUME_CLONE: "008",
    Kind.VOLUME_EXTEND: "007",
    Kind.VOLUME_REVERT: "008",
    Kind.VOLUME_DELETE: "008",
    Kind.VOLUME_DISCARD: "008",
    Kind.SNAPSHOT_CREATE: "009",
    Kind.SNAPSHOT_DELETE: "010",
    Kind.SNAPSHOT_DISCARD: "010",
}


#: Statuses of a resource whose object is, or will be, removed.
_DELETED = frozenset({VolumeStatus.DELETING, VolumeStatus.ERROR_DELETING})


def _undoing(operation: Operation, kind: Kind) -> dict[str, Any]:
    """The row of a new operation ``kind`` that undoes ``operation``."""
    return {
        "kind": kind,
        "backend": operation.backend,
        "resource_id": operation.resource_id,
        "source_id": operation.source_id,
        "params": orjson.dumps(operation.params).decode(),
        "project_id": operation.project_id,
        "user_id": operation.user_id,
        "request_id": operation.request_id,
        "deadline": operation.deadline,
        "created_at": engine.now(),
    }


def _operation(row: Row) -> Operation:
    """The record of a row that was just claimed."""
    return Operation(
        id=row.id,
        kind=Kind(row.kind),
        backend=row.backend,
        resource_id=row.resource_id,
        source_id=row.source_id,
        params=orjson.loads(row.params),
        project_id=row.project_id,
        user_id=row.user_id,
        request_id=row.request_id,
        attempt=row.attempt + 1,
        deadline=row.deadline,
    )


def _own_statuses(move: Move) -> Sequence[str]:
    """The statuses this work itself gave the resource: only from these may its result move it on."""
    return [status for status in (move.during, move.overdue) if status is not None]


def _settle(conn: Connection, operation: Operation, status: str | None, **values: Any) -> None:
    """Write ``values``, and ``status`` unless the resource has moved on; None goes back to the status before."""
    move = operation.move
    if move.during is not None:
        rows = _ROWS[move.resource]
        rows.settle(conn, operation.resource_id, _own_statuses(move), status, **values)


def _overdue(conn: Connection, operation: Operation, move: Move) -> bool:
    """Show the user that storage does not answer; True when that is news."""
    assert move.during is not None and move.overdue is not None
    news: bool = _ROWS[move.resource].overdue(conn, operation.resource_id, move.during, move.overdue)
    return news


def _let_go(conn: Connection, operation: Operation) -> bool:
    """Free what the work held beside its resource; True when other work waits for either."""
    if operation.kind is Kind.VOLUME_REVERT and operation.source_id is not None:
        snapshots.settle(conn, operation.source_id, [SnapshotStatus.RESTORING], None)
    touched = [operation.resource_id, *([operation.source_id] if operation.source_id else [])]
    return operations.has_waiting(conn, touched)
