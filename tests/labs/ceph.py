"""A real, throw-away Ceph in one folder: one monitor, one OSD, on demand one manager, on 127.0.0.1.

``python -m tests.labs.ceph up DIR`` prints the path of its ceph.conf, ``… down DIR`` stops it and removes the folder.
Fixtures use :func:`cluster`. Invariant: only processes whose pid file lies in DIR *and* whose command line names DIR's
ceph.conf are ever signalled; nothing is looked up by name.

What is not default, and why (measured with Ceph 16.2 on two cores):

* ``paxos_propose_interval`` 0.02: with the default each serial ``create_snap`` takes a second, for the monitor batches.
* pool size 1, few PGs, no DB/WAL files, no fsck, msgr2 only: a fresh start in about two seconds.
* ``osd_client_watch_timeout`` 10 (Ceph: 30): how long a killed client keeps its exclusive lock.
* ``objecter_*``: clients notice their op time-outs within half a second, not five.
* the manager reports statistics every second: capacity and pool quotas are zero without it, late with its default.
"""

import argparse
import collections
import concurrent.futures
import contextlib
import dataclasses
import fcntl
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from typing import IO, Any

import rados
import rbd

GIB = 1 << 30
#: Stop order: whoever reports goes before whom it reports to.
DAEMONS = ("mgr.a", "osd.0", "mon.a")
_PORTS = 40
_START_TIMEOUT_S = 60.0

_CONF = """\
[global]
fsid = {fsid}
mon_host = [v2:127.0.0.1:{port}]
auth_cluster_required = none
auth_service_required = none
auth_client_required = none
auth_allow_insecure_global_id_reclaim = false
ms_bind_msgr1 = false
ms_bind_msgr2 = true
public_network = 127.0.0.0/8
cluster_network = 127.0.0.0/8
ms_bind_port_min = {port_min}
ms_bind_port_max = {port_max}
run_dir = {dir}/run
admin_socket = {dir}/run/$name.asok
pid_file = {dir}/run/$name.pid
log_file = {dir}/log/$name.log
mon_cluster_log_file = {dir}/log/cluster.log
mon_cluster_log_to_syslog = false
log_to_stderr = false
crash_dir = {dir}/crash
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = {pgs}
osd_pool_default_pgp_num = {pgs}
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
mon_allow_pool_size_one = true
mon_allow_pool_delete = true
mon_warn_on_pool_no_redundancy = false
mon_max_pg_per_osd = 1000
mon_data_avail_warn = 2
mon_data_avail_crit = 1
[client]
objecter_tick_interval = 0.5
objecter_timeout = 2
log_file =
admin_socket =
pid_file =
[mon]
mon_data = {dir}/mon
paxos_propose_interval = 0.02
paxos_min_wait = 0.005
mon_osd_min_down_reporters = 1
mon_osd_initial_require_min_compat_client = {min_compat_client}
[osd]
osd_data = {dir}/osd
osd_objectstore = bluestore
osd_max_object_name_len = 256
osd_max_object_namespace_len = 64
bluestore_block_size = {size_bytes}
bluestore_block_create = true
bluestore_block_db_create = false
bluestore_block_wal_create = false
bluestore_fsck_on_mkfs = false
bdev_aio_poll_ms = 10
bluestore_cache_autotune = false
bluestore_cache_size = 67108864
osd_client_watch_timeout = {watch_timeout_s}
osd_mon_report_interval = 1
osd_scrub_begin_hour = 0
osd_scrub_max_interval = 31536000
osd_scrub_min_interval = 31536000
osd_deep_scrub_interval = 31536000
[mgr]
mgr_data = {dir}/mgr
mgr_stats_period = 1
mgr_tick_period = 1
mgr_initial_modules =
"""


@dataclasses.dataclass(frozen=True)
class Options:
    """How a new cluster is made; an existing folder keeps what it was made with."""

    size_bytes: int = 10 * GIB
    with_mgr: bool = False
    watch_timeout_s: int = 10
    pools: tuple[str, ...] = ("volumes", "images", "vms")
    pgs: int = 8
    #: "jewel" makes a cluster that refuses clone format 2, as old upgraded ones do.
    min_compat_client: str = "mimic"


