"""Volume types."""

from volsnap import exception
from volsnap.api import filters, pagination, wire
from volsnap.api.v3.views import types as views
from volsnap.db.engine import Row
from volsnap.policies import types as policies


def index(request: wire.Request) -> wire.Response:
    """GET /types"""
    request.context.authorize(policies.GET_ALL)
    rows = [row for row in request.api.types.list(request.context) if _fits(request, row)]
    limit, skip = pagination.limit(request), pagination.offset(request)
    marker = request.parameter("marker")
    if marker is not None:
        places = [place for place, row in enumerate(rows) if row.id == marker]
        if not places:
            raise exception.NotFound(kind="Volume type", id=marker[:255])
        rows = rows[places[0] + 1 :]
    rows = rows[skip : skip + limit]
    body: dict[str, object] = {"volume_types": [views.detail(row, request) for row in rows]}
    last_id = rows[-1].id if rows else None
    if request.parameter("limit") is not None:
        body |= pagination.next_link(request, "volume_type", last_id, len(rows), limit)
    return wire.ok(body)


def show(request: wire.Request, type_id: str) -> wire.Response:
    """GET /types/{type_id}"""
    return wire.ok({"volume_type": views.detail(_get(request, type_id, policies.GET), request)})


def show_default(request: wire.Request) -> wire.Response:
    """GET /types/default"""
    request.context.authorize(policies.GET)
    row = request.api.types.default(request.context)
    return wire.ok({"volume_type": views.detail(row, request, with_access=False)})


def show_extra_specs(request: wire.Request, type_id: str) -> wire.Response:
    """GET /types/{type_id}/extra_specs"""
    row = _get(request, type_id, policies.EXTRA_SPECS_INDEX)
    return wire.ok({"extra_specs": views.extra_specs(row, request)})


def show_extra_spec(request: wire.Request, type_id: str, key: str) -> wire.Response:
    """GET /types/{type_id}/extra_specs/{key}"""
    specs = views.extra_specs(_get(request, type_id, policies.EXTRA_SPECS_SHOW), request)
    if key not in specs:
        raise exception.NotFound(kind=f"Extra spec of volume type {type_id}:", id=key)
    return wire.ok({key: specs[key]})


def show_encryption(request: wire.Request, type_id: str) -> wire.Response:
    """GET /types/{type_id}/encryption"""
    _get(request, type_id, policies.ENCRYPTION_GET)
    return wire.ok({})


def _get(request: wire.Request, type_id: str, rule: str) -> Row:
    request.context.authorize(rule)
    row = request.api.types.get(request.context, type_id)
    if not row.is_public and not request.context.is_admin:
        raise exception.NotFound(kind="Volume type", id=type_id)
    return row


def _fits(request: wire.Request, row: Row) -> bool:
    """Whether a type is one that the caller may see and asks for."""
    if not request.context.is_admin:
        return bool(row.is_public)
    wanted = request.parameter("is_public")
    if wanted is None or wanted.lower() == "none":
        return True
    return bool(row.is_public) == filters.boolean("is_public", wanted)
