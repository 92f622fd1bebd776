"""What a project may use and what it uses, as Nova and dashboards ask before they create something."""

from volsnap.api import microversions, wire
from volsnap.policies import limits as policies

_LIMITS = {
    "maxTotalVolumes": "volumes",
    "maxTotalSnapshots": "snapshots",
    "maxTotalVolumeGigabytes": "gigabytes",
    "maxTotalBackups": "backups",
    "maxTotalBackupGigabytes": "backup_gigabytes",
}
_USED = {
    "totalVolumesUsed": "volumes",
    "totalGigabytesUsed": "gigabytes",
    "totalSnapshotsUsed": "snapshots",
    "totalBackupsUsed": "backups",
    "totalBackupGigabytesUsed": "backup_gigabytes",
}


def show(request: wire.Request) -> wire.Response:
    """GET /limits"""
    context = request.context
    project_id = context.project_id
    if request.version >= microversions.LIMITS_OF_PROJECT and context.is_admin:
        project_id = request.parameter("project_id") or request.parameter("tenant_id") or project_id
    limits = request.api.quotas.limits(context, project_id)
    absolute = {key: limits.get(name, -1) for key, name in _LIMITS.items()}
    if context.can(policies.USED, project_id):
        used = request.api.quotas.usage(context, project_id)
        absolute |= {key: used.get(name, 0) for key, name in _USED.items()}
    return wire.ok({"limits": {"rate": [], "absolute": absolute}})
