"""What a volume can be."""

import enum


class VolumeStatus(enum.StrEnum):
    """Every status a volume may have (the Block Storage API's words)."""

    CREATING = "creating"
    AVAILABLE = "available"
    RESERVED = "reserved"
    ATTACHING = "attaching"
    DETACHING = "detaching"
    IN_USE = "in-use"
    MAINTENANCE = "maintenance"
    DELETING = "deleting"
    AWAITING_TRANSFER = "awaiting-transfer"
    ERROR = "error"
    ERROR_DELETING = "error_deleting"
    ERROR_MANAGING = "error_managing"
    MANAGING = "managing"
    BACKING_UP = "backing-up"
    ERROR_BACKING_UP = "error_backing-up"
    RESTORING_BACKUP = "restoring-backup"
    ERROR_RESTORING = "error_restoring"
    DOWNLOADING = "downloading"
    UPLOADING = "uploading"
    RETYPING = "retyping"
    EXTENDING = "extending"
    ERROR_EXTENDING = "error_extending"
    REVERTING = "reverting"


#: A snapshot may be taken in these; ``in-use`` needs the client's consent below microversion 3.66.
SNAPSHOT_SOURCES = frozenset({VolumeStatus.AVAILABLE})
SNAPSHOT_SOURCES_IN_USE = SNAPSHOT_SOURCES | {VolumeStatus.IN_USE}
#: With ``force``: whatever the volume is used for, as long as its content is whole.
SNAPSHOT_SOURCES_FORCED = SNAPSHOT_SOURCES_IN_USE | {
    VolumeStatus.RESERVED,
    VolumeStatus.ATTACHING,
    VolumeStatus.DETACHING,
    VolumeStatus.AWAITING_TRANSFER,
    VolumeStatus.BACKING_UP,
    VolumeStatus.UPLOADING,
}

#: Another volume may be made from a volume in one of these.
CLONE_SOURCES = frozenset({VolumeStatus.AVAILABLE, VolumeStatus.IN_USE})
