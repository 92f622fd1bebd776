"""Small words the conformance scenarios are written in: fresh references, recognisable bytes, proofs.

Invariant: bytes are written and read by the backend's own means
(:class:`tests.drivers.backend.Backend`); the driver is used for reading only through
``open_snapshot``, which is what is being proven.
"""

import uuid

from tests.drivers.backend import Backend
from volsnap.volume.drivers import base

#: How much :func:`stamp` writes at each of its places.
PIECE = 64 * 1024

CONNECTOR = {
    "host": "conformance",
    "ip": "127.0.0.1",
    "initiator": "iqn.2024-01.org.volsnap:conformance",
    "multipath": False,
    "platform": "x86_64",
    "os_type": "linux",
}


def volume_ref(backend: Backend, *, times: int = 1) -> base.VolumeRef:
    """A volume nobody has yet, ``times`` the suite's usual size."""
    return base.VolumeRef(str(uuid.uuid4()), backend.volume_bytes * times)


def snapshot_ref(volume: base.VolumeRef) -> base.SnapshotRef:
    """A snapshot of ``volume`` nobody has yet."""
    return base.SnapshotRef(str(uuid.uuid4()), volume, volume.size_bytes)


def resized(volume: base.VolumeRef, size_bytes: int) -> base.VolumeRef:
    """The reference after the database learned the new size."""
    return base.VolumeRef(volume.id, size_bytes)


def new_volume(backend: Backend, tag: str = "", *, times: int = 1) -> base.VolumeRef:
    """A volume on storage, stamped with ``tag`` if one is given."""
    volume = volume_ref(backend, times=times)
    assert backend.driver.create_volume(volume) == base.VolumeFact(volume.id, volume.size_bytes)
    if tag:
        stamp(backend, volume, tag)
    return volume


def new_snapshot(backend: Backend, volume: base.VolumeRef) -> base.SnapshotRef:
    """A snapshot on storage."""
    snapshot = snapshot_ref(volume)
    fact = backend.driver.create_snapshot(snapshot)
    assert_snapshot_fact(fact, snapshot)
    return snapshot


def assert_snapshot_fact(fact: base.SnapshotFact | None, snapshot: base.SnapshotRef) -> None:
    """``fact`` tells of ``snapshot`` and of a whole one."""
    assert fact is not None
    assert fact.id == snapshot.id
    assert fact.volume_id == snapshot.volume.id
    assert fact.size_bytes == snapshot.size_bytes
    assert fact.valid


def piece(tag: str, offset: int) -> bytes:
    """The bytes :func:`stamp` puts at ``offset``: they name the tag and the place."""
    word = f"<{tag}@{offset}>".encode()
    return (word * (PIECE // len(word) + 1))[:PIECE]


def places(size_bytes: int) -> list[int]:
    """Where :func:`stamp` writes: the begin, the middle and the very end."""
    return [0, size_bytes // 2, size_bytes - PIECE]


def stamp(backend: Backend, volume: base.VolumeRef, tag: str, *, size_bytes: int | None = None) -> None:
    """Write ``tag`` at three places of the volume (as if it had ``size_bytes``)."""
    for offset in places(size_bytes or volume.size_bytes):
        backend.write(volume, offset, piece(tag, offset))


def assert_volume(backend: Backend, volume: base.VolumeRef, tag: str, *, size_bytes: int | None = None) -> None:
    """The volume holds what :func:`stamp` wrote with ``tag``."""
    for offset in places(size_bytes or volume.size_bytes):
        assert backend.read(volume, offset, PIECE) == piece(tag, offset), (tag, offset)


def assert_zeros(backend: Backend, volume: base.VolumeRef, offset: int, length: int) -> None:
    """The volume reads as zeros there."""
    step = 4 * 1024 * 1024
    for start in range(offset, offset + length, step):
        size = min(step, offset + length - start)
        assert backend.read(volume, start, size) == bytes(size), f"not zeros at {start}"


def assert_snapshot(
    driver: base.Driver, snapshot: base.SnapshotRef, tag: str, *, size_bytes: int | None = None
) -> None:
    """The snapshot holds what :func:`stamp` wrote with ``tag``."""
    with driver.open_snapshot(snapshot) as reader:
        assert reader.size_bytes == snapshot.size_bytes
        for offset in places(size_bytes or snapshot.size_bytes):
            assert reader.read(offset, PIECE) == piece(tag, offset), (tag, offset)


def content(driver: base.Driver, snapshot: base.SnapshotRef) -> bytes:
    """All bytes of a snapshot, read by its extents: zero extents are taken at their word."""
    parts: list[bytes] = []
    with driver.open_snapshot(snapshot) as reader:
        for extent in reader.extents():
            if extent.zero:
                parts.append(bytes(extent.length))
            else:
                parts.append(_read_all(reader, extent.offset, extent.length))
    return b"".join(parts)


def _read_all(reader: base.SnapshotReader, offset: int, length: int) -> bytes:
    step = 4 * 1024 * 1024
    return b"".join(
        reader.read(start, min(step, offset + length - start)) for start in range(offset, offset + length, step)
    )
