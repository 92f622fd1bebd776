"""Block devices: size, zeroing, copying, and the exception list of a thick LVM snapshot.

One invariant: whatever is written here is on the medium when the function returns (O_DIRECT is not needed for that,
``fsync`` is). Nothing is read through a stale page cache: devices are opened anew for each job, and device-mapper
drops the cache of a closed one.
"""

import array
import contextlib
import fcntl
import os
import struct
import sys
from collections.abc import Callable, Iterator

from volsnap import units

_BLKZEROOUT = 0x127F
_BLKFLSBUF = 0x1261
#: One ioctl or copy step: about a tenth of a second on a slow disk, so progress is told often enough.
STEP = 16 * units.MIB
#: What is compared and written as one piece: the smallest COW chunk of LVM.
BLOCK = 4 * units.KIB

Progress = Callable[[float], None]


@contextlib.contextmanager
def opened(path: str, flags: int = os.O_RDONLY) -> Iterator[int]:
    """An open descriptor, closed at the end of the ``with``; what was cached of the device before is dropped."""
    descriptor = os.open(path, flags | os.O_CLOEXEC)
    try:
        fcntl.ioctl(descriptor, _BLKFLSBUF, 0)
        yield descriptor
    finally:
        os.close(descriptor)


def zero(path: str, offset: int, length: int, progress: Progress) -> None:
    """Make a range read as zeros; the kernel uses the device's own fast way where it has one."""
    with opened(path, os.O_WRONLY) as target:
        for start in range(offset, offset + length, STEP):
            size = min(STEP, offset + length - start)
            fcntl.ioctl(target, _BLKZEROOUT, struct.pack("QQ", start, size))
            progress((start + size - offset) / length)
        os.fsync(target)


def copy(source: str, target: str, length: int, target_length: int, progress: Progress) -> None:
    """Write ``length`` bytes of ``source`` over ``target`` and zeros behind, up to ``target_length``.

    Every byte of the target is written, because a new device may hold the dirt of a deleted one; pieces of
    zeros are told to the device as such.
    """
    with opened(source) as reading, opened(target, os.O_WRONLY) as writing:
        for start in range(0, length, units.MIB):
            data = read_exactly(reading, start, min(units.MIB, length - start))
            if data.count(0) != len(data):
                os.pwrite(writing, data, start)
            else:
                fcntl.ioctl(writing, _BLKZEROOUT, struct.pack("QQ", start, len(data)))
            progress((start + len(data)) / target_length)
        os.fsync(writing)
    if target_length > length:
        rest = target_length - length
        zero(target, length, rest, lambda part: progress((length + part * rest) / target_length))


def read_exactly(descriptor: int, offset: int, length: int) -> bytes:
    """``length`` bytes; a device that ends before them is an error."""
    parts = []
    while length:
        data = os.pread(descriptor, length, offset)
        if not data:
            raise OSError(f"device ends at {offset}, {length} bytes too early")
        parts.append(data)
        offset += len(data)
        length -= len(data)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def differing(wanted: bytes, present: bytes) -> Iterator[tuple[int, bytes]]:
    """The runs of blocks of ``wanted`` that ``present`` (same length) does not have, with their places."""
    if wanted == present:
        return
    begin = None
    for place in range(0, len(wanted), BLOCK):
        if wanted[place : place + BLOCK] != present[place : place + BLOCK]:
            begin = place if begin is None else begin
        elif begin is not None:
            yield begin, wanted[begin:place]
            begin = None
    if begin is not None:
        yield begin, wanted[begin:]


# ---------------------------------------------------------------------------- the COW store of a thick snapshot
#
# Linux, drivers/md/dm-snap-persistent.c: one header chunk (magic, valid, version, chunk size in sectors), then
# areas: one chunk of exceptions (old chunk, new chunk: 8 bytes each) followed by the chunks of data that they
# name. An exception whose new chunk is 0 ends the list. The kernel writes an exception before it lets the write
# to the origin pass, so a chunk that is not listed is the same in the origin and in the snapshot.

_COW_HEADER = struct.Struct("<4I")
_COW_MAGIC = 0x70416E53
_EXCEPTION_BYTES = 16


class BadCow(Exception):
    """The COW area is not what this module knows; the caller has to compare everything instead."""


def cow_chunks(path: str) -> tuple[int, "array.array[int]"]:
    """Chunk size in bytes, and the sorted chunk numbers of the origin that changed since the cut."""
    with opened(path) as cow:
        magic, valid, version, chunk_sectors = _COW_HEADER.unpack(os.pread(cow, 16, 0))
        if (magic, valid, version) != (_COW_MAGIC, 1, 1) or not chunk_sectors:
            raise BadCow(f"{path}: magic {magic:#x} valid {valid} version {version}")
        chunk = chunk_sectors * 512
        end = os.lseek(cow, 0, os.SEEK_END)
        changed = array.array("Q")
        area = chunk
        while area + chunk <= end:
            table = array.array("Q", read_exactly(cow, area, chunk))
            if sys.byteorder != "little":
                table.byteswap()
            old, new = table[0::2], table[1::2]
            used = new.index(0) if 0 in new else len(new)
            changed.extend(old[:used])
            if used < len(new):
                break
            area += (chunk // _EXCEPTION_BYTES + 1) * chunk
    return chunk, array.array("Q", sorted(changed))


def runs(chunk: int, numbers: "array.array[int]", limit: int) -> Iterator[tuple[int, int]]:
    """Sorted chunk numbers as (offset, length) with neighbours joined, up to :data:`STEP` and never past ``limit``."""
    begin = end = 0
    for number in numbers:
        start = number * chunk
        if start >= limit:
            break
        if start != end or end - begin >= STEP:
            if end > begin:
                yield begin, end - begin
            begin = start
        end = min(start + chunk, limit)
    if end > begin:
        yield begin, end - begin


def cow_full_bytes(origin_bytes: int, chunk: int = BLOCK) -> int:
    """The COW size that can never overflow: every chunk, its exception, the header, and one area to spare."""
    chunks = -(-origin_bytes // chunk)
    areas = -(-chunks // (chunk // _EXCEPTION_BYTES)) + 1
    return (chunks + areas + 2) * chunk
