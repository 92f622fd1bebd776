#!/usr/bin/env python3
"""rbd_copy.py get|put CEPH_CONF POOL/IMAGE FILE   copies an RBD image's bytes into a sparse file, or back.

It needs Debian's rbd bindings and nothing else, neither qemu-img nor a kernel client. Only written parts travel: `get`
leaves holes where the image was never written, `put` leaves the image alone where the file has holes.
"""

import os
import sys

import rados
import rbd

_CHUNK_BYTES = 4 << 20


def get(image: rbd.Image, path: str) -> None:
    """Image to file."""
    with open(path, "wb") as file:
        file.truncate(image.size())

        def keep(offset: int, length: int, exists: bool) -> None:
            for at in range(offset, offset + length, _CHUNK_BYTES) if exists else ():
                os.pwrite(file.fileno(), image.read(at, min(_CHUNK_BYTES, offset + length - at)), at)

        image.diff_iterate(0, image.size(), None, keep)


def put(image: rbd.Image, path: str) -> None:
    """File to image."""
    with open(path, "rb") as file:
        end = 0
        size = os.fstat(file.fileno()).st_size
        while True:
            try:
                begin = os.lseek(file.fileno(), end, os.SEEK_DATA)
            except OSError:  # ENXIO: only a hole is left
                break
            end = os.lseek(file.fileno(), begin, os.SEEK_HOLE)
            for at in range(begin, end, _CHUNK_BYTES):
                image.write(os.pread(file.fileno(), min(_CHUNK_BYTES, end - at), at), at)
            if end >= size:
                break
    image.flush()


def main(arguments: list[str]) -> int:
    """The command line."""
    if len(arguments) != 4 or arguments[0] not in ("get", "put") or "/" not in arguments[2]:
        print(__doc__, file=sys.stderr)
        return 2
    verb, conf, name, path = arguments
    pool, _, image_name = name.partition("/")
    try:
        with (
            rados.Rados(conffile=conf, conf={"client_mount_timeout": "20", "rados_osd_op_timeout": "60"}) as cluster,
            cluster.open_ioctx(pool) as ioctx,
            rbd.Image(ioctx, image_name, read_only=verb == "get") as image,
        ):
            {"get": get, "put": put}[verb](image, path)
    except (rados.Error, rbd.Error, OSError) as err:
        print(f"rbd_copy.py: {name}: {err}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
