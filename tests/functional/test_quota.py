"""Quotas are exact: however many requests race, the limit is reached and never passed."""

import concurrent.futures
import pathlib
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.chaos.house import PROJECT, House
from tests.labs import servers
from volsnap import exception
from volsnap.cmd import compose
from volsnap.context import RequestContext
from volsnap.policies.enforcer import Enforcer
from volsnap.volume.volumes import NewVolume

RACERS = 100


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def house(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> Iterator[House]:
    """A house with an empty project, whose service runs."""
    url, name, server = None, f"quota-{uuid.uuid4()}", None
    if request.param == "postgresql":
        server = servers.shared_postgresql()
        url = server.create_database(name)
    made = House(tmp_path / "house", url, create_ack_timeout=0)
    yield made.start()
    made.close()
    if server is not None:
        server.drop_database(name)


def _accepted(requests: list[Callable[[], object]]) -> int:
    """How many of the requests, all sent at once, are not refused for the quota."""

    def run(request: Callable[[], object]) -> bool:
        try:
            request()
        except exception.OverQuota:
            return False
        return True

    with concurrent.futures.ThreadPoolExecutor(20) as threads:
        return sum(threads.map(run, requests))


def _limit(house: House, **limits: int) -> None:
    house.api.quotas.set_limits(house.context, PROJECT, limits)


def test_volumes_race(house: House) -> None:
    """A hundred volumes at once, room for 37: 37 are made."""
    _limit(house, volumes=37)
    assert _accepted([house.volume] * RACERS) == 37
    assert house.used()["volumes"] == 37
    house.wait_idle()


def test_snapshots_and_volumes_race_for_gigabytes(house: House) -> None:
    """Fifty snapshots and fifty volumes of 1 GiB at once, room for 61 GiB: 61 are made."""
    volume_id = house.made_volume()
    _limit(house, gigabytes=62)
    requests: list[Callable[[], object]] = [house.volume, lambda: house.snapshot(volume_id)] * (RACERS // 2)
    assert _accepted(requests) == 61
    used = house.used()
    assert used["gigabytes"] == 62 == used["volumes"] + used["snapshots"]
    house.wait_idle()


def test_nobody_is_refused_while_there_is_room(house: House) -> None:
    """A hundred snapshots at once, room for exactly a hundred: none is refused, one more is."""
    volume_id = house.made_volume()
    _limit(house, snapshots=RACERS)
    assert _accepted([lambda: house.snapshot(volume_id)] * RACERS) == RACERS
    with pytest.raises(exception.OverQuota):
        house.snapshot(volume_id)
    house.wait_idle()


def test_room_comes_back(house: House) -> None:
    """Steps: the project is full; half of it is deleted, and made anew at the same time as too much; still exact."""
    _limit(house, volumes=20)
    volumes = [house.volume() for _ in range(20)]
    house.wait_idle()
    for volume_id in volumes[:10]:
        house.api.volumes.delete(house.context, volume_id)
    house.wait_idle()
    assert house.used()["volumes"] == 10
    assert _accepted([house.volume] * 50) == 10
    assert house.used()["volumes"] == 20
    house.wait_idle()


def test_extends_race(house: House) -> None:
    """Twenty volumes grow from 1 to 3 GiB at once, room for seven of them."""
    volumes = [house.made_volume() for _ in range(20)]
    _limit(house, gigabytes=20 + 7 * 2)

    def grow(volume_id: str) -> Callable[[], object]:
        return lambda: house.api.volumes.extend(house.context, volume_id, 3)

    assert _accepted([grow(one) for one in volumes]) == 7
    assert house.used()["gigabytes"] == 34
    house.wait_idle()
    assert house.used()["gigabytes"] == 34


def test_two_processes_race(house: House) -> None:
    """Two processes with the same database send fifty requests each, room for 37."""
    _limit(house, volumes=37)
    words = [sys.executable, "-m", "tests.functional.test_quota", str(house.config_file)]
    running = [
        subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=_ROOT) for _ in range(2)
    ]
    results = [process.communicate(timeout=120) for process in running]
    assert sum(int(out) for out, _ in results) == 37, results
    assert house.used()["volumes"] == 37
    house.wait_idle()


_ROOT = pathlib.Path(__file__).parents[2]


def _race_in_this_process(config_file: str) -> int:
    """What each of the two processes does: fifty requests; how many were accepted."""
    conf: Any = compose.load(["--config-file", config_file], "test")
    api = compose.Parts(conf).volume_api()
    context = RequestContext("u", PROJECT, ("admin",), True, Enforcer(conf))
    return _accepted([lambda: api.volumes.create(context, NewVolume(size_gib=1))] * (RACERS // 2))


if __name__ == "__main__":
    print(_race_in_this_process(sys.argv[1]))
