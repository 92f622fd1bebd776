"""What the conformance suite needs to know of a backend besides its driver: real storage, seen from outside.

Every method works with the backend's own means (files, LVM commands and block devices, librbd),
never through the driver, so that the suite proves the driver against an independent witness.
"""

import abc
import contextlib
from collections.abc import Iterator

from volsnap.volume.drivers import base


class Backend(abc.ABC):
    """One real storage backend under test."""

    #: "file", "lvm-thick", "lvm-thin" or "rbd".
    name: str
    driver: base.Driver
    #: The size of the volumes the suite makes; small, and a multiple of every backend's
    #: allocation unit.
    volume_bytes: int
    #: The deadline the driver under test was given; with the storage gone, every call ends inside
    #: it (and a margin).
    deadline_s: float = 10.0
    #: How many snapshots of one volume the suite makes where it makes "many"; lower it where one
    #: takes long.
    many: int = 200
    #: False: a snapshot of a volume that is written *without any pause* may be refused with Busy
    #: (never a torn one).
    cuts_while_written: bool = True
    #: The names of objects that ``inventory`` lists and that are the backend's own (a thin pool);
    #: seen as not ours.
    furniture: frozenset[str] = frozenset()

    @abc.abstractmethod
    def fresh_driver(self) -> base.Driver:
        """Another driver object on the same storage, as after a restart of the process."""

    @contextlib.contextmanager
    def fresh_driver_closed(self) -> Iterator[base.Driver]:
        """:meth:`fresh_driver` for a ``with``: closed at its end."""
        driver = self.fresh_driver()
        try:
            yield driver
        finally:
            driver.close()

    @abc.abstractmethod
    def write(self, volume: base.VolumeRef, offset: int, data: bytes) -> None:
        """Write durably, as an attached guest would."""

    @abc.abstractmethod
    def read(self, volume: base.VolumeRef, offset: int, length: int) -> bytes:
        """Read, as an attached guest would."""

    @abc.abstractmethod
    def object_names(self) -> set[str]:
        """Every volume and snapshot name on the storage (all kinds of leftovers included)."""

    @abc.abstractmethod
    def make_foreign_volume(self, name: str, size_bytes: int) -> None:
        """An object we did not make, to be adopted."""

    @abc.abstractmethod
    def make_foreign_snapshot(self, volume: base.VolumeRef, name: str) -> None:
        """A snapshot of ``volume`` that we did not make, to be adopted."""

    @abc.abstractmethod
    def plant_half_volume(self, volume: base.VolumeRef) -> None:
        """Leave on storage what a create of ``volume`` killed in the middle would leave."""

    @abc.abstractmethod
    def plant_half_snapshot(self, snapshot: base.SnapshotRef) -> None:
        """Leave on storage what a create of ``snapshot`` killed in the middle would leave."""

    @abc.abstractmethod
    def full(self) -> contextlib.AbstractContextManager[None]:
        """Inside, the storage has no room for another volume or snapshot; afterwards it has again."""

    @abc.abstractmethod
    def gone(self) -> contextlib.AbstractContextManager[None]:
        """Inside, the storage does not answer (daemon stopped, VG missing, directory away)."""

    @abc.abstractmethod
    def reset(self) -> None:
        """Remove every object between two tests."""
