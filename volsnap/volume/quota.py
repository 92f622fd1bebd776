"""Quotas: limits that are configured, usage that is counted.

The invariant: a request that would take a project over a limit is refused, one that would not is accepted, however many
race. :meth:`Quotas.check` runs inside the transaction that inserts the rows and holds the project's row until it ends.
"""

import dataclasses
from collections.abc import Mapping

from oslo_config import cfg

from volsnap import exception
from volsnap.context import RequestContext
from volsnap.db import quotas as rows
from volsnap.db import volume_types
from volsnap.db.engine import Connection, Database

UNLIMITED = -1
DEFAULT_CLASS = "default"


@dataclasses.dataclass(frozen=True, slots=True)
class Request:
    """What a request adds. ``volume_gib`` is the size of the volume it makes or grows to."""

    volumes: int = 0
    snapshots: int = 0
    gib: int = 0
    volume_gib: int = 0
    volume_type: str | None = None
    volume_type_id: str | None = None


class Quotas:
    """Limits and usage of projects."""

    def __init__(self, database: Database, conf: cfg.ConfigOpts) -> None:
        self._database = database
        self._conf = conf

    # what the REST layer asks

    def limits(self, context: RequestContext, project_id: str) -> dict[str, int]:
        """Every limit of a project by resource name."""
        with self._database.read() as conn:
            return self._limits(conn, project_id)

    def default_limits(self, context: RequestContext) -> dict[str, int]:
        """The limits of a project that has none of its own."""
        with self._database.read() as conn:
            return self._defaults(conn)

    def usage(self, context: RequestContext, project_id: str) -> dict[str, int]:
        """What a project uses now, by resource name; per volume type too."""
        with self._database.read() as conn:
            volumes = rows.usage_by_type(conn, rows.VOLUMES, project_id)
            snapshots = rows.usage_by_type(conn, rows.SNAPSHOTS, project_id)
            all_volumes = rows.usage(conn, rows.VOLUMES, project_id)
            all_snapshots = rows.usage(conn, rows.SNAPSHOTS, project_id)
            names = {row.id: row.name for row in volume_types.list_all(conn)}
        used = dict.fromkeys(self.default_limits(context), 0)
        used["volumes"] = all_volumes[0]
        used["snapshots"] = all_snapshots[0]
        used["gigabytes"] = all_volumes[1] + self._counted(all_snapshots[1])
        for type_id, name in names.items():
            count, gib = volumes.get(type_id, (0, 0))
            snapshot_count, snapshot_gib = snapshots.get(type_id, (0, 0))
            used[f"volumes_{name}"] = count
            used[f"snapshots_{name}"] = snapshot_count
            used[f"gigabytes_{name}"] = gib + self._counted(snapshot_gib)
        return used

    def set_limits(self, context: RequestContext, project_id: str, wanted: Mapping[str, int]) -> dict[str, int]:
        """Set limits of a project; returns all of them.

        :raises exception.InvalidInput: a name is no resource.
        """
        with self._database.write() as conn:
            self._known(conn, wanted)
            rows.set_limits(conn, project_id, wanted)
            return self._limits(conn, project_id)

    def delete_limits(self, context: RequestContext, project_id: str) -> None:
        """Go back to the default limits."""
        with self._database.write() as conn:
            rows.delete_limits(conn, project_id)

    def class_limits(self, context: RequestContext, class_name: str) -> dict[str, int]:
        """The limits of a quota class: what is set for it, the defaults for the rest."""
        with self._database.read() as conn:
            return {**self._defaults(conn), **rows.class_limits(conn, class_name)}

    def set_class_limits(self, context: RequestContext, class_name: str, wanted: Mapping[str, int]) -> dict[str, int]:
        """Set limits of a quota class; returns all of them.

        :raises exception.InvalidInput: a name is no resource.
        """
        with self._database.write() as conn:
            self._known(conn, wanted)
            rows.set_class_limits(conn, class_name, wanted)
        return self.class_limits(context, class_name)

    # what the write path asks

    def check(self, conn: Connection, project_id: str, wanted: Request) -> None:
        """Return when ``wanted`` fits the project's limits; holds the project's row until the transaction ends.

        Counts only what is limited: an unlimited project costs one query.

        :raises exception.OverQuota: it does not fit; the text names the limit.
        """
        rows.lock_project(conn, project_id)
        limits = self._limits(conn, project_id, wanted.volume_type)
        self._check_size(limits, wanted)
        self._check_totals(conn, project_id, limits, wanted)
        if wanted.volume_type is not None:
            self._check_type(conn, project_id, limits, wanted)

    def snapshot_gib(self, size_gib: int) -> int:
        """How much of ``gigabytes`` a snapshot of that size takes."""
        return self._counted(size_gib)

    def _check_size(self, limits: Mapping[str, int], wanted: Request) -> None:
        limit = limits["per_volume_gigabytes"]
        if limit != UNLIMITED and wanted.volume_gib > limit:
            raise exception.OverQuota(
                reason=f"VolumeSizeExceedsLimit: Requested volume size {wanted.volume_gib}G is larger than "
                f"maximum allowed limit {limit}G."
            )

    def _check_totals(self, conn: Connection, project_id: str, limits: Mapping[str, int], wanted: Request) -> None:
        limited = {name for name in ("volumes", "snapshots", "gigabytes") if limits[name] >= 0}
        volumes = snapshots = (0, 0)
        if limited & {"volumes", "gigabytes"}:
            volumes = rows.usage(conn, rows.VOLUMES, project_id)
        if limited & {"snapshots", "gigabytes"}:
            snapshots = rows.usage(conn, rows.SNAPSHOTS, project_id)
        gib = volumes[1] + self._counted(snapshots[1])
        _refuse_over("", limits, wanted, volumes[0], snapshots[0], gib)

    def _check_type(self, conn: Connection, project_id: str, limits: Mapping[str, int], wanted: Request) -> None:
        suffix = f"_{wanted.volume_type}"
        names = [f"{name}{suffix}" for name in ("volumes", "snapshots", "gigabytes")]
        if all(limits.get(name, UNLIMITED) == UNLIMITED for name in names):
            return
        type_id = wanted.volume_type_id or ""
        volumes = rows.usage_by_type(conn, rows.VOLUMES, project_id).get(type_id, (0, 0))
        snapshots = rows.usage_by_type(conn, rows.SNAPSHOTS, project_id).get(type_id, (0, 0))
        gib = volumes[1] + self._counted(snapshots[1])
        _refuse_over(suffix, limits, wanted, volumes[0], snapshots[0], gib)

    def _counted(self, snapshot_gib: int) -> int:
        return 0 if self._conf.no_snapshot_gb_quota else snapshot_gib

    # limits

    def _limits(self, conn: Connection, project_id: str, volume_type: str | None = None) -> dict[str, int]:
        """Defaults, overlaid by the project's own; for one type's limits only when ``volume_type`` is given."""
        unlimited = {} if volume_type is not None else self._by_type(conn)
        return {**unlimited, **self._configured(), **rows.limits(conn, project_id, DEFAULT_CLASS)}

    def _defaults(self, conn: Connection) -> dict[str, int]:
        return {**self._by_type(conn), **self._configured(), **rows.class_limits(conn, DEFAULT_CLASS)}

    def _configured(self) -> dict[str, int]:
        conf = self._conf
        return {
            "volumes": conf.quota_volumes,
            "per_volume_gigabytes": conf.per_volume_size_limit,
            "snapshots": conf.quota_snapshots,
            "gigabytes": conf.quota_gigabytes,
            "backups": conf.quota_backups,
            "backup_gigabytes": conf.quota_backup_gigabytes,
            "groups": conf.quota_groups,
        }

    def _by_type(self, conn: Connection) -> dict[str, int]:
        """No type has a limit unless one is set."""
        return {
            f"{resource}_{row.name}": UNLIMITED
            for row in volume_types.list_all(conn)
            for resource in ("volumes", "gigabytes", "snapshots")
        }

    def _known(self, conn: Connection, wanted: Mapping[str, int]) -> None:
        unknown = sorted(set(wanted) - set(self._defaults(conn)))
        if unknown:
            raise exception.InvalidInput(reason=f"Bad key(s) in quota set: {', '.join(unknown)}")


def _refuse_over(
    suffix: str, limits: Mapping[str, int], wanted: Request, volumes: int, snapshots: int, gib: int
) -> None:
    """Raise for the first limit that ``wanted`` on top of what is used would pass."""
    for noun, title, asked, used in (
        ("volumes", "Volume", wanted.volumes, volumes),
        ("snapshots", "Snapshot", wanted.snapshots, snapshots),
    ):
        limit = limits.get(noun + suffix, UNLIMITED)
        if asked and limit != UNLIMITED and used + asked > limit:
            name = f" for quota '{noun}{suffix}'." if suffix or noun == "volumes" else ""
            raise exception.OverQuota(
                reason=f"{title}LimitExceeded: Maximum number of {noun} allowed ({limit}) exceeded{name}"
            )
    limit = limits.get("gigabytes" + suffix, UNLIMITED)
    if wanted.gib and limit != UNLIMITED and gib + wanted.gib > limit:
        raise exception.OverQuota(
            reason="VolumeSizeExceedsAvailableQuota: Requested volume or snapshot exceeds allowed "
            f"gigabytes{suffix} quota. Requested {wanted.gib}G, quota is {limit}G and {gib}G has been consumed."
        )
