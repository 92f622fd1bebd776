"""The recorded requests, replayed once per run against the live server."""

import uuid

import pytest

from tests.contract import golden, replay


@pytest.fixture(scope="session")
def replays(server) -> dict[str, dict[str, replay.Replayed]]:
    """Run → request → what the live server answered.

    Each run has a project of its own, so its lists begin empty.
    """
    return {run: _replay(server.url, run) for run in golden.RUNS}


def _replay(url: str, run: str) -> dict[str, replay.Replayed]:
    replaying = replay.Replay(url, uuid.uuid4().hex)
    try:
        return {one.request.name: one for one in replaying.run(golden.load(run))}
    finally:
        replaying.clean_up()
