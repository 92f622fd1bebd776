"""The versions of the block storage API, and how a request names the one it wants.

A version is 3.N; everywhere in ``api/`` it is the integer N. :data:`HISTORY` has one line for every N, without gaps;
its end is the highest version we speak.
"""

import re

MIN = 0

MESSAGES = 3
MESSAGES_PAGED = 5
CLUSTERS = 7
GROUP_ID_FILTER = 10
SUMMARY = 12
GROUP_ID = 13
GROUP_SNAPSHOTS = 14
METADATA_ETAG = 15
PROVIDER_ID = 21
SNAPSHOT_METADATA_FILTER = 22
FORCE_DELETE = 23
ATTACHMENTS = 27
SNAPSHOT_SORT_NAME = 30
RESOURCE_FILTERS = 31
RESOURCE_FILTERS_LIST = 33
LIKE_FILTER = 34
SUMMARY_METADATA = 36
LIMITS_OF_PROJECT = 39
REVERT = 40
SNAPSHOT_USER_ID = 41
EXTEND_IN_USE = 42
WITH_COUNT = 45
SHARED_TARGETS = 48
BACKEND_STATE = 49
MULTIATTACH_BY_TYPE = 50
STRICT_VOLUMES = 53
TIME_FILTERS = 60
CLUSTER_NAME = 61
DEFAULT_TYPES = 62
VOLUME_TYPE_ID = 63
CONSUMES_QUOTA = 65
SNAPSHOT_IN_USE = 66

#: What each version brought, in order.
HISTORY: tuple[str, ...] = (
    "what version 2 of the API had",
    "uploads of images may be public or protected",
    "the filter for bootable volumes understands booleans",
    "messages tell why something failed later",
    "volumes can be filtered by the metadata of their image",
    "messages are paged, sorted and filtered",
    "a consistency group may be updated to an empty name",
    "clusters of services",
    "volumes and snapshots that can be adopted, as resources of their own",
    "backups can be renamed",
    "volumes can be filtered by group",
    "group types",
    "a summary of all volumes",
    "generic groups, and group_id in a volume",
    "group snapshots, and group_snapshot_id in a snapshot",
    "volume metadata carries an ETag and honours If-Match",
    "volumes migrate to clusters",
    "adoptable volumes and snapshots can be asked for by cluster",
    "backups show their project",
    "the status of a group snapshot can be reset",
    "the status of a group can be reset",
    "volumes show provider_id to administrators",
    "snapshots can be filtered by metadata",
    "volumes can be force-deleted by DELETE",
    "clean-up of workers",
    "groups list their volumes on request",
    "clusters fail over, freeze and thaw",
    "attachments as resources",
    "pools can be filtered",
    "groups and group snapshots are paged, sorted and filtered",
    "snapshots can be sorted by name",
    "operators choose the filters; unknown ones are refused",
    "log levels of services can be read and set",
    "the filters in force can be listed",
    "filters for a part of a name, written name~",
    "pools can be filtered by volume type",
    "the summary of all volumes has their metadata",
    "backups can be sorted by name",
    "groups replicate",
    "administrators can ask for the limits of another project",
    "volumes can be reverted to a snapshot",
    "snapshots show user_id",
    "volumes can be extended while in use",
    "backups have metadata",
    "attachments are completed in a step of their own",
    "lists can carry the number of all items",
    "a volume from an image of a snapshot uses the snapshot",
    "volumes can be created from backups",
    "volumes show shared_targets and service_uuid",
    "services show the state of their backend",
    "multiattach comes from the volume type only",
    "backups are created in an availability zone",
    "volume types can be filtered by extra specs",
    "unknown fields in requests on volumes are refused",
    "attachments have a mode",
    "transfers take the snapshots along",
    "backups show user_id",
    "transfers show both projects",
    "groups and group snapshots show their project",
    "transfers are paged and sorted",
    "volumes can be filtered by time, with operators",
    "volumes show cluster_name to administrators",
    "a project has a default volume type",
    "volumes show volume_type_id",
    "volumes and backups show encryption_key_id",
    "volumes and snapshots show consumes_quota",
    "snapshots of volumes in use need no force",
    "the project id in the URL is optional",
    "volumes can be written anew from an image",
    "shared_targets has three states",
    "transfers of encrypted volumes",
    "extending a volume in use is completed by the hypervisor",
)

MAX = len(HISTORY) - 1

_VERSION = re.compile(r"([1-9][0-9]*)\.(0|[1-9][0-9]*)")


class BadVersion(Exception):
    """The request names a version that is none."""

    def __init__(self, text: str) -> None:
        self.text = text
        super().__init__(f"API Version String {text} is of invalid format. Must be of format MajorNum.MinorNum.")


class NoVersion(Exception):
    """The header names no version of this service at all."""

    def __init__(self) -> None:
        super().__init__(
            'The header OpenStack-API-Version names no version of this service; write "volume 3.0" or leave it out.'
        )


class UnsupportedVersion(Exception):
    """The version is well formed, and not one of ours."""

    def __init__(self, text: str) -> None:
        self.text = text
        super().__init__(f"Version {self.text} is not supported by the API. Minimum is 3.{MIN} and maximum is 3.{MAX}.")


def requested(header: str | None) -> int:
    """The version that the header ``OpenStack-API-Version`` asks for; without it the lowest.

    :raises BadVersion: the header names a version that is none.
    :raises NoVersion: the header is for other services only.
    :raises UnsupportedVersion: we do not speak the version.
    """
    if header is None:
        return MIN
    for part in header.split(","):
        service, _, text = part.strip().partition(" ")
        if service.lower() == "volume":
            return _parse(text.strip())
    raise NoVersion


def _parse(text: str) -> int:
    if text == "latest":
        return MAX
    match = _VERSION.fullmatch(text)
    if match is None:
        raise BadVersion(text[:64])
    # Digits are compared before they become a number: int() refuses thousands of them.
    if match[1] != "3" or len(match[2]) > 3 or int(match[2]) > MAX:
        raise UnsupportedVersion(text[:64])
    return int(match[2])
