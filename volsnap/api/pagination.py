"""Which part of a list, in which order, and the link to the next part.

The next link starts behind the last item by its id; an ``offset`` is not repeated in it, as it would skip items anew.
"""

import contextlib
import re
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence

from volsnap import exception
from volsnap.api import filters, microversions, wire
from volsnap.db import page

_NUMBER = re.compile(r"-?[0-9]{1,30}")
_MOST_OFFSET = 2**31 - 1
_DEFAULT_KEYS = ("created_at", "id")


def parse(request: wire.Request, sort_keys: Mapping[str, str]) -> page.Page:
    """The page a request asks for. ``sort_keys`` maps the keys it may sort by to columns.

    :raises exception.Invalid: a parameter has a value that cannot be.
    """
    return page.Page(
        limit=limit(request),
        marker=request.parameter("marker"),
        offset=offset(request),
        sort=_sort(request, sort_keys),
    )


@contextlib.contextmanager
def marker_of(kind: str) -> Iterator[None]:
    """Name an unknown marker by what it should have been."""
    try:
        yield
    except exception.NotFound as err:
        if err.fields.get("kind") != "Marker":
            raise
        raise exception.NotFound(kind=kind, id=err.fields["id"]) from err


def limit(request: wire.Request) -> int:
    """How many items at most."""
    most = request.settings.max_limit
    text = request.parameter("limit")
    if text is None:
        return most
    if not _NUMBER.fullmatch(text):
        raise exception.Invalid(reason="limit param must be an integer")
    if int(text) < 0:
        raise exception.Invalid(reason="limit param must be positive")
    return min(int(text), most)


def offset(request: wire.Request) -> int:
    """How many items to skip."""
    text = request.parameter("offset") or "0"
    if not _NUMBER.fullmatch(text):
        raise exception.Invalid(reason="offset must be an integer")
    if int(text) < 0:
        raise exception.Invalid(reason="offset must be >= 0")
    if int(text) > _MOST_OFFSET:
        raise exception.Invalid(reason=f"offset must be <= {_MOST_OFFSET}")
    return int(text)


def wants_count(request: wire.Request) -> bool:
    """Whether the answer is to carry the number of all items."""
    text = request.parameter("with_count")
    if text is None or request.version < microversions.WITH_COUNT:
        return False
    return filters.boolean("with_count", text)


def wants_all_projects(request: wire.Request) -> bool:
    """Whether an administrator asks for everybody's items."""
    text = request.parameter("all_tenants")
    return text is not None and request.context.is_admin and text.lower() in filters.TRUE


def nothing(request: wire.Request, collection: str, *, with_count: bool) -> wire.Response:
    """The answer when the filters alone say that nothing fits."""
    limit(request)
    offset(request)
    return wire.ok({collection: [], **({"count": 0} if with_count else {})})


def next_link(
    request: wire.Request, collection: str, last_id: str | None, count: int, limit: int
) -> dict[str, list[dict[str, str]]]:
    """``{"<collection>_links": […]}`` when there may be more behind the ``count`` items shown, else nothing."""
    if not count or count < limit or last_id is None:
        return {}
    kept = [item for item in request.query if item[0] not in ("marker", "offset")]
    query = urllib.parse.urlencode([*kept, ("marker", last_id)], safe=":'{}")
    path = urllib.parse.quote(request.path)
    href = f"{request.base_url}{path}?{query}"
    return {f"{collection}_links": [{"rel": "next", "href": href}]}


def _sort(request: wire.Request, sort_keys: Mapping[str, str]) -> Sequence[tuple[str, bool]]:
    order: dict[str, bool] = {}
    for key, direction in _wanted(request):
        if direction not in ("asc", "desc"):
            raise exception.InvalidInput(reason="Unknown sort direction, must be 'desc' or 'asc'.")
        column = sort_keys.get(key)
        if column is None:
            raise exception.InvalidInput(reason="Invalid sort key")
        order.setdefault(column, direction == "asc")
    ascending = next(iter(order.values()))
    for column in _DEFAULT_KEYS:
        order.setdefault(column, ascending)
    return tuple(order.items())


def _wanted(request: wire.Request) -> list[tuple[str, str]]:
    sort = request.parameter("sort")
    key, direction = request.parameter("sort_key"), request.parameter("sort_dir")
    if sort is None:
        return [((key or "created_at").strip(), (direction or "desc").strip())]
    if key is not None or direction is not None:
        raise exception.Invalid(
            reason="The 'sort_key' and 'sort_dir' parameters are deprecated and "
            "cannot be used with the 'sort' parameter."
        )
    wanted = []
    for part in sort.strip().split(","):
        name, _, way = part.partition(":")
        wanted.append((name.strip() or "created_at", way.strip() or "desc"))
    return wanted
