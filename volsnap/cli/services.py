"""Verbs of services and storage pools.

Invariant: read only.
"""

import argparse

from volsnap.cli import context, output, verbs

COLUMNS = (
    output.Column("Binary", "binary"),
    output.Column("Host", "host"),
    output.Column("Zone", "zone"),
    output.Column("Status", "status"),
    output.Column("State", "state"),
    output.Column("Updated_at", "updated_at"),
    output.Column("Cluster", "cluster"),
    output.Column("Disabled Reason", "disabled_reason"),
    output.Column("Backend State", "backend_state"),
)


def list_services(ctx: context.Context, args: argparse.Namespace) -> None:
    """Print a table of services."""
    services = ctx.client.get("/os-services", {"host": args.host, "binary": args.binary}).part("services")
    ctx.printer.print_list(services, COLUMNS)


def list_pools(ctx: context.Context, args: argparse.Namespace) -> None:
    """Print the storage pools, one table each when details are asked for."""
    pools = ctx.client.get("/scheduler-stats/get_pools", {"detail": "True" if args.detail else None}).part("pools")
    rows = [{"name": pool.get("name"), **(pool.get("capabilities") or {})} for pool in pools]
    if not args.detail or ctx.printer.form != "table":
        ctx.printer.print_list(rows, (output.Column("Name", "name"),))
        return
    for row in rows:
        ctx.printer.print_resource(row)


VERBS = (
    verbs.Verb(
        "service-list",
        "list services (admin)",
        list_services,
        (
            verbs.Argument(("--host",), "only on this host", metavar="HOST"),
            verbs.Argument(("--binary",), "only of this kind", metavar="BINARY"),
        ),
    ),
    verbs.Verb(
        "get-pools",
        "show storage pools (admin)",
        list_pools,
        (verbs.Argument(("--detail",), "with capacity and capabilities", kind=verbs.FLAG),),
    ),
)
