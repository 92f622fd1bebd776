"""The application as a whole: discovery, authentication, versions, projects, and what no handler sees."""

from collections.abc import Callable

import pytest

from tests.unit.api.client import PROJECT, Client

Add = Callable[..., str]
NOPE = "00000000-0000-0000-0000-00000000dead"


def test_discovery_needs_no_token(api: Client) -> None:
    answer = api.get("/", token=None, version=None)
    assert answer.status == 300
    (version,) = answer.json["versions"]
    assert (version["min_version"], version["version"]) == ("3.0", "3.71")
    # keystoneauth asks here without a token, and needs an answer to find the endpoint.
    assert api.get("/v3/", token=None).status == 200
    assert api.post("/v3/", {}).status == 400
    redirect = api.get("/v3")
    assert (redirect.status, redirect.headers["Location"]) == (302, "http://test:8776/v3/")
    assert api.get("/healthcheck", token=None).json == {"detailed": False, "reasons": ["OK"]}


def test_request_ids_are_fresh_and_the_same(api: Client) -> None:
    answer = api.get("/v3/snapshots", headers={"HTTP_X_OPENSTACK_REQUEST_ID": "req-1"})
    request_id = answer.headers["x-openstack-request-id"]
    assert request_id.startswith("req-")
    assert request_id != "req-1"
    assert answer.headers["x-compute-request-id"] == request_id


def test_answer_names_its_version(api: Client) -> None:
    assert api.get("/v3/snapshots", version=None).headers["OpenStack-API-Version"] == "volume 3.0"
    latest = api.get("/v3/snapshots", version="latest")
    assert latest.headers["OpenStack-API-Version"] == "volume 3.71"
    assert latest.headers["Vary"] == "OpenStack-API-Version"


def test_unsupported_version_is_not_acceptable(api: Client) -> None:
    answer = api.get("/v3/snapshots", version="3.999")
    assert answer.status == 406
    assert answer.headers["OpenStack-API-Version"] == "volume 3.999"
    assert "OpenStack-API-Version" not in api.get("/v3/snapshots", version="2.0").headers


def test_later_resources_are_not_found(api: Client, add_volume: Add) -> None:
    assert api.get("/v3/messages", version="3.2").json == {
        "itemNotFound": {"code": 404, "message": "The resource could not be found."}
    }
    body = {"revert": {"snapshot_id": NOPE}}
    path = f"/v3/volumes/{add_volume()}/action"
    assert api.post(path, body, version="3.39").message == "The resource could not be found."
    assert api.post(path, body, version="3.40").status == 400


def test_client_without_a_token_is_given_one(api: Client) -> None:
    answer = api.get(f"/v3/{PROJECT}/snapshots", token=None)
    assert answer.status == 204
    assert answer.headers["X-Auth-Token"] == "admin:admin"
    assert answer.headers["X-Server-Management-Url"] == f"http://test:8776/v3/{PROJECT}/snapshots"


def test_change_without_a_token_is_not_answered_with_success(api: Client) -> None:
    assert api.send("DELETE", f"/v3/snapshots/{NOPE}", token=None).status == 401


@pytest.mark.parametrize("token", [":p", "u" * 300, f"u:{'p' * 300}"])
def test_bad_token_is_refused(api: Client, token: str) -> None:
    assert api.get("/v3/snapshots", token=token).status == 401


def test_project_of_the_url_must_be_the_callers(api: Client) -> None:
    answer = api.get(f"/v3/{'2' * 32}/snapshots")
    assert (answer.status, answer.message) == (400, "Malformed request url")
    assert api.get("/v3/zzz/snapshots").status == 404
    assert api.get("/v3/demo/snapshots", token="ann:demo").status == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v3/nope"),
        ("GET", f"/v3/{PROJECT}/nope"),
        ("GET", f"/v3/{PROJECT}"),
        ("GET", "/v3/snapshots/"),
        ("GET", "/v3//snapshots"),
        ("PUT", "/v3/snapshots"),
        ("DELETE", "/v3/snapshots"),
        ("HEAD", "/v3/snapshots"),
        ("PATCH", f"/v3/snapshots/{NOPE}"),
        ("GET", "/v2/snapshots"),
        ("GET", "/%ff"),
        ("GET", "/v3/snapshots/%00"),
    ],
)
def test_unknown_path_is_not_found(api: Client, method: str, path: str) -> None:
    answer = api.send(method, path)
    assert answer.status == 404
    assert "OpenStack-API-Version" not in answer.headers


def test_options_of_a_resource(api: Client) -> None:
    answer = api.send("OPTIONS", "/v3/snapshots", token=None)
    assert (answer.status, answer.body) == (200, b"")


def test_resource_of_another_project_is_not_found(api: Client, add_snapshot: Add) -> None:
    snapshot_id = add_snapshot()
    for token in ("bob:" + "2" * 32 + ":member", "bob:" + "2" * 32 + ":reader"):
        for method, path in (("GET", ""), ("DELETE", ""), ("GET", "/metadata")):
            answer = api.send(method, f"/v3/snapshots/{snapshot_id}{path}", token=token)
            assert answer.status == 404, (method, path)


