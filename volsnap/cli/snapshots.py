"""Verbs of snapshots.

Invariant: each verb is one record in ``VERBS`` and one function; the words are those of the
``cinder`` shell.
"""

import argparse
from typing import Any

from volsnap.cli import (
    context,
    errors,
    http,
    listing,
    lookup,
    metadata,
    output,
    several,
    verbs,
    wait,
)

COLUMNS = (
    output.Column("ID", "id"),
    output.Column("Volume ID", "volume_id"),
    output.Column("Status", "status"),
    output.Column("Name", "name"),
    output.Column("Size", "size"),
    output.Column("Consumes Quota", "consumes_quota"),
    output.Column("User ID", "user_id"),
)

FORCE_ENDS_AT = 66
"""From microversion 3.66 on an attached volume needs no force, and ``force: false`` is refused."""

_SNAPSHOT = verbs.Argument(("snapshot",), "name or id of the snapshot", metavar="SNAPSHOT")
_SNAPSHOTS = _SNAPSHOT._replace(help="names or ids of snapshots", nargs="+")


def create_snapshot(ctx: context.Context, args: argparse.Namespace) -> None:
    """Cut a snapshot of a volume."""
    timeout_s = wait.read_timeout(args)
    body: dict[str, Any] = {"name": args.name, "description": args.description}
    if args.metadata:
        body["metadata"] = metadata.parse_pairs("--metadata", args.metadata)
    if args.force is not None:
        body.update(_read_force(ctx.client, args.force))
    body["volume_id"] = lookup.resolve_id(ctx.client, "volume", args.volume)
    answer = ctx.client.post("/snapshots", {"snapshot": body})
    snapshot = answer.part("snapshot")
    if timeout_s is not None:
        goal = wait.Goal(
            "snapshot",
            snapshot["id"],
            f"snapshot {snapshot.get('name') or snapshot['id']}",
            done=frozenset({"available"}),
            request_id=answer.request_id,
        )
        snapshot = wait.wait_until(ctx.client, goal, timeout_s)
    ctx.printer.print_resource(snapshot)


def _read_force(client: http.Client, is_forced: bool) -> dict[str, bool]:
    if not client.speaks(FORCE_ENDS_AT):
        return {"force": is_forced}
    if not is_forced:
        raise errors.UsageError(
            "--force False: an attached volume needs no force since microversion 3.66; "
            "drop it, or add --os-volume-api-version 3.65"
        )
    return {}


def list_snapshots(ctx: context.Context, args: argparse.Namespace) -> None:
    """Print a table of snapshots."""
    query = listing.build_query(args)
    if args.volume_id is not None:
        query["volume_id"] = lookup.resolve_id(ctx.client, "volume", args.volume_id)
    rows, total = listing.read_pages(ctx.client, "/snapshots/detail", "snapshots", query, args)
    listing.print_page(ctx, rows, total, COLUMNS, "Snapshots")


def show_snapshot(ctx: context.Context, args: argparse.Namespace) -> None:
    """Print one snapshot."""
    ctx.printer.print_resource(_get_snapshot(ctx.client, args.snapshot))


def delete_snapshots(ctx: context.Context, args: argparse.Namespace) -> int:
    """Delete snapshots; with ``--wait`` come back when they are gone."""
    timeout_s = wait.read_timeout(args)
    goals: dict[str, wait.Goal] = {}

    def delete(name: str) -> None:
        snapshot_id = lookup.resolve_id(ctx.client, "snapshot", name)
        answer = _delete_snapshot(ctx.client, snapshot_id, is_forced=args.force)
        goals[name] = wait.Goal(
            "snapshot",
            snapshot_id,
            f"snapshot {name}",
            failed=frozenset({"available"}),
            is_gone=True,
            request_id=answer.request_id,
        )

    def wait_for(name: str) -> None:
        wait.wait_until(ctx.client, goals[name], timeout_s or 0)

    code = several.try_each(args.snapshot, delete)
    return code if timeout_s is None else max(code, several.try_each(goals, wait_for))


def _delete_snapshot(client: http.Client, snapshot_id: str, *, is_forced: bool) -> http.Answer:
    path = f"/snapshots/{http.quote_id(snapshot_id)}"
    if is_forced:
        return client.post(f"{path}/action", {"os-force_delete": {}})
    return client.delete(path)


