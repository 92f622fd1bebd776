"""Quota sets of projects and quota classes."""

from typing import Any

from volsnap import exception
from volsnap.api import filters, validation, wire
from volsnap.api.v3.schemas import quotas as schemas
from volsnap.policies import quotas as policies

_MOST = 2**31 - 1
_UNLIMITED = -1
#: What clients send along with the limits, and nobody needs.
_IGNORED = frozenset({"tenant_id", "force", "skip_validation"})
_LONGEST_ID = 255


def show(request: wire.Request, project_id: str) -> wire.Response:
    """GET /os-quota-sets/{project_id}"""
    _authorize(request, policies.SHOW, project_id)
    limits = request.api.quotas.limits(request.context, project_id)
    view: dict[str, object] = dict(limits)
    if filters.boolean("usage", request.parameter("usage") or "false"):
        used = request.api.quotas.usage(request.context, project_id)
        view = {name: {"limit": limit, "in_use": used.get(name, 0), "reserved": 0} for name, limit in limits.items()}
    return wire.ok({"quota_set": {**view, "id": project_id}})


def show_defaults(request: wire.Request, project_id: str) -> wire.Response:
    """GET /os-quota-sets/{project_id}/defaults"""
    _authorize(request, policies.SHOW, project_id)
    limits = request.api.quotas.default_limits(request.context)
    return wire.ok({"quota_set": {**limits, "id": project_id}})


def update(request: wire.Request, project_id: str) -> wire.Response:
    """PUT /os-quota-sets/{project_id}"""
    fields = validation.body(request, schemas.UPDATE)["quota_set"]
    _authorize(request, policies.UPDATE, project_id)
    known = request.api.quotas.default_limits(request.context)
    limits = request.api.quotas.set_limits(request.context, project_id, _limits(fields, known))
    return wire.ok({"quota_set": limits})


def delete(request: wire.Request, project_id: str) -> wire.Response:
    """DELETE /os-quota-sets/{project_id}"""
    _authorize(request, policies.DELETE, project_id)
    request.api.quotas.delete_limits(request.context, project_id)
    return wire.empty(200)


def show_class(request: wire.Request, class_name: str) -> wire.Response:
    """GET /os-quota-class-sets/{class_name}"""
    _check_length(class_name)
    request.context.authorize(policies.CLASS_GET)
    limits = request.api.quotas.class_limits(request.context, class_name)
    return wire.ok({"quota_class_set": {**limits, "id": class_name}})


def update_class(request: wire.Request, class_name: str) -> wire.Response:
    """PUT /os-quota-class-sets/{class_name}"""
    _check_length(class_name)
    fields = validation.body(request, schemas.UPDATE_CLASS)["quota_class_set"]
    request.context.authorize(policies.CLASS_UPDATE)
    known = request.api.quotas.default_limits(request.context)
    limits = request.api.quotas.set_class_limits(
        request.context, class_name, _limits(fields, known, ignored=_IGNORED | {"class_name"})
    )
    return wire.ok({"quota_class_set": limits})


def _authorize(request: wire.Request, rule: str, project_id: str) -> None:
    _check_length(project_id)
    request.context.authorize(rule, project_id)


def _check_length(name: str) -> None:
    if len(name) > _LONGEST_ID:
        raise exception.NotFound(kind="Quota set", id=name[:_LONGEST_ID])


def _limits(fields: dict[str, Any], known: dict[str, int], *, ignored: frozenset[str] = _IGNORED) -> dict[str, int]:
    """The limits in a request.

    :raises exception.Invalid: a resource is unknown or a limit is no number.
    """
    unknown = [name for name in fields if name not in known and name not in ignored]
    if unknown:
        raise exception.InvalidInput(reason=f"Bad key(s) in quota set: {', '.join(unknown)[:255]}")
    return {name: _limit(name, value) for name, value in fields.items() if name in known}


def _limit(name: str, value: object) -> int:
    if isinstance(value, str) and len(value) <= 11 and value.removeprefix("-").isdecimal():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise exception.Invalid(reason=f"{name} must be an integer")
    if value < _UNLIMITED:
        raise exception.Invalid(reason=f"{name} must be >= -1")
    if value > _MOST:
        raise exception.Invalid(reason=f"{name} must be <= {_MOST}")
    return value
