"""Malformed requests: a clear 4xx that names what is wrong, and nothing left behind.

Each row of ``BAD`` is one request with the status it deserves and the word its message must hold.
After every one of them the database has the rows it had before, the journal is empty and the
backend's directory has the files it had.

The fixture contract (``tests/conftest.py``): ``server`` is session scoped and has ``url``
(``http://127.0.0.1:PORT``), ``project_id``, ``token`` (``admin:PROJECT``), ``database`` (path of
the SQLite file) and ``file_directory`` (path of the file backend).
"""

import contextlib
import dataclasses
import functools
import http.client
import itertools
import json
import pathlib
import socket
import sqlite3
import time
import urllib.parse
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

#: Far above what an answer may take: only a server that hangs meets it.
TIMEOUT_S = 10.0
#: The limit on a request's body, Cinder's own.
MAX_BODY_BYTES = 114_688
NOPE = "00000000-0000-0000-0000-00000000dead"
#: What an error of this status is called, Cinder's names.
FAULTS = {
    400: "badRequest",
    401: "unauthorized",
    404: "itemNotFound",
    405: "badMethod",
    406: "computeFault",
    412: "computeFault",
    413: "overLimit",
    415: "badMediaType",
}
#: Tables that change by themselves: heartbeats, and the row to lock while a project is counted.
LIVE_TABLES = {"services", "projects", "alembic_version", "sqlite_sequence"}
JSON = {"Content-Type": "application/json"}


@dataclasses.dataclass(frozen=True)
class Bad:
    """A request that must be refused.

    In path and body ``{V}`` is a volume, ``{S}`` a snapshot of it, ``{P}`` the project.
    """

    name: str
    method: str
    path: str
    body: Any = None
    #: The word the message must hold: the field, mostly.
    word: str = ""
    status: int = 400
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Wire:
    """Bytes on the wire that are no proper HTTP, or too much of it."""

    name: str
    head: str
    body: bytes = b""
    #: How often the body is sent.
    times: int = 1
    #: The right statuses; the HTTP server answers some of these before the API sees the request.
    statuses: tuple[int, ...] = (400,)


@dataclasses.dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def _snapshot(name: str, word: str, /, **fields: Any) -> Bad:
    body = {"snapshot": {"volume_id": "{V}", **fields}}
    return Bad(f"snapshot {name}", "POST", "/v3/{P}/snapshots", body, word)


def _volume(name: str, word: str, status: int = 400, /, **fields: Any) -> Bad:
    body = {"volume": {"size": 1, **fields}}
    return Bad(f"volume {name}", "POST", "/v3/{P}/volumes", body, word, status)


def _raw_body(name: str, body: bytes, word: str = "body", **more: Any) -> Bad:
    return Bad(f"body {name}", "POST", "/v3/{P}/snapshots", body, word, **more)


def _volume_action(name: str, body: Any, word: str, status: int = 400) -> Bad:
    return Bad(f"volume action {name}", "POST", "/v3/{P}/volumes/{V}/action", body, word, status)


def _snapshot_action(name: str, body: Any, word: str, status: int = 400) -> Bad:
    return Bad(f"snapshot action {name}", "POST", "/v3/{P}/snapshots/{S}/action", body, word, status)


def _query(name: str, query: str, word: str, status: int = 400, noun: str = "snapshots") -> Bad:
    return Bad(f"query {noun} {name}", "GET", f"/v3/{{P}}/{noun}?{query}", None, word, status)


def _metadata(name: str, metadata: Any, word: str, noun: str = "snapshots/{S}") -> Bad:
    body = {"metadata": metadata}
    return Bad(f"metadata {noun} {name}", "POST", f"/v3/{{P}}/{noun}/metadata", body, word)


def _version(name: str, version: str, word: str, status: int = 400) -> Bad:
    headers = {"OpenStack-API-Version": version}
    return Bad(f"version {name}", "GET", "/v3/{P}/snapshots", None, word, status, headers)


def _quota(name: str, quota_set: Any, word: str) -> Bad:
    return Bad(f"quota {name}", "PUT", "/v3/{P}/os-quota-sets/{P}", {"quota_set": quota_set}, word)


def _service(name: str, body: Any, word: str, status: int = 400) -> Bad:
    return Bad(f"service {name}", "PUT", "/v3/{P}/os-services/disable", body, word, status)


def _path(name: str, method: str, path: str, status: int = 404) -> Bad:
    return Bad(f"path {name}", method, path, None, "", status)


