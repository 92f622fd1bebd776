"""Verbs of volume types.

Invariant: read only.
"""

import argparse

from volsnap.cli import context, output, verbs

COLUMNS = (
    output.Column("ID", "id"),
    output.Column("Name", "name"),
    output.Column("Description", "description"),
    output.Column("Is_Public", "is_public"),
)


def list_types(ctx: context.Context, args: argparse.Namespace) -> None:
    """Print a table of volume types."""
    query = {"is_public": "None"} if args.all else None
    ctx.printer.print_list(ctx.client.get("/types", query).part("volume_types"), COLUMNS)


VERBS = (
    verbs.Verb(
        "type-list",
        "list volume types",
        list_types,
        (verbs.Argument(("--all",), "private ones too (admin)", kind=verbs.FLAG),),
    ),
)
