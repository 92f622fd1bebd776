"""Running a command-line client as a person would, and reading its tables.

Invariant: a client gets an environment without any ``OS_*`` left over from the caller, and a home
of its own.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

BIN = Path(sys.executable).parent
TIMEOUT_S = 60


class Done(NamedTuple):
    code: int
    out: str
    err: str


def run(words: Sequence[str], environ: Mapping[str, str], home: Path) -> Done:
    """Run one command to its end."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("OS_", "CINDER", "XDG_"))}
    clean |= {"HOME": str(home), "COLUMNS": "200", "PYTHONWARNINGS": "ignore", **environ}
    done = subprocess.run(
        [str(BIN / words[0]), *words[1:]],
        env=clean,
        cwd=home,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return Done(done.returncode, done.stdout, done.stderr)


def read_table(text: str) -> list[dict[str, str]]:
    """An ASCII table as a dictionary per row."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    return [dict(zip(rows[0], row, strict=True)) for row in rows[1:]] if rows else []


def read_properties(text: str) -> dict[str, str]:
    """A table of two columns, whatever they are called, as one dictionary."""
    return dict(tuple(row.values()) for row in read_table(text))


def wait_for(question: Callable[[], bool], what: str, timeout_s: float = 60) -> None:
    """Ask until the answer is yes."""
    deadline = time.monotonic() + timeout_s
    while not question():
        assert time.monotonic() < deadline, f"{what} did not happen in {timeout_s} s"
        time.sleep(0.2)
