"""Measuring: wall time of one client, rates of several, and the CPU time of the processes that serve them.

Wall times are only ever compared with other work of the same run, best interleaved with it: the machine is noisy. CPU
time holds better, and is summed over every process of ours.
"""

import http.client
import json
import statistics
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from tests.labs.server import Server

Work = Callable[[], Any]


class Client:
    """One keep-alive connection, as a real client has."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)

    def call(self, method: str, path: str, body: object = None, ok: Sequence[int] = (200, 202)) -> Any:
        """One request below ``/v3/PROJECT``; the decoded body.

        :raises AssertionError: another status than ``ok``.
        """
        headers = {
            "X-Auth-Token": self._server.token,
            "OpenStack-API-Version": "volume 3.71",
            "Content-Type": "application/json",
        }
        text = None if body is None else json.dumps(body)
        self._connection.request(method, f"/v3/{self._server.project_id}{path}", text, headers)
        response = self._connection.getresponse()
        data = response.read()
        assert response.status in ok, (method, path, response.status, data[:500])
        return json.loads(data) if data else None


def median_ms(work: Callable[[], Any], times: int) -> float:
    """The median wall time of ``work`` in milliseconds, after one warm-up."""
    work()
    spans = []
    for _ in range(times):
        started = time.perf_counter()
        work()
        spans.append(time.perf_counter() - started)
    return statistics.median(spans) * 1000


def interleaved_ms(works: Sequence[Callable[[], Any]], times: int) -> list[float]:
    """The median of each of several works that take turns, so that noise hits them alike."""
    spans: list[list[float]] = [[] for _ in works]
    for work in works:
        work()
    for _ in range(times):
        for one, work in zip(spans, works, strict=True):
            started = time.perf_counter()
            work()
            one.append(time.perf_counter() - started)
    return [statistics.median(one) * 1000 for one in spans]


def cpu_ms(server: Server, work: Callable[[], Any], times: int) -> float:
    """CPU milliseconds that the server's processes spend on one ``work``."""
    work()
    before = server.cpu_seconds()
    for _ in range(times):
        work()
    return (server.cpu_seconds() - before) * 1000 / times


def in_threads(clients: int, work: Callable[[int], Any]) -> float:
    """Run ``work(number)`` in that many threads; the seconds until the last ended.

    :raises BaseException: the first that a thread raised.
    """
    errors: list[BaseException] = []

    def guarded(number: int) -> None:
        try:
            work(number)
        except BaseException as err:  # noqa: BLE001 -- handed to the caller
            errors.append(err)

    threads = [threading.Thread(target=guarded, args=(number,)) for number in range(clients)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return time.perf_counter() - started


class Table:
    """Lines of "what, measured, goal"; printed as they come."""

    def __init__(self, title: str) -> None:
        self.missed = 0
        print(f"\n{title}", flush=True)

    def line(self, what: str, value: float, unit: str, goal: float | None = None, *, least: bool = False) -> None:
        """One measured value; ``goal`` is the most (or ``least``) it may be."""
        verdict = ""
        if goal is not None:
            met = value >= goal if least else value <= goal
            self.missed += not met
            verdict = f"  goal {'≥' if least else '≤'} {goal:g}: {'met' if met else 'MISSED'}"
        print(f"  {what:<64} {value:10.2f} {unit:<8}{verdict}", flush=True)
