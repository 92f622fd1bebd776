"""The ways to run volsnap that chaos is brought upon: which processes, which database, which storage."""

import contextlib
import os
import pathlib
from collections.abc import Iterator, Mapping

from tests.labs import servers
from tests.labs.server import Server


class Deployment:
    """``volsnap up`` with SQLite on the file backend; others differ in what they override."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.server = Server(
            folder,
            backends=self.backends(folder),
            options=self.options(),
            database_url=self.database_url(),
            split=self.split,
        )

    split = False
    #: How many of the requests make volumes, against the usual share.
    volume_share = 1.0

    def backends(self, folder: pathlib.Path) -> Mapping[str, Mapping[str, object]]:
        return {"file": {"volume_driver": "file", "directory": folder / "volumes"}}

    def options(self) -> Mapping[str, object]:
        return {}

    def database_url(self) -> str | None:
        return None

    def close(self) -> None:
        self.server.stop()

    def write(self, volume_id: str, data: bytes) -> None:
        path = self.server.file_directory / "volumes" / f"volume-{volume_id}"
        with path.open("r+b") as disk:
            disk.write(data)

    def read(self, volume_id: str, snapshot_id: str, length: int) -> bytes:
        place = self.server.file_directory / "snapshots" / f"volume-{volume_id}"
        with (place / f"snapshot-{snapshot_id}").open("rb") as disk:
            return disk.read(length)


class Split(Deployment):
    """API and volume service as processes of their own over PostgreSQL and RabbitMQ."""

    split = True

    def __init__(self, folder: pathlib.Path) -> None:
        self._postgresql, self._rabbitmq = servers.shared_postgresql(), servers.shared_rabbitmq()
        self._name = f"chaos-{os.getpid()}-{id(self)}"
        super().__init__(folder)

    def options(self) -> Mapping[str, object]:
        return {"transport_url": self._rabbitmq.url, "host": self._name}

    def database_url(self) -> str | None:
        return self._postgresql.create_database(self._name)

    def close(self) -> None:
        super().close()
        self._postgresql.drop_database(self._name)


class Rbd(Deployment):
    """``volsnap up`` on a pool of a real Ceph of its own."""

    def __init__(self, folder: pathlib.Path) -> None:
        import rados

        from tests.labs import ceph

        self._stack = contextlib.ExitStack()
        options = ceph.Options(with_mgr=True, watch_timeout_s=5)
        self._cluster = self._stack.enter_context(ceph.cluster(folder.parent / "ceph", options))
        self._rados = rados.Rados(conffile=str(self._cluster.conf))
        self._rados.connect()
        self._pool = self._rados.open_ioctx("volumes")
        super().__init__(folder)

    def backends(self, folder: pathlib.Path) -> Mapping[str, Mapping[str, object]]:
        return {
            "rbd": {"volume_driver": "rbd", "rbd_pool": "volumes", "rbd_ceph_conf": self._cluster.conf},
        }

    def close(self) -> None:
        super().close()
        self._pool.close()
        self._rados.shutdown()
        self._stack.close()

    def write(self, volume_id: str, data: bytes) -> None:
        import rbd

        with rbd.Image(self._pool, f"volume-{volume_id}") as image:
            image.write(data, 0)
            image.flush()

    def read(self, volume_id: str, snapshot_id: str, length: int) -> bytes:
        import rbd

        name = f"volume-{volume_id}"
        with rbd.Image(self._pool, name, snapshot=f"snapshot-{snapshot_id}", read_only=True) as image:
            return bytes(image.read(0, length))


class Lvm(Deployment):
    """``volsnap up`` on a volume group of the guest's disks (``tests/labs/run-in-guest``)."""

    kind = "thick"
    # Each thick volume writes or copies a whole GiB: what is under way at the last kill would itself last a minute.
    volume_share = 0.3

    def __init__(self, folder: pathlib.Path) -> None:
        from tests.drivers import lvm_backend

        self._lvm = lvm_backend
        disks = os.environ.get("GUEST_DISKS", "").split()
        assert disks, "LVM is tested in the guest: tests/labs/run-in-guest -s 64G -- CMD"
        lvm_backend.command("vgcreate", "-y", lvm_backend.VG, *disks)
        super().__init__(folder)

    def backends(self, folder: pathlib.Path) -> Mapping[str, Mapping[str, object]]:
        options = {"volume_driver": "lvm", "volume_group": self._lvm.VG, "lvm_type": self.kind, "lvm_cow_min_mib": 8}
        return {"lvm": {**options, "lvm_cow_percent": 1}}

    def close(self) -> None:
        super().close()
        self._lvm.command("vgremove", "-f", "-y", self._lvm.VG)

    def write(self, volume_id: str, data: bytes) -> None:
        descriptor = os.open(f"/dev/{self._lvm.VG}/volume-{volume_id}", os.O_WRONLY)
        try:
            os.pwrite(descriptor, data, 0)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def read(self, volume_id: str, snapshot_id: str, length: int) -> bytes:
        name = f"{self._lvm.VG}/{self._lvm.snapshot_name(snapshot_id)}"
        if self.kind == "thin":  # a thin snapshot is made inactive; a thick one is as active as its volume
            self._lvm.command("lvchange", "-ay", "-K", name)
        descriptor = os.open(f"/dev/{name}", os.O_RDONLY)
        try:
            return os.pread(descriptor, length, 0)
        finally:
            os.close(descriptor)


class LvmThin(Lvm):
    """The same in a thin pool, which the driver makes."""

    kind = "thin"
    volume_share = 1.0


#: Name → class and pytest mark.
DEPLOYMENTS: Mapping[str, tuple[type[Deployment], str]] = {
    "file": (Deployment, "file"),
    "postgresql": (Split, "postgresql"),
    "rbd": (Rbd, "rbd"),
    "lvm-thick": (Lvm, "lvm"),
    "lvm-thin": (LvmThin, "lvm"),
}


@contextlib.contextmanager
def deployment(name: str, folder: pathlib.Path) -> Iterator[Deployment]:
    """The deployment of that name, not started; ended and cleared away afterwards."""
    made = DEPLOYMENTS[name][0](folder)
    try:
        yield made
    finally:
        made.close()
