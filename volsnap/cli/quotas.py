"""Verbs of quotas and limits.

Invariant: a project not named is the caller's own.
"""

import argparse

from volsnap.cli import context, errors, http, output, verbs

RESOURCES = (
    "volumes",
    "snapshots",
    "gigabytes",
    "per_volume_gigabytes",
    "backups",
    "backup_gigabytes",
    "groups",
)
PER_TYPE = frozenset({"volumes", "snapshots", "gigabytes"})
_NAME_COLUMNS = (output.Column("Name", "name"), output.Column("Value", "value"))
_USAGE_COLUMNS = (
    output.Column("Type", "type"),
    output.Column("In_use", "in_use"),
    output.Column("Reserved", "reserved"),
    output.Column("Limit", "limit"),
)


def show_quota(ctx: context.Context, args: argparse.Namespace) -> None:
    """Limits of a project, or its usage beside them."""
    path = _path(ctx.client, args.project)
    quota = ctx.client.get(path, {"usage": "True" if args.usage else None}).part("quota_set")
    quota = {key: value for key, value in quota.items() if key != "id"}
    if not args.usage:
        ctx.printer.print_resource(quota)
        return
    rows = [{"type": key, **usage} for key, usage in sorted(quota.items()) if isinstance(usage, dict)]
    ctx.printer.print_list(rows, _USAGE_COLUMNS)


def update_quota(ctx: context.Context, args: argparse.Namespace) -> None:
    """Set limits of a project (admin)."""
    changes: dict[str, int] = {}
    for resource in RESOURCES:
        limit = getattr(args, resource)
        if limit is not None:
            is_typed = args.volume_type and resource in PER_TYPE
            changes[f"{resource}_{args.volume_type}" if is_typed else resource] = limit
    if not changes:
        raise errors.UsageError("--snapshots: no limit given; give at least one, for example --snapshots 20")
    quota = ctx.client.put(_path(ctx.client, args.project), {"quota_set": changes}).part("quota_set")
    ctx.printer.print_resource(quota)


def show_limits(ctx: context.Context, args: argparse.Namespace) -> None:
    """Limits and usage as Nova reads them."""
    absolute = ctx.client.get("/limits", {"project_id": args.project}).part("limits").get("absolute", {})
    if ctx.printer.form == "json":
        ctx.printer.print_resource(absolute)
        return
    ctx.printer.print_list([{"name": key, "value": value} for key, value in sorted(absolute.items())], _NAME_COLUMNS)


def _path(client: http.Client, project: str | None) -> str:
    project_id = project or client.project_id
    if not project_id:
        raise errors.UsageError("PROJECT: is missing, and the login names none; give a project id")
    return f"/os-quota-sets/{http.quote_id(project_id)}"


_PROJECT = verbs.Argument(("project",), "id of the project (default: your own)", metavar="PROJECT", nargs="?")

VERBS = (
    verbs.Verb(
        "quota-show",
        "show the limits of a project",
        show_quota,
        (_PROJECT, verbs.Argument(("--usage",), "and what is used of them", kind=verbs.FLAG)),
    ),
    verbs.Verb(
        "quota-update",
        "set limits of a project (admin)",
        update_quota,
        (
            _PROJECT,
            *(
                verbs.Argument(
                    (f"--{resource.replace('_', '-')}",),
                    "new limit, -1 for none",
                    metavar="N",
                    type=verbs.quota_limit,
                )
                for resource in RESOURCES
            ),
            verbs.Argument(("--volume-type",), "limits for volumes of this type", metavar="TYPE"),
        ),
    ),
    verbs.Verb("absolute-limits", "show limits and usage", show_limits, (_PROJECT,)),
)
