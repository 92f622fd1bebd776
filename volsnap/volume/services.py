"""What can be asked of services: who runs where, is it up, what does its backend hold."""

import dataclasses
import time
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from volsnap import exception
from volsnap.context import RequestContext
from volsnap.db import services as rows
from volsnap.db.engine import Connection, Database, Row
from volsnap.units import GIB

#: The name under which clients of the Block Storage API know a volume service.
BINARY = "cinder-volume"


@dataclasses.dataclass(frozen=True, slots=True)
class Service:
    """One service as clients see it."""

    binary: str
    host: str
    availability_zone: str
    disabled: bool
    disabled_reason: str | None
    frozen: bool
    is_up: bool
    updated_at: str | None


class Services:
    """The services that report to the database."""

    def __init__(self, database: Database, *, down_time_s: float) -> None:
        self._database = database
        self._down_time_s = down_time_s

    def list(self, context: RequestContext) -> Sequence[Service]:
        """Every service that ever reported."""
        with self._database.read() as conn:
            return [self.describe(row, self._down_time_s) for row in rows.list_all(conn)]

    def set_disabled(
        self,
        context: RequestContext,
        binary: str,
        host: str,
        disabled: bool,
        reason: str | None = None,
    ) -> Service:
        """Keep new volumes away from a backend, or let them come again.

        :raises exception.NotFound: there is no such service.
        """
        return self._update(binary, host, disabled=disabled, disabled_reason=reason)

    def set_frozen(self, context: RequestContext, host: str, frozen: bool) -> Service:
        """Forbid, or allow again, whatever makes or removes something on a backend.

        :raises exception.NotFound: there is no such service.
        """
        return self._update(BINARY, host, frozen=frozen)

    def pools(self, context: RequestContext) -> Sequence[Mapping[str, Any]]:
        """``name`` and ``capabilities`` of every backend that reported."""
        with self._database.read() as conn:
            services = rows.list_all(conn)
        return [
            {"name": f"{row.host}#{row.host.partition('@')[2]}", "capabilities": _capabilities(row)}
            for row in services
            if row.stats != "{}"
        ]

    def zones(self, context: RequestContext) -> Sequence[tuple[str, bool]]:
        """Every availability zone, and whether a backend in it takes volumes."""
        zones: dict[str, bool] = {}
        for service in self.list(context):
            usable = service.is_up and not service.disabled
            zones[service.availability_zone] = zones.get(service.availability_zone, False) or usable
        return sorted(zones.items())

    def _update(self, binary: str, host: str, **values: object) -> Service:
        with self._database.write() as conn:
            rows.update(conn, binary, host, **values)
            row = rows.find(conn, binary, host)
        if row is None:
            raise exception.NotFound(kind="Service", id=f"{binary} on host {host}")
        return self.describe(row, self._down_time_s)

    @staticmethod
    def describe(row: Row, down_time_s: float) -> Service:
        """The record of a row; up when it reported within ``down_time_s`` seconds."""
        return Service(
            binary=row.binary,
            host=row.host,
            availability_zone=row.availability_zone,
            disabled=row.disabled,
            disabled_reason=row.disabled_reason,
            frozen=row.frozen,
            is_up=time.time() - row.seen_at < down_time_s,
            updated_at=row.updated_at,
        )


def usable_backend(conn: Connection, resource: Row) -> str:
    """The backend of a volume or snapshot, which must be there and not frozen.

    :raises exception.InvalidStatus: it is not.
    """
    backend: str | None = resource.backend
    if backend is None:
        raise exception.InvalidStatus(kind="volume", reason=f"Volume {resource.id} has no backend; delete it.")
    service = rows.find(conn, BINARY, backend)
    if service is not None and service.frozen:
        raise exception.InvalidStatus(
            kind="volume", reason=f"The backend {backend} is frozen; try again when it is thawed."
        )
    return backend


def _capabilities(row: Row) -> dict[str, Any]:
    """What clients expect to read of a pool."""
    stats = orjson.loads(row.stats)
    name = row.host.partition("@")[2]
    return {
        "pool_name": name,
        "volume_backend_name": stats.get("volume_backend_name", name),
        "total_capacity_gb": round(stats.get("total_bytes", 0) / GIB, 2),
        "free_capacity_gb": round(stats.get("free_bytes", 0) / GIB, 2),
        "provisioned_capacity_gb": round(stats.get("provisioned_bytes", 0) / GIB, 2),
        "allocated_capacity_gb": round(stats.get("provisioned_bytes", 0) / GIB, 2),
        "reserved_percentage": 0,
        "storage_protocol": stats.get("protocol"),
        "vendor_name": "volsnap",
        "driver_version": stats.get("version"),
        "thin_provisioning_support": stats.get("thin", False),
        "thick_provisioning_support": not stats.get("thin", False),
        "consistent_group_snapshot_enabled": stats.get("group_snapshot", False),
        "QoS_support": False,
        "filter_function": None,
        "goodness_function": None,
        "replication_enabled": False,
        "timestamp": row.updated_at,
    }
