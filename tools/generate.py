#!/usr/bin/env python3
"""generate.py [--check]   writes the files that are made from the code, or says which of them are stale.

The result depends on the code alone: no host name, date or path of this machine goes in.
"""

import difflib
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping

ROOT = pathlib.Path(__file__).resolve().parent.parent
BIN = pathlib.Path(sys.executable).parent
sys.path.insert(0, str(ROOT))

from volsnap.objects.operation import MOVES, Kind, Move, Resource  # noqa: E402

_CONFIG_HEAD = """\
# Every option of volsnap with its default. Written by `make sample`; do not edit.
#
# Three more come from the libraries and are of use here:
#   [DEFAULT] transport_url   where messages go (oslo.messaging), for example rabbit://USER:PASSWORD@HOST:5672/ ;
#                             without it all parts must be in one process, which `volsnap up` is
#   [oslo_policy] policy_file     rules of your own, see policy.yaml.sample
#   [oslo_messaging_rabbit] …     fine tuning of RabbitMQ
#
# The sections [file], [lvm] and [rbd] show the options of each kind of storage. A section that enabled_backends names
# may have any name; its volume_driver says which of these options it has.

"""

_POLICY_HEAD = "# The rules of volsnap with their defaults. Written by `make sample`; do not edit.\n\n"


def _run_generator(program: str) -> str:
    """The output of one of oslo's generators for our name space."""
    with tempfile.TemporaryDirectory() as folder:
        output = pathlib.Path(folder) / "out"
        argv = [str(BIN / program), "--namespace", "volsnap", "--output-file", str(output)]
        subprocess.run(argv, check=True, cwd=folder, stdin=subprocess.DEVNULL)
        return output.read_text().strip("\n") + "\n"


def make_config_sample() -> str:
    """Every option, its help and its default."""
    return _CONFIG_HEAD + _run_generator("oslo-config-generator")


def make_policy_sample() -> str:
    """Every rule, what it guards and its default."""
    return _POLICY_HEAD + _run_generator("oslopolicy-sample-generator")


def make_lifecycle() -> str:
    """The statuses of volumes and snapshots and what moves them, as diagrams and tables."""
    return "\n".join(_lifecycle_lines()) + "\n"


_LIFECYCLE_HEAD = """\
# The life of volumes and snapshots

<!-- Written by `make sample` from volsnap/objects/operation.py; do not edit. -->

A status that ends in -ing is held by work in the journal and by nothing else. When the operation ends,
it moves the status on in the same transaction. So a status can be slow, but it cannot be stuck.

How to read the tables: an operation may start from *from*, holds *during* while it works, and ends in *done*, or in
*failed* when the storage says for sure that it is impossible (a message to the user says why). When the storage has
not answered until the deadline (`operation_deadline`), the user sees *overdue*. The work then goes on until it is
known what became of it; where *then* names another kind of work, that takes its place and removes what may have been
left on the storage."""


def _lifecycle_lines() -> Iterator[str]:
    yield _LIFECYCLE_HEAD
    for resource in Resource:
        kinds = {kind: move for kind, move in MOVES.items() if move.resource is resource}
        yield f"\n## {resource.value.capitalize()}\n"
        yield "```mermaid"
        yield "stateDiagram-v2"
        statuses = {status for move in kinds.values() for status in (*move.sources, move.during) if status}
        yield from (f'    state "{status}" as {_state(status)}' for status in sorted(statuses) if "-" in status)
        # A set as an ordered dictionary: kinds that move alike share an arrow.
        arrows = dict.fromkeys(arrow for kind, move in kinds.items() for arrow in _arrows(kind, move, kinds))
        yield from (f"    {arrow}" for arrow in arrows)
        yield "```\n"
        yield "| operation | from | during | done | failed | overdue | then |"
        yield "|---|---|---|---|---|---|---|"
        yield from (_table_row(kind, move) for kind, move in kinds.items())


def _arrows(kind: Kind, move: Move, kinds: Mapping[Kind, Move]) -> Iterator[str]:
    """The arrows of one kind of work; those that start from the same status are drawn once."""
    if move.during is None:
        return
    during = _state(move.during)
    alike = [other.value.partition(".")[2] for other, its in kinds.items() if its == move]
    word = " / ".join(alike)
    sources = sorted(move.sources) or ["[*]"]
    for source in sources:
        yield f"{_state(source)} --> {during}: {word}"
    ends = [(move.failed, "impossible"), (move.overdue, "overdue")]
    ends.insert(0, ("[*]" if move.removes else move.done, "done"))
    for status, why in ends:
        if status is not None:
            yield f"{during} --> {_state(status)}: {why}"
        elif why == "done":
            yield from (f"{during} --> {_state(source)}: done" for source in sources)


def _state(status: str) -> str:
    """Mermaid takes no hyphen in a name."""
    return status.replace("-", "_")


def _table_row(kind: Kind, move: Move) -> str:
    back = "as before" if move.during else "–"
    cells = [
        f"`{kind.value}`",
        ", ".join(sorted(move.sources)) or ("(new)" if move.during else "(overdue work)"),
        move.during or "–",
        "gone" if move.removes else move.done or back,
        move.failed or back,
        move.overdue or "–",
        f"`{move.undo.value}`" if move.undo else "–",
    ]
    return f"| {' | '.join(cells)} |"


FILES: Mapping[str, Callable[[], str]] = {
    "etc/volsnap/volsnap.conf.sample": make_config_sample,
    "etc/volsnap/policy.yaml.sample": make_policy_sample,
    "docs/lifecycle.md": make_lifecycle,
}


def find_stale() -> dict[str, str]:
    """The files that are not what the code would make now, each with the difference."""
    stale = {}
    for name, make in FILES.items():
        path = ROOT / name
        have, want = (path.read_text() if path.exists() else ""), make()
        if have != want:
            lines = difflib.unified_diff(
                have.splitlines(), want.splitlines(), name, f"{name} (from the code)", lineterm=""
            )
            stale[name] = "\n".join(lines)
    return stale


def main(arguments: list[str]) -> int:
    """The command line."""
    if arguments == ["--check"]:
        stale = find_stale()
        for name, difference in stale.items():
            print(f"{name} is stale; run make sample\n{difference}")
        return 1 if stale else 0
    if arguments:
        print(__doc__, file=sys.stderr)
        return 2
    for name, make in FILES.items():
        path = ROOT / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(make())
        print(name)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