SNAPSHOT_BODIES = [
    _snapshot("name is a number", "name", name=1),
    _snapshot("name is true", "name", name=True),
    _snapshot("name is a list", "name", name=["x"]),
    _snapshot("name is an object", "name", name={"x": "y"}),
    _snapshot("name of 256 characters", "name", name="n" * 256),
    _snapshot("name of 256 4-byte characters", "name", name="😀" * 256),
    _snapshot("name with a null byte", "name", name="a\0b"),
    _snapshot("description is a number", "description", description=1.5),
    _snapshot("description of 256 characters", "description", description="d" * 256),
    _snapshot("description with a null byte", "description", description="\0"),
    _snapshot("description with a control character", "description", description="a\x07b"),
    _snapshot("volume_id is a number", "volume_id", volume_id=1),
    _snapshot("volume_id is true", "volume_id", volume_id=True),
    _snapshot("volume_id is a list", "volume_id", volume_id=[]),
    _snapshot("volume_id is no uuid", "volume_id", volume_id="zzz"),
    _snapshot("volume_id of 10 000 characters", "volume_id", volume_id="a" * 10_000),
    _snapshot("volume_id with a slash", "volume_id", volume_id="../" + NOPE),
    _snapshot("volume_id with a null byte", "volume_id", volume_id=NOPE + "\0"),
    _snapshot("force is no boolean", "force", force="maybe"),
    _snapshot("force is 2", "force", force=2),
    _snapshot("force is a list", "force", force=[]),
    _snapshot("metadata is a string", "metadata", metadata="x"),
    _snapshot("metadata is a list", "metadata", metadata=[["k", "v"]]),
    _snapshot("metadata value is a number", "k", metadata={"k": 1}),
    _snapshot("metadata value is null", "k", metadata={"k": None}),
    _snapshot("metadata value is an object", "k", metadata={"k": {"x": "y"}}),
    _snapshot("metadata value of 256 characters", "k", metadata={"k": "v" * 256}),
    _snapshot("metadata value with a null byte", "k", metadata={"k": "\0"}),
    _snapshot("metadata key is empty", "metadata", metadata={"": "v"}),
    _snapshot("metadata key of 256 characters", "metadata", metadata={"k" * 256: "v"}),
    _snapshot("metadata key with a percent sign", "metadata", metadata={"a%b": "v"}),
    _snapshot("metadata key with a null byte", "metadata", metadata={"a\0": "v"}),
    _snapshot("metadata key with a line feed", "metadata", metadata={"a\n": "v"}),
    _snapshot("metadata key in Cyrillic", "metadata", metadata={"ключ": "v"}),
    _snapshot("unknown field", "foo", foo=1),
    _snapshot("a field of the answer", "status", status="available"),
    Bad("snapshot without a volume", "POST", "/v3/{P}/snapshots", {"snapshot": {}}, "volume_id"),
    Bad(
        "snapshot beside",
        "POST",
        "/v3/{P}/snapshots",
        {"snapshot": {"volume_id": "{V}"}, "x": 1},
        "x",
    ),
    Bad("snapshot is a list", "POST", "/v3/{P}/snapshots", {"snapshot": []}, "snapshot"),
    Bad("snapshot is null", "POST", "/v3/{P}/snapshots", {"snapshot": None}, "snapshot"),
    Bad("snapshot is a string", "POST", "/v3/{P}/snapshots", {"snapshot": "x"}, "snapshot"),
    Bad("snapshot is missing", "POST", "/v3/{P}/snapshots", {}, "snapshot"),
    Bad(
        "snapshot update without a field",
        "PUT",
        "/v3/{P}/snapshots/{S}",
        {"snapshot": {}},
        "snapshot",
    ),
    Bad(
        "snapshot update of the status",
        "PUT",
        "/v3/{P}/snapshots/{S}",
        {"snapshot": {"status": "x"}},
        "status",
    ),
    Bad(
        "snapshot update long name",
        "PUT",
        "/v3/{P}/snapshots/{S}",
        {"snapshot": {"name": "n" * 256}},
        "name",
    ),
    Bad(
        "snapshot update null byte",
        "PUT",
        "/v3/{P}/snapshots/{S}",
        {"snapshot": {"name": "\0"}},
        "name",
    ),
    Bad("snapshot update without a body", "PUT", "/v3/{P}/snapshots/{S}", None, "body"),
]

VOLUME_BODIES = [
    _volume("size is 0", "size", size=0),
    _volume("size is negative", "size", size=-1),
    _volume("size is 2^31", "size", size=2**31),
    _volume("size is 2^63", "size", size=2**63),
    _volume("size is 10^30", "size", size=10**30),
    _volume("size is a fraction", "size", size=1.5),
    _volume("size is true", "size", size=True),
    _volume("size is a list", "size", size=[1]),
    _volume("size is a word", "size", size="abc"),
    _volume("size is empty", "size", size=""),
    _volume("size is a fraction in a string", "size", size="1.5"),
    _volume("size is 0 in a string", "size", size="0"),
    _volume("size is 2^63 in a string", "size", size=str(2**63)),
    _volume("size is Arabic digits", "size", size="١"),
    _volume("size is null without a source", "size", size=None),
    _volume("name of 256 characters", "name", name="n" * 256),
    _volume("name is a number", "name", name=7),
    _volume("name with a null byte", "name", name="\0"),
    _volume("description of 256 characters", "description", description="d" * 256),
    _volume("type is a number", "volume_type", volume_type=1),
    _volume("type is unknown", "nope", 404, volume_type="nope"),
    _volume("type of 256 characters", "volume_type", volume_type="t" * 256),
    _volume("zone is a number", "availability_zone", availability_zone=1),
    _volume("zone is unknown", "mars", availability_zone="mars"),
    _volume("snapshot is no uuid", "snapshot_id", snapshot_id="zzz"),
    _volume("snapshot is unknown", NOPE, 404, snapshot_id=NOPE),
    _volume("source is no uuid", "source_volid", source_volid="zzz"),
    _volume("source is unknown", NOPE, 404, source_volid=NOPE),
    _volume("two sources", "source", snapshot_id="{S}", source_volid="{V}"),
    _volume("multiattach is no boolean", "multiattach", multiattach="maybe"),
    _volume("metadata is a list", "metadata", metadata=[]),
    _volume("metadata value is true", "k", metadata={"k": True}),
    _volume("unknown field", "foo", foo=1),
    Bad("volume update of the size", "PUT", "/v3/{P}/volumes/{V}", {"volume": {"size": 9}}, "size"),
    Bad(
        "volume update long name",
        "PUT",
        "/v3/{P}/volumes/{V}",
        {"volume": {"name": "n" * 256}},
        "name",
    ),
]

