"""What the API can do, for clients that ask before they act: extensions and filters."""

from volsnap.api import filters, wire

#: Name, alias, what it adds, and since when. Everything here is always on; clients look for the aliases.
_EXTENSIONS = (
    ("AdminActions", "os-admin-actions", "Actions of administrators.", "2012-08-25"),
    ("AvailabilityZones", "os-availability-zone", "Availability zones.", "2013-06-27"),
    (
        "ExtendedServices",
        "os-extended-services",
        "Why a service is disabled.",
        "2014-01-10",
    ),
    (
        "ExtendedSnapshotAttributes",
        "os-extended-snapshot-attributes",
        "Project and progress of a snapshot.",
        "2012-06-19",
    ),
    ("QuotaClasses", "os-quota-class-sets", "Limits of quota classes.", "2012-03-12"),
    ("Quotas", "os-quota-sets", "Limits of projects.", "2011-08-08"),
    ("Scheduler_stats", "scheduler-stats", "Pools of storage.", "2014-09-07"),
    ("SchedulerHints", "OS-SCH-HNT", "Hints for the placement of a volume.", "2013-04-18"),
    ("Services", "os-services", "Services.", "2012-10-28"),
    ("SnapshotActions", "os-snapshot-actions", "Status reports on snapshots.", "2013-07-16"),
    ("TypesExtraSpecs", "os-types-extra-specs", "Extra specs of volume types.", "2011-08-24"),
    ("UsedLimits", "os-used-limits", "What is used of the limits.", "2013-10-03"),
    ("VolumeActions", "os-volume-actions", "Actions on volumes.", "2012-05-31"),
    (
        "VolumeEncryptionMetadata",
        "os-volume-encryption-metadata",
        "How a volume is encrypted.",
        "2013-07-10",
    ),
    ("VolumeHostAttribute", "os-vol-host-attr", "The backend of a volume.", "2011-11-03"),
    ("VolumeImageMetadata", "os-vol-image-meta", "Image metadata of a volume.", "2012-12-07"),
    (
        "VolumeMigStatusAttribute",
        "os-vol-mig-status-attr",
        "Migration status of a volume.",
        "2013-08-08",
    ),
    ("VolumeTenantAttribute", "os-vol-tenant-attr", "The project of a volume.", "2011-11-03"),
    ("VolumeTypeAccess", "os-volume-type-access", "Who may use a volume type.", "2014-06-26"),
)


def index_extensions(request: wire.Request) -> wire.Response:
    """GET /extensions"""
    views = [_extension(*extension) for extension in _EXTENSIONS]
    return wire.ok({"extensions": views})


def index_resource_filters(request: wire.Request) -> wire.Response:
    """GET /resource_filters"""
    wanted = request.parameter("resource")
    views = [
        {"resource": resource, "filters": names}
        for resource, names in filters.RESOURCE_FILTERS.items()
        if wanted in (None, resource)
    ]
    return wire.ok({"resource_filters": views})


def _extension(name: str, alias: str, description: str, date: str) -> dict[str, object]:
    return {
        "name": name,
        "alias": alias,
        "description": description,
        "updated": f"{date}T00:00:00+00:00",
        "links": [],
    }
