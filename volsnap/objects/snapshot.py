"""What a snapshot can be."""

import enum


class SnapshotStatus(enum.StrEnum):
    """Every status a snapshot may have (the Block Storage API's words)."""

    CREATING = "creating"
    AVAILABLE = "available"
    DELETING = "deleting"
    DELETED = "deleted"
    UPDATING = "updating"
    ERROR = "error"
    ERROR_DELETING = "error_deleting"
    UNMANAGING = "unmanaging"
    BACKING_UP = "backing-up"
    RESTORING = "restoring"


#: What ``os-update_snapshot_status`` may turn a status into.
STATUS_UPDATES = {
    SnapshotStatus.CREATING: frozenset({SnapshotStatus.CREATING, SnapshotStatus.AVAILABLE, SnapshotStatus.ERROR}),
    SnapshotStatus.DELETING: frozenset({SnapshotStatus.DELETING, SnapshotStatus.ERROR_DELETING}),
}
