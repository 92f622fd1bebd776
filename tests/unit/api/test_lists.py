"""Lists: pages, links, orders, filters, counts."""

import urllib.parse
from collections.abc import Callable

import pytest

from tests.unit.api.client import PROJECT, Client

Add = Callable[..., str]
MEMBER = f"ann:{PROJECT}:member"


def _names(api: Client, query: str, **more: object) -> list[str | None]:
    answer = api.get(f"/v3/snapshots{query}", **more)
    assert answer.status == 200, answer.body
    return [item["name"] for item in answer.json["snapshots"]]


def test_pages_follow_their_links_without_loss(api: Client, add_snapshot: Add) -> None:
    for number in range(7):
        add_snapshot(name=f"s{number}")
    path, seen = "/v3/snapshots?limit=3&sort=name:asc", []
    while path:
        body = api.get(path).json
        seen += [item["name"] for item in body["snapshots"]]
        links = body.get("snapshots_links")
        path = links[0]["href"].removeprefix("http://test:8776") if links else ""
    assert seen == [f"s{number}" for number in range(7)]


def test_link_keeps_the_query_and_drops_the_offset(api: Client, add_snapshot: Add) -> None:
    for number in range(4):
        add_snapshot(name=f"s{number}")
    body = api.get(f"/v3/{PROJECT}/snapshots/detail?status=available&limit=1&offset=1").json
    last = body["snapshots"][0]["id"]
    assert body["snapshots_links"] == [
        {
            "rel": "next",
            "href": f"http://test:8776/v3/{PROJECT}/snapshots/detail?status=available&limit=1&marker={last}",
        }
    ]


def test_link_is_absent_when_the_page_is_not_full(api: Client, add_snapshot: Add) -> None:
    add_snapshot()
    assert list(api.get("/v3/snapshots?limit=2").json) == ["snapshots"]
    assert list(api.get("/v3/snapshots?limit=0").json) == ["snapshots"]


def test_newest_comes_first(api: Client, add_snapshot: Add) -> None:
    add_snapshot(name="old", created_at="2026-01-01T00:00:00.000000")
    add_snapshot(name="new", created_at="2026-01-02T00:00:00.000000")
    assert _names(api, "") == ["new", "old"]
    assert _names(api, "?sort=created_at:asc") == ["old", "new"]
    assert _names(api, "?sort_key=name&sort_dir=desc") == ["old", "new"]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("limit=-1", "limit param must be positive"),
        ("limit=abc", "limit param must be an integer"),
        ("limit=", "limit param must be an integer"),
        ("limit=1_0", "limit param must be an integer"),
        ("offset=-1", "offset must be >= 0"),
        ("offset=99999999999999", "offset must be <= 2147483647"),
        ("sort=nope", "Invalid input received: Invalid sort key"),
        ("sort=name:up", "Invalid input received: Unknown sort direction, must be 'desc' or 'asc'."),
        ("with_count=zz", "Value 'zz' for 'with_count' is not a boolean."),
        ("name=%ff", "Invalid input received: the query string must be UTF-8 with at most 1000 fields."),
        ("name=%00", "Invalid input received: the query string contains a null character; remove it."),
    ],
)
def test_bad_parameter_is_refused(api: Client, query: str, message: str) -> None:
    answer = api.get(f"/v3/snapshots?{query}")
    assert (answer.status, answer.message) == (400, message)


def test_unknown_marker_is_not_found(api: Client) -> None:
    answer = api.get("/v3/snapshots?marker=zzz")
    assert (answer.status, answer.message) == (404, "Snapshot zzz could not be found.")


def test_filters_are_combined(api: Client, add_snapshot: Add) -> None:
    add_snapshot(name="a", status="available")
    add_snapshot(name="b", status="error")
    assert _names(api, "?name=b") == ["b"]
    assert _names(api, "?name=a&status=error") == []
    assert _names(api, "?name=a&name=b") == []


def test_part_of_a_name_is_a_filter_since_3_34(api: Client, add_snapshot: Add) -> None:
    add_snapshot(name="100%")
    add_snapshot(name="1000")
    assert _names(api, "?name~=0%25") == ["100%"]
    assert len(_names(api, "?name~=0%25", version="3.33")) == 2


def test_metadata_is_a_filter_since_3_22(api: Client, add_snapshot: Add) -> None:
    add_snapshot(name="a", metadata='{"k":"v"}')
    add_snapshot(name="b")
    query = "?metadata=" + urllib.parse.quote("{'k': 'v'}")
    assert _names(api, query) == ["a"]
    assert len(_names(api, query, version="3.21")) == 2
    assert _names(api, "?metadata=zz") == []


def test_volumes_are_filtered_by_time_since_3_60(api: Client, add_volume: Add) -> None:
    add_volume(created_at="2026-01-31T12:00:00.000000")

    def count(query: str, **more: object) -> int:
        answer = api.get(f"/v3/volumes?{query}", **more)
        assert answer.status == 200, answer.body
        return len(answer.json["volumes"])

    assert count("created_at=gt:2026-01-31T11:59:59") == 1
    assert count("created_at=gt:2026-01-31T14:30:00%2B02:00,lt:2026-02-01T00:00:00") == 0
    assert count("created_at=2026-01-31T12:00:00") == 1
    assert count("created_at=gt:2027-01-01T00:00:00", version="3.59") == 1
    assert api.get("/v3/volumes?created_at=xx:2020").message == "Invalid xx operator"
    assert "is no time" in api.get("/v3/volumes?created_at=gt:zz").message


def test_unknown_filter_selects_nothing_for_an_administrator(api: Client, add_snapshot: Add) -> None:
    add_snapshot()
    assert _names(api, "?foo=bar") == []


def test_unknown_filter_is_dropped_or_refused_for_others(api: Client, add_snapshot: Add) -> None:
    add_snapshot()
    assert len(_names(api, "?foo=bar", token=MEMBER, version="3.30")) == 1
    answer = api.get("/v3/snapshots?foo=bar", token=MEMBER, version="3.31")
    assert answer.status == 400
    assert "foo" in answer.message
    assert "volume_id" in answer.message


def test_count_is_of_all_items_since_3_45(api: Client, add_snapshot: Add) -> None:
    for _ in range(3):
        add_snapshot()
    assert api.get("/v3/snapshots?with_count=true&limit=1").json["count"] == 3
    assert api.get("/v3/snapshots?with_count=true&foo=bar").json == {"snapshots": [], "count": 0}
    assert "count" not in api.get("/v3/snapshots?with_count=true", version="3.44").json


def test_other_projects_are_for_administrators_who_ask(api: Client, add_snapshot: Add) -> None:
    add_snapshot(project_id="2" * 32)
    assert _names(api, "") == []
    assert len(_names(api, "?all_tenants=1")) == 1
    assert _names(api, "?all_tenants=1", token=MEMBER) == []
