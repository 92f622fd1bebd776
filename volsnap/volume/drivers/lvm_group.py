"""The volume group as the LVM driver and its two layouts use it: turns, claims, lookups, whole-or-not-there makes.

One invariant: **an object under its final name is whole.** What takes more than one LVM command is made under a name of
its own (``lvm_names.py``) and gets the final name by ``lvrename``, which is one atomic change of LVM's metadata. So no
mark is needed to know a half-made object: its name says it.
"""

import collections
import contextlib
import dataclasses
import errno
import logging
import threading
import time
from collections.abc import Callable, Iterator

from volsnap import units
from volsnap.lowlevel import devmapper, lvm, run
from volsnap.volume.drivers import base, lvm_names

LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, slots=True)
class LvmSettings:
    """The driver's part of the configuration; ``volsnap/conf/lvm.py`` explains each field."""

    volume_group: str
    lvm_type: str = "thin"
    lvm_thin_pool: str = ""
    lvm_thin_pool_percent: int = 95
    lvm_max_over_subscription_ratio: float = 20.0
    lvm_warn_percent: int = 70
    lvm_refuse_percent: int = 85
    lvm_cow_percent: int = 20
    lvm_cow_min_mib: int = 256
    lvm_cow_extend_percent: int = 50
    lvm_config: str = ""
    lvm_deadline_s: float = 60.0

    @property
    def thin(self) -> bool:
        """Everything lives in a thin pool."""
        return self.lvm_type == "thin"

    @property
    def pool(self) -> str:
        """The thin pool's name, by default Cinder's."""
        return self.lvm_thin_pool or f"{self.volume_group}-pool"


_ERRORS: dict[lvm.Reason, type[base.DriverError]] = {
    lvm.Reason.VG_MISSING: base.Unavailable,
    lvm.Reason.LV_MISSING: base.NotFound,
    lvm.Reason.EXISTS: base.AlreadyExists,
    lvm.Reason.NO_SPACE: base.NoSpace,
    lvm.Reason.BUSY: base.Busy,
    lvm.Reason.UNKNOWN: base.Failed,
}


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Errors of the level below as errors of the contract."""
    try:
        yield
    except run.CommandTimeout as err:
        raise base.Unavailable(f"LVM did not answer: {err}") from err
    except run.CommandError as err:
        kind = base.Unavailable if err.code == 127 else _ERRORS[lvm.reason(err)]
        raise kind(f"{err.argv[0]}: {' '.join(err.stderr.split())}") from err
    except lvm.BadReport as err:
        raise base.Failed(f"LVM's report is not understood: {err}") from err
    except OSError as err:
        if err.errno == errno.EBUSY:
            raise base.Busy(str(err)) from err
        raise base.Failed(f"reading or writing a device failed: {err}") from err


class Turns:
    """A lock that serves its waiters in the order they came.

    ``threading.Lock`` does not: a thread with several commands to run takes it again and again, while another one
    waits past its deadline.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._taken = False
        self._waiting: collections.deque[threading.Event] = collections.deque()

    def take(self, timeout_s: float) -> bool:
        """Wait for our turn; False: it did not come in time."""
        with self._guard:
            if not self._taken:
                self._taken = True
                return True
            mine = threading.Event()
            self._waiting.append(mine)
        if mine.wait(timeout_s):
            return True
        with self._guard:
            if mine.is_set():  # it came after all, just now
                return True
            self._waiting.remove(mine)
            return False

    def give(self) -> None:
        """End our turn; it goes to the first who waits."""
        with self._guard:
            if self._waiting:
                self._waiting.popleft().set()
            else:
                self._taken = False


#: One for each volume group and process: LVM serialises commands by a lock file anyway, and waits there cost a process.
_TURNS: dict[str, Turns] = collections.defaultdict(Turns)


