"""``make bench``: every measurement, as a table; exit code 1 when a goal was missed.

``python -m benchmarks [lists|creates|process|rbd|lvm …]`` runs some of them.
"""

import pathlib
import subprocess
import sys
import tempfile

from benchmarks import creates, lists, process, rbd
from tests.labs import servers

ROOT = pathlib.Path(__file__).resolve().parent.parent


def _lists() -> int:
    """On SQLite, and on a PostgreSQL of our own."""
    with tempfile.TemporaryDirectory(prefix="volsnap-bench-") as folder:
        postgresql = servers.PostgreSQL(pathlib.Path(folder))
        try:
            postgresql.start()
            databases = postgresql.create_database("few"), postgresql.create_database("many")
            return lists.run({"SQLite": (None, None), "PostgreSQL": databases})
        finally:
            postgresql.stop()


def _lvm() -> int:
    """The guest runs the module and prints its tables."""
    words = [str(ROOT / "tests/labs/run-in-guest"), "-t", "1200", "--", sys.executable, "-m", "benchmarks.lvm"]
    return subprocess.run(words, cwd=ROOT).returncode


PARTS = {"process": process.run, "creates": creates.run, "rbd": rbd.run, "lvm": _lvm, "lists": _lists}


def main(names: list[str]) -> int:
    """Run the named parts; all when none is named."""
    unknown = [name for name in names if name not in PARTS]
    if unknown:
        print(f"benchmarks: there is no {unknown[0]}; choose from {', '.join(PARTS)}", file=sys.stderr)
        return 2
    missed = sum(PARTS[name]() for name in names or PARTS)
    print(f"\n{missed} goals missed" if missed else "\nevery goal met")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
