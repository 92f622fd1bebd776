"""The keys of an answer, version by version."""

from collections.abc import Callable

import pytest

from tests.unit.api.client import PROJECT, Client

Add = Callable[..., str]

SNAPSHOT = [
    "id",
    "created_at",
    "updated_at",
    "name",
    "description",
    "volume_id",
    "status",
    "size",
    "metadata",
]
EXTENDED = [
    "os-extended-snapshot-attributes:project_id",
    "os-extended-snapshot-attributes:progress",
]
VOLUME = [
    "id",
    "status",
    "size",
    "availability_zone",
    "created_at",
    "updated_at",
    "name",
    "description",
    "volume_type",
    "snapshot_id",
    "source_volid",
    "metadata",
    "links",
    "user_id",
    "bootable",
    "encrypted",
    "replication_status",
    "consistencygroup_id",
    "multiattach",
    "attachments",
    "migration_status",
]
TENANT = ["os-vol-tenant-attr:tenant_id"]
ADMIN = [
    "os-vol-mig-status-attr:migstat",
    "os-vol-mig-status-attr:name_id",
    "os-vol-host-attr:host",
]


@pytest.mark.parametrize(
    ("version", "more"),
    [
        ("3.0", []),
        ("3.14", ["group_snapshot_id"]),
        ("3.41", ["group_snapshot_id", "user_id"]),
        ("3.65", ["group_snapshot_id", "user_id", "consumes_quota"]),
    ],
)
def test_snapshot(api: Client, add_snapshot: Add, version: str, more: list[str]) -> None:
    snapshot_id = add_snapshot()
    shown = api.get(f"/v3/snapshots/{snapshot_id}", version=version).json["snapshot"]
    assert list(shown) == [*SNAPSHOT, *more, "volsnap:cut_at", *EXTENDED]
    detailed = api.get("/v3/snapshots/detail", version=version).json["snapshots"][0]
    assert detailed == shown
    short = api.get("/v3/snapshots", version=version).json["snapshots"][0]
    assert list(short) == SNAPSHOT


@pytest.mark.parametrize(
    ("version", "more"),
    [
        ("3.0", []),
        ("3.13", ["group_id"]),
        ("3.21", ["group_id", "provider_id"]),
        ("3.48", ["group_id", "provider_id", "shared_targets", "service_uuid"]),
        ("3.61", ["group_id", "provider_id", "shared_targets", "service_uuid", "cluster_name"]),
        (
            "3.71",
            [
                "group_id",
                "provider_id",
                "shared_targets",
                "service_uuid",
                "cluster_name",
                "volume_type_id",
                "consumes_quota",
            ],
        ),
    ],
)
def test_volume(api: Client, add_volume: Add, version: str, more: list[str]) -> None:
    volume_id = add_volume()
    shown = api.get(f"/v3/volumes/{volume_id}", version=version).json["volume"]
    assert list(shown) == [*VOLUME, *more, *TENANT, *ADMIN]
    detailed = api.get("/v3/volumes/detail", version=version).json["volumes"][0]
    assert detailed == shown
    short = api.get("/v3/volumes", version=version).json["volumes"][0]
    assert list(short) == ["id", "name", "links"]


def test_users_do_not_see_where_a_volume_is(api: Client, add_volume: Add) -> None:
    volume_id = add_volume()
    shown = api.get(f"/v3/volumes/{volume_id}", token=f"ann:{PROJECT}:reader").json["volume"]
    assert not {*ADMIN, "provider_id", "cluster_name"} & set(shown)
    assert shown["os-vol-tenant-attr:tenant_id"] == PROJECT


def test_links_have_the_project_when_the_url_has_it(api: Client, add_volume: Add) -> None:
    volume_id = add_volume()
    with_project = api.get(f"/v3/{PROJECT}/volumes").json["volumes"][0]["links"]
    assert [link["href"] for link in with_project] == [
        f"http://test:8776/v3/{PROJECT}/volumes/{volume_id}",
        f"http://test:8776/{PROJECT}/volumes/{volume_id}",
    ]
    without = api.get("/v3/volumes").json["volumes"][0]["links"]
    assert without[0] == {"rel": "self", "href": f"http://test:8776/v3/volumes/{volume_id}"}


def test_link_with_a_quotation_mark_in_the_host_is_still_json(api: Client, add_volume: Add) -> None:
    add_volume()
    answer = api.get("/v3/volumes", headers={"HTTP_HOST": 'a"b\\'})
    assert answer.json["volumes"][0]["links"][0]["href"].startswith('http://a"b\\/v3/volumes/')


def test_readonly_flag_is_shown_as_metadata(api: Client, add_volume: Add) -> None:
    volume_id = add_volume(metadata='{"a":"b"}', admin_metadata='{"readonly":"True","x":"y"}')
    shown = api.get(f"/v3/volumes/{volume_id}").json["volume"]
    assert shown["metadata"] == {"a": "b", "readonly": "True"}
    assert api.get(f"/v3/volumes/{volume_id}/metadata").json == {"metadata": {"a": "b"}}


def test_image_metadata_is_shown_when_there_is_some(api: Client, add_volume: Add) -> None:
    volume_id = add_volume(image_metadata='{"image_id":"1"}')
    shown = api.get(f"/v3/volumes/{volume_id}").json["volume"]
    assert shown["volume_image_metadata"] == {"image_id": "1"}
