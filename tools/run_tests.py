#!/usr/bin/env python3
"""run_tests.py all|check   installs what the tests need, runs them, and says on which real storage they ran.

`check`: the static checks, then unit, contract and functional tests on the file backend.
`all`: the same and every other test, in two lanes side by side: the host's (files, Ceph, PostgreSQL and RabbitMQ, real
clients) and the LVM guest's. VOLSNAP_SKIP=lvm,rbd,postgresql,xfs leaves parts out on purpose.

It needs nothing but Python itself. The last line reads `N passed, N failed, N skipped`; a static check that fails, and
a planned part or backend that ran no test, count as one failure each.
"""

import collections
import dataclasses
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import xml.etree.ElementTree
from collections.abc import Mapping, Sequence

ROOT = pathlib.Path(__file__).resolve().parent.parent
PYTHON = ".venv/bin/python"
BIN = ".venv/bin"
SKIPPABLE = ("lvm", "rbd", "postgresql", "xfs")
#: What must have run when it is not skipped; the word is the one of VOLSNAP_SKIP.
PLANNED = {
    "file": "file",
    "file-xfs": "xfs",
    "lvm-thick": "lvm",
    "lvm-thin": "lvm",
    "rbd": "rbd",
    "postgresql+rabbitmq": "postgresql",
}
STATIC = {
    "ruff format": [f"{BIN}/ruff", "format", "--check", "."],
    "ruff": [f"{BIN}/ruff", "check", "."],
    "mypy": [f"{BIN}/mypy"],
    "lint-imports": [f"{BIN}/lint-imports"],
    "generated files": [PYTHON, "tools/generate.py", "--check"],
}
PART_LIMIT_S = 2700


@dataclasses.dataclass(frozen=True)
class Part:
    """One pytest process."""

    name: str
    paths: Sequence[str]
    marks: str
    environment: Mapping[str, str] = dataclasses.field(default_factory=dict)
    in_guest: bool = False


@dataclasses.dataclass
class Case:
    """One test and how it ended: passed, failed or skipped."""

    part: str
    name: str
    outcome: str = "passed"
    reason: str = ""
    backends: tuple[str, ...] = ()


@dataclasses.dataclass
class Results:
    """What all lanes found. ``problems`` are failures that are not a test's."""

    cases: list[Case] = dataclasses.field(default_factory=list)
    problems: list[str] = dataclasses.field(default_factory=list)
    times: dict[str, float] = dataclasses.field(default_factory=dict)
    lock: threading.Lock = dataclasses.field(default_factory=threading.Lock)


