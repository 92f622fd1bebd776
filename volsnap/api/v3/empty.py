"""Collections that hold nothing yet, which clients read when they start.

Who asks for one item, or wants to make one, is told that there is no such resource.
"""

from volsnap.api import wire


def backups(request: wire.Request) -> wire.Response:
    """GET /backups"""
    return wire.ok({"backups": []})


def transfers(request: wire.Request) -> wire.Response:
    """GET /os-volume-transfer"""
    return wire.ok({"transfers": []})


def consistency_groups(request: wire.Request) -> wire.Response:
    """GET /consistencygroups"""
    return wire.ok({"consistencygroups": []})


def consistency_group_snapshots(request: wire.Request) -> wire.Response:
    """GET /cgsnapshots"""
    return wire.ok({"cgsnapshots": []})


def qos_specs(request: wire.Request) -> wire.Response:
    """GET /qos-specs"""
    return wire.ok({"qos_specs": []})


def clusters(request: wire.Request) -> wire.Response:
    """GET /clusters"""
    return wire.ok({"clusters": []})


def default_types(request: wire.Request) -> wire.Response:
    """GET /default-types"""
    return wire.ok({"default_types": []})


def groups(request: wire.Request) -> wire.Response:
    """GET /groups"""
    return wire.ok({"groups": []})


def group_snapshots(request: wire.Request) -> wire.Response:
    """GET /group_snapshots"""
    return wire.ok({"group_snapshots": []})


def attachments(request: wire.Request) -> wire.Response:
    """GET /attachments"""
    return wire.ok({"attachments": []})
