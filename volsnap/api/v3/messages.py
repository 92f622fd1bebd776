"""Messages: why something failed after its request had been answered."""

import dataclasses

from volsnap.api import filters, microversions, pagination, wire
from volsnap.api.v3.views import messages as views
from volsnap.db import page
from volsnap.policies import messages as policies

_FILTERS = filters.Filterable(
    resource="message",
    aliases=frozenset(),
    fields={
        "id": filters.Field("id"),
        "resource_uuid": filters.Field("resource_uuid"),
        "resource_type": filters.Field("resource_type"),
        "event_id": filters.Field("event_id"),
        "request_id": filters.Field("request_id"),
        "message_level": filters.Field("level"),
    },
)

_SORT_KEYS = {
    "id": "id",
    "event_id": "detail_id",
    "resource_uuid": "resource_uuid",
    "resource_type": "resource_type",
    "request_id": "request_id",
    "message_level": "level",
    "created_at": "created_at",
    "guaranteed_until": "expires_at",
}


def index(request: wire.Request) -> wire.Response:
    """GET /messages"""
    context = request.context
    context.authorize(policies.GET_ALL)
    wanted: page.Filters | None = page.Filters()
    part = page.Page(limit=request.settings.max_limit)
    if request.version >= microversions.MESSAGES_PAGED:
        part = pagination.parse(request, _SORT_KEYS)
        wanted = filters.select(request, _FILTERS)
    if wanted is None:
        return wire.ok({"messages": []})
    with pagination.marker_of("Message"):
        rows = request.api.messages.list_page(context, _by_columns(wanted), part)
    linker = request.linker("messages")
    body: dict[str, object] = {"messages": [views.detail(row, linker) for row in rows]}
    last_id = rows[-1].id if rows else None
    return wire.ok(body | pagination.next_link(request, "messages", last_id, len(rows), part.limit))


def show(request: wire.Request, message_id: str) -> wire.Response:
    """GET /messages/{message_id}"""
    row = request.api.messages.get(request.context, message_id)
    request.context.authorize(policies.GET, row.project_id)
    return wire.ok({"message": views.detail(row, request.linker("messages"))})


def delete(request: wire.Request, message_id: str) -> wire.Response:
    """DELETE /messages/{message_id}"""
    row = request.api.messages.get(request.context, message_id)
    request.context.authorize(policies.DELETE, row.project_id)
    request.api.messages.delete(request.context, message_id)
    return wire.empty(204)


def _by_columns(wanted: page.Filters) -> page.Filters:
    """An event id is three columns: ``VOLUME_<resource type>_<action>_<detail>``."""
    equal = dict(wanted.equal)
    event_id = equal.pop("event_id", None)
    if event_id is not None:
        kind, action, detail = [*str(event_id).removeprefix("VOLUME_").rsplit("_", 2), "", ""][:3]
        equal |= {"resource_type": kind, "action_id": action, "detail_id": detail}
    return dataclasses.replace(wanted, equal=equal)
