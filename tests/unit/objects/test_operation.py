"""The table of moves is whole: nothing can be begun that cannot end."""

import pytest

from volsnap.db import snapshots, volumes
from volsnap.objects.operation import MOVES, TRANSIENT, Kind, Resource
from volsnap.objects.snapshot import SnapshotStatus
from volsnap.objects.volume import VolumeStatus

_STATUSES = {Resource.VOLUME: set(VolumeStatus), Resource.SNAPSHOT: set(SnapshotStatus)}


def test_every_kind_has_a_move() -> None:
    """A kind without one could not be claimed."""
    assert set(MOVES) == set(Kind)


@pytest.mark.parametrize("kind", Kind)
def test_statuses_are_those_of_the_resource(kind: Kind) -> None:
    """And none that a move starts from or ends in is transient."""
    move = MOVES[kind]
    named = {move.during, move.done, move.failed, move.overdue, *move.sources} - {None}
    assert named <= _STATUSES[move.resource]
    assert not {move.done, move.failed, move.overdue, *move.sources} & TRANSIENT[move.resource]


@pytest.mark.parametrize("kind", Kind)
def test_making_is_undone_by_a_kind_that_shows_nothing(kind: Kind) -> None:
    """What takes the place of an overdue create has no statuses of its own: the user was told already."""
    undo = MOVES[kind].undo
    if undo is not None:
        assert MOVES[undo].resource is MOVES[kind].resource
        assert MOVES[undo].during is None and MOVES[undo].overdue is None and not MOVES[undo].removes


def test_passing_statuses_of_the_database_are_the_transient_ones() -> None:
    """``db`` is below this table and cannot import it; a revert makes its snapshot ``restoring``."""
    assert TRANSIENT[Resource.VOLUME] == volumes.PASSING
    assert TRANSIENT[Resource.SNAPSHOT] | {SnapshotStatus.RESTORING} == snapshots.PASSING