class Programs:
    """Runs child processes, passes their output on line by line, and can end them all by process id."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[str]] = set()
        self._ended = False

    def run(self, lane: str, argv: Sequence[str], environment: Mapping[str, str] | None = None) -> int:
        """Run one program; returns its exit code."""
        with self._lock:
            if self._ended:
                return 130
            process = subprocess.Popen(
                argv,
                cwd=ROOT,
                env={**os.environ, "PYTHONUNBUFFERED": "1", **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                start_new_session=True,
            )
            self._running.add(process)
        limit = threading.Timer(PART_LIMIT_S, self._end, [process])
        limit.start()
        try:
            assert process.stdout is not None
            for line in process.stdout:
                say(f"{lane:>5} | {line.rstrip()}")
            return process.wait()
        finally:
            limit.cancel()
            with self._lock:
                self._running.discard(process)

    def end_all(self) -> None:
        """End what runs, and start nothing any more."""
        with self._lock:
            self._ended = True
            running = list(self._running)
        for process in running:
            self._end(process)

    def _end(self, process: "subprocess.Popen[str]") -> None:
        """INT lets pytest and the guest clear up; KILL is for who does not."""
        for number, patience_s in ((signal.SIGINT, 30.0), (signal.SIGKILL, 5.0)):
            if process.poll() is None:
                os.killpg(process.pid, number)
                try:
                    process.wait(patience_s)
                except subprocess.TimeoutExpired:
                    continue


_say_lock = threading.Lock()


def say(text: str) -> None:
    """One line on standard output, whole."""
    with _say_lock:
        print(text, flush=True)


# --------------------------------------------------------------------------------------------------------------- plan


def plan_check() -> list[list[Part]]:
    """The lanes of `check`."""
    marks = "not lvm and not rbd and not postgresql"
    return [[Part("check", ["tests/unit", "tests/contract", "tests/functional"], marks)]]


def plan_all(skipped: Sequence[str]) -> list[list[Part]]:
    """The lanes of `all`. Parts of one lane run one after the other."""
    wanted = {"file": "file", "file-xfs": "xfs", "rbd": "rbd"}
    backends = ",".join(name for name, word in wanted.items() if word not in skipped)
    lanes = [[Part("host", ["tests"], "not lvm", {"VOLSNAP_TEST_BACKENDS": backends})]]
    if "lvm" not in skipped:
        both = {"VOLSNAP_TEST_BACKENDS": "lvm-thick,lvm-thin"}
        lanes.append(
            [
                # Chaos first: the suite of the drivers keeps its volume group on the disks until its end.
                Part("guest", ["tests/chaos", "tests/drivers"], "lvm", both, in_guest=True),
                Part("walk", ["tests/functional"], "lvm"),
            ]
        )
    return lanes


def list_setup(what: str, skipped: Sequence[str]) -> list[str]:
    """What tools/setup has to install."""
    parts = ["dev", "walk"]
    if what == "all":
        parts.append("files")
        needs = {"ceph": "rbd", "lvm": "lvm", "servers": "postgresql"}
        parts += [part for part, word in needs.items() if word not in skipped]
    return parts


# ---------------------------------------------------------------------------------------------------------------- run


def run_static(programs: Programs, results: Results) -> None:
    """The checks that start nothing."""
    for name, argv in STATIC.items():
        started = time.monotonic()
        if programs.run("check", argv) != 0:
            results.problems.append(f"check: {name}: see above")
        say(f"check | {name}: {time.monotonic() - started:.1f} s")


def run_part(programs: Programs, part: Part, folder: pathlib.Path, results: Results) -> None:
    """One pytest process and its report."""
    report = folder / f"{part.name}.xml"
    # What a guest writes outside shared folders stays in its memory.
    temporary = f"/tmp/volsnap-{part.name}" if part.in_guest else str(folder / part.name)
    argv = [
        PYTHON,
        "-m",
        "pytest",
        "-p",
        "tools.pytest_backends",
        "-v",
        "-m",
        part.marks,
        "--continue-on-collection-errors",
        "--durations=15",
    ]
    argv += [f"--junitxml={report}", f"--basetemp={temporary}", *part.paths]
    if part.in_guest:
        argv = ["tests/labs/run-in-guest", "-s", "64G", "-t", str(PART_LIMIT_S), "-w", str(folder), "--", *argv]
    started = time.monotonic()
    code = programs.run(part.name, argv, part.environment)
    cases = read_report(part.name, report)
    with results.lock:
        results.times[part.name] = time.monotonic() - started
        results.cases += cases
        if results.times[part.name] > PART_LIMIT_S:
            results.problems.append(f"{part.name}: stopped after {PART_LIMIT_S} s, not all of its tests ran")
        elif not cases:
            results.problems.append(f"{part.name}: no test ran (exit code {code})")
        elif code != 0 and not any(case.outcome == "failed" for case in cases):
            results.problems.append(f"{part.name}: pytest ended with exit code {code}")


def read_report(part: str, report: pathlib.Path) -> list[Case]:
    """The tests of a junit report; a test that fails twice (itself and its clearing up) is one."""
    try:
        tree = xml.etree.ElementTree.parse(report)
    except (OSError, xml.etree.ElementTree.ParseError):
        return []
    cases: dict[str, Case] = {}
    for element in tree.iter("testcase"):
        name = f"{element.get('classname')}::{element.get('name')}"
        case = cases.setdefault(name, Case(part, name))
        case.backends = case.backends or tuple(
            str(found.get("value")) for found in element.iter("property") if found.get("name") == "backend"
        )
        skip = element.find("skipped")
        bad = next((found for tag in ("failure", "error") if (found := element.find(tag)) is not None), None)
        if bad is not None:
            case.outcome, case.reason = "failed", (bad.get("message") or "").partition("\n")[0][:200]
        elif skip is not None and case.outcome == "passed":
            case.outcome, case.reason = "skipped", skip.get("message") or "no reason given"
    return list(cases.values())


def run_lanes(programs: Programs, lanes: Sequence[Sequence[Part]], folder: pathlib.Path, results: Results) -> None:
    """All lanes side by side; the static checks go first in the first one."""

    def run(number: int, lane: Sequence[Part]) -> None:
        if number == 0:
            run_static(programs, results)
        for part in lane:
            run_part(programs, part, folder, results)

    threads = [threading.Thread(target=run, args=pair, daemon=True) for pair in enumerate(lanes)]
    for thread in threads:
        thread.start()
    for thread in threads:
        while thread.is_alive():
            thread.join(0.5)


# ------------------------------------------------------------------------------------------------------------ summary


def summarize(results: Results, planned: Mapping[str, str], skipped: Sequence[str]) -> int:
    """Print what ran where; returns the exit code."""
    ran = collections.Counter(name for case in results.cases if case.outcome != "skipped" for name in case.backends)
    for name, word in planned.items():
        if word not in skipped and not ran[name]:
            results.problems.append(f"{name}: planned, but no test ran on it")
    failed = [case for case in results.cases if case.outcome == "failed"]
    reasons = collections.Counter(case.reason for case in results.cases if case.outcome == "skipped")
    print("\n" + "-" * 78)
    for case in failed:
        print(f"FAILED  {case.part}: {case.name}: {case.reason}")
    for problem in results.problems:
        print(f"FAILED  {problem}")
    print("time    " + ", ".join(f"{name} {seconds:.0f} s" for name, seconds in results.times.items()))
    print("tests that ran on real backends:")
    for name in dict.fromkeys([*planned, *sorted(ran)]):
        purpose = " (skipped on purpose)" if planned.get(name) in skipped else ""
        print(f"  {name:<20} {ran[name]:>5}{purpose}")
    print(f"  {'(no storage)':<20} {sum(not case.backends for case in results.cases):>5}")
    for reason, count in reasons.most_common():
        print(f"skipped {count} × {reason}")
    if skipped:
        print(f"VOLSNAP_SKIP={','.join(skipped)}: left out on purpose, and not proven by this run.")
    counts = collections.Counter(case.outcome for case in results.cases)
    failures = counts["failed"] + len(results.problems)
    print(f"{counts['passed']} passed, {failures} failed, {counts['skipped']} skipped", flush=True)
    return 1 if failures else 0


def main(arguments: Sequence[str]) -> int:
    """The command line; returns the exit code."""
    if list(arguments) not in (["all"], ["check"]):
        print(__doc__, file=sys.stderr)
        return 2
    what = arguments[0]
    skipped = [word for word in re.split(r"[,\s]+", os.environ.get("VOLSNAP_SKIP", "")) if word]
    if unknown := set(skipped) - set(SKIPPABLE):
        print(f"VOLSNAP_SKIP: {min(unknown)} is none of {', '.join(SKIPPABLE)}", file=sys.stderr)
        return 2
    if code := subprocess.run(["tools/setup", *list_setup(what, skipped)], cwd=ROOT).returncode:
        print(f"tools/setup ended with exit code {code}: see above", file=sys.stderr)
        return 1
    programs, results = Programs(), Results()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="volsnap-tests."))
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        lanes = plan_all(skipped) if what == "all" else plan_check()
        run_lanes(programs, lanes, folder, results)
    except KeyboardInterrupt:
        programs.end_all()
        print("interrupted", file=sys.stderr)
        return 130
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    planned = PLANNED if what == "all" else {"file": "file"}
    return summarize(results, planned, skipped if what == "all" else [])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
