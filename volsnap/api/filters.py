"""Which items of a list a query string selects.

Administrators may filter by every field we know; others by the fields of :data:`RESOURCE_FILTERS`, as an operator
would publish them. Below 3.31 what others may not use is dropped; from 3.31 on it is refused. A field that nobody
knows selects nothing when an administrator asks, as in Cinder.
"""

import ast
import dataclasses
import datetime
from collections.abc import Callable, Mapping, Sequence

from volsnap import exception
from volsnap.api import microversions, wire
from volsnap.db import page

TRUE = frozenset({"1", "t", "true", "on", "y", "yes"})
FALSE = frozenset({"0", "f", "false", "off", "n", "no"})

_PAGING = frozenset({"limit", "marker", "offset", "sort", "sort_key", "sort_dir", "all_tenants"})
_OPERATORS = frozenset({"eq", "neq", "gt", "gte", "lt", "lte"})
_TOO_BIG = 2**63
#: How many conditions of a kind one list may have; databases bound the depth of an expression.
_MOST_CONDITIONS = 100

#: The filters by resource, as ``GET /resource_filters`` lists them.
RESOURCE_FILTERS: Mapping[str, Sequence[str]] = {
    "volume": (
        "name",
        "status",
        "metadata",
        "bootable",
        "migration_status",
        "availability_zone",
        "group_id",
        "size",
        "created_at",
        "updated_at",
        "consumes_quota",
    ),
    "backup": ("name", "status", "volume_id"),
    "snapshot": (
        "name",
        "status",
        "volume_id",
        "metadata",
        "availability_zone",
        "consumes_quota",
    ),
    "group": ("name",),
    "group_snapshot": ("name", "status", "group_id"),
    "attachment": ("volume_id", "status", "instance_id", "attach_status"),
    "message": ("resource_uuid", "resource_type", "event_id", "request_id", "message_level"),
    "pool": ("name", "volume_type"),
    "volume_type": ("is_public", "extra_specs"),
}


@dataclasses.dataclass(frozen=True, slots=True)
class Field:
    """A field that can be filtered by.

    ``parse`` turns text into the column's value. Below ``since`` the field is unknown, or ``dropped``.
    """

    column: str
    parse: Callable[[str, str], object] = lambda _name, text: text
    since: int = 0
    dropped: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Filterable:
    """The fields of one resource. ``times`` compare with operators, ``metadata`` is known from a version on."""

    resource: str
    fields: Mapping[str, Field]
    times: frozenset[str] = frozenset()
    #: Columns that look like filters and are none, even for administrators.
    refused: frozenset[str] = frozenset()
    metadata_since: int | None = None
    aliases: frozenset[str] = frozenset({"display_name"})

    def is_public(self, name: str) -> bool:
        """Whether everybody may filter by it."""
        return name in RESOURCE_FILTERS[self.resource] or name in self.aliases


def boolean(name: str, text: str) -> bool:
    """The truth of a query parameter.

    :raises exception.Invalid: it is neither true nor false.
    """
    lowered = text.strip().lower()
    if lowered in TRUE:
        return True
    if lowered in FALSE:
        return False
    # Cinder's own name of the attribute, which scripts may look for.
    name = "use_quota" if name == "consumes_quota" else name
    raise exception.Invalid(reason=f"Value '{text}' for '{name}' is not a boolean.")


def integer(name: str, text: str) -> int:
    """The number in a query parameter.

    :raises exception.InvalidInput: there is none.
    """
    if not (text.isascii() and text.isdigit() and len(text) < 20 and int(text) < _TOO_BIG):
        raise exception.InvalidInput(reason=f"{name} must be an integer, not '{text}'.")
    return int(text)


