"""`make run`: the main job, walked through by the command line on real storage."""

import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

import pytest

from tests.labs.server import free_port

ROOT = pathlib.Path(__file__).parents[2]
WALK = [sys.executable, str(ROOT / "tools/walk.py")]

#: What only a walk whose proofs hold prints, in this order.
KEY_LINES = [
    "Start volsnap",
    "$ volsnap create 1 --name shop",
    "photo.bin",
    "$ volsnap snapshot-create shop --name before-the-mistake --wait",
    "snapshot before-the-mistake: available",
    "order 1: 0 apples",
    "$ volsnap create --snapshot before-the-mistake",
    "order 1: 3 apples",
    "Byte for byte what the volume held when the snapshot was taken.",
    "The mistake is undone.",
    "$ volsnap snapshot-delete before-the-mistake --wait",
    "0 volumes, 0 snapshots in the database; 0 objects of ours",
    "nothing wrong",
    "every proof held",
]


@pytest.mark.parametrize(
    "backend",
    [
        pytest.param("file", marks=pytest.mark.file),
        pytest.param("rbd", marks=pytest.mark.rbd),
        pytest.param("lvm-thick", marks=pytest.mark.lvm),
        pytest.param("lvm-thin", marks=pytest.mark.lvm),
    ],
)
def test_walk_ends_well(backend: str, tmp_path: pathlib.Path) -> None:
    """The walk ends with 0, prints the key lines in order, no colour codes, and leaves no process behind."""
    port = free_port()
    argv = [*WALK, "--backend", backend, "--port", str(port), "--state", str(tmp_path / "s"), "--once"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr
    at = 0
    for line in KEY_LINES:
        at = done.stdout.find(line, at)
        assert at >= 0, (line, done.stdout)
    assert "\033" not in done.stdout
    assert str(tmp_path) not in _command_lines()


@pytest.mark.file
def test_it_serves_until_it_is_stopped(tmp_path: pathlib.Path) -> None:
    """After the walk it goes on serving, says what to type next, and Ctrl-C ends it cleanly."""
    argv = [*WALK, "--port", str(free_port()), "--state", str(tmp_path)]
    output = tmp_path / "output"
    with output.open("wb") as out, subprocess.Popen(argv, stdout=out, stderr=out) as process:
        deadline = time.monotonic() + 120
        while "volsnap help" not in output.read_text():
            assert process.poll() is None and time.monotonic() < deadline, output.read_text()
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0, output.read_text()
    assert output.read_text().rstrip().endswith("Stopping.")
    assert str(tmp_path) not in _command_lines()


@pytest.mark.file
def test_busy_port_is_one_line_with_the_remedy(tmp_path: pathlib.Path) -> None:
    """Somebody listens there already: exit code 1, and what to type instead."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        argv = [*WALK, "--port", str(port), "--state", str(tmp_path), "--once"]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith(f"walk: port {port} is in use; choose another one: make run PORT=")
    assert done.stderr.count("\n") == 1


@pytest.mark.file
def test_failing_step_says_why_and_shows_the_log(tmp_path: pathlib.Path) -> None:
    """A backend that cannot work ends the walk with 1, the reason and the log's end, and stops the server."""
    state = tmp_path / "state"
    state.mkdir()
    (state / "backend").write_text("a file where the backend wants its directory")
    argv = [*WALK, "--port", str(free_port()), "--state", str(state), "--once"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, env=dict(os.environ))
    assert done.returncode == 1, done.stdout
    assert "walk: step" in done.stdout and "failed: " in done.stdout
    assert "The end of" in done.stdout and "cannot be used" in done.stdout
    assert str(state) not in _command_lines()


def _command_lines() -> str:
    """Every process's command line."""
    lines = []
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(path.read_text(errors="replace"))
        except OSError:
            continue
    return "\n".join(lines)