def rename_snapshot(ctx: context.Context, args: argparse.Namespace) -> None:
    """Change name or description."""
    changes = {key: value for key in ("name", "description") if (value := getattr(args, key)) is not None}
    if not changes:
        raise errors.UsageError("NAME: nothing to change; give a new name or --description")
    snapshot_id = lookup.resolve_id(ctx.client, "snapshot", args.snapshot)
    ctx.client.put(f"/snapshots/{http.quote_id(snapshot_id)}", {"snapshot": changes})


def reset_snapshots(ctx: context.Context, args: argparse.Namespace) -> int:
    """Write a status by hand (admin)."""

    def reset(name: str) -> None:
        snapshot_id = lookup.resolve_id(ctx.client, "snapshot", name)
        ctx.client.post(
            f"/snapshots/{http.quote_id(snapshot_id)}/action",
            {"os-reset_status": {"status": args.state}},
        )

    return several.try_each(args.snapshot, reset)


def revert_volume(ctx: context.Context, args: argparse.Namespace) -> None:
    """Take a volume back to its newest snapshot."""
    timeout_s = wait.read_timeout(args)
    snapshot = _get_snapshot(ctx.client, args.snapshot)
    volume_id = snapshot["volume_id"]
    path = f"/volumes/{http.quote_id(volume_id)}/action"
    answer = ctx.client.post(path, {"revert": {"snapshot_id": snapshot["id"]}})
    if timeout_s is None:
        return

    def is_reverted(volume: output.Resource) -> bool:
        # A revert that failed cleanly also ends in "available": our own request's message tells.
        return not wait.find_reason(ctx.client, volume_id, answer.request_id)[1]

    goal = wait.Goal(
        "volume",
        volume_id,
        f"revert of volume {volume_id}",
        done=frozenset({"available"}),
        is_true=is_reverted,
        request_id=answer.request_id,
    )
    wait.wait_until(ctx.client, goal, timeout_s)


def _get_snapshot(client: http.Client, name: str) -> output.Resource:
    snapshot_id = lookup.resolve_id(client, "snapshot", name)
    snapshot: output.Resource = client.get(f"/snapshots/{http.quote_id(snapshot_id)}").part("snapshot")
    return snapshot


_NAMING = (
    verbs.Argument(("--name", "--display-name"), "name of the snapshot", metavar="NAME"),
    verbs.Argument(("--description", "--display-description"), "what it is for", metavar="TEXT"),
)

VERBS = (
    verbs.Verb(
        "snapshot-create",
        "cut a snapshot of a volume",
        create_snapshot,
        (
            verbs.Argument(("volume",), "name or id of the volume", metavar="VOLUME"),
            verbs.Argument(
                ("--force",),
                "also of an attached volume (before 3.66)",
                kind=verbs.BOOLEAN,
                metavar="True|False",
            ),
            *_NAMING,
            metadata.PAIRS,
        ),
        waits=True,
    ),
    verbs.Verb(
        "snapshot-list",
        "list snapshots",
        list_snapshots,
        (
            *listing.FILTERS,
            verbs.Argument(("--volume-id", "--volume_id"), "only of this volume (name or id)", metavar="VOLUME"),
            *listing.PAGING,
        ),
    ),
    verbs.Verb("snapshot-show", "show a snapshot", show_snapshot, (_SNAPSHOT,)),
    verbs.Verb(
        "snapshot-delete",
        "delete snapshots",
        delete_snapshots,
        (_SNAPSHOTS, verbs.Argument(("--force",), "in whatever status (admin)", kind=verbs.FLAG)),
        waits=True,
    ),
    verbs.Verb(
        "snapshot-rename",
        "change name or description of a snapshot",
        rename_snapshot,
        (
            _SNAPSHOT,
            verbs.Argument(("name",), "the new name", metavar="NAME", nargs="?"),
            verbs.Argument(("--description", "--display-description"), "the new description", metavar="TEXT"),
        ),
    ),
    *metadata.declare_verbs("snapshot", "snapshot-"),
    verbs.Verb(
        "snapshot-reset-state",
        "write the status of snapshots by hand (admin)",
        reset_snapshots,
        (
            _SNAPSHOTS,
            verbs.Argument(("--state",), "status to write", metavar="STATUS", default="available"),
        ),
    ),
    verbs.Verb(
        "revert-to-snapshot",
        "take a volume back to its newest snapshot",
        revert_volume,
        (_SNAPSHOT,),
        waits=True,
    ),
)
