#!/usr/bin/env python3
"""The main job, walked through on a live server: what `make run` does.

It starts `volsnap up` with embedded defaults on 127.0.0.1, makes a volume, puts a real ext4 file system with files on
it, takes a snapshot, spoils the files, and brings the old bytes back twice: as a new volume and by a revert. Each
command is printed with what it answered. Then the server goes on serving until Ctrl-C (or ends, with --once).

Invariants: a step that fails ends the walk with a reason, the end of the server's log and exit code 1; whatever was
started is stopped by its process id, however the walk ends.
"""

import argparse
import contextlib
import hashlib
import http.client
import json
import os
import pathlib
import random
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping

ROOT = pathlib.Path(__file__).resolve().parent.parent
BIN = pathlib.Path(sys.executable).parent
BACKENDS = ("file", "rbd", "lvm-thick", "lvm-thin")
DEFAULT_PORT = 8776
VG = "volsnap-volumes"
#: How the walk knows what it made itself: what an interrupted walk left is removed by the next one.
MARK = "made-by=walk"
_START_S = 60.0
_STOP_S = 20.0

ORDERS = "order 1: 3 apples\norder 2: 5 pears\norder 3: 1 melon\n"
SPOILED = "order 1: 0 apples\n"


class StepFailed(Exception):
    """A step did not do what it should; the text says what is the matter."""


class Stopped(BaseException):
    """Somebody asked the walk to end."""


# -------------------------------------------------------------------------------------------------------- the console


class Console:
    """What the reader sees. Colours only on a terminal."""

    def __init__(self, *, colour: bool) -> None:
        self._colour = colour
        self._number = 0

    def _say(self, text: str, code: str = "") -> None:
        print(f"\033[{code}m{text}\033[0m" if code and self._colour else text, flush=True)

    def step(self, title: str) -> None:
        """Begin the next step."""
        self._number += 1
        self._say(f"\n{self._number}. {title}", "1;36")

    def command(self, words: list[str]) -> None:
        """A command about to run, as one could type it."""
        self._say(f"$ {shlex.join(words)}", "1")

    def line(self, text: str) -> None:
        """One line that a command printed."""
        self._say(f"  {text}")

    def note(self, text: str) -> None:
        """A remark of ours."""
        self._say(f"  {text}", "32")

    def plain(self, text: str) -> None:
        """Text as it is."""
        self._say(text)

    def failed(self, reason: str) -> None:
        """The walk ends here."""
        self._say(f"\nwalk: step {self._number} failed: {reason}", "1;31")


# --------------------------------------------------------------------------------------------------------- the server


