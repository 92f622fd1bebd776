"""Services, their pools of storage and the availability zones they make up."""

from typing import Any

from volsnap import exception
from volsnap.api import filters, microversions, validation, wire
from volsnap.api.v3.schemas import services as schemas
from volsnap.policies import services as policies
from volsnap.volume import services

View = dict[str, Any]


def index(request: wire.Request) -> wire.Response:
    """GET /os-services"""
    request.context.authorize(policies.INDEX)
    host = request.parameter("host")
    binary = request.parameter("binary") or request.parameter("service")
    views = [
        _view(service, request.version)
        for service in request.api.services.list(request.context)
        if host in (None, service.host, service.host.partition("@")[0]) and binary in (None, service.binary)
    ]
    return wire.ok({"services": views})


def enable(request: wire.Request) -> wire.Response:
    """PUT /os-services/enable"""
    fields = validation.body(request, schemas.SET_STATE)
    return _set_disabled(request, fields, disabled=False)


def disable(request: wire.Request) -> wire.Response:
    """PUT /os-services/disable"""
    fields = validation.body(request, schemas.SET_STATE)
    return _set_disabled(request, fields, disabled=True)


def disable_with_reason(request: wire.Request) -> wire.Response:
    """PUT /os-services/disable-log-reason"""
    fields = validation.body(request, schemas.DISABLE_WITH_REASON)
    return _set_disabled(request, fields, disabled=True)


def freeze(request: wire.Request) -> wire.Response:
    """PUT /os-services/freeze"""
    fields = validation.body(request, schemas.SET_FROZEN)
    request.context.authorize(policies.FREEZE)
    request.api.services.set_frozen(request.context, fields["host"], True)
    return wire.empty(202)


def thaw(request: wire.Request) -> wire.Response:
    """PUT /os-services/thaw"""
    fields = validation.body(request, schemas.SET_FROZEN)
    request.context.authorize(policies.THAW)
    request.api.services.set_frozen(request.context, fields["host"], False)
    return wire.empty(202)


def pools(request: wire.Request) -> wire.Response:
    """GET /scheduler-stats/get_pools"""
    request.context.authorize(policies.POOLS)
    name = request.parameter("name")
    is_detailed = filters.boolean("detail", request.parameter("detail") or "false")
    views = [
        dict(pool) if is_detailed else {"name": pool["name"]}
        for pool in request.api.services.pools(request.context)
        if name in (None, pool["name"])
    ]
    return wire.ok({"pools": views})


def zones(request: wire.Request) -> wire.Response:
    """GET /os-availability-zone"""
    request.context.authorize(policies.ZONES)
    views = [
        {"zoneName": name, "zoneState": {"available": is_available}}
        for name, is_available in request.api.services.zones(request.context)
    ]
    return wire.ok({"availabilityZoneInfo": views})


def _set_disabled(request: wire.Request, fields: View, *, disabled: bool) -> wire.Response:
    request.context.authorize(policies.UPDATE)
    binary = fields.get("binary") or fields.get("service")
    if not binary:
        raise exception.InvalidInput(reason="binary is missing; name the service to change.")
    service = request.api.services.set_disabled(
        request.context, binary, fields["host"], disabled, fields.get("disabled_reason")
    )
    view = {
        "host": service.host,
        "service": service.binary,
        "binary": service.binary,
        "disabled": service.disabled,
        "status": "disabled" if service.disabled else "enabled",
    }
    if disabled and fields.get("disabled_reason"):
        view["disabled_reason"] = service.disabled_reason
    return wire.ok(view)


def _view(service: services.Service, version: int) -> View:
    state = "up" if service.is_up else "down"
    has_backend = service.binary == services.BINARY
    view: View = {
        "binary": service.binary,
        "host": service.host,
        "zone": service.availability_zone,
        "status": "disabled" if service.disabled else "enabled",
        "state": state,
        "updated_at": service.updated_at,
    }
    if has_backend and version >= microversions.BACKEND_STATE:
        view["backend_state"] = state
    if version >= microversions.CLUSTERS:
        view["cluster"] = None
    view["disabled_reason"] = service.disabled_reason
    if has_backend:
        view["replication_status"] = "disabled"
        view["active_backend_id"] = None
        view["frozen"] = service.frozen
    return view