class Cluster:
    """The cluster that lives in one folder."""

    def __init__(self, directory: pathlib.Path) -> None:
        self.directory = directory.absolute()
        self.conf = self.directory / "ceph.conf"

    # life

    def up(self, options: Options | None = None) -> None:
        """Make it if it is not there; start the daemons that do not run; return when its pools take writes."""
        options = options or Options()
        if len(str(self.directory)) > 80:
            raise ValueError(f"{self.directory} is too long for a unix socket in it")
        try:
            if (self.directory / "created").exists():
                self._start_all()
            else:
                self._create(options)
        except BaseException:
            self.down(kill=True)
            raise

    def down(self, *, kill: bool = False, remove: bool = False) -> None:
        """Stop every daemon and wait for its end."""
        for daemon in DAEMONS:
            self.stop(daemon, kill=kill)
        if remove:
            shutil.rmtree(self.directory, ignore_errors=True)

    def start(self, daemon: str) -> None:
        """Start one daemon unless it runs; :meth:`wait_ready` tells when the OSD serves again."""
        if not self.is_running(daemon):
            kind, name = daemon.split(".")
            self._run([f"ceph-{kind}", "-c", str(self.conf), "-i", name], "start.log")

    def stop(self, daemon: str, *, kill: bool = False) -> None:
        """SIGTERM (or SIGKILL) one daemon and wait until it is gone; SIGKILL after five seconds."""
        pid = self.pid(daemon)
        if pid is None:
            return
        os.kill(pid, signal.SIGCONT)
        os.kill(pid, signal.SIGKILL if kill else signal.SIGTERM)
        give_up = time.monotonic() + 5
        while self.pid(daemon) is not None:
            if time.monotonic() > give_up:
                os.kill(pid, signal.SIGKILL)
                give_up += 5
            time.sleep(0.01)
        for ending in ("pid", "asok"):
            (self.directory / "run" / f"{daemon}.{ending}").unlink(missing_ok=True)

    # for tests that break it

    def freeze(self, daemon: str = "osd.0") -> None:
        """SIGSTOP: connections stay open and nothing answers."""
        self._signal(daemon, signal.SIGSTOP)

    def thaw(self, daemon: str = "osd.0") -> None:
        """SIGCONT."""
        self._signal(daemon, signal.SIGCONT)

    @contextlib.contextmanager
    def frozen(self, daemon: str = "osd.0") -> Iterator[None]:
        """The daemon stands still inside; afterwards it serves again."""
        self.freeze(daemon)
        try:
            yield
        finally:
            self.thaw(daemon)
            self.wait_ready()

    @contextlib.contextmanager
    def killed(self, daemon: str = "osd.0") -> Iterator[None]:
        """The daemon is killed inside; afterwards it serves again."""
        self.stop(daemon, kill=True)
        try:
            yield
        finally:
            self.start(daemon)
            self.wait_ready()

    # processes

    def pid(self, daemon: str) -> int | None:
        """The pid of a running daemon of this very cluster (a zombie's command line is empty)."""
        try:
            pid = int((self.directory / "run" / f"{daemon}.pid").read_text())
            words = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except (OSError, ValueError):
            return None
        return pid if os.fsencode(self.conf) in words else None

    def is_running(self, daemon: str) -> bool:
        """The process exists (it may stand still)."""
        return self.pid(daemon) is not None

    def _signal(self, daemon: str, number: signal.Signals) -> None:
        pid = self.pid(daemon)
        if pid is None:
            raise RuntimeError(f"{daemon} of {self.directory} does not run")
        os.kill(pid, number)

    def _run(self, argv: list[str], log: str) -> None:
        """Run to the end (daemons put themselves into the background)."""
        with (self.directory / "log" / log).open("ab") as out:
            environment = dict(os.environ, CEPH_CONF=str(self.conf))
            subprocess.run(
                argv,
                check=True,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env=environment,
                timeout=_START_TIMEOUT_S,
            )

    # making it

    def _create(self, options: Options) -> None:
        for part in ("mon", "osd", "mgr", "log", "run", "crash"):
            shutil.rmtree(self.directory / part, ignore_errors=True)  # a half-made one starts over
            (self.directory / part).mkdir(parents=True)
        osd_uuid = str(uuid.uuid4())
        with _free_ports() as port:
            self._write_conf(options, port)
            self._make_stores(osd_uuid, port)
            self.start("mon.a")
        with self.admin() as client:
            _mon(client, "osd create", uuid=osd_uuid, id=0)
            _mon(client, "osd crush add", id=0, weight=1.0, args=["host=localhost", "root=default"])
            self.start("osd.0")
            if options.with_mgr:
                self.start("mgr.a")
                (self.directory / "mgr" / "used").touch()
            self._wait_osd(client)
            with concurrent.futures.ThreadPoolExecutor(len(options.pools)) as threads:
                for done in [threads.submit(_make_pool, client, pool, options.pgs) for pool in options.pools]:
                    done.result()
            if options.with_mgr:
                _wait_for_capacity(client)
        (self.directory / "created").touch()

    def _start_all(self) -> None:
        self.start("mon.a")
        self.start("osd.0")
        if (self.directory / "mgr" / "used").exists():
            self.start("mgr.a")
        self.wait_ready()

    def _write_conf(self, options: Options, port: int) -> None:
        self.conf.write_text(
            _CONF.format(
                fsid=uuid.uuid4(),
                dir=self.directory,
                port=port,
                port_min=port + 1,
                port_max=port + _PORTS,
                **dataclasses.asdict(options),
            )
        )

    def _make_stores(self, osd_uuid: str, port: int) -> None:
        conf, fsid = str(self.conf), self.fsid
        monmap = str(self.directory / "monmap")
        address = f"[v2:127.0.0.1:{port}]"
        osd = ["ceph-osd", "-c", conf, "-i", "0", "--mkfs", "--osd-uuid", osd_uuid]
        with concurrent.futures.ThreadPoolExecutor(1) as threads:
            osd_made = threads.submit(self._run, [*osd, "--no-mon-config"], "mkfs-osd.log")
            self._run(
                [
                    "monmaptool",
                    "--create",
                    "--fsid",
                    fsid,
                    "--addv",
                    "a",
                    address,
                    "--set-min-mon-release",
                    "pacific",
                    monmap,
                ],
                "mkfs.log",
            )
            self._run(["ceph-mon", "-c", conf, "-i", "a", "--mkfs", "--monmap", monmap], "mkfs.log")
            osd_made.result()

    @property
    def fsid(self) -> str:
        """The cluster's id."""
        return self.conf.read_text().split("fsid = ", 1)[1].split("\n", 1)[0]

    # asking it

    @contextlib.contextmanager
    def admin(self) -> Iterator[Any]:
        """A connected ``rados.Rados`` of client.admin."""
        client = rados.Rados(conffile=str(self.conf), name="client.admin")
        client.conf_set("client_mount_timeout", "20")
        client.connect()
        try:
            yield client
        finally:
            client.shutdown()

    def mon(self, prefix: str, **arguments: Any) -> Any:
        """One monitor command; its JSON answer."""
        with self.admin() as client:
            return _mon(client, prefix, **arguments)

    def wait_ready(self) -> None:
        """Return when the OSD that runs now is up and every pool answers."""
        with self.admin() as client:
            self._wait_osd(client)
            for pool in client.list_pools():
                with client.open_ioctx(pool) as ioctx:
                    rbd.RBD().list(ioctx)

    def _wait_osd(self, client: Any) -> None:
        """Up alone may be the killed predecessor: the nonce of the address is the daemon's pid."""
        give_up = time.monotonic() + _START_TIMEOUT_S
        pid = self.pid("osd.0")
        while True:
            osd = _mon(client, "osd dump")["osds"][0]
            addresses = osd["public_addrs"]["addrvec"]
            if osd["up"] and any(address["nonce"] == pid for address in addresses):
                break
            if time.monotonic() > give_up:
                raise TimeoutError(f"osd.0 is not up; see {self.directory}/log")
            time.sleep(0.02)
        client.wait_for_latest_osdmap()


