"""LVM's commands, typed: one function is one command.

One invariant: nothing here decides. A function builds one argument vector, gives it a deadline, and returns what
LVM reported, in bytes; a report that cannot be parsed raises :class:`BadReport` with the line. What a failure
*means* is told by :func:`reason`, from exit code and text together, and the driver decides.

Runtime configuration, given to every command by ``--config``:

* ``backup/archive=0``: LVM keeps a copy of the metadata for every change; with thousands of snapshots the folder
  is read again and again (its current backup in /etc/lvm/backup is still written).
* ``global/notify_dbus=0``: nobody listens; a missing bus costs a warning per command.
* ``activation/monitoring=0``: dmeventd would extend COW areas by rules of its own beside ``LvmDriver.maintain``.
"""

import dataclasses
import enum
import json
import re
from collections.abc import Sequence
from typing import Any

from volsnap.lowlevel import run as runner

_CONFIG = "backup{archive=0} global{notify_dbus=0} activation{monitoring=0}"
_LV_FIELDS = (
    "lv_name,lv_attr,lv_size,origin,origin_size,pool_lv,data_percent,lv_tags,lv_snapshot_invalid,thin_id,transaction_id"
)
_NAME = re.compile(r"[A-Za-z0-9_+.][A-Za-z0-9_+.-]*")


class BadReport(Exception):
    """LVM answered something this module does not understand."""


class Reason(enum.Enum):
    """What a failed command means."""

    VG_MISSING = "the volume group is not there"
    LV_MISSING = "the logical volume is not there"
    EXISTS = "the name is taken"
    NO_SPACE = "no free space"
    BUSY = "in use"
    UNKNOWN = "unknown"


#: In this order; all texts are LVM 2.03's with LC_ALL=C, all come with exit code 5.
_TEXTS: tuple[tuple[str, Reason], ...] = (
    (r"Volume group \S+ not found|Cannot process volume group", Reason.VG_MISSING),
    (r"Couldn't find device|VG \S+ is missing PV|devices? missing", Reason.VG_MISSING),
    (r"[Ii]nsufficient (suitable )?(free|allocatable)|[Ii]nsufficient space", Reason.NO_SPACE),
    (r"[Nn]ot enough free|above threshold|Thin pool \S+ (is )?out of", Reason.NO_SPACE),
    (r"already exists", Reason.EXISTS),
    (r"(in use|is used by|is open|still open|can't be removed)", Reason.BUSY),
    (
        r"Failed to find logical volume|LV \S+ not found in|Logical volume \S+ not found|Existing logical volume",
        Reason.LV_MISSING,
    ),
)


def reason(error: runner.CommandError) -> Reason:
    """What LVM's refusal means; UNKNOWN is never "it is not there"."""
    if error.code != 5:
        return Reason.UNKNOWN
    for pattern, meaning in _TEXTS:
        if re.search(pattern, error.stderr):
            return meaning
    return Reason.UNKNOWN


class LvKind(enum.Enum):
    """What a logical volume is: the first letter of ``lv_attr``."""

    PLAIN = "plain volume"
    ORIGIN = "volume with thick snapshots"
    THICK_SNAPSHOT = "thick snapshot"
    THIN = "thin volume"
    THIN_POOL = "thin pool"
    OTHER = "other"


_KINDS = {
    "-": LvKind.PLAIN,
    "o": LvKind.ORIGIN,
    "s": LvKind.THICK_SNAPSHOT,
    "S": LvKind.THICK_SNAPSHOT,
    "V": LvKind.THIN,
    "t": LvKind.THIN_POOL,
}


@dataclasses.dataclass(frozen=True, slots=True)
class LogicalVolume:
    """One line of the report. ``size_bytes`` is what a reader sees; ``cow_bytes`` the COW area of a thick snapshot."""

    name: str
    kind: LvKind
    size_bytes: int
    active: bool
    open: bool
    valid: bool
    origin: str | None
    pool: str | None
    fill_percent: float
    tags: frozenset[str]
    cow_bytes: int
    thin_id: int | None


@dataclasses.dataclass(frozen=True, slots=True)
class VolumeGroup:
    """Capacity of a volume group."""

    name: str
    size_bytes: int
    free_bytes: int
    extent_bytes: int


def is_name(name: str) -> bool:
    """LVM could have an object of that name."""
    return bool(_NAME.fullmatch(name)) and len(name) < 128


