"""Reading a snapshot: its bytes, and which of its objects hold any.

Invariant: the image belongs to the session of the lease, which whoever opened it holds until it is closed.
"""

from collections.abc import Iterator

from volsnap.lowlevel import ceph, ceph_image
from volsnap.volume.drivers import base, rbd_pool


class Reader(base.SnapshotReader):
    """A read-only handle on a snapshot; each call has the driver's deadline."""

    def __init__(self, client: ceph.Client, lease: ceph.Lease, image: ceph_image.Image, size_bytes: int) -> None:
        self.size_bytes = size_bytes
        self._client = client
        self._lease = lease
        self._image = image

    def read(self, offset: int, length: int) -> bytes:
        length = min(length, self.size_bytes - offset)
        if length <= 0:
            return b""
        with rbd_pool.driver_errors():
            return self._client.run(lambda session: self._image.read(offset, length), lease=self._lease)

    def extents(self) -> Iterator[base.Extent]:
        """By whole objects, from the object map: an empty 1 TiB takes 0.2 s, not 20 s.

        A closer look, one operation per object, would only cut off the ends of objects that were never filled.
        """
        position = 0
        with rbd_pool.driver_errors():
            changed = self._client.run(lambda session: self._image.changed(0, self.size_bytes, None), lease=self._lease)
        for at, length, has_data in changed:
            end = min(at + length, self.size_bytes)
            if not has_data or end <= position:
                continue
            if at > position:
                yield base.Extent(position, at - position, zero=True)
            yield base.Extent(max(at, position), end - max(at, position))
            position = end
        if position < self.size_bytes:
            yield base.Extent(position, self.size_bytes - position, zero=True)