def _mon(client: Any, prefix: str, **arguments: Any) -> Any:
    command = json.dumps({"prefix": prefix, "format": "json", **arguments})
    code, out, error = client.mon_command(command, b"")
    if code:
        raise RuntimeError(f"{prefix}: {code} {error}")
    return json.loads(out) if out.strip() else None


def _make_pool(client: Any, pool: str, pgs: int) -> None:
    _mon(client, "osd pool create", pool=pool, pg_num=pgs, pgp_num=pgs)
    with client.open_ioctx(pool) as ioctx:
        rbd.RBD().pool_init(ioctx, True)  # its first write proves that the PGs are active


def _wait_for_capacity(client: Any) -> None:
    """The manager is of use only when ``df`` has numbers, a second or two after its start."""
    give_up = time.monotonic() + _START_TIMEOUT_S
    while not _mon(client, "df")["stats"]["total_bytes"]:
        if time.monotonic() > give_up:
            raise TimeoutError("the manager reports no capacity")
        time.sleep(0.05)


@contextlib.contextmanager
def _free_ports() -> Iterator[int]:
    """A block of free ports below the ephemeral range, ours until the monitor listens."""
    lock = pathlib.Path(tempfile.gettempdir()) / f"volsnap-ceph-ports.{os.getuid()}.lock"
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        while True:
            port = random.randrange(20000, 30000, 50)
            try:
                for number in range(port, port + _PORTS + 1):
                    with socket.socket() as probe:
                        probe.bind(("127.0.0.1", number))
            except OSError:
                continue
            break
        yield port


