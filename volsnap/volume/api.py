"""The façade that the REST layer calls: one service object per noun, nothing else.

Every method takes the request's context first, authorises nothing (handlers do) and raises
:mod:`volsnap.exception` errors only. A resource of another project is not found.
"""

import dataclasses

from volsnap.volume import messages, quota, services, snapshots, types, volumes


@dataclasses.dataclass(frozen=True, slots=True)
class VolumeApi:
    """The nouns of block storage."""

    volumes: volumes.Volumes
    snapshots: snapshots.Snapshots
    quotas: quota.Quotas
    types: types.Types
    services: services.Services
    messages: messages.Messages