class Server:
    """`volsnap up` as a child process, its files below one folder."""

    def __init__(
        self, state: pathlib.Path, port: int, listen: str, sections: Mapping[str, Mapping[str, object]]
    ) -> None:
        self.port = port
        self.config = state / "volsnap.conf"
        self.log = state / "volsnap.log"
        self._process: subprocess.Popen[bytes] | None = None
        defaults = {
            "state_path": state,
            "host": "localhost",
            "osapi_volume_listen": listen,
            "osapi_volume_listen_port": port,
            "enabled_backends": ",".join(sections),
        }
        lines = []
        for section, options in {"DEFAULT": defaults, **sections}.items():
            lines += [f"[{section}]", *(f"{name} = {value}" for name, value in options.items()), ""]
        self.config.write_text("\n".join(lines))

    def start(self, console: Console) -> None:
        """Start it and wait until it answers and its backend has reported."""
        words = ["volsnap", "up", "--config-file", shown(self.config)]
        console.command(words)
        # Whatever ends the walk, also a SIGKILL, ends the server.
        argv = ["setpriv", "--pdeathsig", "TERM", "--", str(BIN / words[0]), "up", "--config-file", str(self.config)]
        started = time.monotonic()
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(argv, stdout=log, stderr=log, start_new_session=True, cwd=ROOT)
        while not self._answers():
            if self._process.poll() is not None:
                raise StepFailed(f"volsnap ended with exit code {self._process.returncode}")
            if time.monotonic() > started + _START_S:
                raise StepFailed(f"volsnap does not answer after {_START_S:.0f} s")
            time.sleep(0.05)
        console.line(f"volsnap serves http://127.0.0.1:{self.port}/v3  (after {time.monotonic() - started:.1f} s)")

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/healthcheck")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def wait(self) -> None:
        """Return when it ends by itself, which it should not."""
        assert self._process is not None
        raise StepFailed(f"volsnap ended with exit code {self._process.wait()}")

    def log_tail(self) -> list[str]:
        """The last lines of the log."""
        if not self.log.exists():
            return []
        return self.log.read_text(errors="replace").splitlines()[-20:]

    def stop(self) -> None:
        """End it and wait for its end."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.terminate()
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def shown(path: pathlib.Path) -> str:
    """A path as the reader would type it: relative inside the project."""
    return os.path.relpath(path, ROOT) if path.is_relative_to(ROOT) else str(path)


# ----------------------------------------------------------------------------------------------------------- commands


class Shell:
    """Runs commands before the reader's eyes."""

    def __init__(self, console: Console, port: int) -> None:
        self.console = console
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("OS_", "CINDER_"))}
        self._environment = {
            **kept,
            "PATH": f"{BIN}:{kept.get('PATH', '')}:/usr/sbin:/sbin",
            "OS_ENDPOINT": f"http://127.0.0.1:{port}/v3",
        }

    def run(self, *words: str, quiet: bool = False) -> str:
        """Run one command and print it and its output; returns the output.

        :raises StepFailed: it ended with another code than 0.
        """
        if not quiet:
            self.console.command([*words])
        lines = []
        with subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=self._environment,
            cwd=ROOT,
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                lines.append(line)
                if not quiet:
                    self.console.line(line.rstrip("\n"))
        if process.returncode != 0:
            said = f": {lines[-1].strip()}" if lines else ""
            raise StepFailed(f"{shlex.join(words[:2])} ended with exit code {process.returncode}{said}")
        return "".join(lines)


# ------------------------------------------------------------------------------------------------ the volume's content


class Disk:
    """The bytes of one volume, reached as an attached host would: through what `volsnap connect` says."""

    def __init__(self, shell: Shell, volume: str, work: pathlib.Path, ceph_conf: pathlib.Path | None) -> None:
        self._shell = shell
        self._ceph_conf = ceph_conf
        answer = json.loads(shell.run("volsnap", "connect", volume))
        self._image: str | None = None
        if answer["driver_volume_type"] == "rbd":
            self._image = answer["data"]["name"]
            self.path = shown(work / f"{volume}.img")
        else:
            self.path = shown(pathlib.Path(answer["data"]["device_path"]))

    def _fetch(self) -> None:
        self._copy("get")

    def _bring(self) -> None:
        """Put back what was changed, durably: a snapshot sees what storage has, not what a cache holds."""
        descriptor = os.open(ROOT / self.path, os.O_RDWR)
        os.fsync(descriptor)
        os.close(descriptor)
        self._copy("put")

    def _copy(self, verb: str) -> None:
        if self._image is not None:
            assert self._ceph_conf is not None
            self._shell.run("tools/rbd_copy.py", verb, shown(self._ceph_conf), self._image, self.path)

    def format(self, content: pathlib.Path) -> None:
        """A fresh ext4 that holds the files of a folder."""
        self._fetch()
        self._shell.run("mkfs.ext4", "-q", "-F", "-d", shown(content), self.path)
        self._bring()
        self._shell.run("debugfs", "-R", "ls -l /", self.path)

    def change(self, script: pathlib.Path) -> None:
        """Run debugfs commands that change the file system."""
        self._fetch()
        self._shell.run("debugfs", "-w", "-f", shown(script), self.path)
        self._bring()

    def read_file(self, name: str) -> str:
        """The text of one file in the file system."""
        self._fetch()
        output = self._shell.run("debugfs", "-R", f"cat {name}", self.path)
        return output.split("\n", 1)[1]  # the first line is debugfs's own name and version

    def checksum(self) -> str:
        """SHA-256 of every byte of the volume."""
        self._fetch()
        self._shell.console.command(["sha256sum", self.path])
        with open(ROOT / self.path, "rb") as disk:
            found = hashlib.file_digest(disk, "sha256").hexdigest()
        self._shell.console.line(found)
        return found


