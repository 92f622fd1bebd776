"""The fields that volumes and snapshots share: two spellings of name and description, and metadata."""

from collections.abc import Mapping, Sequence
from typing import Any

from volsnap import exception
from volsnap.db import metadata
from volsnap.volume.metadata import MetadataKeyNotFound

_LONGEST = 255
_SPELLINGS = {"name": ("name", "display_name"), "description": ("description", "display_description")}


def name(fields: Mapping[str, Any]) -> str | None:
    """The name in a request's fields, without the space around it."""
    return changes(fields).get("name")


def description(fields: Mapping[str, Any]) -> str | None:
    """The description in a request's fields, without the space around it."""
    return changes(fields).get("description")


def changes(fields: Mapping[str, Any]) -> dict[str, str | None]:
    """Name and description, as far as a request has them."""
    found: dict[str, str | None] = {}
    for column, spellings in _SPELLINGS.items():
        for spelling in spellings:
            if spelling in fields:
                text = fields[spelling]
                found[column] = text.strip() if isinstance(text, str) else None
                break
    return found


def check_lengths(fields: Mapping[str, str | None]) -> None:
    """Return when no field is longer than its column.

    :raises exception.InvalidInput: one is.
    """
    for field, text in fields.items():
        if text is not None and len(text) > _LONGEST:
            raise exception.InvalidInput(reason=f"{field} has {len(text)} characters, more than {_LONGEST}.")


def check_status(noun: str, status: str | None, allowed: Sequence[str]) -> None:
    """Return when an administrator may set ``status`` by hand.

    :raises exception.Invalid: there is no such status.
    """
    if status is not None and status not in allowed:
        raise exception.Invalid(
            reason=f"{noun} status: {status} is invalid, valid statuses are: {tuple(str(one) for one in allowed)}."
        )


def one_pair(text: str, key: str, kind: str, item_id: str) -> dict[str, str]:
    """The pair of ``key`` in a metadata column.

    :raises exception.NotFound: there is none.
    """
    items = metadata.load(text)
    if key not in items:
        raise MetadataKeyNotFound(kind=kind, id=item_id, key=key)
    return {key: items[key]}


def only_key(items: dict[str, str], key: str) -> dict[str, str]:
    """``items``, when it has no key but the one in the URL.

    :raises exception.Invalid: it has another.
    """
    if list(items) != [key]:
        raise exception.Invalid(reason="Request body and URI mismatch")
    return items
