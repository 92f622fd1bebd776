"""Snapshot verbs against recorded answers."""

import json

from tests.unit.cli import stub as stubs
from tests.unit.cli.conftest import Run

S1 = "a62503db-0da7-4f63-98d1-1840ff32726d"
V1 = "c9047ec5-ad4f-45a9-be3e-47bc3c207eca"
VOLUME = {"id": V1, "name": "gv", "links": []}


def test_list_draws_the_table_of_the_cinder_shell(volsnap: Run, stub: stubs.Stub) -> None:
    stub.answer("GET", "/snapshots/detail", stubs.load_answer("snapshots"))
    result = volsnap("snapshot-list")
    lines = result.out.splitlines()
    assert result.code == 0
    assert [cell.strip() for cell in lines[1].strip("|").split("|")] == [
        "ID",
        "Volume ID",
        "Status",
        "Name",
        "Size",
        "Consumes Quota",
        "User ID",
    ]
    assert "| 8e302fe0-bed5-4f07-b6ea-99fd37f33d33 | 6ed04c21" in lines[3]
    assert len({len(line) for line in lines}) == 1
    assert lines[0] == lines[2] == lines[-1]


def test_list_sends_what_every_request_needs(volsnap: Run, stub: stubs.Stub) -> None:
    stub.answer("GET", "/snapshots/detail", {"snapshots": []})
    assert volsnap("snapshot-list").out.count("\n") == 4
    (request,) = stub.requests
    assert request.headers["OpenStack-API-Version"] == "volume 3.71"
    assert request.headers["X-Auth-Token"] == f"admin:{stubs.PROJECT_ID}"
    assert request.query == {}


def test_list_passes_filters(volsnap: Run, stub: stubs.Stub) -> None:
    stub.answer("GET", "/snapshots/detail", {"snapshots": [], "count": 0})
    words = "--all-tenants --name n --status error --limit 5 --marker m --sort name:asc --project-id p"
    result = volsnap(
        "snapshot-list",
        *words.split(),
        "--volume-id",
        V1,
        "--metadata",
        "a=1",
        "b=2",
        "--with-count",
    )
    assert result.code == 0
    assert stub.requests[0].query == {
        "all_tenants": "1",
        "name": "n",
        "status": "error",
        "limit": "5",
        "marker": "m",
        "sort": "name:asc",
        "project_id": "p",
        "volume_id": V1,
        "metadata": "{'a': '1', 'b': '2'}",
        "with_count": "True",
    }
    assert result.out.endswith("Snapshots in total: 0\n")


def test_list_follows_pages_and_stops_at_the_limit(volsnap: Run, stub: stubs.Stub) -> None:
    def page(*ids: str) -> dict[str, object]:
        return {
            "snapshots": [{"id": each} for each in ids],
            "snapshots_links": [{"rel": "next", "href": "http://elsewhere.example/"}],
        }

    stub.answer("GET", "/snapshots/detail", page("a", "b"))
    stub.answer("GET", "/snapshots/detail", {"snapshots": [{"id": "c"}]})
    assert volsnap("snapshot-list", "-f", "value", "-c", "ID").out == "a\nb\nc\n"
    assert [each.query for each in stub.requests] == [{}, {"marker": "b"}]
    assert stub.connections == 1


def test_list_as_json_is_the_service_s_own(volsnap: Run, stub: stubs.Stub) -> None:
    answer = stubs.load_answer("snapshots")
    stub.answer("GET", "/snapshots/detail", answer)
    assert json.loads(volsnap("snapshot-list", "-f", "json").out) == answer["snapshots"]
    picked = json.loads(volsnap("-f", "json", "snapshot-list", "-c", "id", "-c", "Name").out)
    assert picked[0] == {"id": "8e302fe0-bed5-4f07-b6ea-99fd37f33d33", "name": "padded"}


def test_json_with_count(volsnap: Run, stub: stubs.Stub) -> None:
    stub.answer("GET", "/snapshots/detail", {"snapshots": [{"id": "x"}], "count": 7})
    result = json.loads(volsnap("snapshot-list", "--with-count", "True", "-f", "json").out)
    assert result == {"count": 7, "items": [{"id": "x"}]}


def test_create_resolves_the_volume_and_sends_the_body(volsnap: Run, stub: stubs.Stub) -> None:
    stub.answer("GET", "/volumes", {"volumes": [VOLUME]})
    stub.answer("POST", "/snapshots", stubs.load_answer("snapshot_creating"), 202)
    result = volsnap("snapshot-create", "--force", "--name", "s", "--metadata", "a=1", "b=x=y", "gv")
    assert result.code == 0, result.err
    assert "| status " in result.out
    assert stub.find("POST", "/snapshots")[0].body == {
        "snapshot": {
            "volume_id": V1,
            "name": "s",
            "description": None,
            "metadata": {"a": "1", "b": "x=y"},
        }
    }


