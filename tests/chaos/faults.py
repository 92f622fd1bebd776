"""A driver around a real one that fails, hangs or stops its process when a test says so.

Every call is passed on to the real driver unless a fault stands before it; a fault *after* a call lets the real driver
do the work first, as when an answer is lost on the way.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

from volsnap.volume.drivers import base

Fault = Callable[[tuple[Any, ...]], None]


class Gate:
    """Where calls wait until the test opens it."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self._open = threading.Event()

    def pass_through(self, arguments: tuple[Any, ...]) -> None:
        """Wait; reports progress meanwhile, when the call can."""
        self.reached.set()
        progress = next((one for one in reversed(arguments) if callable(one)), base.no_progress)
        while not self._open.wait(0.1):
            progress(0.5)

    def open(self) -> None:
        """Let everybody go on."""
        self._open.set()


class FaultyDriver:
    """The :class:`base.Driver` interface by delegation."""

    def __init__(self, driver: base.Driver) -> None:
        self._driver = driver
        self._lock = threading.Lock()
        self._before: dict[str, list[Fault]] = {}
        self._after: dict[str, list[Fault]] = {}
        #: Every call so far: method and first argument.
        self.calls: list[tuple[str, Any]] = []

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._driver, name)
        if not callable(real):
            return real

        def call(*arguments: Any, **options: Any) -> Any:
            with self._lock:
                self.calls.append((name, arguments[0] if arguments else None))
            everything = (*arguments, *options.values())
            self._meet(self._before, name, everything)
            result = real(*arguments, **options)
            self._meet(self._after, name, everything)
            return result

        return call

    def _meet(self, faults: dict[str, list[Fault]], name: str, arguments: tuple[Any, ...]) -> None:
        with self._lock:
            waiting = faults.get(name)
            fault = waiting.pop(0) if waiting else None
        if fault is not None:
            fault(arguments)

    def count(self, name: str) -> int:
        """How often a method was called."""
        with self._lock:
            return sum(1 for called, _ in self.calls if called == name)

    # what tests say

    def fail(self, name: str, error: base.DriverError, *, times: int = 1, after: bool = False) -> None:
        """The next calls of a method raise ``error``; with ``after`` once their work is done."""

        def fault(arguments: tuple[Any, ...]) -> None:
            raise error

        self._add(name, [fault] * times, after)

    def call(self, name: str, what: Callable[[], None], *, after: bool = False) -> None:
        """The next call of a method calls ``what`` first; with ``after`` once its work is done."""
        self._add(name, [lambda arguments: what()], after)

    @contextlib.contextmanager
    def held(self, name: str, *, times: int = 1, after: bool = False) -> Iterator[Gate]:
        """The next calls of a method wait inside the ``with``."""
        gate = Gate()
        self._add(name, [gate.pass_through] * times, after)
        try:
            yield gate
        finally:
            gate.open()

    def heal(self) -> None:
        """No more faults."""
        with self._lock:
            self._before.clear()
            self._after.clear()

    def _add(self, name: str, faults: list[Fault], after: bool) -> None:
        with self._lock:
            (self._after if after else self._before).setdefault(name, []).extend(faults)