# ----------------------------------------------------------------------------------------------------------- the walk


class Walk:
    """The steps."""

    def __init__(self, console: Console, shell: Shell, server: Server, work: pathlib.Path) -> None:
        self._console = console
        self._shell = shell
        self._server = server
        self._work = work

    def remove_leftovers(self) -> None:
        """Remove what an interrupted walk left."""
        listing = ("volsnap", "list", "--metadata", MARK, "-f", "value", "-c", "ID")
        left = self._shell.run(*listing, quiet=True).split()
        if left:
            self._console.note("An earlier walk was interrupted; its volumes go first.")
            self._shell.run("volsnap", "delete", "--cascade", "--wait", *left)

    def run(self, ceph_conf: pathlib.Path | None) -> None:
        """All steps in order."""
        console, shell = self._console, self._shell
        short = ("-c", "id", "-c", "name", "-c", "size", "-c", "status")

        console.step("Make a volume of 1 GiB")
        shell.run("volsnap", "create", "1", "--name", "shop", "--metadata", MARK, "--wait", *short)

        console.step("Put a real ext4 file system with two files on it, as a host that uses the volume would")
        disk = Disk(shell, "shop", self._work, ceph_conf)
        disk.format(self._make_files())
        before = disk.checksum()

        console.step("Take a snapshot: from here on this point in time is kept")
        shell.run("volsnap", "snapshot-create", "shop", "--name", "before-the-mistake", "--wait")

        console.step("Make a mistake: overwrite one file, delete the other")
        disk.change(self._make_mistake())
        expect(disk.read_file("orders.txt") == SPOILED, "the file still has its old content")

        console.step("Look at the snapshot")
        shell.run("volsnap", "snapshot-list")
        shell.run("volsnap", "snapshot-show", "before-the-mistake")

        console.step("Make a new volume out of the snapshot")
        source = ("--snapshot", "before-the-mistake")
        shell.run("volsnap", "create", *source, "--name", "shop-before", "--metadata", MARK, "--wait", *short)

        console.step("Proof: the new volume holds the old bytes")
        copy = Disk(shell, "shop-before", self._work, ceph_conf)
        expect(copy.read_file("orders.txt") == ORDERS, "the old file is not there")
        expect(copy.checksum() == before, "the bytes are not those of the moment of the snapshot")
        console.note("Byte for byte what the volume held when the snapshot was taken.")

        console.step("Take the first volume back to the snapshot, in place")
        shell.run("volsnap", "revert-to-snapshot", "before-the-mistake", "--wait")
        expect(disk.checksum() == before, "the reverted bytes are not those of the moment of the snapshot")
        console.note("The mistake is undone.")

        console.step("Delete the snapshot; the volume made out of it lives on")
        shell.run("volsnap", "snapshot-delete", "before-the-mistake", "--wait")
        expect(copy.read_file("orders.txt") == ORDERS, "the volume made out of the snapshot lost its content")
        shell.run("volsnap", "snapshot-list")

        console.step("Clear up, and let the audit compare the database with the storage")
        shell.run("volsnap", "delete", "shop", "shop-before", "--wait")
        shell.run("volsnap-manage", "--config-file", shown(self._server.config), "audit")

    def _make_files(self) -> pathlib.Path:
        folder = self._work / "files"
        folder.mkdir(exist_ok=True)
        (folder / "orders.txt").write_text(ORDERS)
        (folder / "photo.bin").write_bytes(random.Random(1).randbytes(4 << 20))
        return folder

    def _make_mistake(self) -> pathlib.Path:
        (self._work / "spoiled.txt").write_text(SPOILED)
        script = self._work / "mistake.debugfs"
        script.write_text(f"rm orders.txt\nwrite {shown(self._work / 'spoiled.txt')} orders.txt\nrm photo.bin\n")
        return script