@contextlib.contextmanager
def cluster(directory: pathlib.Path, options: Options | None = None) -> Iterator[Cluster]:
    """A running cluster in ``directory``; stopped and removed at the end, also when this process is killed."""
    made = Cluster(directory)
    with _heir(made.directory):
        try:
            made.up(options)
            yield made
        finally:
            made.down(kill=True, remove=True)


@contextlib.contextmanager
def _heir(directory: pathlib.Path) -> Iterator[None]:
    """A process that takes the cluster down when this one ends inside without doing it.

    It notices the end of its standard input, which only this process holds open. Daemons that get a signal with their
    parent's death would not do: they have none (they put themselves into the background), and whoever starts one anew
    may be a thread that ends before its process does.
    """
    down = 'read -r _; exec "$0" -m tests.labs.ceph down --kill "$1"'
    argv = ["sh", "-c", down, sys.executable, str(directory)]
    root = pathlib.Path(__file__).parents[2]
    # A session of its own, for Ctrl-C and a closed terminal end all processes of the starter's.
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, cwd=root, start_new_session=True
    ) as heir:
        yield
        heir.kill()  # not after an error, for that may have come out of down()


def main(argv: list[str] | None = None, out: IO[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.labs.ceph", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    commands = collections.OrderedDict(
        (verb, verbs.add_parser(verb)) for verb in ("up", "down", "freeze", "thaw", "kill-osd")
    )
    for command in commands.values():
        command.add_argument("dir", type=pathlib.Path)
    commands["up"].add_argument("--size-gib", type=int, default=10)
    commands["up"].add_argument("--mgr", action="store_true", help="capacity and quota need it")
    commands["up"].add_argument("--watch-timeout", type=int, default=10, metavar="SECONDS")
    commands["down"].add_argument("--kill", action="store_true")
    commands["down"].add_argument("--keep", action="store_true", help="do not remove the folder")
    given = parser.parse_args(argv)
    lab = Cluster(given.dir)
    if given.verb == "up":
        lab.up(Options(given.size_gib * GIB, given.mgr, given.watch_timeout))
        print(lab.conf, file=out)
    elif given.verb == "down":
        lab.down(kill=given.kill, remove=not given.keep)
    elif given.verb == "kill-osd":
        lab.stop("osd.0", kill=True)
    else:
        {"freeze": lab.freeze, "thaw": lab.thaw}[given.verb]()


if __name__ == "__main__":
    main()
