"""The only place that starts a process.

One invariant: when :func:`run` returns or raises, the child is dead and reaped. Arguments are a vector, never a
shell line; the locale is C, so texts can be compared; nothing is inherited but standard streams.
"""

import contextlib
import logging
import os
import subprocess
import time
from collections.abc import Sequence

LOG = logging.getLogger(__name__)

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class CommandError(Exception):
    """A command ended with an exit code that its caller does not accept.

    The text is not translated into a meaning here: drivers decide from ``code`` *and* ``stderr``.
    """

    def __init__(self, argv: Sequence[str], code: int, stdout: str, stderr: str) -> None:
        self.argv = tuple(argv)
        self.code = code
        self.stdout = stdout
        self.stderr = stderr
        super().__init__(f"{' '.join(argv)}: exit {code}: {stderr.strip() or stdout.strip()}")


class CommandTimeout(Exception):
    """A command was killed at its deadline. It may have done its work: ask the backend for the truth."""

    def __init__(self, argv: Sequence[str], timeout_s: float) -> None:
        self.argv = tuple(argv)
        self.timeout_s = timeout_s
        super().__init__(f"{' '.join(argv)}: no answer within {timeout_s:g} s, killed")


def run(
    argv: Sequence[str],
    *,
    timeout_s: float = 60.0,
    input_bytes: bytes | None = None,
    ok: Sequence[int] = (0,),
) -> str:
    """Run ``argv`` and return its standard output.

    :param timeout_s: seconds until the whole process group is killed.
    :param ok: the exit codes that count as success.
    :raises CommandError: another exit code, or the program cannot be started (code 127).
    :raises CommandTimeout: the deadline passed.
    """
    started = time.monotonic()
    environment = {"PATH": _PATH, "LC_ALL": "C", "LVM_SUPPRESS_FD_WARNINGS": "1"}
    try:
        child = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE if input_bytes is not None else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            start_new_session=True,
        )
    except OSError as err:
        raise CommandError(argv, 127, "", str(err)) from err
    try:
        out, errors = child.communicate(input_bytes, timeout=timeout_s)
    except subprocess.TimeoutExpired:
        _kill(child)
        raise CommandTimeout(argv, timeout_s) from None
    except BaseException:
        _kill(child)
        raise
    stdout = out.decode("utf-8", "replace")
    LOG.debug("%s: exit %d in %.3f s", argv, child.returncode, time.monotonic() - started)
    if child.returncode not in ok:
        raise CommandError(argv, child.returncode, stdout, errors.decode("utf-8", "replace"))
    return stdout


def _kill(child: subprocess.Popen[bytes]) -> None:
    """Kill the child's whole session: LVM and qemu-img start helpers of their own."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, 9)
    child.communicate()
