"""Verbs of volumes.

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
    output.Column("Status", "status"),
    output.Column("Name", "name"),
    output.Column("Size", "size"),
    output.Column("Consumes Quota", "consumes_quota"),
    output.Column("Volume Type", "volume_type"),
    output.Column("Bootable", "bootable"),
    output.Column("Attached to", "attached_to"),
)

_VOLUME = verbs.Argument(("volume",), "name or id of the volume", metavar="VOLUME")
_VOLUMES = _VOLUME._replace(help="names or ids of volumes", nargs="+")
_IDLE = frozenset({"available", "in-use"})


def create_volume(ctx: context.Context, args: argparse.Namespace) -> None:
    """Make a volume: empty, out of a snapshot, or as a copy of another volume."""
    timeout_s = wait.read_timeout(args)
    sources = [name for name in ("snapshot_id", "source_volid") if getattr(args, name)]
    if len(sources) > 1:
        raise errors.UsageError("--source-volid: cannot be used together with --snapshot-id; give one of them")
    if args.size is None and not sources:
        raise errors.UsageError("SIZE: is missing; give the size in GiB, or --snapshot-id, or --source-volid")
    answer = ctx.client.post("/volumes", {"volume": _build_volume(ctx.client, args)})
    volume = answer.part("volume")
    if timeout_s is not None:
        goal = wait.Goal(
            "volume",
            volume["id"],
            f"volume {volume.get('name') or volume['id']}",
            done=_IDLE,
            request_id=answer.request_id,
        )
        volume = wait.wait_until(ctx.client, goal, timeout_s)
    ctx.printer.print_resource(volume)


def _build_volume(client: http.Client, args: argparse.Namespace) -> dict[str, Any]:
    volume: dict[str, Any] = {
        "size": args.size,
        "name": args.name,
        "description": args.description,
        "volume_type": args.volume_type,
        "availability_zone": args.availability_zone,
    }
    volume = {key: value for key, value in volume.items() if value is not None}
    if args.metadata:
        volume["metadata"] = metadata.parse_pairs("--metadata", args.metadata)
    if args.snapshot_id:
        volume["snapshot_id"] = lookup.resolve_id(client, "snapshot", args.snapshot_id)
    if args.source_volid:
        volume["source_volid"] = lookup.resolve_id(client, "volume", args.source_volid)
    return volume


def list_volumes(ctx: context.Context, args: argparse.Namespace) -> None:
    """Print a table of volumes."""
    rows, total = listing.read_pages(ctx.client, "/volumes/detail", "volumes", listing.build_query(args), args)
    if ctx.printer.form != "json":
        rows = [{**row, "attached_to": _list_servers(row)} for row in rows]
    listing.print_page(ctx, rows, total, COLUMNS, "Volumes")


def _list_servers(volume: output.Resource) -> str:
    return ",".join(str(each.get("server_id")) for each in volume.get("attachments") or () if each.get("server_id"))


def show_volume(ctx: context.Context, args: argparse.Namespace) -> None:
    """Print one volume."""
    ctx.printer.print_resource(ctx.client.get(_path(ctx.client, args.volume)).part("volume"))


def delete_volumes(ctx: context.Context, args: argparse.Namespace) -> int:
    """Delete volumes; with ``--wait`` come back when they are gone."""
    timeout_s = wait.read_timeout(args)
    goals: dict[str, wait.Goal] = {}

    def delete(name: str) -> None:
        volume_id = lookup.resolve_id(ctx.client, "volume", name)
        answer = _delete_volume(ctx.client, volume_id, is_cascade=args.cascade, is_forced=args.force)
        goals[name] = wait.Goal(
            "volume",
            volume_id,
            f"volume {name}",
            failed=_IDLE,
            is_gone=True,
            request_id=answer.request_id,
        )

    def wait_for(name: str) -> None:
        wait.wait_until(ctx.client, goals[name], timeout_s or 0)

    code = several.try_each(args.volume, delete)
    return code if timeout_s is None else max(code, several.try_each(goals, wait_for))


def _delete_volume(client: http.Client, volume_id: str, *, is_cascade: bool, is_forced: bool) -> http.Answer:
    path = f"/volumes/{http.quote_id(volume_id)}"
    if is_forced and not is_cascade:
        return client.post(f"{path}/action", {"os-force_delete": {}})
    return client.delete(path, {"cascade": "True" if is_cascade else None, "force": "True" if is_forced else None})


def extend_volume(ctx: context.Context, args: argparse.Namespace) -> None:
    """Make a volume larger."""
    timeout_s = wait.read_timeout(args)
    volume_id = lookup.resolve_id(ctx.client, "volume", args.volume)
    answer = _act(ctx.client, volume_id, {"os-extend": {"new_size": args.size}})
    if timeout_s is not None:
        goal = wait.Goal(
            "volume",
            volume_id,
            f"volume {args.volume}",
            done=_IDLE,
            is_true=lambda volume: volume.get("size") == args.size,
            request_id=answer.request_id,
        )
        wait.wait_until(ctx.client, goal, timeout_s)


def rename_volume(ctx: context.Context, args: argparse.Namespace) -> None:
    """Change name or description."""
    changes = {key: value for key in ("name", "description") if (value := getattr(args, key)) is not None}
    if not changes:
        raise errors.UsageError("NAME: nothing to change; give a new name or --description")
    ctx.client.put(_path(ctx.client, args.volume), {"volume": changes})


def reset_volumes(ctx: context.Context, args: argparse.Namespace) -> int:
    """Write a status by hand (admin)."""
    changes: dict[str, str] = {}
    if args.state:
        changes["status"] = args.state
    if args.attach_status:
        changes["attach_status"] = args.attach_status
    if args.reset_migration_status:
        changes["migration_status"] = "none"
    changes = changes or {"status": "available"}

    def reset(name: str) -> None:
        _act(ctx.client, lookup.resolve_id(ctx.client, "volume", name), {"os-reset_status": changes})

    return several.try_each(args.volume, reset)


def show_summary(ctx: context.Context, args: argparse.Namespace) -> None:
    """Count and size of all volumes."""
    answer = ctx.client.get("/volumes/summary", {"all_tenants": 1 if args.all_tenants else None})
    ctx.printer.print_resource(answer.part("volume-summary"))


def connect_volume(ctx: context.Context, args: argparse.Namespace) -> None:
    """Ask for the connection information of a volume; always JSON, because it is for programs."""
    import socket  # already loaded by http.client

    host = args.host or socket.gethostname()
    connector: dict[str, Any] = {
        "host": host,
        "ip": args.ip,
        "multipath": False,
        "platform": "x86_64",
        "os_type": "linux",
    }
    if args.initiator:
        connector["initiator"] = args.initiator
    volume_id = lookup.resolve_id(ctx.client, "volume", args.volume)
    answer = _act(ctx.client, volume_id, {"os-initialize_connection": {"connector": connector}})
    output.Printer("json", args.column or []).print_resource(answer.part("connection_info"))


def _act(client: http.Client, volume_id: str, body: dict[str, Any]) -> http.Answer:
    return client.post(f"/volumes/{http.quote_id(volume_id)}/action", body)


def _path(client: http.Client, name: str) -> str:
    return f"/volumes/{http.quote_id(lookup.resolve_id(client, 'volume', name))}"


VERBS = (
    verbs.Verb(
        "create",
        "make a volume",
        create_volume,
        (
            verbs.Argument(("size",), "size in GiB", metavar="SIZE", nargs="?", type=verbs.positive),
            verbs.Argument(
                ("--snapshot-id", "--snapshot"),
                "out of this snapshot (name or id)",
                metavar="SNAPSHOT",
            ),
            verbs.Argument(
                ("--source-volid", "--source"),
                "as a copy of this volume (name or id)",
                metavar="VOLUME",
            ),
            verbs.Argument(("--name", "--display-name"), "name of the volume", metavar="NAME"),
            verbs.Argument(("--description", "--display-description"), "what it is for", metavar="TEXT"),
            metadata.PAIRS,
            verbs.Argument(("--volume-type", "--volume_type"), "type of the volume", metavar="TYPE"),
            verbs.Argument(("--availability-zone", "--availability_zone"), "where to put it", metavar="ZONE"),
        ),
        waits=True,
    ),
    verbs.Verb("list", "list volumes", list_volumes, (*listing.FILTERS, *listing.PAGING)),
    verbs.Verb("show", "show a volume", show_volume, (_VOLUME,)),
    verbs.Verb(
        "delete",
        "delete volumes",
        delete_volumes,
        (
            _VOLUMES,
            verbs.Argument(("--cascade",), "with their snapshots", kind=verbs.FLAG),
            verbs.Argument(("--force",), "in whatever status (admin)", kind=verbs.FLAG),
        ),
        waits=True,
    ),
    verbs.Verb(
        "extend",
        "make a volume larger",
        extend_volume,
        (
            _VOLUME,
            verbs.Argument(("size",), "new size in GiB", metavar="NEWSIZE", type=verbs.positive),
        ),
        waits=True,
    ),
    verbs.Verb(
        "rename",
        "change name or description of a volume",
        rename_volume,
        (
            _VOLUME,
            verbs.Argument(("name",), "the new name", metavar="NAME", nargs="?"),
            verbs.Argument(("--description", "--display-description"), "the new description", metavar="TEXT"),
        ),
    ),
    *metadata.declare_verbs("volume", ""),
    verbs.Verb(
        "reset-state",
        "write the status of volumes by hand (admin)",
        reset_volumes,
        (
            _VOLUMES,
            verbs.Argument(("--state",), "status to write (default available)", metavar="STATUS"),
            verbs.Argument(("--attach-status",), "attached or detached", metavar="STATUS"),
            verbs.Argument(("--reset-migration-status",), "forget a migration", kind=verbs.FLAG),
        ),
    ),
    verbs.Verb(
        "summary",
        "count and size of all volumes",
        show_summary,
        (verbs.Argument(("--all-tenants", "--all_tenants"), "of every project (admin)", kind=verbs.FLAG),),
    ),
    verbs.Verb(
        "connect",
        "print how to reach a volume's data, as JSON",
        connect_volume,
        (
            _VOLUME,
            verbs.Argument(("--host",), "host that will use it (default: this one)", metavar="HOST"),
            verbs.Argument(("--ip",), "its address", metavar="IP", default="127.0.0.1"),
            verbs.Argument(("--initiator",), "its iSCSI name", metavar="IQN"),
        ),
    ),
)