class _Selection:
    """Collects the filters of one query."""

    def __init__(self, what: Filterable, version: int, is_admin: bool) -> None:
        self.what = what
        self.version = version
        self.is_admin = is_admin
        self.equal: dict[str, object] = {}
        self.like: dict[str, str] = {}
        self.times: list[tuple[str, str, str]] = []
        self.metadata: dict[str, str] = {}
        self.refused: list[str] = []
        #: Nothing can fit, for example because two values are asked of one field.
        self.is_empty = False

    def add(self, name: str, text: str) -> None:
        """Take one query parameter into account."""
        if name.endswith("~"):
            self._add_like(name[:-1], text)
        elif name == "metadata" and self.what.metadata_since is not None:
            self._add_metadata(text)
        elif name in self.what.times:
            self._add_time(name, text)
        elif name in self.what.refused:
            self.refused.append(name)
        else:
            self._add_equal(name, text)

    def _field(self, name: str) -> Field | None:
        field = self.what.fields.get(name)
        if field is not None and self.version < field.since:
            if field.dropped:
                return None
            field = None
        if field is not None and (self.is_admin or self.what.is_public(name)):
            return field
        if self.is_admin:
            self.is_empty = True
        elif self.version >= microversions.RESOURCE_FILTERS:
            self.refused.append(name)
        return None

    def _add_equal(self, name: str, text: str) -> None:
        field = self._field(name)
        if field is None:
            return
        value = field.parse(name, text)
        if self.equal.setdefault(field.column, value) != value:
            self.is_empty = True

    def _add_like(self, name: str, text: str) -> None:
        if self.version < microversions.LIKE_FILTER:
            return
        field = self._field(name)
        if field is not None:
            if field.parse is not _TEXT:
                raise exception.InvalidInput(reason=f"{name} has no parts; use {name}= instead.")
            self.like[field.column] = text

    def _add_metadata(self, text: str) -> None:
        assert self.what.metadata_since is not None
        if self.version < self.what.metadata_since:
            return
        pairs = _pairs(text)
        if pairs is None:
            self.is_empty = True
        else:
            self.metadata.update(pairs)

    def _add_time(self, name: str, text: str) -> None:
        if self.version < microversions.TIME_FILTERS:
            return
        parts = text.split(",")
        if len(self.times) + len(parts) > _MOST_CONDITIONS:
            raise exception.Invalid(reason=f"{name} has more than {_MOST_CONDITIONS} conditions; give fewer.")
        for part in parts:
            operator, colon, time = part.strip().partition(":")
            if not colon or operator[:1].isdigit():
                operator, time = "eq", part.strip()
            if operator not in _OPERATORS:
                raise exception.Invalid(reason=f"Invalid {operator} operator")
            self.times.append((name, operator, _time(name, time)))


_TEXT = Field("").parse


def select(request: wire.Request, what: Filterable) -> page.Filters | None:
    """The filters of a request; None when nothing can fit them.

    :raises exception.Invalid: a filter is unknown or has a value that cannot be.
    """
    selection = _Selection(what, request.version, request.context.is_admin)
    for name, text in request.query:
        if name in _PAGING:
            continue
        if name == "with_count" and request.version >= microversions.WITH_COUNT:
            continue
        selection.add(name, text)
    if selection.refused:
        names = ",".join(selection.refused)
        raise exception.Invalid(
            reason=f"Invalid filters {names} are found in query options. "
            f"You may filter by {', '.join(RESOURCE_FILTERS[what.resource])}."
        )
    if selection.is_empty:
        return None
    return page.Filters(selection.equal, selection.like, selection.times, selection.metadata)


def _pairs(text: str) -> dict[str, str] | None:
    """The pairs of ``{'key': 'value'}``; None when the text is something else."""
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
    if not isinstance(value, dict) or len(value) > _MOST_CONDITIONS:
        return None
    pairs = {}
    for key, item in value.items():
        try:
            pairs[_encodable(key)] = _encodable(item)
        except ValueError:  # a lone surrogate, or a number of thousands of digits: nothing stored is like that
            return None
    return pairs


def _encodable(value: object) -> str:
    """``value`` as text that can be sent to a database.

    :raises ValueError: there is no such text.
    """
    text = str(value)
    text.encode()
    return text


def _time(name: str, text: str) -> str:
    """A moment as the tables keep it."""
    try:
        moment = datetime.datetime.fromisoformat(text.replace(" ", "+") if "T" in text else text)
        if moment.tzinfo is not None:
            moment = moment.astimezone(datetime.UTC)
    except (ValueError, OverflowError) as err:
        raise exception.Invalid(
            reason=f"Invalid {name} value: '{text}' is no time; write it as 2026-01-31T23:59:59."
        ) from err
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%f")