RAW_BODIES = [
    _raw_body("is missing", b""),
    _raw_body("is a list", b"[]", "[]"),
    _raw_body("is a string", b'"x"', "x"),
    _raw_body("is a number", b"1", "1"),
    _raw_body("is null", b"null", "None"),
    _raw_body("is true", b"true", "True"),
    _raw_body("ends early", b'{"snapshot": {"volume_id": "'),
    _raw_body("goes on", b'{"snapshot": {}} x'),
    _raw_body("with a comma too many", b'{"snapshot": {"name": "x",}}'),
    _raw_body("with NaN", b'{"snapshot": {"name": NaN}}'),
    _raw_body("with Infinity", b'{"snapshot": {"name": Infinity}}'),
    _raw_body("with -Infinity", b'{"snapshot": {"name": -Infinity}}'),
    _raw_body("with a lone surrogate", b'{"snapshot": {"name": "\\ud800"}}'),
    _raw_body("with a backwards surrogate pair", b'{"snapshot": {"name": "\\udc00\\ud800"}}'),
    _raw_body("with an encoded surrogate", b'{"snapshot": {"name": "\xed\xa0\x80"}}'),
    _raw_body("is not UTF-8", b'{"snapshot": {"name": "\xff\xfe"}}'),
    _raw_body("with an overlong null", b'{"snapshot": {"name": "\xc0\x80"}}'),
    _raw_body("is UTF-16", '{"snapshot": {}}'.encode("utf-16")),
    _raw_body("100 000 lists deep", b"[" * 100_000),
    _raw_body("5 000 objects deep", b'{"snapshot":' * 5_000 + b"1" + b"}" * 5_000),
    Bad(
        "body 200 objects deep in the metadata",
        "POST",
        "/v3/{P}/snapshots",
        {
            "snapshot": {
                "volume_id": "{V}",
                "metadata": functools.reduce(lambda x, _: {"k": x}, range(200), "v"),
            }
        },
        "k",
    ),
    _raw_body("one byte too long", b" " * (MAX_BODY_BYTES + 1), "arge", status=413),
    _raw_body("of a megabyte", b'{"snapshot": {"name": "' + b"x" * 2**20 + b'"}}', "arge", status=413),
    _raw_body("is plain text", b"{}", "Content-Type", status=415, headers={"Content-Type": "text/plain"}),
    _raw_body(
        "is XML",
        b"<snapshot/>",
        "Content-Type",
        status=415,
        headers={"Content-Type": "application/xml"},
    ),
    _raw_body(
        "is a form",
        b"snapshot=x",
        "Content-Type",
        status=415,
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    ),
]

ACTIONS = [
    _snapshot_action("without a key", {}, "body"),
    _snapshot_action("with two keys", {"os-reset_status": {"status": "error"}, "os-force_delete": {}}, "body"),
    _snapshot_action("unknown", {"os-nope": {}}, "os-nope"),
    _snapshot_action("with a null byte", {"os-\0": {}}, "os-"),
    _snapshot_action("a list", [], ""),
    _snapshot_action("a string", "os-force_delete", ""),
    _snapshot_action("reset without a status", {"os-reset_status": {}}, "status"),
    _snapshot_action("reset to null", {"os-reset_status": None}, "os-reset_status"),
    _snapshot_action("reset to an unknown status", {"os-reset_status": {"status": "bogus"}}, "bogus"),
    _snapshot_action("reset to a number", {"os-reset_status": {"status": 1}}, "status"),
    _snapshot_action("reset with more", {"os-reset_status": {"status": "error", "x": 1}}, "x"),
    _snapshot_action("update to no status", {"os-update_snapshot_status": {}}, "status"),
    _snapshot_action(
        "update with a progress of 142%",
        {"os-update_snapshot_status": {"status": "creating", "progress": "142%"}},
        "progress",
    ),
    _snapshot_action(
        "update with a progress of x",
        {"os-update_snapshot_status": {"status": "creating", "progress": "x"}},
        "progress",
    ),
    _volume_action("without a key", {}, "body"),
    _volume_action(
        "with two keys",
        {"os-extend": {"new_size": 2}, "os-reset_status": {"status": "error"}},
        "body",
    ),
    _volume_action("unknown", {"os-nope": {}}, "os-nope"),
    _volume_action("extend to 0", {"os-extend": {"new_size": 0}}, "new_size"),
    _volume_action("extend to -1", {"os-extend": {"new_size": -1}}, "new_size"),
    _volume_action("extend to 2^63", {"os-extend": {"new_size": 2**63}}, "new_size"),
    _volume_action("extend to a fraction", {"os-extend": {"new_size": 1.5}}, "new_size"),
    _volume_action("extend to true", {"os-extend": {"new_size": True}}, "new_size"),
    _volume_action("extend to a word", {"os-extend": {"new_size": "x"}}, "new_size"),
    _volume_action("extend to null", {"os-extend": {"new_size": None}}, "new_size"),
    _volume_action("extend to nothing", {"os-extend": {}}, "new_size"),
    _volume_action("extend null", {"os-extend": None}, "os-extend"),
    _volume_action("extend to the same size", {"os-extend": {"new_size": 1}}, "size"),
    _volume_action("reset to an unknown status", {"os-reset_status": {"status": "bogus"}}, "bogus"),
    _volume_action("reset to a number", {"os-reset_status": {"status": 1}}, "status"),
    _volume_action("reset to nothing", {"os-reset_status": {}}, "status"),
    _volume_action("bootable is no boolean", {"os-set_bootable": {"bootable": "zz"}}, "bootable"),
    _volume_action("bootable is missing", {"os-set_bootable": {}}, "bootable"),
    _volume_action("readonly is no boolean", {"os-update_readonly_flag": {"readonly": "zz"}}, "readonly"),
    _volume_action("revert to no snapshot", {"revert": {}}, "snapshot"),
    _volume_action("revert to an unknown snapshot", {"revert": {"snapshot_id": NOPE}}, "snapshot"),
    _volume_action("revert to a list", {"revert": {"snapshot_id": ["{S}"]}}, "snapshot_id"),
    _volume_action("reset to an unknown attachment", {"os-reset_status": {"attach_status": "zz"}}, "zz"),
    _volume_action("reset to an unknown migration", {"os-reset_status": {"migration_status": "zz"}}, "zz"),
    _volume_action("connection without a connector", {"os-initialize_connection": {}}, "connector"),
    _volume_action("connection of a word", {"os-initialize_connection": {"connector": "x"}}, "connector"),
    _volume_action("connection of a list", {"os-initialize_connection": {"connector": []}}, "connector"),
    _volume_action("end of no connection", {"os-terminate_connection": {}}, "connector"),
]

