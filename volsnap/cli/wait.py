"""Following an asynchronous verb to its end.

Invariant: a wait ends in exactly one of: the goal is reached; the work failed, with the service's
own user message saying why; the time is over. A service that restarts meanwhile does not end it:
polls are repeated through ``OUTAGE_S`` of silence. Progress goes to stderr, so stdout stays the
result alone.
"""

import argparse
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from volsnap.cli import errors, http, output

DEFAULT_TIMEOUT_S = 3600
OUTAGE_S = 60.0
FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 2.0
PROGRESS_KEY = "os-extended-snapshot-attributes:progress"
MESSAGES_MICROVERSION = 31
_BAR_CELLS = 24


class Goal(NamedTuple):
    """What to poll and when it is over.

    ``done`` are the statuses of success; ``is_gone`` makes absence the success (then ``done`` is
    empty). ``failed`` are statuses of failure beside those that begin with ``error``. ``is_true``
    looks at the whole resource once a ``done`` status is reached: False means the service gave up
    and went back.
    """

    kind: str
    resource_id: str
    label: str
    done: frozenset[str] = frozenset()
    failed: frozenset[str] = frozenset()
    is_gone: bool = False
    is_true: Callable[[output.Resource], bool] = lambda resource: True
    request_id: str | None = None

    @property
    def path(self) -> str:
        return f"/{self.kind}s/{http.quote_id(self.resource_id)}"


def read_timeout(args: argparse.Namespace) -> float | None:
    """Seconds to wait, or None when ``--wait`` was not given."""
    if not args.wait:
        if args.timeout is not None:
            raise errors.UsageError("--timeout: only has a meaning together with --wait; add --wait")
        return None
    return float(args.timeout or DEFAULT_TIMEOUT_S)


def wait_until(client: http.Client, goal: Goal, timeout_s: float) -> output.Resource | None:
    """Poll until the goal is reached; answers the resource, or None when it is gone as wished."""
    meter = Meter(goal.label)
    deadline = time.monotonic() + timeout_s
    pause_s = FIRST_PAUSE_S
    poll = _Poll(client, goal)
    try:
        while True:
            resource = poll.read()
            verdict = _judge(goal, resource, is_known=poll.is_known)
            if resource is not None:
                meter.show(resource)
            if verdict is False:
                meter.close()
                raise errors.CliError(_explain_failure(client, goal, resource))
            if verdict is True:
                return resource
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                raise errors.CliError(_explain_timeout(goal, resource, timeout_s))
            time.sleep(min(pause_s, left_s))
            pause_s = min(pause_s * 1.4, LONGEST_PAUSE_S)
    except KeyboardInterrupt:
        meter.close()
        print(
            f"volsnap: stopped waiting for {goal.label}; the service goes on with it",
            file=sys.stderr,
        )
        raise
    finally:
        meter.close()


def find_reason(client: http.Client, resource_id: str, request_id: str | None) -> tuple[str | None, bool]:
    """The user message about the resource, and whether it belongs to this very request."""
    query = {"resource_uuid": resource_id, "sort": "created_at:desc", "limit": 20}
    version = None if client.speaks(MESSAGES_MICROVERSION) else f"3.{MESSAGES_MICROVERSION}"
    try:
        messages = client.get("/messages", query, microversion=version).part("messages")
    except errors.CliError:
        return None, False
    messages = [each for each in messages if each.get("resource_uuid") in (None, resource_id)]
    mine = [each for each in messages if request_id and each.get("request_id") == request_id]
    newest = next(iter(mine or messages), None)
    return (newest.get("user_message") if newest else None), bool(mine)


class Meter:
    """The progress of one wait: a bar on a terminal, else one line per change."""

    def __init__(self, label: str) -> None:
        self._label = output.make_printable(label)
        self._is_terminal = sys.stderr.isatty()
        self._started = time.monotonic()
        self._last = ""
        self._is_open = False

    def show(self, resource: output.Resource) -> None:
        """Tell status and progress."""
        status, progress = str(resource.get("status")), resource.get(PROGRESS_KEY)
        if self._is_terminal:
            seconds = int(time.monotonic() - self._started)
            sys.stderr.write(f"\r\x1b[K{self._label}: {status} {draw_bar(progress)} {seconds} s")
            sys.stderr.flush()
            self._is_open = True
            return
        line = f"{self._label}: {status}{f' {progress}' if progress else ''}"
        if line != self._last:
            print(line, file=sys.stderr, flush=True)
            self._last = line

    def close(self) -> None:
        """End the bar's line."""
        if self._is_open:
            sys.stderr.write("\n")
            sys.stderr.flush()
            self._is_open = False


def draw_bar(progress: Any) -> str:
    """``"40%"`` as a bar; nothing when the service does not say."""
    text = str(progress or "").rstrip("%")
    if not (text.isascii() and text.isdigit()):
        return ""
    percent = min(int(text), 100)
    filled = percent * _BAR_CELLS // 100
    return f"[{'#' * filled}{'.' * (_BAR_CELLS - filled)}] {percent}%"


class _Poll:
    """Reads the resource, patient while the service restarts."""

    def __init__(self, client: http.Client, goal: Goal) -> None:
        self._client = client
        self._goal = goal
        self._silent_since: float | None = None
        self._last: output.Resource | None = None
        self.is_known = True

    def read(self) -> output.Resource | None:
        """The resource, None when it is proven absent. ``is_known`` is False in an outage."""
        try:
            self._last = self._client.get(self._goal.path).part(self._goal.kind)
        except errors.HttpError as err:
            if err.status == 404:
                self._last = None
            elif err.status in (500, 502, 503, 504):
                return self._be_patient(err)
            else:
                raise
        except errors.UnreachableError as err:
            return self._be_patient(err)
        self._silent_since, self.is_known = None, True
        return self._last

    def _be_patient(self, err: errors.CliError) -> output.Resource | None:
        now = time.monotonic()
        self._silent_since = now if self._silent_since is None else self._silent_since
        if now - self._silent_since > OUTAGE_S:
            raise err
        self.is_known = False
        return self._last


def _judge(goal: Goal, resource: output.Resource | None, *, is_known: bool) -> bool | None:
    """True: reached. False: failed. None: still under way."""
    if not is_known:
        return None
    if resource is None:
        return goal.is_gone
    status = str(resource.get("status"))
    if status.startswith("error") or status in goal.failed:
        return False
    if status in goal.done:
        return goal.is_true(resource)
    return None


def _explain_failure(client: http.Client, goal: Goal, resource: output.Resource | None) -> str:
    status = resource.get("status") if resource else None
    end = f"ended in status {status!r}" if status else "has disappeared"
    reason = find_reason(client, goal.resource_id, goal.request_id)[0]
    if reason is None:
        return f"{goal.label} {end}; the service gave no reason, see its log for id {goal.resource_id}"
    return f"{goal.label} {end}: {' '.join(reason.split())}"


def _explain_timeout(goal: Goal, resource: output.Resource | None, timeout_s: float) -> str:
    status = resource.get("status") if resource else "unknown"
    return (
        f"{goal.label} is still in status {status!r} after {timeout_s:g} s; the service goes on "
        "with it, "
        "raise --timeout to wait longer"
    )
