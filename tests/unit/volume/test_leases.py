"""What a worker knows of its leases."""

import time

from volsnap.volume.worker import Leases


def test_sure_until_the_lease_runs_out() -> None:
    """And not of what was never added, or has ended."""
    leases = Leases()
    assert not leases.is_sure(1)
    leases.add(1, time.monotonic() + 60)
    leases.add(2, time.monotonic() - 1)
    assert leases.is_sure(1) and not leases.is_sure(2)
    leases.remove(1)
    assert not leases.is_sure(1)
    assert leases.ids() == {2}


def test_renewal() -> None:
    """What was renewed holds on, what was lost does not, what began meanwhile is left alone, what ended stays ended."""
    leases = Leases()
    later = time.monotonic() + 60
    for operation_id in (1, 2, 3):
        leases.add(operation_id, later)
    asked = leases.ids()
    leases.add(4, later)
    leases.remove(3)
    leases.extend(asked, {1, 3}, later + 60)
    assert [leases.is_sure(number) for number in (1, 2, 3, 4)] == [True, False, False, True]
    assert leases.ids() == {1, 2, 4}