@dataclasses.dataclass(frozen=True, slots=True)
class Lvm:
    """The commands on one volume group, each with the same deadline."""

    vg: str
    timeout_s: float
    extra_config: str = ""

    # reports

    def volume_group(self) -> VolumeGroup:
        """``vgs``: capacity."""
        fields = "vg_name,vg_size,vg_free,vg_extent_size"
        rows = self._report("vg", ["vgs", "-o", fields, self.vg])
        if len(rows) != 1:
            raise BadReport(f"vgs {self.vg}: {rows}")
        row = rows[0]
        return VolumeGroup(row["vg_name"], *(_bytes(row, key) for key in ("vg_size", "vg_free", "vg_extent_size")))

    def logical_volumes(self, names: Sequence[str] = ()) -> list[LogicalVolume]:
        """``lvs``: all logical volumes, or those of ``names`` that exist. An empty answer proves absence."""
        argv = ["lvs", "-o", _LV_FIELDS]
        if names:
            argv += ["-S", " || ".join(f"lv_name={name}" for name in names)]
        return [_logical_volume(row) for row in self._report("lv", [*argv, self.vg])]

    # making

    def create_volume(self, name: str, size_bytes: int) -> None:
        """A plain volume; its content is whatever the disk held there."""
        self._run("lvcreate", "-y", "-Wn", "-Zn", "-n", name, "-L", f"{size_bytes}b", self.vg)

    def create_thick_snapshot(self, origin: str, name: str, cow_bytes: int, tags: Sequence[str] = ()) -> None:
        """A snapshot with a COW area of that size."""
        size = f"{cow_bytes}b"
        self._run("lvcreate", "-y", "-s", "-n", name, "-L", size, *_tags(tags), self._lv(origin))

    def create_thin_pool(self, name: str, percent_free: int) -> None:
        """A thin pool from a share of the group's free space; new blocks of it read as zeros."""
        share = f"{percent_free}%FREE"
        self._run("lvcreate", "-y", "--type", "thin-pool", "-Zy", "-l", share, "-n", name, self.vg)

    def create_thin_volume(self, pool: str, name: str, size_bytes: int) -> None:
        """A thin volume; it reads as zeros."""
        size = f"{size_bytes}b"
        self._run("lvcreate", "-y", "-Wn", "-V", size, "-n", name, "--thinpool", pool, self.vg)

    def create_thin_snapshot(self, origin: str, name: str, tags: Sequence[str] = ()) -> None:
        """A thin snapshot, active: without ``-kn`` LVM would make it inactive and skip it on activation."""
        self._run("lvcreate", "-y", "-s", "-kn", "-n", name, *_tags(tags), self._lv(origin))

    # changing

    def rename(self, name: str, new_name: str) -> None:
        """Atomic in LVM's metadata; an open device stays open."""
        self._run("lvrename", self.vg, name, new_name)

    def extend(self, name: str, size_bytes: int) -> None:
        """Grow to that size (a thick snapshot: its COW area)."""
        self._run("lvextend", "-L", f"{size_bytes}b", self._lv(name))

    def activate(self, *names: str) -> None:
        """Make devices, also of thin snapshots that others made with the skip flag; all of the group without names."""
        if names:
            self._run("lvchange", "-y", "-ay", "-K", *(self._lv(name) for name in names))
        else:
            self._run("vgchange", "-ay", self.vg)

    def deactivate(self, name: str) -> None:
        """Remove the device; refused when it is open."""
        self._run("lvchange", "-an", self._lv(name))

    def add_tags(self, tag: str, *names: str) -> None:
        """Mark logical volumes."""
        self._run("lvchange", "--addtag", tag, *(self._lv(name) for name in names))

    def delete_tags(self, tag: str, *names: str) -> None:
        """Take a mark away."""
        self._run("lvchange", "--deltag", tag, *(self._lv(name) for name in names))

    def remove(self, *names: str) -> None:
        """Remove logical volumes. A thick origin takes its snapshots with it: the caller has looked before."""
        self._run("lvremove", "-f", *(self._lv(name) for name in names))

    def _lv(self, name: str) -> str:
        return f"{self.vg}/{name}"

    def _run(self, command: str, *rest: str) -> str:
        config = f"{_CONFIG} {self.extra_config}".strip()
        return runner.run([command, "--config", config, *rest], timeout_s=self.timeout_s)

    def _report(self, kind: str, argv: Sequence[str]) -> list[dict[str, Any]]:
        options = ["--reportformat", "json", "--units", "b", "--nosuffix"]
        text = self._run(argv[0], *options, *argv[1:])
        try:
            rows = json.loads(text)["report"][0][kind]
        except (ValueError, LookupError, TypeError) as err:
            raise BadReport(f"{argv[0]}: {text!r}") from err
        return list(rows)


def _tags(tags: Sequence[str]) -> list[str]:
    return [word for tag in tags for word in ("--addtag", tag)]


def _bytes(row: dict[str, Any], key: str) -> int:
    try:
        return int(row[key] or 0)
    except (ValueError, LookupError, TypeError) as err:
        raise BadReport(f"{key} in {row}") from err


def _logical_volume(row: dict[str, Any]) -> LogicalVolume:
    try:
        attr = row["lv_attr"]
        kind = _KINDS.get(attr[0], LvKind.OTHER)
        thick_cut = kind is LvKind.THICK_SNAPSHOT
        return LogicalVolume(
            name=row["lv_name"],
            kind=kind,
            size_bytes=_bytes(row, "origin_size" if thick_cut else "lv_size"),
            # a, s: active, suspended; I, S: an invalid snapshot, active or suspended
            active=attr[4] in "asISmM",
            open=attr[5] == "o",
            valid=attr[4] not in "IS" and row["lv_snapshot_invalid"] not in ("1", "snapshot invalid"),
            origin=row["origin"] or None,
            pool=row["pool_lv"] or None,
            fill_percent=float(row["data_percent"] or 0),
            tags=frozenset(filter(None, row["lv_tags"].split(","))),
            cow_bytes=_bytes(row, "lv_size") if thick_cut else 0,
            thin_id=int(row["thin_id"]) if row["thin_id"] else None,
        )
    except (ValueError, LookupError, TypeError) as err:
        raise BadReport(f"lvs: {row}") from err
