"""The RBD backend under test: a Ceph of its own, and a witness that uses the bindings beside the driver.

Invariant: nothing here goes through the driver or its lowlevel door, except that ``driver`` is one.
"""

import contextlib
import json
import pathlib
import time
from collections.abc import Iterator
from typing import Any

import rados
import rbd

from tests.drivers import backend as backends
from tests.labs import ceph as lab
from volsnap.volume.drivers import base
from volsnap.volume.drivers.rbd import RbdDriver, RbdSettings

MIB = 1 << 20
POOL = "volumes"
DEADLINE_S = 8.0
#: How old numbers may be that the driver allows a create on.
STATS_AGE_S = 0.5


class RbdBackend(backends.Backend):
    """One pool of a cluster that lives as long as the tests."""

    name = "rbd"
    volume_bytes = 32 * MIB
    deadline_s = DEADLINE_S
    #: A cut takes 30 ms and a delete as long, one after the other; the 200 are in test_rbd_only.
    many = 100

    def __init__(self, cluster: lab.Cluster) -> None:
        self.cluster = cluster
        self._rbd = rbd.RBD()
        self._connect()
        self.driver = self.fresh_driver()

    def _connect(self) -> None:
        self.rados = rados.Rados(conffile=str(self.cluster.conf))
        self.rados.conf_set("rbd_default_clone_format", "2")
        self.rados.connect()
        self.ioctx = self.rados.open_ioctx(POOL)

    def close(self) -> None:
        self.driver.close()
        self.ioctx.close()
        self.rados.shutdown()

    def settings(self, **changes: Any) -> RbdSettings:
        """Settings for this cluster."""
        fields: dict[str, Any] = {
            "rbd_pool": POOL,
            "rbd_ceph_conf": str(self.cluster.conf),
            "rbd_deadline_s": DEADLINE_S,
            "rbd_stats_max_age_s": STATS_AGE_S,
        }
        return RbdSettings(**{**fields, **changes})

    def fresh_driver(self) -> base.Driver:
        return RbdDriver(self.settings())

    def write(self, volume: base.VolumeRef, offset: int, data: bytes) -> None:
        with rbd.Image(self.ioctx, base.volume_name(volume.id)) as image:
            image.write(data, offset)
            image.flush()

    def read(self, volume: base.VolumeRef, offset: int, length: int) -> bytes:
        with rbd.Image(self.ioctx, base.volume_name(volume.id), read_only=True) as image:
            return bytes(image.read(offset, length))

    def object_names(self) -> set[str]:
        names: set[str] = set()
        for name in self._rbd.list(self.ioctx):
            names.add(name)
            with contextlib.suppress(rbd.ImageNotFound), rbd.Image(self.ioctx, name, read_only=True) as image:
                names.update(f"{name}@{each['name']}" for each in image.list_snaps())
        names.update(f"trash:{each['name']}" for each in self._rbd.trash_list(self.ioctx))
        return names

    def make_foreign_volume(self, name: str, size_bytes: int) -> None:
        self._rbd.create(self.ioctx, name, size_bytes, old_format=False)

    def make_foreign_snapshot(self, volume: base.VolumeRef, name: str) -> None:
        with rbd.Image(self.ioctx, base.volume_name(volume.id)) as image:
            image.create_snap(name)

    def plant_half_volume(self, volume: base.VolumeRef) -> None:
        """librbd writes name and id first and the header last: an image without its header."""
        name = base.volume_name(volume.id)
        self._rbd.create(self.ioctx, name, volume.size_bytes, old_format=False)
        with rbd.Image(self.ioctx, name, read_only=True) as image:
            image_id = image.id()
        self.ioctx.remove_object(f"rbd_header.{image_id}")
        self.ioctx.remove_object(f"rbd_object_map.{image_id}")

    def plant_half_snapshot(self, snapshot: base.SnapshotRef) -> None:
        """librbd allots a snapshot id at the monitor first; a killed client leaves only that."""
        self.ioctx.create_self_managed_snap()

    @contextlib.contextmanager
    def full(self) -> Iterator[None]:
        """A pool quota that is exceeded: Ceph blocks writers then, as on a full store."""
        self.ioctx.write_full("filler", bytes(8 * MIB))
        self._quota(4 * MIB)
        self._wait(lambda stats: stats["quota_bytes"] and stats["stored"] >= stats["quota_bytes"])
        time.sleep(STATS_AGE_S)
        try:
            yield
        finally:
            self._quota(0)
            self._wait(lambda stats: not stats["quota_bytes"])
            # Ceph takes the pool's flag away with its next statistics, not with the quota.
            self._wait_for(lambda: "full" not in self._pool()["flags_names"].split(","))
            self.ioctx.remove_object("filler")

    def _quota(self, size_bytes: int) -> None:
        self.mon("osd pool set-quota", pool=POOL, field="max_bytes", val=str(size_bytes))

    def mon(self, prefix: str, **arguments: Any) -> Any:
        """A monitor command's JSON answer."""
        command = json.dumps({"prefix": prefix, "format": "json", **arguments})
        code, out, error = self.rados.mon_command(command, b"")
        assert code == 0, error
        return json.loads(out) if out.strip() else None

    def _pool(self) -> Any:
        (pool,) = [each for each in self.mon("osd dump")["pools"] if each["pool_name"] == POOL]
        return pool

    def _wait(self, condition: Any) -> None:
        def holds() -> bool:
            pools = self.mon("df", detail="detail")["pools"]
            return any(each["name"] == POOL and condition(each["stats"]) for each in pools)

        self._wait_for(holds)

    def _wait_for(self, condition: Any) -> None:
        end = time.monotonic() + 30
        while not condition():
            assert time.monotonic() < end, "the cluster does not follow"
            time.sleep(0.05)

    @contextlib.contextmanager
    def gone(self) -> Iterator[None]:
        """All daemons are killed. Frozen ones would serve what the dead line holds when they wake up, also deletes."""
        for daemon in ("osd.0", "mon.a"):
            self.cluster.stop(daemon, kill=True)
        try:
            yield
        finally:
            self.cluster.start("mon.a")
            self.cluster.start("osd.0")
            self.cluster.wait_ready()

    def reset(self) -> None:
        """Everything, children before parents: what has clones goes in a later round."""
        self._wait_for(self._sweep)

    def _sweep(self) -> bool:
        for name in self._rbd.list(self.ioctx):
            with contextlib.suppress(rbd.ImageNotFound), rbd.Image(self.ioctx, name) as image:
                for each in list(image.list_snaps()):
                    if each["namespace"] == rbd.RBD_SNAP_NAMESPACE_TYPE_USER:
                        if image.is_protected_snap(each["name"]):
                            image.unprotect_snap(each["name"])
                        image.remove_snap(each["name"])
            with contextlib.suppress(rbd.ImageHasSnapshots, rbd.ImageBusy, rbd.ImageNotFound):
                self._rbd.remove(self.ioctx, name)
        for trashed in self._rbd.trash_list(self.ioctx):
            with contextlib.suppress(rbd.ImageHasSnapshots, rbd.ImageBusy, rbd.ImageNotFound):
                self._rbd.trash_remove(self.ioctx, trashed["id"], force=True)
        return not self.object_names()


@contextlib.contextmanager
def open_backend(name: str, workdir: pathlib.Path) -> Iterator[backends.Backend]:
    """A fresh cluster with a manager: without one there is neither capacity nor quota."""
    with lab.cluster(workdir / "ceph", lab.Options(with_mgr=True, watch_timeout_s=5)) as cluster:
        backend = RbdBackend(cluster)
        try:
            yield backend
        finally:
            backend.close()