class Group:
    """See the module."""

    def __init__(self, settings: LvmSettings) -> None:
        self.settings = settings
        self.vg = settings.volume_group
        self.lvm = lvm.Lvm(self.vg, settings.lvm_deadline_s, settings.lvm_config)
        self._extent_bytes = 4 * units.MIB
        self._extent_is_known = False
        self._turns = _TURNS[self.vg]
        self._busy: set[str] = set()
        self._busy_lock = threading.Lock()

    # one at a time

    @contextlib.contextmanager
    def serial(self) -> Iterator[None]:
        """One changing LVM command of ours at a time on the group. Not to be nested."""
        if not self._turns.take(self.settings.lvm_deadline_s):
            raise base.Unavailable(f"LVM is busy with {self.vg}")
        try:
            yield
        finally:
            self._turns.give()

    @contextlib.contextmanager
    def claimed(self, name: str) -> Iterator[None]:
        """Long work on one object, which does not hold the group's turn, is done by one caller at a time."""
        end = time.monotonic() + self.settings.lvm_deadline_s / 2
        while not self._claim(name):
            if time.monotonic() > end:
                raise base.Unavailable(f"{name} is being worked on")
            time.sleep(0.02)
        try:
            yield
        finally:
            with self._busy_lock:
                self._busy.discard(name)

    def _claim(self, name: str) -> bool:
        with self._busy_lock:
            if name in self._busy:
                return False
            self._busy.add(name)
            return True

    # looking

    def path(self, name: str) -> str:
        """The device a logical volume is opened by.

        Not ``/dev/<vg>/<name>``: where no udev runs, LVM makes that link anew at each change, and it is missing then.
        """
        return f"/dev/mapper/{devmapper.lvm_device_name(self.vg, name)}"

    def device(self, name: str) -> devmapper.Device | None:
        """What the kernel says of an active logical volume; costs no command."""
        return devmapper.find(devmapper.lvm_device_name(self.vg, name))

    def rounded(self, size_bytes: int) -> int:
        """Up to whole extents, as LVM does."""
        return -(-size_bytes // self._extent_bytes) * self._extent_bytes

    def learn_extent(self) -> None:
        """Ask for the group's extent size, once: it stays what it is."""
        if not self._extent_is_known:
            self._extent_bytes = self.lvm.volume_group().extent_bytes
            self._extent_is_known = True

    def cut_is_valid(self, name: str) -> bool:
        """The snapshot is there and its COW area did not overflow."""
        device = self.device(name)
        if device is None:
            return False
        return device.kind != "snapshot" or devmapper.cow_fill(device).valid

    def find_volume(self, volume_id: str) -> base.VolumeFact | None:
        """The contract's ``find_volume``: no command while the volume is active."""
        with translated():
            if device := self.device(lvm_names.volume_name(volume_id)):
                return base.VolumeFact(volume_id, device.size_bytes)
            with self.serial():
                return self.settle(volume_id)

    def settle(self, volume_id: str) -> base.VolumeFact | None:
        """The volume has no device: prove its absence, activate it, or finish a thin revert that was interrupted.

        The caller holds the turn.
        """
        name, new, old = (prefix + volume_id for prefix in ("volume-", "_revert-", "_old-"))
        found = {item.name: item for item in self.lvm.logical_volumes([name, new, old])}
        if name not in found and old in found:
            # Both renames belong together. `new` is whole when the first one was done.
            whole = new if new in found else old
            self.lvm.rename(whole, name)
            found[name] = found[whole]
        if name not in found:
            return None
        if not found[name].active:
            self.lvm.activate(name)
        return base.VolumeFact(volume_id, found[name].size_bytes)

    def get_volume(self, volume_id: str) -> base.VolumeFact:
        """:meth:`find_volume` of one that has to be there."""
        if fact := self.find_volume(volume_id):
            return fact
        raise base.NotFound(f"{lvm_names.volume_name(volume_id)} is not there")

    def find_snapshot(self, snapshot: base.SnapshotRef) -> base.SnapshotFact | None:
        """The contract's ``find_snapshot``: one report."""
        name = lvm_names.snapshot_name(snapshot.id)
        with translated():
            for item in self.lvm.logical_volumes([name]):
                fact = lvm_names.snapshot_fact(item)
                if fact is None or fact.volume_id != snapshot.volume.id:
                    return None
                if fact.valid and not item.active:
                    with self.serial():
                        self.lvm.activate(name)
                return fact
        return None

    def get_snapshot(self, snapshot: base.SnapshotRef) -> base.SnapshotFact:
        """:meth:`find_snapshot` of one that has to be there with its content."""
        fact = self.find_snapshot(snapshot)
        if fact is None:
            raise base.NotFound(f"{lvm_names.snapshot_name(snapshot.id)} is not there")
        if not fact.valid:
            raise base.Invalidated(f"{lvm_names.snapshot_name(snapshot.id)} overflowed: its content is lost")
        return fact

    # making

    def made(self, volume: base.VolumeRef, make: Callable[[], None]) -> base.VolumeFact:
        """Find, else make, else find what took the name in between; the fact is read back."""
        name = lvm_names.volume_name(volume.id)
        with self.claimed(name):
            with translated():
                if self.device(name) is None:
                    self._remove_leftover(lvm_names.making_name(volume.id))
                    with contextlib.suppress(base.AlreadyExists), translated():
                        make()
            fact = self.get_volume(volume.id)
        if fact.size_bytes != self.rounded(volume.size_bytes):
            raise base.AlreadyExists(f"{name} is there and has {fact.size_bytes} bytes")
        return fact

    def _remove_leftover(self, making: str) -> None:
        """An interrupted call may have left it; looking costs no command."""
        if self.device(making):
            with self.serial():
                self.lvm.remove(making)

    @contextlib.contextmanager
    def made_aside(self, volume: base.VolumeRef, create: Callable[[str], None]) -> Iterator[str]:
        """Create under the making name; inside, it is filled; then it gets its name. If that fails, it is removed."""
        making = lvm_names.making_name(volume.id)
        try:
            self.replace(making, create)
            yield making
            with self.serial():
                self.lvm.rename(making, lvm_names.volume_name(volume.id))
        except BaseException:
            self._undo(making)
            raise

    def _undo(self, making: str) -> None:
        try:
            with self.serial(), contextlib.suppress(base.NotFound), translated():
                self.lvm.remove(making)
        except base.DriverError as err:
            LOG.warning("%s is left behind: %s", making, err)

    def replace(self, name: str, create: Callable[[str], None]) -> None:
        """Create a temporary object; one of that name is a leftover of an interrupted call."""
        with self.serial():
            try:
                create(name)
            except run.CommandError as err:
                if lvm.reason(err) is not lvm.Reason.EXISTS:
                    raise
                self.lvm.remove(name)
                create(name)
