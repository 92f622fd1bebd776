"""The kernel's device-mapper asked directly: what a device is and how full it is, without starting a process.

One invariant: this module only reads. LVM alone creates, changes and removes devices.

``lvs`` takes 40 ms and more, because it reads the metadata of every physical volume; one ioctl on
``/dev/mapper/control`` takes 20 µs and tells what the kernel does *now*, which is fresher than any report.
"""

import dataclasses
import errno
import fcntl
import os
import struct

_CONTROL = "/dev/mapper/control"
#: _IOWR(0xfd, 12, struct dm_ioctl), linux/dm-ioctl.h
_TABLE_STATUS = 0xC138FD0C
_BUFFER = 16 * 1024
#: version[3], data_size, data_start, target_count, open_count, flags, event_nr, padding, dev, name, uuid, data
_HEADER = struct.Struct("=3IIIIiIIIQ128s129s7s")
_TARGET = struct.Struct("=QQiI16s")
_SUSPENDED = 1 << 1
#: Without it the kernel commits a thin pool's metadata to disk before it tells the pool's status.
_NO_FLUSH = 1 << 11
_SECTOR = 512


@dataclasses.dataclass(frozen=True, slots=True)
class Device:
    """One active device: ``kind`` is the target's type ("linear", "snapshot", "thin", …), ``words`` its status."""

    name: str
    kind: str
    words: tuple[str, ...]
    size_bytes: int
    open_count: int
    suspended: bool


@dataclasses.dataclass(frozen=True, slots=True)
class CowFill:
    """How full the COW area of a thick snapshot is; ``valid`` is False once it overflowed."""

    valid: bool
    used_bytes: int = 0
    total_bytes: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class PoolFill:
    """How full a thin pool is, data and metadata, in percent; ``writable`` is False when it gave up."""

    data_percent: float
    metadata_percent: float
    writable: bool


def lvm_device_name(vg: str, lv: str) -> str:
    """LVM's name for a logical volume's device: hyphens inside a name are doubled."""
    return f"{vg.replace('-', '--')}-{lv.replace('-', '--')}"


def find(name: str) -> Device | None:
    """The active device of that name; None when the kernel has none.

    :raises OSError: device-mapper cannot be asked at all.
    """
    buffer = bytearray(_BUFFER)
    _HEADER.pack_into(buffer, 0, 4, 0, 0, _BUFFER, _HEADER.size, 0, 0, _NO_FLUSH, 0, 0, 0, name.encode(), b"", b"")
    control = os.open(_CONTROL, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.ioctl(control, _TABLE_STATUS, buffer)
    except OSError as err:
        if err.errno == errno.ENXIO:
            return None
        raise
    finally:
        os.close(control)
    return _parse(name, buffer)


def _parse(name: str, buffer: bytearray) -> Device:
    head = _HEADER.unpack_from(buffer)
    start, targets, open_count, flags = head[4], head[5], head[6], head[7]
    sectors = 0
    kind = ""
    words: tuple[str, ...] = ()
    position = start
    for _ in range(targets):
        _, length, _, following, raw_kind = _TARGET.unpack_from(buffer, position)
        text = buffer[position + _TARGET.size :].split(b"\0", 1)[0].decode()
        sectors += length
        kind, words = raw_kind.rstrip(b"\0").decode(), tuple(text.split())
        position = start + following
    return Device(name, kind, words, sectors * _SECTOR, open_count, bool(flags & _SUSPENDED))


def cow_fill(device: Device) -> CowFill:
    """The status words of a ``snapshot`` target: ``used/total metadata`` in sectors, or one word of doom."""
    if device.kind != "snapshot" or not device.words:
        raise ValueError(f"{device}: not a snapshot's status")
    if "/" not in device.words[0]:  # "Invalid", "Overflow", "Merge failed"
        return CowFill(valid=False)
    used, total = (int(word) * _SECTOR for word in device.words[0].split("/"))
    return CowFill(True, used, total)


def pool_fill(device: Device) -> PoolFill:
    """The status words of a ``thin-pool`` target: transaction, metadata used/total, data used/total, …, mode."""
    if device.kind != "thin-pool":
        raise ValueError(f"{device}: not a thin pool's status")
    if device.words[0] in ("Fail", "Error"):
        return PoolFill(100.0, 100.0, writable=False)
    metadata, data = (_percent(word) for word in device.words[1:3])
    return PoolFill(data, metadata, "rw" in device.words and "needs_check" not in device.words)


def _percent(word: str) -> float:
    used, total = (int(part) for part in word.split("/"))
    return 100.0 * used / total
