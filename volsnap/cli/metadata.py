"""Metadata of volumes and snapshots: the verbs are the same, the path differs.

Invariant: a pair is split at its first ``=``; nothing is sent when one pair is bad.
"""

import argparse
from collections.abc import Callable, Sequence

from volsnap.cli import context, errors, http, lookup, verbs

PAIRS = verbs.Argument(("--metadata",), "KEY=VALUE, several allowed", kind=verbs.PAIRS, metavar="KEY=VALUE")


def parse_pairs(field: str, words: Sequence[str] | None) -> dict[str, str]:
    """``["a=1", "b=2"]`` as a dictionary."""
    pairs: dict[str, str] = {}
    for word in words or ():
        key, sign, value = word.partition("=")
        if not sign or not key:
            raise errors.UsageError(f"{field}: {word!r} is not KEY=VALUE, for example tier=gold")
        pairs[key] = value
    return pairs


def declare_verbs(kind: str, prefix: str) -> tuple[verbs.Verb, ...]:
    """The metadata verbs of one noun."""
    who = verbs.Argument((kind,), f"name or id of the {kind}", metavar=kind.upper())
    words = verbs.Argument(("pairs",), "KEY=VALUE to set, KEY to unset", metavar="KEY=VALUE", nargs="+")
    action = verbs.Argument(("action",), "set or unset", metavar="set|unset", choices=("set", "unset"))
    return (
        verbs.Verb(
            f"{prefix}metadata",
            f"set or unset metadata of a {kind}",
            _bind(_change, kind),
            (who, action, words),
        ),
        verbs.Verb(f"{prefix}metadata-show", f"show the metadata of a {kind}", _bind(_show, kind), (who,)),
        verbs.Verb(
            f"{prefix}metadata-update-all",
            f"replace all metadata of a {kind}",
            _bind(_replace, kind),
            (who, words),
        ),
    )


def _bind(
    function: Callable[[context.Context, argparse.Namespace, str], None], kind: str
) -> Callable[[context.Context, argparse.Namespace], None]:
    return lambda ctx, args: function(ctx, args, kind)


def _path(ctx: context.Context, args: argparse.Namespace, kind: str) -> str:
    resource_id = lookup.resolve_id(ctx.client, kind, getattr(args, kind))
    return f"/{kind}s/{http.quote_id(resource_id)}/metadata"


def _change(ctx: context.Context, args: argparse.Namespace, kind: str) -> None:
    if args.action == "set":
        pairs = parse_pairs("KEY=VALUE", args.pairs)
        ctx.client.post(_path(ctx, args, kind), {"metadata": pairs})
        return
    path = _path(ctx, args, kind)
    for word in args.pairs:
        ctx.client.delete(f"{path}/{http.quote_id(word.partition('=')[0])}")


def _show(ctx: context.Context, args: argparse.Namespace, kind: str) -> None:
    ctx.printer.print_resource(ctx.client.get(_path(ctx, args, kind)).part("metadata"))


def _replace(ctx: context.Context, args: argparse.Namespace, kind: str) -> None:
    pairs = parse_pairs("KEY=VALUE", args.pairs)
    answer = ctx.client.put(_path(ctx, args, kind), {"metadata": pairs})
    ctx.printer.print_resource(answer.part("metadata"))