METADATA = [
    _metadata("is null", None, "metadata"),
    _metadata("is a list", [], "metadata"),
    _metadata("value is null", {"k": None}, "k"),
    _metadata("value is a number", {"k": 1}, "k"),
    _metadata("value is a list", {"k": ["v"]}, "k"),
    _metadata("value of 256 characters", {"k": "v" * 256}, "k"),
    _metadata("value with a null byte", {"k": "\0"}, "k"),
    _metadata("key is empty", {"": "v"}, "metadata"),
    _metadata("key of 256 characters", {"k" * 256: "v"}, "metadata"),
    _metadata("key with a slash", {"a/b": "v"}, "metadata"),
    _metadata("is null", None, "metadata", "volumes/{V}"),
    _metadata("value is a number", {"k": 1}, "k", "volumes/{V}"),
    _metadata("key is empty", {"": "v"}, "metadata", "volumes/{V}"),
    Bad("metadata missing", "POST", "/v3/{P}/snapshots/{S}/metadata", {}, "metadata"),
    Bad(
        "metadata with more",
        "POST",
        "/v3/{P}/snapshots/{S}/metadata",
        {"metadata": {}, "x": 1},
        "x",
    ),
    Bad(
        "metadata key mismatch",
        "PUT",
        "/v3/{P}/snapshots/{S}/metadata/a",
        {"meta": {"b": "1"}},
        "mismatch",
    ),
    Bad(
        "metadata two keys",
        "PUT",
        "/v3/{P}/snapshots/{S}/metadata/a",
        {"meta": {"a": "1", "b": "2"}},
        "meta",
    ),
    Bad("metadata no key", "PUT", "/v3/{P}/snapshots/{S}/metadata/a", {"meta": {}}, "meta"),
    Bad(
        "metadata of another state",
        "PUT",
        "/v3/{P}/volumes/{V}/metadata",
        {"metadata": {"a": "b"}},
        "If-Match",
        412,
        {"If-Match": '"other"'},
    ),
    Bad(
        "metadata of nothing",
        "POST",
        f"/v3/{{P}}/snapshots/{NOPE}/metadata",
        {"metadata": {}},
        NOPE,
        404,
    ),
    Bad("metadata key unknown", "DELETE", "/v3/{P}/snapshots/{S}/metadata/zz", None, "zz", 404),
]

QUOTAS_AND_SERVICES = [
    _quota("is below -1", {"snapshots": -5}, "snapshots"),
    _quota("is a word", {"snapshots": "x"}, "snapshots"),
    _quota("is empty", {"gigabytes": ""}, "gigabytes"),
    _quota("is a fraction", {"volumes": 1.5}, "volumes"),
    _quota("is true", {"volumes": True}, "volumes"),
    _quota("is null", {"volumes": None}, "volumes"),
    _quota("is a list", {"volumes": [1]}, "volumes"),
    _quota("is 2^31", {"volumes": 2**31}, "volumes"),
    _quota("is 2^63", {"volumes": 2**63}, "volumes"),
    _quota("is 10^30", {"volumes": 10**30}, "volumes"),
    _quota("of nothing known", {"foo": 1}, "foo"),
    _quota("of one known and one unknown", {"volumes": 5, "foo": 1}, "foo"),
    _quota("of one good and one bad", {"volumes": 5, "snapshots": "x"}, "snapshots"),
    _quota("with a null byte", {"volumes\0": 1}, "quota"),
    _quota("set is empty", {}, "quota_set"),
    _quota("set is null", None, "quota_set"),
    _quota("set is a list", [], "quota_set"),
    _service("without a name", {}, "host"),
    _service("without a binary", {"host": "x"}, "binary"),
    _service("name is a number", {"binary": "cinder-volume", "host": 1}, "host"),
    _service("name of 256 characters", {"binary": "cinder-volume", "host": "h" * 256}, "host"),
    _service("unknown", {"binary": "cinder-volume", "host": "nowhere@none"}, "nowhere@none", 404),
]