def expect(is_so: bool, otherwise: str) -> None:
    """Raise StepFailed unless a proof holds."""
    if not is_so:
        raise StepFailed(otherwise)


# ----------------------------------------------------------------------------------------------------------- backends


@contextlib.contextmanager
def open_backend(
    name: str, state: pathlib.Path, shell: Shell
) -> Iterator[tuple[Mapping[str, object], pathlib.Path | None]]:
    """The backend's section of the configuration, and Ceph's own configuration where there is one."""
    if name == "file":
        yield {"volume_driver": "file", "directory": state / "backend"}, None
    elif name == "rbd":
        shell.console.step("Start a real Ceph of our own: one monitor, one OSD, one manager, in user space")
        lab = (sys.executable, "-m", "tests.labs.ceph")
        folder = str(state / "ceph")
        try:
            conf = pathlib.Path(shell.run(*lab, "up", folder, "--mgr").splitlines()[-1])
            section = {"volume_driver": "rbd", "rbd_pool": "volumes", "rbd_ceph_conf": conf}
            yield section, conf
        finally:
            # Its files stay, as those of the other backends do: the next run finds its volumes again.
            subprocess.run([*lab, "down", folder, "--keep"], cwd=ROOT, start_new_session=True, check=False)
    else:
        shell.console.step("Make an LVM volume group on this guest's disks")
        shell.run("vgcreate", "-y", VG, *os.environ["GUEST_DISKS"].split())
        yield {"volume_driver": "lvm", "volume_group": VG, "lvm_type": name.removeprefix("lvm-")}, None


def become_guest(options: argparse.Namespace, console: Console) -> None:
    """Run the same walk inside a guest whose kernel has device-mapper. Does not return."""
    console.plain(
        "LVM needs device-mapper in the kernel, so it runs in a User-mode Linux guest: a plain process that sees this\n"
        "machine's files and has a kernel and two empty disks of its own. What is on those disks ends with it.\n"
        f"Its API is forwarded to 127.0.0.1:{options.port} here."
    )
    guest = ROOT / "tests/labs/run-in-guest"
    limit = "600" if options.once else "0"
    argv = [str(guest), "-t", limit, "-p", f"{options.port}:{options.port}", "--"]
    argv += [sys.executable, __file__, "--backend", options.backend, "--port", str(options.port)]
    argv += ["--once"] if options.once else []
    argv += ["--colour"] if sys.stdout.isatty() else []
    console.command([shown(guest), *argv[1:]])
    sys.stdout.flush()
    os.chdir(ROOT)
    os.execv(guest, argv)


# --------------------------------------------------------------------------------------------------------------- main


def main() -> int:
    """The command line; returns the exit code."""
    options = parse_arguments()
    is_guest = "GUEST" in os.environ
    console = Console(colour=options.colour or sys.stdout.isatty())
    if missing := find_missing(options.backend):
        return fail(f"{missing} is not installed; `make run` installs it (as root), or run tools/setup")
    if not is_free(options.port):
        other = options.port + 10_000 if options.port < 50_000 else DEFAULT_PORT + 1
        return fail(f"port {options.port} is in use; choose another one: make run PORT={other}")
    if options.backend.startswith("lvm") and not is_guest:
        become_guest(options, console)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop)
    state = pathlib.Path("/tmp/volsnap-walk") if is_guest else options.state  # the guest's /tmp is memory
    state.mkdir(parents=True, exist_ok=True)
    if is_guest:
        greet_nat()
    return walk(options, console, state.resolve(), listen="0.0.0.0" if is_guest else "127.0.0.1")  # seen by its relay


