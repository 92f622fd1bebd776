"""The kinds of work in the journal, and the legal moves of a status that belong to each.

This table is the life cycle of volumes and snapshots. No other module decides what status an action may start from,
passes through or ends in; ``docs/lifecycle.md`` is drawn from it.
"""

import dataclasses
import enum

from volsnap.objects.snapshot import SnapshotStatus as S
from volsnap.objects.volume import VolumeStatus as V


class Resource(enum.StrEnum):
    """What an operation changes."""

    VOLUME = "volume"
    SNAPSHOT = "snapshot"


class Kind(enum.StrEnum):
    """What an operation does. The words stand in the journal: they are never changed or reused."""

    VOLUME_CREATE = "volume.create"
    VOLUME_FROM_SNAPSHOT = "volume.from_snapshot"
    VOLUME_CLONE = "volume.clone"
    VOLUME_EXTEND = "volume.extend"
    VOLUME_REVERT = "volume.revert"
    VOLUME_DELETE = "volume.delete"
    VOLUME_DISCARD = "volume.discard"
    SNAPSHOT_CREATE = "snapshot.create"
    SNAPSHOT_DELETE = "snapshot.delete"
    SNAPSHOT_DISCARD = "snapshot.discard"


@dataclasses.dataclass(frozen=True, slots=True)
class Move:
    """How one kind of work moves its resource's status.

    :ivar sources: where it may start; empty for work that makes the resource.
    :ivar during: while it is in the journal.
    :ivar done: afterwards; ``None`` goes back to the status before.
    :ivar failed: when storage says that it is impossible; ``None`` goes back to the status before.
    :ivar overdue: when storage has not answered until the operation's deadline; the work goes on.
    :ivar undo: the work that takes its place once it is overdue; ``None``: it goes on as it is.
    :ivar removes: the row goes when it is done.
    """

    resource: Resource
    sources: frozenset[str]
    during: str | None
    done: str | None
    failed: str | None
    overdue: str | None
    undo: Kind | None = None
    removes: bool = False


def _making(resource: Resource, undo: Kind) -> Move:
    """The statuses of making something are the same words for volumes and snapshots."""
    return Move(
        resource,
        frozenset(),
        V.CREATING,
        done=V.AVAILABLE,
        failed=V.ERROR,
        overdue=V.ERROR,
        undo=undo,
    )


def _discarding(resource: Resource) -> Move:
    return Move(resource, frozenset(), None, done=None, failed=None, overdue=None)


_MAKE_VOLUME = _making(Resource.VOLUME, Kind.VOLUME_DISCARD)

MOVES: dict[Kind, Move] = {
    Kind.VOLUME_CREATE: _MAKE_VOLUME,
    Kind.VOLUME_FROM_SNAPSHOT: _MAKE_VOLUME,
    Kind.VOLUME_CLONE: _MAKE_VOLUME,
    Kind.VOLUME_EXTEND: Move(
        Resource.VOLUME,
        frozenset({V.AVAILABLE, V.IN_USE}),
        V.EXTENDING,
        done=None,
        failed=None,
        overdue=V.ERROR_EXTENDING,
    ),
    Kind.VOLUME_REVERT: Move(
        Resource.VOLUME,
        frozenset({V.AVAILABLE}),
        V.REVERTING,
        done=V.AVAILABLE,
        failed=None,
        overdue=V.ERROR,
    ),
    Kind.VOLUME_DELETE: Move(
        Resource.VOLUME,
        frozenset(
            {
                V.AVAILABLE,
                V.ERROR,
                V.ERROR_RESTORING,
                V.ERROR_EXTENDING,
                V.ERROR_MANAGING,
                V.ERROR_DELETING,
            }
        ),
        V.DELETING,
        done=None,
        failed=None,
        overdue=V.ERROR_DELETING,
        removes=True,
    ),
    Kind.VOLUME_DISCARD: _discarding(Resource.VOLUME),
    Kind.SNAPSHOT_CREATE: _making(Resource.SNAPSHOT, Kind.SNAPSHOT_DISCARD),
    Kind.SNAPSHOT_DELETE: Move(
        Resource.SNAPSHOT,
        frozenset({S.AVAILABLE, S.ERROR, S.ERROR_DELETING}),
        S.DELETING,
        done=None,
        failed=None,
        overdue=S.ERROR_DELETING,
        removes=True,
    ),
    Kind.SNAPSHOT_DISCARD: _discarding(Resource.SNAPSHOT),
}

#: Statuses that only work in the journal may hold: a resource in one of them has an operation, or is stuck.
TRANSIENT: dict[Resource, frozenset[str]] = {
    resource: frozenset(move.during for move in MOVES.values() if move.resource is resource and move.during)
    for resource in Resource
}