QUERIES = [
    _query("limit is negative", "limit=-1", "limit"),
    _query("limit is a word", "limit=abc", "limit"),
    _query("limit is empty", "limit=", "limit"),
    _query("limit is a fraction", "limit=1.5", "limit"),
    _query("limit is 2^63 too low", f"limit=-{2**63}", "limit"),
    _query("limit is Arabic digits with a letter", "limit=%D9%A1x", "limit"),
    _query("offset is negative", "offset=-1", "offset"),
    _query("offset is a word", "offset=abc", "offset"),
    _query("offset is 2^63", f"offset={2**63}", "offset"),
    _query("marker is no uuid", "marker=zzz", "zzz", 404),
    _query("marker is unknown", f"marker={NOPE}", NOPE, 404),
    _query("marker of 10 000 characters", f"marker={'m' * 10_000}", "", 404),
    _query("sort key is unknown", "sort=nope", "sort"),
    _query("sort key is another column", "sort=deleted", "sort"),
    _query("sort key is SQL", "sort=id;drop%20table%20snapshots", "sort"),
    _query("sort direction is unknown", "sort=name:up", "sort"),
    _query("sort_dir is unknown", "sort_key=id&sort_dir=sideways", "sort"),
    _query("sort and sort_key", "sort=id&sort_key=id", "sort_key"),
    _query("with_count is no boolean", "with_count=zz", "with_count"),
    _query("consumes_quota is no boolean", "consumes_quota=zz", "zz"),
    _query("limit is a word", "limit=abc", "limit", noun="volumes"),
    _query("marker is unknown", f"marker={NOPE}", NOPE, 404, noun="volumes"),
    _query("sort key is unknown", "sort=nope:asc", "sort", noun="volumes"),
    _query("created_at has no operator", "created_at=xx:2020", "xx", noun="volumes"),
]

VERSIONS = [
    _version("is a word", "volume abc", "abc"),
    _version("without a minor", "volume 3", "3"),
    _version("with a leading zero", "volume 3.01", "3.01"),
    _version("is negative", "volume 3.-1", "3.-1"),
    _version("is a fraction", "volume 3.1.2", "3.1.2"),
    _version("is an exponent", "volume 3.1e1", "3.1e1"),
    _version("of another service", "compute 2.1", ""),
    _version("of no service", "3.50", ""),
    _version("too low", "volume 2.0", "2.0", 406),
    _version("too high", "volume 3.999", "3.999", 406),
    _version("of another major", "volume 4.0", "4.0", 406),
    _version("of a thousand digits", "volume 3." + "9" * 1000, "ersion", 406),
]

PATHS = [
    _path("unknown snapshot", "GET", f"/v3/{{P}}/snapshots/{NOPE}"),
    _path("snapshot that is no uuid", "GET", "/v3/{P}/snapshots/zzz"),
    _path("snapshot of 5 000 characters", "GET", "/v3/{P}/snapshots/" + "a" * 5_000),
    _path("snapshot with a null byte", "GET", "/v3/{P}/snapshots/%00"),
    _path("snapshot with a null byte at its end", "DELETE", "/v3/{P}/snapshots/{S}%00"),
    _path("snapshot in Chinese", "GET", "/v3/{P}/snapshots/%E5%BF%AB"),
    _path("snapshot that is not UTF-8", "GET", "/v3/{P}/snapshots/%ff%fe"),
    _path("snapshot with a slash", "GET", "/v3/{P}/snapshots/a/b"),
    _path("snapshot with an encoded slash", "GET", "/v3/{P}/snapshots/..%2f..%2fetc%2fpasswd"),
    _path("snapshot with a quote", "GET", "/v3/{P}/snapshots/'%20or%20'1'='1"),
    _path("delete of an unknown snapshot", "DELETE", f"/v3/{{P}}/snapshots/{NOPE}"),
    _path("delete of all snapshots", "DELETE", "/v3/{P}/snapshots"),
    _path("delete of all volumes", "DELETE", "/v3/{P}/volumes"),
    _path("unknown volume", "DELETE", f"/v3/{{P}}/volumes/{NOPE}"),
    _path("unknown noun", "GET", "/v3/{P}/nope"),
    _path("other version", "GET", "/v2/{P}/snapshots"),
    _path("project that is none", "GET", "/v3/zzz/snapshots"),
    Bad("path cascade is no boolean", "DELETE", "/v3/{P}/volumes/{V}?cascade=zz", None, "cascade"),
    Bad("path nobody", "POST", "/v3/{P}/snapshots", {}, "X-Auth-Token", 401, {"X-Auth-Token": ":"}),
    Bad("path other project", "GET", f"/v3/{'2' * 32}/snapshots", None, "url"),
    Bad("path volume with snapshots", "DELETE", "/v3/{P}/volumes/{V}", None, "snapshots"),
]

