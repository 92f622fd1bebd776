"""Copies of sparse files: shared blocks (reflink) where the file system can, data extents where not.

One invariant: :func:`cut` returns only when every copy holds what its source held at *one instant*,
the same for all of them.

A reflink (FICLONE) is such an instant by itself. A copy is not, and a file system without reflink
has no way to make one of it while somebody writes. So a copy is *proven* afterwards: a file whose
change stamps (mtime, ctime, size) are the same before the first and after the last byte was read
was not written in between, so all bytes are of one instant. Linux sets the stamps before the bytes,
for buffered and for direct writes; a write that was already under way before the first look was not
acknowledged then, and a crash may keep or lose it too. When somebody did write, the next pass only
compares and mends, which reads two cached files and writes little: each pass needs a shorter pause
of the writer than the first. When no pause is long enough: :class:`MovingError`, never a torn copy.
Writes through a shared memory mapping escape the stamps; hypervisors do not write disks that way.
"""

import dataclasses
import errno
import fcntl
import os
import random
import time
from collections.abc import Iterator, Sequence

from volsnap.lowlevel import deadline

_FICLONE = 0x40049409
_COARSE_CLOCK = 5  # CLOCK_REALTIME_COARSE, the clock of file stamps, which the time module has not
#: Small enough for a beat at least once a second on slow disks, large enough to cost no time.
_COPY_BYTES = 8 * 1024 * 1024
_COMPARE_BYTES = 1024 * 1024
#: Dirty bytes after which a copy is written out, so that no single fsync outlasts a deadline.
_SYNC_BYTES = 32 * 1024 * 1024
#: However short the patience, that many passes are made.
_LEAST_PASSES = 3

_CANNOT = {errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL, errno.ENOTTY, errno.ENOSYS, errno.ETXTBSY}


class MovingError(Exception):
    """A source was written during every pass."""


@dataclasses.dataclass(frozen=True, slots=True)
class Pair:
    """Two open files: ``target`` is to hold what ``source`` holds."""

    source: int
    target: int


@dataclasses.dataclass(frozen=True, slots=True)
class Range:
    """A part of a file; ``hole``: nothing is stored there, it reads as zeros."""

    offset: int
    length: int
    hole: bool


def reflink(pair: Pair) -> bool:
    """Let ``target`` share the blocks of ``source``; False where the file system cannot."""
    try:
        fcntl.ioctl(pair.target, _FICLONE, pair.source)
    except OSError as err:
        if err.errno in _CANNOT:
            return False
        raise
    return True


def ranges(fd: int, size: int) -> Iterator[Range]:
    """All of ``0 … size`` in order, data and holes in turn; behind the file's end is a hole."""
    position = 0
    while position < size:
        try:
            data = min(os.lseek(fd, position, os.SEEK_DATA), size)
        except OSError as err:
            if err.errno != errno.ENXIO:  # ENXIO: no data behind the position
                raise
            data = size
        if data > position:
            yield Range(position, data - position, hole=True)
        if data == size:
            return
        position = min(os.lseek(fd, data, os.SEEK_HOLE), size)
        yield Range(data, position - data, hole=False)


def cut(pairs: Sequence[Pair], beat: deadline.Beat, *, can_reflink: bool, patience_s: float) -> None:
    """Make every target (empty files) hold its source as it is at one instant common to all.

    :param patience_s: how long to wait for a pause of whoever writes, beyond the first passes.
    :raises MovingError: there was no pause.
    """
    give_up_at = time.monotonic() + patience_s
    passes = 0
    while True:
        began = time.monotonic()
        before = [_stamp(pair.source) for pair in pairs]
        for pair in pairs:
            if not (can_reflink and reflink(pair)):
                can_reflink = False
                _bring_over(pair, beat, mend=passes > 0)
        if can_reflink and len(pairs) == 1:
            return  # the one reflink was the instant
        if None not in before and before == [_stamp(pair.source, wait=False) for pair in pairs]:
            return
        passes += 1
        now = time.monotonic()
        if passes >= _LEAST_PASSES and now >= give_up_at:
            raise MovingError
        beat(0.99)
        # An odd pause: a writer with a rhythm must not always meet us at the same beat.
        time.sleep(min(0.05, random.uniform(0, 2) * (now - began)))  # noqa: S311


def _stamp(fd: int, *, wait: bool = True) -> tuple[int, int, int] | None:
    """When and how the file was changed last; None: so lately that another change may not show.

    Before Linux 6.13 stamps come from a clock that ticks every 1 – 10 ms: two writes in one tick
    leave the same stamp. So the first look waits until the tick of the last write is over. (A stamp
    far in the future is fine: the next write makes it another one.)
    """
    for _ in range(5 if wait else 1):
        stat = os.fstat(fd)
        age_ns = time.clock_gettime_ns(_COARSE_CLOCK) - max(stat.st_mtime_ns, stat.st_ctime_ns)
        stamp = (stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size)
        if not wait or age_ns > 0 or age_ns < -1_000_000_000:
            return stamp
        time.sleep(0.002)
    return None


