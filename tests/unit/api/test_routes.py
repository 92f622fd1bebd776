"""Finding the handler of a path."""

import pytest

from volsnap.api import microversions, routes
from volsnap.api.v3 import snapshots, volumes

TABLE = routes.Table(routes.ROUTES)


def _find(method: str, path: str) -> tuple[object, tuple[str, ...]] | None:
    found = TABLE.find(path.strip("/").split("/"))
    if found is None or method not in found[0]:
        return None
    return found[0][method].handler, found[1]


@pytest.mark.parametrize(
    ("method", "path", "handler", "values"),
    [
        ("GET", "/volumes", volumes.index, ()),
        ("GET", "/volumes/detail", volumes.detail, ()),
        ("GET", "/volumes/v1", volumes.show, ("v1",)),
        ("GET", "/snapshots/s1.json", snapshots.show, ("s1",)),
        ("GET", "/snapshots.json", snapshots.index, ()),
        ("DELETE", "/snapshots/s1/metadata/a.json", snapshots.delete_metadata_key, ("s1", "a.json")),
        ("PUT", "/volumes/v1/metadata", volumes.replace_metadata, ("v1",)),
        ("POST", "/snapshots/s1/action", snapshots.act, ("s1",)),
    ],
)
def test_path_leads_to_its_handler(method: str, path: str, handler: object, values: tuple[str, ...]) -> None:
    assert _find(method, path) == (handler, values)


@pytest.mark.parametrize("path", ["nope", "snapshots/s1/nope", "snapshots//metadata", "volumes/detail/x", ""])
def test_unknown_path_leads_nowhere(path: str) -> None:
    assert TABLE.find(path.split("/")) is None


def test_every_route_can_be_reached() -> None:
    for route in routes.ROUTES:
        found = TABLE.find(route.path.strip("/").split("/"))
        assert found is not None
        assert found[0][route.method] is route


def test_every_route_begins_with_a_version_we_speak() -> None:
    assert all(microversions.MIN <= route.since <= microversions.MAX for route in routes.ROUTES)


def test_handler_says_which_path_it_answers() -> None:
    for route in routes.ROUTES:
        text = route.handler.__doc__
        assert text is not None
        assert text.split()[0] == route.method, route.path


def test_same_route_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="twice"):
        routes.Table([routes.ROUTES[0], routes.ROUTES[0]])