def test_reader_may_look_and_not_touch(api: Client, add_snapshot: Add) -> None:
    snapshot_id = add_snapshot()
    token = f"ann:{PROJECT}:reader"
    assert api.get(f"/v3/snapshots/{snapshot_id}", token=token).status == 200
    answer = api.send("DELETE", f"/v3/snapshots/{snapshot_id}", token=token)
    assert answer.status == 403
    assert answer.message == "Policy doesn't allow volume:delete_snapshot to be performed."


def test_member_may_not_reset_a_status(api: Client, add_snapshot: Add) -> None:
    path = f"/v3/snapshots/{add_snapshot()}/action"
    body = {"os-reset_status": {"status": "error"}}
    assert api.post(path, body, token=f"ann:{PROJECT}:member").status == 403
    assert api.post(path, body).status == 202


def test_fault_of_ours_is_a_500_with_nothing_told(api: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    api.database.close()
    monkeypatch.setattr(api.database, "read", lambda: 1 / 0)
    answer = api.get("/v3/snapshots")
    assert answer.status == 500
    assert list(answer.json) == ["computeFault"]
    assert b"division" not in answer.body


def test_actions(api: Client, add_snapshot: Add) -> None:
    path = f"/v3/snapshots/{add_snapshot()}/action"
    assert api.post(path, {"os-nope": {}}).message.startswith("There is no such action: os-nope.")
    assert api.post(path, {}).message == "Malformed request body"
    assert api.post(path, []).message == "Malformed request body"
    assert api.send("POST", path).message.startswith("There is no such action: None.")
    answer = api.post(path, {"os-reset_status": {"status": "bogus"}})
    assert answer.message.startswith("Snapshot status: bogus is invalid, valid statuses are: ('error', ")


def test_metadata_resource(api: Client, add_snapshot: Add) -> None:
    snapshot_id = add_snapshot(metadata='{"a":"b"}')
    path = f"/v3/snapshots/{snapshot_id}/metadata"
    assert api.get(path).json == {"metadata": {"a": "b"}}
    assert api.post(path, {"metadata": {"c": "d"}}).json == {"metadata": {"a": "b", "c": "d"}}
    assert api.send("PUT", path, body={"metadata": {"x": "y"}}).json == {"metadata": {"x": "y"}}
    assert api.send("PUT", f"{path}/x", body={"meta": {"x": "z"}}).json == {"meta": {"x": "z"}}
    assert api.send("PUT", f"{path}/x", body={"meta": {"q": "z"}}).status == 400
    assert api.get(f"{path}/x").json == {"meta": {"x": "z"}}
    assert api.send("DELETE", f"{path}/x").status == 200
    assert api.send("DELETE", f"{path}/x").message.endswith("has no metadata with key x.")


def test_volume_metadata_honours_if_match_since_3_15(api: Client, add_volume: Add) -> None:
    path = f"/v3/volumes/{add_volume()}/metadata"
    etag = api.get(path).headers["ETag"]
    body = {"metadata": {"a": "b"}}
    assert api.post(path, body, headers={"HTTP_IF_MATCH": '"old"'}).status == 412
    assert api.post(path, body, headers={"HTTP_IF_MATCH": '"old"'}, version="3.14").status == 200
    assert api.post(path, body, headers={"HTTP_IF_MATCH": etag}).status == 412
    assert api.post(path, body, headers={"HTTP_IF_MATCH": api.get(path).headers["ETag"]}).status == 200


def test_quota_set(api: Client) -> None:
    path = f"/v3/os-quota-sets/{PROJECT}"
    assert api.get(path).json["quota_set"]["id"] == PROJECT
    changed = api.send("PUT", path, body={"quota_set": {"snapshots": "3", "tenant_id": PROJECT}})
    assert changed.json["quota_set"]["snapshots"] == 3
    assert "id" not in changed.json["quota_set"]
    used = api.get(f"{path}?usage=True").json["quota_set"]["snapshots"]
    assert used == {"limit": 3, "in_use": 0, "reserved": 0}
    for value, message in (
        (-5, "snapshots must be >= -1"),
        ("x", "snapshots must be an integer"),
        (True, "snapshots must be an integer"),
        (2**40, "snapshots must be <= 2147483647"),
    ):
        assert api.send("PUT", path, body={"quota_set": {"snapshots": value}}).message == message
    assert "Bad key(s) in quota set: foo" in api.send("PUT", path, body={"quota_set": {"foo": 1}}).message
    assert api.send("DELETE", path).status == 200
    assert api.get(path).json["quota_set"]["snapshots"] == 10
    assert api.get(path, token="bob:" + "2" * 32 + ":member").status == 403


@pytest.mark.parametrize(
    "path",
    [
        "limits",
        "types",
        "types/default",
        "os-services",
        "os-availability-zone",
        "scheduler-stats/get_pools?detail=True",
        "os-quota-class-sets/default",
        f"os-quota-sets/{PROJECT}/defaults",
        "extensions",
        "resource_filters",
        "messages",
        "volumes/summary",
        "backups",
        "groups/detail",
        "attachments",
    ],
)
def test_what_clients_read_when_they_start_is_there(api: Client, path: str) -> None:
    assert api.get(f"/v3/{PROJECT}/{path}").status == 200