BAD = [
    *SNAPSHOT_BODIES,
    *VOLUME_BODIES,
    *RAW_BODIES,
    *ACTIONS,
    *METADATA,
    *QUOTAS_AND_SERVICES,
    *QUERIES,
    *VERSIONS,
    *PATHS,
]

_LINES = "/v3/{P}/snapshots HTTP/1.1\r\nHost: x\r\nX-Auth-Token: admin:{P}\r\n"
_POST = f"POST {_LINES}Content-Type: application/json\r\n"
_GET = f"GET {_LINES}"
WIRE = [
    Wire(
        "100 MB with a length",
        _POST + f"Content-Length: {100 * 2**20}\r\n\r\n",
        b"x" * 2**20,
        100,
        (413,),
    ),
    Wire(
        "100 MB in chunks",
        _POST + "Transfer-Encoding: chunked\r\n\r\n",
        b"100000\r\n" + b"x" * 2**20 + b"\r\n",
        100,
        (413,),
    ),
    Wire(
        "a body that ends before its length",
        _POST + "Content-Length: 100\r\n\r\n",
        b'{"snapshot": {}}',
    ),
    Wire(
        "a chunk without a length",
        _POST + "Transfer-Encoding: chunked\r\n\r\n",
        b"zz\r\n{}\r\n0\r\n\r\n",
    ),
    Wire("chunks that end early", _POST + "Transfer-Encoding: chunked\r\n\r\n", b"10\r\n{}"),
    Wire("a length that is a word", _POST + "Content-Length: abc\r\n\r\n", b"{}"),
    Wire("a length below zero", _POST + "Content-Length: -1\r\n\r\n", b"{}"),
    Wire("a length of 10^30", _POST + f"Content-Length: {10**30}\r\n\r\n", b"{}", 1, (400, 413)),
    Wire("a header of 64 kB", _GET + f"X-Long: {'x' * 65536}\r\n\r\n", statuses=(400, 413, 431)),
    Wire(
        "10 000 headers",
        _GET + "".join(f"X-{i}: y\r\n" for i in range(10_000)) + "\r\n",
        statuses=(400, 413, 431),
    ),
    Wire("a header without a colon", _GET + "nonsense\r\n\r\n"),
    Wire("no HTTP", "nonsense\r\n\r\n"),
    Wire("another HTTP", "GET / HTTP/9.9\r\nHost: x\r\n\r\n", statuses=(400, 505)),
    Wire(
        "a method nobody knows",
        _GET.replace("GET", "FROB", 1) + "\r\n",
        statuses=(400, 404, 405, 501),
    ),
    Wire("TRACE", _GET.replace("GET", "TRACE", 1) + "\r\n", statuses=(400, 404, 405, 501)),
    Wire("PATCH", _GET.replace("GET", "PATCH", 1) + "Content-Length: 0\r\n\r\n", statuses=(404, 405)),
    Wire(
        "a path of 100 kB",
        _GET.replace("snapshots", "x" * 100_000, 1) + "\r\n",
        statuses=(400, 404, 413, 414),
    ),
    Wire("two lengths", _POST + "Content-Length: 2\r\nContent-Length: 3\r\n\r\n", b"{}"),
]

#: Odd, but nothing the API must refuse: only never a 500 and never a trace.
ODD = [
    "GET /v3/{P}/snapshots?name=%00",
    "GET /v3/{P}/snapshots?name=%ff",
    "GET /v3/{P}/snapshots?name=%zz",
    "GET /v3/{P}/snapshots?name=" + "n" * 20_000,
    "GET /v3/{P}/snapshots?status=%00",
    "GET /v3/{P}/snapshots?id=%00",
    "GET /v3/{P}/snapshots?volume_id=%F0%9F%98%80",
    "GET /v3/{P}/snapshots?metadata=zz",
    "GET /v3/{P}/snapshots?metadata=%7B'a':%7B%7D%7D",
    "GET /v3/{P}/snapshots?metadata=" + "%7B'a':" * 500,
    "GET /v3/{P}/snapshots?metadata=" + "(" * 5_000,
    "GET /v3/{P}/snapshots?created_at=gt:2020-01-01T00:00:00",
    "GET /v3/{P}/snapshots?all_tenants=zz",
    "GET /v3/{P}/snapshots?name~=%25_%5C",
    "GET /v3/{P}/snapshots?foo=bar",
    "GET /v3/{P}/snapshots?=",
    "GET /v3/{P}/snapshots?&&&",
    "GET /v3/{P}/snapshots?limit=1&limit=x",
    "GET /v3/{P}/snapshots?marker=",
    "GET /v3/{P}/snapshots?marker=%00",
    "GET /v3/{P}/snapshots?sort=",
    "GET /v3/{P}/snapshots?sort=:,::",
    "GET /v3/{P}/snapshots?sort=" + ",".join(["id:asc"] * 2_000),
    "GET /v3/{P}/snapshots?limit=" + "9" * 5_000,
    "GET /v3/{P}/volumes?metadata=zz",
    "GET /v3/{P}/volumes?size=x",
    "GET /v3/{P}/volumes?bootable=zz",
    "GET /v3/{P}/volumes?created_at=gt:zz",
    "GET /v3/{P}/volumes?name=%00",
    "GET /v3/{P}/messages?resource_uuid=%00",
    "GET /v3/{P}/os-services?binary=%00",
    "GET /v3/{P}/os-quota-sets/%00",
    "GET /v3/{P}/os-quota-sets/" + "q" * 5_000,
    "GET /v3/{P}/types/%00",
    "GET /v3/{P}/snapshots/{S}/metadata/%00",
    "GET /v3//snapshots",
    "GET /v3/{P}//snapshots",
    "GET //",
    "GET /%00",
    "GET /v3/{P}/scheduler-stats/get_pools?detail=zz",
]

