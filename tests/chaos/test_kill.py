"""The kill test: whatever dies in the middle, a minute later nothing is stuck, lost or left over."""

import os
import random
import time
from collections.abc import Callable

import pytest

from tests.chaos.deployments import Deployment
from tests.chaos.storm import Storm, kill_at_random

OPERATIONS = int(os.environ.get("VOLSNAP_CHAOS_OPS", "500"))
SEED = int(os.environ.get("VOLSNAP_CHAOS_SEED", str(time.time_ns() % 1_000_000)))


@pytest.mark.timeout(900)  # LVM in the guest takes half a second for each snapshot
def test_kill_at_random_moments(deployment: Deployment, start_deployment: Callable[[], None]) -> None:
    """Steps:

    1. Five volumes are made and filled.
    2. Five clients send ``VOLSNAP_CHAOS_OPS`` requests: snapshots made and deleted, volumes made, cloned, made from
       snapshots and deleted with their snapshots. A lost connection does not stop them.
    3. Meanwhile every process of the deployment is killed with SIGKILL at random moments and started again.
    4. Within 60 s of the last start, and without anybody's help: no transient status, an empty journal, nothing on
       the storage without a row and no row without its object, quota usage equal to the rows, and the right bytes in
       every snapshot that is left.
    """
    print(f"VOLSNAP_CHAOS_SEED={SEED}")
    start_deployment()
    began = time.monotonic()
    storm = Storm(deployment.server, deployment, seed=SEED, operations=OPERATIONS)
    storm.start()
    kills = kill_at_random(deployment.server, storm, random.Random(SEED))
    storm.join()
    print(f"{kills} kills in {time.monotonic() - began:.1f} s")
    storm.check()
