"""Fixtures that every kind of test shares: a running server."""

import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.labs.server import Server


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """``volsnap up`` on the file backend, one for the whole run; tests clean up after themselves."""
    running = Server(tmp_path_factory.mktemp("server"))
    try:
        yield running.start()
    finally:
        running.stop()


@pytest.fixture
def start_server(tmp_path: pathlib.Path) -> Iterator[Callable[..., Server]]:
    """A function that starts a server of the test's own; its options are those of :class:`Server`."""
    running: list[Server] = []

    def start(**options: Any) -> Server:
        running.append(Server(tmp_path / f"server{len(running)}", **options))
        return running[-1].start()

    yield start
    for one in running:
        one.stop()