def test_force_is_sent_where_it_means_something(volsnap: Run, stub: stubs.Stub) -> None:
    stub.answer("POST", "/snapshots", stubs.load_answer("snapshot_creating"), 202)
    for word, sent in (("True", True), ("False", False)):
        volsnap("--os-volume-api-version", "3.65", "snapshot-create", "--force", word, V1)
        assert stub.requests[-1].body["snapshot"]["force"] is sent
    result = volsnap("snapshot-create", "--force", "False", V1)
    assert result.code == 2
    assert "--force False" in result.err


def test_show_by_name_and_by_id(volsnap: Run, stub: stubs.Stub) -> None:
    stub.answer("GET", "/snapshots", {"snapshots": [{"id": S1, "name": "gs1"}]})
    stub.answer("GET", f"/snapshots/{S1}", stubs.load_answer("snapshot"))
    assert volsnap("snapshot-show", "gs1", "-f", "value", "-c", "id").out == f"{S1}\n"
    assert stub.requests[0].query == {"name": "gs1"}
    assert len(stub.requests) == 2
    assert volsnap("snapshot-show", S1, "-c", "status", "-f", "json").out == '{\n  "status": "available"\n}\n'
    assert len(stub.requests) == 3


def test_an_ambiguous_name_is_never_chosen_from(volsnap: Run, stub: stubs.Stub) -> None:
    twice = [{"id": S1, "name": "dup"}, {"id": V1, "name": "dup"}, {"id": "x", "name": "dup-other"}]
    stub.answer("GET", "/snapshots", {"snapshots": twice})
    result = volsnap("snapshot-delete", "dup")
    assert result.code == 2
    assert result.err.count("\n") == 1
    assert S1 in result.err
    assert V1 in result.err
    assert not stub.find("DELETE", f"/snapshots/{S1}")


def test_delete_tries_every_one(volsnap: Run, stub: stubs.Stub) -> None:
    stub.answer("DELETE", f"/snapshots/{S1}", None, 202)
    result = volsnap("snapshot-delete", V1, S1)
    assert result.code == 1
    assert len(result.err.splitlines()) == 1
    assert stub.find("DELETE", f"/snapshots/{S1}")


def test_delete_force_and_reset_state_are_actions(volsnap: Run, stub: stubs.Stub) -> None:
    stub.answer("POST", f"/snapshots/{S1}/action", None, 202)
    assert volsnap("snapshot-delete", "--force", S1).code == 0
    assert volsnap("snapshot-reset-state", "--state", "error", S1).code == 0
    assert [each.body for each in stub.requests] == [
        {"os-force_delete": {}},
        {"os-reset_status": {"status": "error"}},
    ]


def test_rename(volsnap: Run, stub: stubs.Stub) -> None:
    stub.answer("PUT", f"/snapshots/{S1}", stubs.load_answer("snapshot"))
    assert volsnap("snapshot-rename", S1, "new", "--description", "").code == 0
    assert stub.requests[0].body == {"snapshot": {"name": "new", "description": ""}}
    assert volsnap("snapshot-rename", S1).code == 2


def test_metadata(volsnap: Run, stub: stubs.Stub) -> None:
    path = f"/snapshots/{S1}/metadata"
    stub.answer("POST", path, stubs.load_answer("metadata"))
    stub.answer("PUT", path, stubs.load_answer("metadata"))
    stub.answer("GET", path, stubs.load_answer("metadata"))
    stub.answer("DELETE", f"{path}/a%2Fb", None)
    assert volsnap("snapshot-metadata", S1, "set", "a=1", "b=").code == 0
    assert volsnap("snapshot-metadata", S1, "unset", "a/b").code == 0
    assert "| mk       | mv    |" in volsnap("snapshot-metadata-show", S1).out
    assert volsnap("snapshot-metadata-update-all", S1, "k=v").code == 0
    assert stub.requests[0].body == {"metadata": {"a": "1", "b": ""}}
    assert stub.requests[-1].body == {"metadata": {"k": "v"}}


def test_revert_finds_the_volume(volsnap: Run, stub: stubs.Stub) -> None:
    stub.answer("GET", f"/snapshots/{S1}", stubs.load_answer("snapshot"))
    stub.answer("POST", f"/volumes/{V1}/action", None, 202)
    assert volsnap("revert-to-snapshot", S1).code == 0
    assert stub.requests[-1].body == {"revert": {"snapshot_id": S1}}
