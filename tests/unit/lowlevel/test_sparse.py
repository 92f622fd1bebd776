"""Sparse copies on whatever file system the temporary directory is on."""

import contextlib
import os
import pathlib
import random
import threading
import time
from collections.abc import Iterator

import pytest

from volsnap.lowlevel import deadline, sparse

MIB = 1024 * 1024
SIZE = 24 * MIB


@pytest.fixture
def pair(tmp_path: pathlib.Path) -> Iterator[sparse.Pair]:
    with contextlib.ExitStack() as stack:
        fds = []
        for name in ("source", "target"):
            fd = os.open(tmp_path / name, os.O_RDWR | os.O_CREAT)
            stack.callback(os.close, fd)
            fds.append(fd)
        os.ftruncate(fds[0], SIZE)
        yield sparse.Pair(*fds)


def _all(fd: int) -> bytes:
    return os.pread(fd, SIZE * 2, 0)


def _cut(pair: sparse.Pair, patience_s: float) -> None:
    sparse.cut([pair], deadline.Beat(), can_reflink=False, patience_s=patience_s)


def test_ranges_cover_the_file(pair: sparse.Pair) -> None:
    os.pwrite(pair.source, b"x" * MIB, 4 * MIB)
    parts = list(sparse.ranges(pair.source, SIZE))
    assert [(p.offset, p.length, p.hole) for p in parts] == [
        (0, 4 * MIB, True),
        (4 * MIB, MIB, False),
        (5 * MIB, SIZE - 5 * MIB, True),
    ]
    assert list(sparse.ranges(pair.target, SIZE)) == [sparse.Range(0, SIZE, True)]


def test_cut_copies_data_and_keeps_holes(pair: sparse.Pair) -> None:
    os.pwrite(pair.source, b"begin", 0)
    os.pwrite(pair.source, b"end", SIZE - 3)
    _cut(pair, 1.0)
    assert _all(pair.target) == _all(pair.source)
    assert os.fstat(pair.target).st_blocks * 512 < MIB


def test_cut_waits_for_a_pause_of_the_writer(pair: sparse.Pair) -> None:
    """Somebody writes without pause for a while: the cut comes afterwards and is exact."""
    for offset in range(0, SIZE, MIB):
        os.pwrite(pair.source, os.urandom(MIB), offset)
    chance = random.Random(3)
    end = time.monotonic() + 0.5

    def write() -> None:
        while time.monotonic() < end:
            os.pwrite(pair.source, chance.randbytes(4096), chance.randrange(SIZE - 4096))

    writer = threading.Thread(target=write)
    writer.start()
    _cut(pair, 20.0)
    writer.join()
    assert time.monotonic() >= end
    assert _all(pair.target) == _all(pair.source)


def test_cut_gives_up_when_there_is_no_pause(pair: sparse.Pair) -> None:
    """Somebody writes in the middle of every pass: no copy is taken for a point in time."""
    os.pwrite(pair.source, bytes(8 * MIB), 0)

    class WritingBeat(deadline.Beat):
        def __call__(self, fraction: float) -> None:
            os.pwrite(pair.source, b"x", 0)
            super().__call__(fraction)

    with pytest.raises(sparse.MovingError):
        sparse.cut([pair], WritingBeat(), can_reflink=False, patience_s=0.2)


def test_a_stamp_in_the_future_does_not_stop_a_cut(pair: sparse.Pair) -> None:
    """The clock was set back since the last write."""
    os.pwrite(pair.source, b"data", 0)
    os.utime(pair.source, times=(time.time() + 3600,) * 2)
    _cut(pair, 0.1)
    assert _all(pair.target) == _all(pair.source)


def test_a_later_pass_mends_everything(pair: sparse.Pair) -> None:
    """Other bytes, data where the source has a hole now, and another size: all become equal."""
    os.pwrite(pair.source, b"right", 8 * MIB)
    os.pwrite(pair.target, b"wrong" * MIB, 6 * MIB)
    os.pwrite(pair.target, b"behind", 2 * SIZE)
    sparse._bring_over(pair, deadline.Beat(), mend=True)
    assert _all(pair.target) == _all(pair.source)


def test_differences(pair: sparse.Pair) -> None:
    """Random changes on both sides, and only changed grains are named."""
    chance = random.Random(5)
    for fd in (pair.source, pair.target):
        os.ftruncate(fd, SIZE)
        os.pwrite(fd, b"same" * MIB, 2 * MIB)
        for _ in range(5):
            os.pwrite(fd, chance.randbytes(70_000), chance.randrange(SIZE - 70_000))
    grain = 64 * 1024
    old, new = _all(pair.source), _all(pair.target)
    expected = {at for at in range(0, SIZE, grain) if old[at : at + grain] != new[at : at + grain]}
    found = sparse.differences(pair.source, pair.target, SIZE, grain, deadline.Beat())
    named = {at for f in found for at in range(f.offset, f.offset + f.length, grain)}
    assert named == expected
    for part in found:
        assert part.hole == (not any(new[part.offset : part.offset + part.length]))
