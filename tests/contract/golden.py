"""The recorded answers of a real Cinder, and how they are written down.

``golden/<run>/NNN-<request>.json`` holds one request and its answer, in the order they were sent.
What differs from run to run was replaced when the recording was taken over (``import_golden.py``)
and is replaced the same way in a live answer before the two are compared:

=====================  ======================================================================
``{URL}``              scheme, host and port of the server
``{P}``                the project
``{vol1}``, ``{s1}``…  the id of the resource of that name; an unnamed one is called after
                       its request
``<uuid>``             any other id (services, types)
``<request-id>``       ``req-…``
``<time>``             a time of Cinder's format, ``2026-11-20T12:23:12.336249``
``<hash>``             an ETag
``<host>``             names of hosts, backends and pools
``<n>G has been…``     the sum in a message about an exceeded quota
=====================  ======================================================================
"""

import dataclasses
import json
import pathlib
import re
from collections.abc import Mapping
from typing import Any

DIRECTORY = pathlib.Path(__file__).parent / "golden"
#: The runs: at microversion 3.0, at 3.71, and odd requests with their own microversions.
RUNS = ("mv30", "mvmax", "special")
#: An id nothing has.
NOPE = "00000000-0000-0000-0000-00000000dead"
#: The headers that are compared; the others belong to the HTTP server or to one answer.
HEADERS = (
    "Content-Type",
    "OpenStack-API-Version",
    "Vary",
    "Location",
    "Retry-After",
    "Etag",
    "x-compute-request-id",
    "x-openstack-request-id",
)

_HOST_KEYS = {"host", "host_name", "os-vol-host-attr:host"}
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}")
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_REQUEST_ID = re.compile(r"req-" + _UUID.pattern)
_HASH = re.compile(r"\b[0-9a-f]{32}\b")
_CONSUMED = re.compile(r"\d+G has been consumed")


@dataclasses.dataclass(frozen=True)
class Request:
    """A recorded request: ``body`` is a JSON value, ``raw`` the text of one that is none."""

    run: str
    name: str
    method: str
    path: str
    headers: Mapping[str, str]
    body: Any
    raw: str | None

    @property
    def key(self) -> str:
        """The name without its number, as ``differences.yaml`` calls it: ``mv30/snap-create``."""
        return f"{self.run}/{self.name.split('-', 1)[1]}"


@dataclasses.dataclass(frozen=True)
class Answer:
    """An answer, normalised; ``body`` is None when empty."""

    status: int
    headers: Mapping[str, str]
    body: Any


@dataclasses.dataclass(frozen=True)
class Golden:
    """A request and what Cinder answered."""

    request: Request
    answer: Answer


class Names:
    """What the ids, the project and the address of one run are called in the golden files."""

    def __init__(self, url: str, project_id: str) -> None:
        self._fixed = {url: "{URL}", project_id: "{P}"}
        self._names: dict[str, str] = {}

    def learn(self, name: str, resource_id: str) -> None:
        """From now on this id is called ``{name}``."""
        self._names[resource_id] = name

    def find_id(self, name: str) -> str | None:
        """The id a name stands for."""
        return next((found for found, known in self._names.items() if known == name), None)

    def normalise(self, value: Any, key: str | None = None) -> Any:
        """A JSON value as the golden files write it."""
        if isinstance(value, dict):
            return {name: self.normalise(item, name) for name, item in value.items()}
        if isinstance(value, list):
            return [self.normalise(item) for item in value]
        if not isinstance(value, str):
            return value
        return "<host>" if key in _HOST_KEYS else self.normalise_text(value)

    def normalise_text(self, text: str) -> str:
        """A text as the golden files write it."""
        for found, token in self._fixed.items():
            text = text.replace(found, token)
        text = _REQUEST_ID.sub("<request-id>", text)
        text = _UUID.sub(self._name_of, text)
        text = _HASH.sub("<hash>", text)
        text = _TIME.sub("<time>", text)
        return _CONSUMED.sub("<n>G has been consumed", text)

    def _name_of(self, match: re.Match[str]) -> str:
        found = match.group()
        if found == NOPE or found not in self._names:
            return found if found == NOPE else "<uuid>"
        return "{" + self._names[found] + "}"


def normalise_answer(names: Names, status: int, headers: Mapping[str, str], body: bytes) -> Answer:
    """A live answer as the golden files write it."""
    found = {name.lower(): value for name, value in headers.items()}
    kept = {name: names.normalise_text(found[name.lower()]) for name in HEADERS if name.lower() in found}
    return Answer(status, kept, names.normalise(_decode(body)))


def _decode(body: bytes) -> Any:
    if not body:
        return None
    try:
        return json.loads(body)
    except ValueError:
        return body.decode("utf-8", "replace")


def load(run: str) -> list[Golden]:
    """The requests of a run in the order they were sent."""
    return [_load_file(run, path) for path in sorted((DIRECTORY / run).glob("*.json"))]


def _load_file(run: str, path: pathlib.Path) -> Golden:
    content = json.loads(path.read_text())
    asked, got = content["request"], content["answer"]
    request = Request(
        run=run,
        name=path.stem,
        method=asked["method"],
        path=asked["path"],
        headers=asked["headers"],
        body=asked.get("body"),
        raw=asked.get("raw"),
    )
    return Golden(request, Answer(got["status"], got["headers"], got["body"]))
