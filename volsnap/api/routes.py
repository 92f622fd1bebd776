"""Every path of the block storage API, as one table, and the walk that finds a handler in it.

Paths stand behind ``/v3`` or ``/v3/{project_id}``. A literal segment goes before a ``{name}``; the walk looks at each
segment of a path once, however long the table is.
"""

import dataclasses
from collections.abc import Callable, Sequence

from volsnap.api import microversions, wire
from volsnap.api.v3 import (
    discovery,
    empty,
    limits,
    messages,
    quotas,
    services,
    snapshots,
    types,
    volumes,
)

Handler = Callable[..., wire.Response]


@dataclasses.dataclass(frozen=True, slots=True)
class Route:
    """``handler`` answers ``method`` on ``path`` from version 3.``since`` on."""

    method: str
    path: str
    handler: Handler
    since: int = microversions.MIN


@dataclasses.dataclass(slots=True)
class _Node:
    """What can follow a part of a path."""

    literal: "dict[str, _Node]" = dataclasses.field(default_factory=dict)
    any: "_Node | None" = None
    #: The segment is text of the user's own choice: ".json" at its end belongs to it.
    is_free: bool = False
    routes: dict[str, Route] = dataclasses.field(default_factory=dict)


class Table:
    """Routes, ready to be searched."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self._root = _Node()
        for route in routes:
            node = self._root
            for segment in route.path.strip("/").split("/"):
                node = _follow(node, segment)
            if route.method in node.routes:
                raise ValueError(f"{route.method} {route.path} is there twice")
            node.routes[route.method] = route

    def knows(self, segment: str) -> bool:
        """Whether a path may begin with ``segment``."""
        return segment in self._root.literal

    def find(self, segments: Sequence[str]) -> tuple[dict[str, Route], tuple[str, ...]] | None:
        """The routes of a path by method, and the values of its ``{name}`` segments; None when there are none."""
        node: _Node | None = self._root
        values: list[str] = []
        last = len(segments) - 1
        for place, segment in enumerate(segments):
            if node is None or not segment:
                return None
            if place == last and not (node.any and node.any.is_free):
                segment = segment.removesuffix(".json")
            following = node.literal.get(segment)
            if following is None:
                values.append(segment)
                following = node.any
            node = following
        if node is None or not node.routes:
            return None
        return node.routes, tuple(values)


def _follow(node: _Node, segment: str) -> _Node:
    if not segment.startswith("{"):
        return node.literal.setdefault(segment, _Node())
    if node.any is None:
        node.any = _Node(is_free=segment == "{key}")
    return node.any


ROUTES: Sequence[Route] = (
    Route("GET", "/volumes", volumes.index),
    Route("POST", "/volumes", volumes.create),
    Route("GET", "/volumes/detail", volumes.detail),
    Route("GET", "/volumes/summary", volumes.summary, microversions.SUMMARY),
    Route("GET", "/volumes/{volume_id}", volumes.show),
    Route("PUT", "/volumes/{volume_id}", volumes.update),
    Route("DELETE", "/volumes/{volume_id}", volumes.delete),
    Route("POST", "/volumes/{volume_id}/action", volumes.act),
    Route("GET", "/volumes/{volume_id}/encryption", volumes.show_encryption),
    Route("GET", "/volumes/{volume_id}/metadata", volumes.show_metadata),
    Route("POST", "/volumes/{volume_id}/metadata", volumes.merge_metadata),
    Route("PUT", "/volumes/{volume_id}/metadata", volumes.replace_metadata),
    Route("GET", "/volumes/{volume_id}/metadata/{key}", volumes.show_metadata_key),
    Route("PUT", "/volumes/{volume_id}/metadata/{key}", volumes.set_metadata_key),
    Route("DELETE", "/volumes/{volume_id}/metadata/{key}", volumes.delete_metadata_key),
    Route("GET", "/snapshots", snapshots.index),
    Route("POST", "/snapshots", snapshots.create),
    Route("GET", "/snapshots/detail", snapshots.detail),
    Route("GET", "/snapshots/{snapshot_id}", snapshots.show),
    Route("PUT", "/snapshots/{snapshot_id}", snapshots.update),
    Route("DELETE", "/snapshots/{snapshot_id}", snapshots.delete),
    Route("POST", "/snapshots/{snapshot_id}/action", snapshots.act),
    Route("GET", "/snapshots/{snapshot_id}/metadata", snapshots.show_metadata),
    Route("POST", "/snapshots/{snapshot_id}/metadata", snapshots.merge_metadata),
    Route("PUT", "/snapshots/{snapshot_id}/metadata", snapshots.replace_metadata),
    Route("GET", "/snapshots/{snapshot_id}/metadata/{key}", snapshots.show_metadata_key),
    Route("PUT", "/snapshots/{snapshot_id}/metadata/{key}", snapshots.set_metadata_key),
    Route("DELETE", "/snapshots/{snapshot_id}/metadata/{key}", snapshots.delete_metadata_key),
    Route("GET", "/types", types.index),
    Route("GET", "/types/default", types.show_default),
    Route("GET", "/types/{type_id}", types.show),
    Route("GET", "/types/{type_id}/encryption", types.show_encryption),
    Route("GET", "/types/{type_id}/extra_specs", types.show_extra_specs),
    Route("GET", "/types/{type_id}/extra_specs/{key}", types.show_extra_spec),
    Route("GET", "/limits", limits.show),
    Route("GET", "/os-quota-sets/{project_id}", quotas.show),
    Route("PUT", "/os-quota-sets/{project_id}", quotas.update),
    Route("DELETE", "/os-quota-sets/{project_id}", quotas.delete),
    Route("GET", "/os-quota-sets/{project_id}/defaults", quotas.show_defaults),
    Route("GET", "/os-quota-class-sets/{class_name}", quotas.show_class),
    Route("PUT", "/os-quota-class-sets/{class_name}", quotas.update_class),
    Route("GET", "/os-services", services.index),
    Route("PUT", "/os-services/enable", services.enable),
    Route("PUT", "/os-services/disable", services.disable),
    Route("PUT", "/os-services/disable-log-reason", services.disable_with_reason),
    Route("PUT", "/os-services/freeze", services.freeze),
    Route("PUT", "/os-services/thaw", services.thaw),
    Route("GET", "/scheduler-stats/get_pools", services.pools),
    Route("GET", "/os-availability-zone", services.zones),
    Route("GET", "/messages", messages.index, microversions.MESSAGES),
    Route("GET", "/messages/{message_id}", messages.show, microversions.MESSAGES),
    Route("DELETE", "/messages/{message_id}", messages.delete, microversions.MESSAGES),
    Route("GET", "/extensions", discovery.index_extensions),
    Route(
        "GET",
        "/resource_filters",
        discovery.index_resource_filters,
        microversions.RESOURCE_FILTERS_LIST,
    ),
    # Nothing in these yet.
    Route("GET", "/backups", empty.backups),
    Route("GET", "/backups/detail", empty.backups),
    Route("GET", "/os-volume-transfer", empty.transfers),
    Route("GET", "/os-volume-transfer/detail", empty.transfers),
    Route("GET", "/volume-transfers", empty.transfers),
    Route("GET", "/volume-transfers/detail", empty.transfers),
    Route("GET", "/consistencygroups", empty.consistency_groups),
    Route("GET", "/consistencygroups/detail", empty.consistency_groups),
    Route("GET", "/cgsnapshots", empty.consistency_group_snapshots),
    Route("GET", "/cgsnapshots/detail", empty.consistency_group_snapshots),
    Route("GET", "/qos-specs", empty.qos_specs),
    Route("GET", "/clusters", empty.clusters, microversions.CLUSTERS),
    Route("GET", "/default-types", empty.default_types, microversions.DEFAULT_TYPES),
    Route("GET", "/groups", empty.groups, microversions.GROUP_ID),
    Route("GET", "/groups/detail", empty.groups, microversions.GROUP_ID),
    Route("GET", "/group_snapshots", empty.group_snapshots, microversions.GROUP_SNAPSHOTS),
    Route("GET", "/group_snapshots/detail", empty.group_snapshots, microversions.GROUP_SNAPSHOTS),
    Route("GET", "/attachments", empty.attachments, microversions.ATTACHMENTS),
    Route("GET", "/attachments/detail", empty.attachments, microversions.ATTACHMENTS),
)
