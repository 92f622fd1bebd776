"""Volume, quota, service, message and type verbs against recorded answers."""

import json

import pytest

from tests.unit.cli import stub as stubs
from tests.unit.cli.conftest import Run

V1 = "2a7a1f67-11f0-4de1-b649-74f008530f4b"
S1 = "a62503db-0da7-4f63-98d1-1840ff32726d"


def test_list(volsnap: Run, stub: stubs.Stub) -> None:
    answer = stubs.load_answer("volumes")
    answer["volumes"][0]["attachments"] = [{"server_id": "server-1"}]
    stub.answer("GET", "/volumes/detail", answer)
    lines = volsnap("list").out.splitlines()
    assert "| Attached to |" in lines[1]
    assert "server-1" in lines[3]
    assert "attached_to" not in volsnap("list", "-f", "json").out


def test_create_from_everything(volsnap: Run, stub: stubs.Stub) -> None:
    stub.answer("POST", "/volumes", stubs.load_answer("volume"), 202)
    stub.answer("GET", "/snapshots", {"snapshots": [{"id": S1, "name": "s"}]})
    assert volsnap("create", "3", "--name", "n", "--volume-type", "t", "--availability-zone", "z").code == 0
    assert volsnap("create", "--snapshot-id", "s", "--metadata", "a=b").code == 0
    assert volsnap("create", "--source-volid", V1, "4").code == 0
    assert [each.body["volume"] for each in stub.find("POST", "/volumes")] == [
        {"size": 3, "name": "n", "volume_type": "t", "availability_zone": "z"},
        {"snapshot_id": S1, "metadata": {"a": "b"}},
        {"source_volid": V1, "size": 4},
    ]


def test_actions(volsnap: Run, stub: stubs.Stub) -> None:
    stub.answer("POST", f"/volumes/{V1}/action", None, 202)
    assert volsnap("extend", V1, "9").code == 0
    assert volsnap("reset-state", V1).code == 0
    assert volsnap("reset-state", "--attach-status", "detached", "--reset-migration-status", V1).code == 0
    assert volsnap("delete", "--force", V1).code == 0
    assert [each.body for each in stub.requests] == [
        {"os-extend": {"new_size": 9}},
        {"os-reset_status": {"status": "available"}},
        {"os-reset_status": {"attach_status": "detached", "migration_status": "none"}},
        {"os-force_delete": {}},
    ]


def test_delete_cascade(volsnap: Run, stub: stubs.Stub) -> None:
    stub.answer("DELETE", f"/volumes/{V1}", None, 202)
    assert volsnap("delete", "--cascade", V1).code == 0
    assert volsnap("delete", "--cascade", "--force", V1).code == 0
    assert [each.query for each in stub.requests] == [
        {"cascade": "True"},
        {"cascade": "True", "force": "True"},
    ]


def test_connect_prints_json(volsnap: Run, stub: stubs.Stub) -> None:
    info = {"driver_volume_type": "local", "data": {"path": "/x", "auth_password": "p4ss"}}
    stub.answer("POST", f"/volumes/{V1}/action", {"connection_info": info})
    assert json.loads(volsnap("connect", V1, "--host", "h").out) == info
    assert stub.requests[0].body["os-initialize_connection"]["connector"]["host"] == "h"


@pytest.mark.parametrize(
    ("words", "path", "answer", "expected"),
    [
        ("show 2a7a1f67-11f0-4de1-b649-74f008530f4b", f"/volumes/{V1}", "volume", "| volume_type "),
        ("summary --all-tenants", "/volumes/summary", "summary", "| total_count | 3 "),
        ("absolute-limits", "/limits", "limits", "| maxTotalSnapshots "),
        ("quota-show", f"/os-quota-sets/{stubs.PROJECT_ID}", "quota", "| backup_gigabytes "),
        (
            "quota-show --usage",
            f"/os-quota-sets/{stubs.PROJECT_ID}",
            "quota_usage",
            "| In_use | Reserved | Limit |",
        ),
        ("service-list", "/os-services", "services", "| cinder-volume "),
        ("get-pools", "/scheduler-stats/get_pools", "pools", "| host1@fake#fake |"),
        ("get-pools --detail", "/scheduler-stats/get_pools", "pools", "| free_capacity_gb "),
        (
            "message-list --level error",
            "/messages",
            "messages",
            "Could not find any available weighted backend",
        ),
        ("type-list", "/types", "types", "| __DEFAULT__ | Default Volume Type "),
    ],
)
@pytest.mark.parametrize("form", ["table", "json", "value"])
def test_read_only_verbs(
    volsnap: Run, stub: stubs.Stub, words: str, path: str, answer: str, expected: str, form: str
) -> None:
    stub.answer("GET", path, stubs.load_answer(answer))
    result = volsnap(*words.split(), "-f", form)
    assert result.code == 0, result.err
    if form == "json":
        json.loads(result.out)
    elif form == "table":
        assert expected in result.out
    else:
        assert result.out


def test_quota_update(volsnap: Run, stub: stubs.Stub) -> None:
    stub.answer("PUT", "/os-quota-sets/p", stubs.load_answer("quota"))
    assert volsnap("quota-update", "p", "--snapshots", "20", "--groups", "-1", "--volume-type", "gold").code == 0
    assert stub.requests[0].body == {"quota_set": {"snapshots_gold": 20, "groups": -1}}
    assert volsnap("quota-update", "p").code == 2