#: Names that are fine and come back as they were sent.
FINE = [
    "😀" * 255,
    "n" * 255,
    "x",
    "0",
    "null",
    "' or 1=1; drop table snapshots; --",
    "<script>alert(1)</script>",
    "{\"a\": 'b'}",
    "a\\u0000b",
    "\u202eabc",
    "e\u0301 is not é",
    "\U0010ffff",
    "../../etc/passwd",
    "%s %d %(x)s {0}",
]


class Client:
    """Sends the tables' requests, with a live volume and snapshot for ``{V}`` and ``{S}``."""

    def __init__(self, server: Any) -> None:
        self._address = urllib.parse.urlsplit(server.url)
        self._tokens = {"{P}": server.project_id}
        self._headers = {"X-Auth-Token": server.token, "OpenStack-API-Version": "volume 3.71"}
        self.slowest = (0.0, "")

    def name_token(self, token: str, value: str) -> None:
        """From now on the token stands for the value."""
        self._tokens[token] = value

    def resolve(self, text: str) -> str:
        """The text with every token replaced."""
        for token, value in self._tokens.items():
            text = text.replace(token, value)
        return text

    def send(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Answer:
        """Send one proper HTTP request."""
        data = body if isinstance(body, bytes | None) else self.resolve(json.dumps(body)).encode()
        content = JSON if data is not None else {}
        with (
            self._timed(f"{method} {path[:80]}"),
            contextlib.closing(self._connect()) as connection,
        ):
            sent = {**self._headers, **content, **(headers or {})}
            connection.request(method, self.resolve(path), data, sent)
            return _read(connection.getresponse())

    def send_bytes(self, wire: Wire) -> Answer:
        """Send bytes, stop when the server hangs up, and read its answer."""
        address = (self._address.hostname, self._address.port)
        with (
            self._timed(wire.name),
            contextlib.closing(socket.create_connection(address, TIMEOUT_S)) as link,
        ):
            with contextlib.suppress(OSError):  # it may have hung up already
                link.sendall(self.resolve(wire.head).encode())
                for _ in itertools.repeat(None, wire.times):
                    link.sendall(wire.body)
                link.shutdown(socket.SHUT_WR)
            response = http.client.HTTPResponse(link)
            response.begin()
            return _read(response)

    def _connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self._address.hostname or "", self._address.port, timeout=TIMEOUT_S)

    @contextlib.contextmanager
    def _timed(self, what: str) -> Iterator[None]:
        started = time.monotonic()
        yield
        self.slowest = max(self.slowest, (time.monotonic() - started, what))


class World:
    """What a refused request must leave as it was."""

    def __init__(self, server: Any) -> None:
        self._database = pathlib.Path(server.database)
        self._directory = pathlib.Path(server.file_directory)

    def look(self) -> dict[str, Any]:
        """All rows of the tables that only requests change, and the files of the backend."""
        uri = f"file:{self._database}?mode=ro"
        with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=TIMEOUT_S)) as connection:
            names = [name for (name,) in connection.execute("select name from sqlite_master where type = 'table'")]
            rows = {
                name: sorted(connection.execute(f'select * from "{name}"'), key=repr)
                for name in names
                if name not in LIVE_TABLES
            }
        files = sorted(str(path.relative_to(self._directory)) for path in self._directory.rglob("*"))
        return {**rows, "files": files}


@pytest.fixture(scope="module")
def world(server) -> World:
    return World(server)


@pytest.fixture(scope="module")
def client(server, world, pytestconfig) -> Iterator[Client]:
    """A client with a volume and a snapshot of it; both are deleted in the end."""
    client = Client(server)
    client.name_token("{V}", _create(client, "volume", {"size": 1, "name": "bad input"}))
    client.name_token("{S}", _create(client, "snapshot", {"volume_id": "{V}", "metadata": {"k": "v"}}))
    _wait(lambda: not world.look()["operations"])
    yield client
    client.send("DELETE", "/v3/{P}/volumes/{V}?cascade=true")
    _wait(lambda: client.send("GET", "/v3/{P}/volumes/{V}").status == http.client.NOT_FOUND)
    with pytestconfig.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        print(f"\nslowest answer: {client.slowest[0]:.3f} s, {client.slowest[1]}")


