"""Real PostgreSQL and RabbitMQ for tests: plain processes with a folder and ports of their own.

``tools/setup servers`` installs the Debian packages; nothing of theirs runs by itself. Both listen on 127.0.0.1 only.
A server is known by the pid files in its folder, so that another process may stop what this one started::

    python -m tests.labs.servers up DIR      prints the two URLs that volsnap's configuration wants
    python -m tests.labs.servers down DIR
"""

import argparse
import atexit
import contextlib
import functools
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import psycopg

_START_S = 240.0
_END_S = 30.0


def free_ports(count: int) -> list[int]:
    """TCP ports that nobody listens on now, below the ephemeral range so that no client takes one.

    They are drawn: a server may take half a minute to listen, and others look for ports meanwhile.
    """
    found: list[int] = []
    while len(found) < count:
        port = random.SystemRandom().randrange(11000, 20000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            found.append(port)
    return found


def _package_program(pattern: str) -> pathlib.Path:
    """The newest program of a Debian package that keeps its programs out of PATH."""
    found = sorted(pathlib.Path("/usr/lib").glob(pattern))
    if not found:
        raise RuntimeError(f"/usr/lib/{pattern} is not there: run tools/setup servers")
    return found[-1]


class _Daemon:
    """One process in a session of its own, known by a pid file."""

    def __init__(self, folder: pathlib.Path, name: str) -> None:
        self._pid_file = folder / f"{name}.pid"
        self._log = folder / f"{name}.log"
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The pid while it runs."""
        if self._child is not None:
            return self._child.pid if self._child.poll() is None else None  # and reaped
        try:
            pid = int(self._pid_file.read_text())
            started = pathlib.Path(f"/proc/{pid}/environ").read_bytes()
        except (OSError, ValueError):
            return None
        return pid if f"VOLSNAP_LAB={self._pid_file}".encode() in started.split(b"\0") else None

    def start(self, argv: Sequence[str], environment: Mapping[str, str]) -> None:
        """Start it; its output goes to the log beside the pid file."""
        with self._log.open("ab") as log:
            self._child = subprocess.Popen(
                argv,
                env={**os.environ, **environment, "VOLSNAP_LAB": str(self._pid_file)},
                cwd=self._pid_file.parent,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._pid_file.write_text(str(self._child.pid))

    def send(self, number: signal.Signals) -> None:
        """Signal the process and everything in its session."""
        pid = self.pid
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, number)

    def end(self, number: signal.Signals) -> None:
        """Signal the process alone (it ends its own children) and wait for its end; in the end with SIGKILL."""
        pid = self.pid
        if pid is None:
            return
        os.kill(pid, number)
        give_up = time.monotonic() + _END_S
        while self.pid is not None:
            if time.monotonic() > give_up:
                self.send(signal.SIGKILL)
            time.sleep(0.02)
        self._pid_file.unlink(missing_ok=True)

    def wait_until(self, ready: Callable[[], bool]) -> None:
        """Return when ``ready``."""
        deadline = time.monotonic() + _START_S
        while not ready():
            if self.pid is None:
                raise RuntimeError(f"{self._pid_file.stem} ended:\n{self._log.read_text()[-3000:]}")
            if time.monotonic() > deadline:
                raise RuntimeError(f"{self._pid_file.stem} does not answer:\n{self._log.read_text()[-3000:]}")
            time.sleep(0.05)


class PostgreSQL:
    """One PostgreSQL server under ``folder``; its data outlive :meth:`stop`."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder.absolute()
        self._data = self.folder / "data"
        self._daemon = _Daemon(self.folder, "postgresql")

    @property
    def port(self) -> int:
        """The port it listens on; the same after a restart."""
        return int((self.folder / "port").read_text())

    def url(self, database: str) -> str:
        """The SQLAlchemy URL of a database."""
        return f"postgresql+psycopg://volsnap@127.0.0.1:{self.port}/{database}"

    def start(self) -> "PostgreSQL":
        """Make the data if they are not there; start; return when it answers."""
        if not (self._data / "PG_VERSION").exists():
            self._create()
        self.start_process()
        self._daemon.wait_until(self._answers)
        return self

    def start_process(self) -> None:
        """Start, and do not wait."""
        if self._daemon.pid is None:
            program = _package_program("postgresql/*/bin/postgres")
            self._daemon.start([*_as_postgres(), str(program), "-D", str(self._data)], {})

    def stop(self) -> None:
        """Shut down at once, in order."""
        self._daemon.end(signal.SIGINT)

    def crash(self) -> None:
        """End without a checkpoint, as at a loss of power; the next start recovers."""
        self._daemon.end(signal.SIGQUIT)

    def create_database(self, name: str) -> str:
        """A new database; returns its URL."""
        self._execute(f'CREATE DATABASE "{name}"')
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """Remove a database and whoever uses it."""
        self._execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def _execute(self, statement: str) -> None:
        with psycopg.connect(self._address(), autocommit=True) as connection:
            connection.execute(statement)  # type: ignore[call-overload]

    def _address(self) -> str:
        return f"host=127.0.0.1 port={self.port} user=volsnap dbname=postgres connect_timeout=5"

    def _answers(self) -> bool:
        try:
            psycopg.connect(self._address()).close()
        except psycopg.OperationalError:
            return False
        return True

    def _create(self) -> None:
        shutil.rmtree(self._data, ignore_errors=True)
        self._data.mkdir(parents=True, mode=0o700)
        if os.geteuid() == 0:
            shutil.chown(self._data, "postgres", "postgres")
        initdb = str(_package_program("postgresql/*/bin/initdb"))
        argv = [initdb, "-D", str(self._data), "-U", "volsnap", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
        done = subprocess.run([*_as_postgres(), *argv], capture_output=True, text=True, cwd="/", timeout=120)
        if done.returncode:
            raise RuntimeError(f"initdb failed:\n{done.stdout}{done.stderr}")
        (port,) = free_ports(1)
        # What a test kills is never the machine, so the kernel keeps what was written.
        settings = {"listen_addresses": "'127.0.0.1'", "unix_socket_directories": "''", "port": port, "fsync": "off"}
        with (self._data / "postgresql.conf").open("a") as conf:
            conf.writelines(f"{name} = {value}\n" for name, value in settings.items())
        (self.folder / "port").write_text(str(port))


def _as_postgres() -> list[str]:
    """PostgreSQL does not run as root; the folders of tests are closed to others, hence the capability."""
    if os.geteuid() != 0:
        return []
    grant = "+dac_read_search"
    user = ["--reuid=postgres", "--regid=postgres", "--clear-groups"]
    return ["setpriv", *user, f"--inh-caps={grant}", f"--ambient-caps={grant}", "--"]


class RabbitMQ:
    """One RabbitMQ node under ``folder``, with a port mapper (epmd) of its own."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder.absolute()
        self._epmd = _Daemon(self.folder, "epmd")
        self._daemon = _Daemon(self.folder, "rabbitmq")

    @property
    def _ports(self) -> list[int]:
        return [int(word) for word in (self.folder / "ports").read_text().split()]

    @property
    def url(self) -> str:
        """The ``transport_url`` of oslo.messaging."""
        return f"rabbit://guest:guest@127.0.0.1:{self._ports[0]}/"

    def start(self) -> "RabbitMQ":
        """Start; return when it takes connections."""
        if not (self.folder / "ports").exists():
            self._create()
        self.start_process()
        self._daemon.wait_until(self._answers)
        return self

    def start_process(self) -> None:
        """Start, and do not wait."""
        if self._daemon.pid is not None:
            return
        _, _, mapper = self._ports
        if self._epmd.pid is None:
            self._epmd.start(["epmd", "-address", "127.0.0.1", "-port", str(mapper)], {})
        # The script itself: the wrapper in PATH changes the user.
        program = _package_program("rabbitmq/lib/rabbitmq_server-*/sbin/rabbitmq-server")
        self._daemon.start([str(program)], self._environment())

    def stop(self) -> None:
        """Stop the node; queues of the next start are those that last."""
        self._daemon.end(signal.SIGTERM)
        self._epmd.end(signal.SIGTERM)

    def crash(self) -> None:
        """``kill -9`` the node."""
        self._daemon.send(signal.SIGKILL)
        self._daemon.end(signal.SIGKILL)
        self._epmd.end(signal.SIGTERM)

    def freeze(self) -> None:
        """SIGSTOP: connections stay open and nothing answers."""
        self._daemon.send(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        self._daemon.send(signal.SIGCONT)

    def _answers(self) -> bool:
        """A listening socket comes before the node is ready; an AMQP greeting does not."""
        try:
            with socket.create_connection(("127.0.0.1", self._ports[0]), 2) as probe:
                probe.settimeout(2)
                probe.sendall(b"AMQP\0\0\x09\x01")
                return probe.recv(1) == b"\x01"
        except OSError:
            return False

    def _create(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "ports").write_text(" ".join(str(port) for port in free_ports(3)))
        (self.folder / "plugins").write_text("[].\n")
        (self.folder / "rabbitmq.conf").write_text("log.console = true\nlog.file = false\n")

    def _environment(self) -> dict[str, str]:
        port, distribution, mapper = self._ports
        return {
            "HOME": str(self.folder),  # the cookie
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(mapper),
            "RABBITMQ_NODENAME": f"volsnap{port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(port),
            "RABBITMQ_DIST_PORT": str(distribution),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.folder / "log"),
            "RABBITMQ_PID_FILE": str(self.folder / "node.pid"),
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq.conf"),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "plugins"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 2:1 +sbwt none +sbwtdcpu none +sbwtdio none "
            "-kernel inet_dist_use_interface {127,0,0,1}",
        }


class Servers:
    """Both, below one folder."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.postgresql = PostgreSQL(folder / "postgresql")
        self.rabbitmq = RabbitMQ(folder / "rabbitmq")

    def start(self) -> "Servers":
        """Start both."""
        self.postgresql.start()
        self.rabbitmq.start()
        return self

    def stop(self) -> None:
        """Stop both."""
        self.rabbitmq.stop()
        self.postgresql.stop()


@contextlib.contextmanager
def servers(folder: pathlib.Path) -> Iterator[Servers]:
    """Both running in ``folder``; stopped at the end."""
    both = Servers(folder)
    try:
        yield both.start()
    finally:
        both.stop()


@functools.cache
def _shared_folder() -> Servers:
    folder = pathlib.Path(tempfile.mkdtemp(prefix="volsnap-servers-"))
    both = Servers(folder)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    atexit.register(both.stop)
    return both


@functools.cache
def shared_postgresql() -> PostgreSQL:
    """A PostgreSQL that all tests of this process share; started at the first call, stopped with the process."""
    return _shared_folder().postgresql.start()


@functools.cache
def shared_rabbitmq() -> RabbitMQ:
    """The same for RabbitMQ."""
    return _shared_folder().rabbitmq.start()


def main(argv: Sequence[str] | None = None, out: Any = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.labs.servers", description="PostgreSQL and RabbitMQ by hand")
    parser.add_argument("verb", choices=["up", "down"])
    parser.add_argument("dir", type=pathlib.Path)
    given = parser.parse_args(argv)
    both = Servers(given.dir)
    if given.verb == "down":
        both.stop()
        return
    both.start()
    with contextlib.suppress(psycopg.errors.DuplicateDatabase):
        both.postgresql.create_database("volsnap")
    print(f"[DEFAULT]\ntransport_url = {both.rabbitmq.url}", file=out)
    print(f"[database]\nconnection = {both.postgresql.url('volsnap')}", file=out)


if __name__ == "__main__":
    main()