def walk(options: argparse.Namespace, console: Console, state: pathlib.Path, *, listen: str) -> int:
    """Start everything, walk, serve, stop everything."""
    shell = Shell(console, options.port)
    work = state / "walk"
    work.mkdir(exist_ok=True)
    server: Server | None = None
    serving = False
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, work, ignore_errors=True)
        try:
            section, ceph_conf = stack.enter_context(open_backend(options.backend, state, shell))
            console.step("Start volsnap: API, worker, SQLite and messaging in one process")
            server = Server(state, options.port, listen, {options.backend: section})
            stack.callback(server.stop)
            server.start(console)
            steps = Walk(console, shell, server, work)
            steps.remove_leftovers()
            started = time.monotonic()
            steps.run(ceph_conf)
            console.plain(f"\nThe walk is done, every proof held ({time.monotonic() - started:.1f} s).")
            if options.once:
                return 0
            say_what_next(options, console)
            serving = True
            server.wait()
        except StepFailed as err:
            console.failed(str(err))
            if server is not None:
                console.plain(f"The end of {shown(server.log)}:")
                for line in server.log_tail():
                    console.line(line)
            return 1
        except Stopped:
            console.plain("\nStopping.")
            return 0 if serving else 130
    return 0


def say_what_next(options: argparse.Namespace, console: Console) -> None:
    """What to type in another terminal."""
    console.plain(f"\nvolsnap serves http://127.0.0.1:{options.port}/v3 until you press Ctrl-C. In another terminal:\n")
    console.plain(f"  cd {ROOT} && . .venv/bin/activate")
    if options.port != DEFAULT_PORT:
        console.plain(f"  export OS_ENDPOINT=http://127.0.0.1:{options.port}/v3")
    console.plain("  volsnap create 1 --name mine --wait")
    console.plain("  volsnap snapshot-create mine --name first --wait")
    console.plain("  volsnap help\n")


def parse_arguments() -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--backend", default="file", choices=[*BACKENDS, "lvm"], help="lvm is lvm-thick")
    parser.add_argument("--port", type=int, default=DEFAULT_PORT)
    parser.add_argument("--state", type=pathlib.Path, help="folder for what is kept (default var/run-BACKEND)")
    parser.add_argument("--once", action="store_true", help="end after the walk")
    parser.add_argument("--colour", action="store_true", help="colours also where the output is no terminal")
    options = parser.parse_args()
    if options.backend == "lvm":
        options.backend = "lvm-thick"
    options.state = options.state or ROOT / "var" / f"run-{options.backend}"
    if not 0 < options.port < 65536:
        parser.error(f"--port: {options.port} is no port")
    return options


def find_missing(backend: str) -> str | None:
    """The first program that the walk needs and that is not there."""
    programs = ["mkfs.ext4", "debugfs", "setpriv"]
    programs += ["ceph-mon", "ceph-osd"] if backend == "rbd" else []
    programs += ["lvcreate"] if backend.startswith("lvm") else []
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    return next((program for program in programs if shutil.which(program, path=path) is None), None)


def greet_nat() -> None:
    """Send a datagram to the guest's NAT, which loses the first forwarded connection when it has never heard of us."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as hello:
        hello.sendto(b"hello", ("10.0.2.2", 9))


def is_free(port: int) -> bool:
    """Whether we could listen there."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def fail(sentence: str) -> int:
    """One line on standard error; returns the exit code 1."""
    print(f"walk: {sentence}", file=sys.stderr)
    return 1


def _stop(*_: object) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)  # clearing up is not interrupted
    raise Stopped


if __name__ == "__main__":
    sys.exit(main())