@pytest.fixture
def unchanged(world: World, client: Client) -> Iterator[None]:
    """The world is after the test what it was before it."""
    before = world.look()
    yield
    after = world.look()
    assert after["operations"] == []
    for name in before:
        assert after[name] == before[name], f"{name} changed"


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.name)
def test_bad_request_is_refused(client: Client, bad: Bad) -> None:
    answer = client.send(bad.method, bad.path, bad.body, bad.headers)
    assert answer.status == bad.status, answer.body[:1000]
    message = _fault_message(answer)
    assert client.resolve(bad.word) in message


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("wire", WIRE, ids=lambda wire: wire.name)
def test_bad_bytes_are_refused(client: Client, wire: Wire) -> None:
    answer = client.send_bytes(wire)
    assert answer.status in wire.statuses, answer.body[:1000]


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("line", ODD, ids=lambda line: line[:80])
def test_odd_request_is_answered(client: Client, line: str) -> None:
    method, path = line.split(" ", 1)
    answer = client.send(method, path)
    assert answer.status < http.client.INTERNAL_SERVER_ERROR, answer.body[:1000]
    assert b"Traceback" not in answer.body


@pytest.mark.parametrize("name", FINE, ids=lambda name: ascii(name)[:40])
def test_odd_name_is_kept(client: Client, name: str) -> None:
    body = {"snapshot": {"name": name, "description": name}}
    assert client.send("PUT", "/v3/{P}/snapshots/{S}", body).status == http.client.OK
    shown = _json(client.send("GET", "/v3/{P}/snapshots/{S}"))["snapshot"]
    assert (shown["name"], shown["description"]) == (name, name)


def test_last_of_two_equal_keys_counts(client: Client) -> None:
    """JSON leaves it open and so do we: the last one wins, as in Cinder."""
    body = b'{"snapshot": {"name": "first", "name": "second"}}'
    assert _json(client.send("PUT", "/v3/{P}/snapshots/{S}", body))["snapshot"]["name"] == "second"


def test_etag_is_understood_with_and_without_quotes(client: Client) -> None:
    path = "/v3/{P}/volumes/{V}/metadata"
    for dress in ('"{}"', "{}", '"other", "{}"'):
        etag = client.send("GET", path).headers["ETag"].strip('"')
        answer = client.send("POST", path, {"metadata": {"a": dress}}, {"If-Match": dress.format(etag)})
        assert answer.status == http.client.OK, dress


def test_snapshot_is_found_by_its_odd_name(client: Client) -> None:
    name = "😀 & 'x' %"
    client.send("PUT", "/v3/{P}/snapshots/{S}", {"snapshot": {"name": name}})
    listed = _json(client.send("GET", f"/v3/{{P}}/snapshots?name={urllib.parse.quote(name)}"))
    assert [item["name"] for item in listed["snapshots"]] == [name]


def test_longest_metadata_is_kept(client: Client) -> None:
    metadata = {"k" * 255: "😀" * 255, "empty": "", "with space:._-": "v"}
    answer = client.send("PUT", "/v3/{P}/snapshots/{S}/metadata", {"metadata": metadata})
    assert answer.status == http.client.OK, answer.body
    assert _json(client.send("GET", "/v3/{P}/snapshots/{S}/metadata"))["metadata"] == metadata


def test_longest_body_is_read(client: Client) -> None:
    """A body of exactly the limit is read: spaces around a good one."""
    body = json.dumps({"snapshot": {"name": "long"}}).encode()
    answer = client.send("PUT", "/v3/{P}/snapshots/{S}", body.ljust(MAX_BODY_BYTES))
    assert answer.status == http.client.OK, answer.body


def test_snapshot_with_longest_fields_is_created_and_deleted(client: Client, world: World) -> None:
    fields = {
        "volume_id": "{V}",
        "name": "😀" * 255,
        "description": "d" * 255,
        "metadata": {"k": "v" * 255},
    }
    before = world.look()
    client.name_token("{X}", _create(client, "snapshot", fields))
    assert client.send("DELETE", "/v3/{P}/snapshots/{X}").status == http.client.ACCEPTED
    _wait(lambda: client.send("GET", "/v3/{P}/snapshots/{X}").status == http.client.NOT_FOUND)
    _wait(lambda: world.look() == before)


def _create(client: Client, noun: str, fields: Mapping[str, Any]) -> str:
    """Create a resource, wait until it is available and return its id."""
    answer = client.send("POST", f"/v3/{{P}}/{noun}s", {noun: dict(fields)})
    assert answer.status == http.client.ACCEPTED, answer.body
    created = str(uuid.UUID(_json(answer)[noun]["id"]))
    path = f"/v3/{{P}}/{noun}s/{created}"
    _wait(lambda: _json(client.send("GET", path))[noun]["status"] == "available")
    return created


def _wait(is_done: Any) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not is_done():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def _read(response: http.client.HTTPResponse) -> Answer:
    return Answer(response.status, dict(response.getheaders()), response.read())


def _json(answer: Answer) -> dict[str, Any]:
    decoded: dict[str, Any] = json.loads(answer.body)
    return decoded


def _fault_message(answer: Answer) -> str:
    """The message of an error in the API's shape, which is checked on the way."""
    assert answer.headers["Content-Type"].startswith("application/json")
    assert answer.headers["x-openstack-request-id"].startswith("req-")
    body = _json(answer)
    if "title" in body:  # the shape for a path or a method that does not exist, Cinder's own
        assert body["code"] == "404 Not Found"
        return str(body["message"])
    ((fault, details),) = body.items()
    assert fault == FAULTS[answer.status]
    assert details["code"] == answer.status
    assert details["message"]
    assert "Traceback" not in details["message"]
    return str(details["message"])
