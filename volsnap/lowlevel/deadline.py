"""Calls that end in time although the kernel may not.

A system call on a dead NFS server or a frozen file system cannot be interrupted. :class:`Calls`
runs such work in a thread of its own and stops *waiting* for it. One invariant: the caller gets a
result or an exception at most ``deadline_s`` after the last sign of life of the work. Work that was
given up ends by itself at its next :class:`Beat`, if the kernel ever lets go of it.
"""

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

#: How often the caller looks after work that has not ended, seconds; also how often it may tell
#: progress.
_LOOK_S = 0.5
#: With that many calls stuck in the kernel no more are started: each costs a thread.
_MOST_STUCK = 64


class StuckError(Exception):
    """The work gave no sign of life inside the deadline. It may still happen."""


class GivenUpError(Exception):
    """Raised inside work whose caller does not wait any more."""


class Beat:
    """The sign of life of long work: ``beat(fraction)`` now and then, at the least once a deadline."""

    def __init__(self) -> None:
        self.fraction = 0.0
        self.count = 0
        self._given_up = False

    def __call__(self, fraction: float) -> None:
        self.fraction = fraction
        self.count += 1
        self.wanted()

    def wanted(self) -> None:
        """Return while somebody waits for the result; no sign of life.

        :raises GivenUpError: nobody does.
        """
        if self._given_up:
            raise GivenUpError

    def give_up(self) -> None:
        self._given_up = True


class _Call(Generic[T]):
    """One piece of work, its thread and what became of it."""

    def __init__(self, work: Callable[[Beat], T]) -> None:
        self.beat = Beat()
        self.ended = threading.Event()
        self._work = work
        self._result: list[T] = []
        self._error: BaseException | None = None

    def run(self) -> None:
        try:
            self._result.append(self._work(self.beat))
        except BaseException as err:  # noqa: BLE001  raised again in the caller's thread
            self._error = err
        finally:
            self.ended.set()

    def result(self) -> T:
        if self._error is not None:
            try:
                raise self._error
            finally:
                self._error = None  # the error holds this frame, this frame the error
        return self._result[0]


class Calls:
    """Runs work with a deadline; used from many threads."""

    def __init__(self, deadline_s: float) -> None:
        self.deadline_s = deadline_s
        #: The last part of the deadline belongs to work that hears that it is given up and cleans
        #: up.
        self._grace_s = deadline_s / 4
        self._stuck: set[_Call[object]] = set()

    def run(self, work: Callable[[Beat], T], progress: Callable[[float], None]) -> T:
        """The result of ``work(beat)``; ``progress`` is called in the caller's thread.

        :raises StuckError: no end and no beat for ``deadline_s``.
        """
        self._stuck = {call for call in self._stuck if not call.ended.is_set()}
        if len(self._stuck) >= _MOST_STUCK:
            raise StuckError
        call = _Call(work)
        threading.Thread(target=call.run, name="deadline", daemon=True).start()
        try:
            self._wait(call, progress)
        except BaseException:
            call.beat.give_up()
            # Work that can still hear us cleans up first, so that a repeated call meets no rival.
            if not call.ended.wait(self._grace_s):
                self._stuck = self._stuck | {call}  # type: ignore[arg-type]
            raise
        return call.result()

    def _wait(self, call: _Call[T], progress: Callable[[float], None]) -> None:
        look_s = min(_LOOK_S, self._grace_s)
        alive = time.monotonic()
        seen = 0
        while not call.ended.wait(look_s):
            now = time.monotonic()
            if call.beat.count != seen:
                seen, alive = call.beat.count, now
                progress(call.beat.fraction)
            elif now - alive > self.deadline_s - self._grace_s - look_s:
                raise StuckError
