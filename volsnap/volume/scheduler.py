"""Which backend a new volume goes to: a pure function of what the services last reported."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from volsnap.db.engine import Row
from volsnap.units import GIB


def choose_backend(
    services: Sequence[Row],
    *,
    now: float,
    down_time_s: float,
    size_gib: int,
    extra_specs: Mapping[str, str],
    availability_zone: str | None,
) -> str | None:
    """The backend with the most free space among those that can take the volume; None when there is none.

    :param now: seconds since the epoch.
    """
    able = [
        (int(stats["free_bytes"]), service.host)
        for service, stats in ((row, orjson.loads(row.stats)) for row in services)
        if now - service.seen_at < down_time_s
        and not service.disabled
        and not service.frozen
        and availability_zone in (None, service.availability_zone)
        and _suits(stats, size_gib, extra_specs)
    ]
    return max(able)[1] if able else None


def _suits(stats: Mapping[str, Any], size_gib: int, extra_specs: Mapping[str, str]) -> bool:
    wanted = extra_specs.get("volume_backend_name")
    if wanted not in (None, stats.get("volume_backend_name")):
        return False
    if "free_bytes" not in stats:
        return False
    return bool(stats.get("thin")) or int(stats["free_bytes"]) >= size_gib * GIB