def _bring_over(pair: Pair, beat: deadline.Beat, *, mend: bool) -> None:
    """One pass: copy the data of ``source``, or only what differs in ``target``."""
    stat = os.fstat(pair.source)
    os.ftruncate(pair.target, stat.st_size)
    total, done, dirty = max(1, stat.st_blocks * 512), 0, 0
    for part in ranges(pair.source, stat.st_size):
        if part.hole and not mend:
            continue
        step = _COMPARE_BYTES if mend else _COPY_BYTES
        for offset in range(part.offset, part.offset + part.length, step):
            length = min(step, part.offset + part.length - offset)
            if part.hole:
                dirty += _blank(pair.target, offset, length)
            elif mend:
                dirty += _mend(pair, offset, length)
            else:
                _copy(pair, offset, length)
                dirty += length
            done += 0 if part.hole else length
            if dirty >= _SYNC_BYTES:
                os.fdatasync(pair.target)
                dirty = 0
            beat(min(0.99, done / total))


def _copy(pair: Pair, offset: int, length: int) -> None:
    """Copy a range inside the kernel, or through our memory where it cannot."""
    end = offset + length
    while offset < end:
        try:
            count = os.copy_file_range(pair.source, pair.target, end - offset, offset, offset)
        except OSError as err:
            if err.errno not in _CANNOT:
                raise
            count = 0
        if count == 0:
            _copy_by_memory(pair, offset, end - offset)
            return
        offset += count


def _copy_by_memory(pair: Pair, offset: int, length: int) -> None:
    for start in range(offset, offset + length, _COMPARE_BYTES):
        data = os.pread(pair.source, min(_COMPARE_BYTES, offset + length - start), start)
        write_all(pair.target, data, start)


def _mend(pair: Pair, offset: int, length: int) -> int:
    """Make one range of ``target`` equal to ``source``; the bytes written."""
    data = os.pread(pair.source, length, offset)
    if data == os.pread(pair.target, length, offset):
        return 0
    write_all(pair.target, data, offset)
    return len(data)


def _blank(fd: int, offset: int, length: int) -> int:
    """Zeros over what an earlier pass stored where the source has a hole; the bytes written."""
    try:
        if os.lseek(fd, offset, os.SEEK_DATA) >= offset + length:
            return 0
    except OSError as err:
        if err.errno != errno.ENXIO:
            raise
        return 0
    write_all(fd, bytes(length), offset)
    return length


def write_all(fd: int, data: bytes, offset: int) -> None:
    """``pwrite`` until everything is written."""
    view = memoryview(data)
    while view:
        count = os.pwrite(fd, view, offset)
        view, offset = view[count:], offset + count


def differences(older: int, newer: int, size: int, grain: int, beat: deadline.Beat) -> list[Range]:
    """Ranges of ``newer`` (of ``size`` bytes) that differ from ``older``, in steps of ``grain``.

    Both files are read, but only where one of them has data. Where a grain differs and ``newer`` is
    all zeros there, it is called a hole.
    """
    found: list[Range] = []
    covered = 0
    for start, end in _union(older, newer, size):
        start = max(covered, start - start % grain)
        for window in range(start, end, _COMPARE_BYTES):
            length = min(_COMPARE_BYTES, size - window)
            old, new = os.pread(older, length, window), os.pread(newer, length, window)
            old = old.ljust(length, b"\0")
            if old != new:
                _compare(old, new, window, grain, found)
            covered = window + length
            beat(covered / size)
    return found


def _union(older: int, newer: int, size: int) -> Iterator[tuple[int, int]]:
    """Where either file has data, in order; ranges may touch or overlap."""
    data = [
        (part.offset, part.offset + part.length) for fd in (older, newer) for part in ranges(fd, size) if not part.hole
    ]
    return iter(sorted(data))


def _compare(old: bytes, new: bytes, window: int, grain: int, found: list[Range]) -> None:
    """Append the differing grains of one window, joined with the last one where they touch."""
    for at in range(0, len(new), grain):
        piece = new[at : at + grain]
        if piece == old[at : at + grain]:
            continue
        offset, hole = window + at, piece.count(0) == len(piece)
        last = found[-1] if found else None
        if last and last.offset + last.length == offset and last.hole == hole:
            found[-1] = Range(last.offset, last.length + len(piece), hole)
        else:
            found.append(Range(offset, len(piece), hole))
