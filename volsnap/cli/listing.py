"""Lists: the options all of them share, and reading page after page.

Invariant: pages are followed by the id of the last row on our own endpoint, never by a URL out of
an answer.
"""

import argparse
from typing import Any

from volsnap.cli import context, errors, http, metadata, output, verbs

PAGE_SIZE = 1000

PAGING = (
    verbs.Argument(("--limit",), "print at most this many", metavar="N", type=verbs.natural),
    verbs.Argument(("--marker",), "begin after the one with this id", metavar="ID"),
    verbs.Argument(("--sort",), "KEY[:asc|desc], several by comma", metavar="KEY:DIR"),
)

FILTERS = (
    verbs.Argument(
        ("--all-tenants", "--all_tenants", "--all-projects"),
        "of every project (admin)",
        kind=verbs.FLAG,
    ),
    verbs.Argument(("--name", "--display-name"), "only those of this name", metavar="NAME"),
    verbs.Argument(("--status",), "only those in this status", metavar="STATUS"),
    verbs.Argument(("--metadata",), "only those with these", kind=verbs.PAIRS, metavar="KEY=VALUE"),
    verbs.Argument(("--project-id", "--tenant"), "of this project (admin)", metavar="ID"),
    verbs.Argument(
        ("--with-count", "--with_count"),
        "tell how many there are in all",
        kind=verbs.BOOLEAN,
        metavar="BOOL",
    ),
)


def build_query(args: argparse.Namespace) -> dict[str, Any]:
    """The filters as the service wants them."""
    pairs = metadata.parse_pairs("--metadata", args.metadata)
    return {
        "all_tenants": 1 if args.all_tenants or args.project_id else None,
        "name": args.name,
        "status": args.status,
        "metadata": repr(pairs) if pairs else None,
        "project_id": args.project_id,
        "with_count": "True" if args.with_count else None,
    }


def read_pages(
    client: http.Client, path: str, key: str, query: dict[str, Any], args: argparse.Namespace
) -> tuple[list[output.Resource], int | None]:
    """All rows up to ``--limit``, and the count when it was asked for."""
    rows: list[output.Resource] = []
    total: int | None = None
    page = {**query, "marker": args.marker, "sort": args.sort}
    while True:
        left = None if args.limit is None else args.limit - len(rows)
        answer = client.get(path, {**page, "limit": None if left is None else min(left, PAGE_SIZE)})
        found = answer.part(key)
        rows.extend(found)
        total = answer.body.get("count") if total is None else total
        has_more = any(link.get("rel") == "next" for link in answer.body.get(f"{key}_links") or ())
        if not found or not has_more or (args.limit is not None and len(rows) >= args.limit):
            return rows, total
        if page["marker"] == found[-1]["id"]:
            raise errors.CliError(
                f"the service keeps sending the page after {page['marker']}; report this to its operator"
            )
        page["marker"] = found[-1]["id"]


def print_page(
    ctx: context.Context,
    rows: list[output.Resource],
    total: int | None,
    columns: tuple[output.Column, ...],
    noun: str,
) -> None:
    """The rows, and the count when there is one."""
    ctx.printer.print_list(rows, columns, envelope=None if total is None else {"count": total})
    if total is not None:
        ctx.printer.say(f"{noun} in total: {total}")
