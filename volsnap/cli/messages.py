"""Verbs of user messages: why something failed.

Invariant: read only.
"""

import argparse

from volsnap.cli import context, listing, output, verbs

COLUMNS = (
    output.Column("ID", "id"),
    output.Column("Resource Type", "resource_type"),
    output.Column("Resource UUID", "resource_uuid"),
    output.Column("Event ID", "event_id"),
    output.Column("User Message", "user_message"),
)


def list_messages(ctx: context.Context, args: argparse.Namespace) -> None:
    """Print a table of messages, newest first."""
    query = {
        "resource_uuid": args.resource_uuid,
        "resource_type": args.resource_type.upper() if args.resource_type else None,
        "message_level": args.level.upper() if args.level else None,
        "event_id": args.event_id,
        "request_id": args.request_id,
    }
    rows, _total = listing.read_pages(ctx.client, "/messages", "messages", query, args)
    ctx.printer.print_list(rows, COLUMNS)


VERBS = (
    verbs.Verb(
        "message-list",
        "list messages that say why something failed",
        list_messages,
        (
            verbs.Argument(("--resource-uuid", "--resource_uuid"), "only about this resource", metavar="ID"),
            verbs.Argument(
                ("--resource-type", "--resource_type"),
                "for example VOLUME_SNAPSHOT",
                metavar="TYPE",
            ),
            verbs.Argument(("--level",), "ERROR", metavar="LEVEL"),
            verbs.Argument(("--event-id", "--event_id"), "only of this event", metavar="ID"),
            verbs.Argument(("--request-id", "--request_id"), "only of this request", metavar="ID"),
            *listing.PAGING,
        ),
    ),
)
