"""What an answer says of a volume type."""

from typing import Any

from volsnap.api import wire
from volsnap.db import metadata
from volsnap.db.engine import Row
from volsnap.policies import types as policies

#: Extra specs that tell users what a type can do, and nothing about the backend.
_FOR_USERS = frozenset({"RESKEY:availability_zones", "multiattach", "replication_enabled"})


def detail(row: Row, request: wire.Request, *, with_access: bool = True) -> dict[str, Any]:
    """A type as far as the caller may see it."""
    context = request.context
    view: dict[str, Any] = {
        "id": row.id,
        "name": row.name,
        "is_public": row.is_public,
        "description": row.description,
    }
    if context.can(policies.EXTRA_SPECS):
        view["extra_specs"] = extra_specs(row, request)
    if context.can(policies.QOS_SPECS_ID):
        view["qos_specs_id"] = row.qos_specs_id
    if with_access and context.can(policies.ACCESS):
        view["os-volume-type-access:is_public"] = row.is_public
    return view


def extra_specs(row: Row, request: wire.Request) -> dict[str, str]:
    """The extra specs that the caller may see."""
    specs = metadata.load(row.extra_specs)
    if request.context.can(policies.READ_SENSITIVE):
        return specs
    return {key: value for key, value in specs.items() if key in _FOR_USERS}
