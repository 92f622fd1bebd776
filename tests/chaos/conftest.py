"""Chooses the deployments that are tried: see ``tests/drivers/conftest.py``, whose two variables hold here too.

``VOLSNAP_TEST_BACKENDS`` (default ``file,rbd``); PostgreSQL and RabbitMQ come with ``file``, whose storage they use.
``VOLSNAP_SKIP=postgresql`` leaves them out.
"""

import os
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.chaos import deployments


def _words(variable: str, default: str) -> list[str]:
    return [word.strip() for word in os.environ.get(variable, default).split(",") if word.strip()]


def _params() -> Iterator[Any]:
    chosen = set(_words("VOLSNAP_TEST_BACKENDS", "file,rbd"))
    skipped = set(_words("VOLSNAP_SKIP", ""))
    if "file" in chosen:
        chosen.add("postgresql")
    for name, (_, mark) in deployments.DEPLOYMENTS.items():
        if name in chosen:
            marks = [getattr(pytest.mark, mark)]
            if mark in skipped:
                marks.append(pytest.mark.skip(reason=f"VOLSNAP_SKIP names {mark}"))
            yield pytest.param(name, marks=marks, id=name)


@pytest.fixture(params=list(_params()))
def deployment(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> Iterator[deployments.Deployment]:
    """One way to run volsnap, not started yet."""
    with deployments.deployment(request.param, tmp_path / "s") as made:
        yield made


@pytest.fixture
def start_deployment(deployment: deployments.Deployment) -> Callable[[], None]:
    """Starts it."""

    def start() -> None:
        deployment.server.start()

    return start
