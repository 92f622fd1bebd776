"""Send the recorded requests to a live server, in their order, and keep what it answers.

The server gave its own ids, so each ``{name}`` in a request is replaced by the id that the live
server gave to the resource of that name. Whoever recorded waited after each creation until it was
done; so do we, after every request that makes the server work on.
"""

import contextlib
import dataclasses
import http.client
import json
import re
import time
import urllib.parse
from collections.abc import Iterator, Mapping
from typing import Any

from tests.contract import golden

#: No answer takes that long; a server that hangs fails the replay.
TIMEOUT_S = 30.0
#: Statuses that end by themselves.
TRANSIENT = {"creating", "deleting", "extending", "reverting", "downloading", "restoring"}

_NAME = re.compile(r"\{([A-Za-z][\w+.-]*)\}")
_RUN = re.compile(r"\{(\w)\*(\d+)\}")
#: The actions that go on after their 202. Setting a status by hand is none of them.
_WORK = re.compile(r"os-extend|revert|os-force_delete")


@dataclasses.dataclass(frozen=True)
class Raw:
    """An answer as it came."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclasses.dataclass(frozen=True)
class Replayed:
    """What became of one recorded request; ``answer`` is None when it could not be sent."""

    request: golden.Request
    answer: golden.Answer | None
    problem: str | None = None


class Replay:
    """One run against one server, in a project of its own."""

    def __init__(self, url: str, project_id: str) -> None:
        self._address = urllib.parse.urlsplit(url)
        self._project_id = project_id
        self._names = golden.Names(url, project_id)

    def run(self, recording: list[golden.Golden]) -> Iterator[Replayed]:
        """Send every request and yield its answer."""
        self._remove_limits()
        for recorded in recording:
            yield self._replay(recorded)

    def clean_up(self) -> None:
        """Delete what the run left in its project, whatever its status."""
        for noun in ("snapshots", "volumes"):
            for item in self._list(noun):
                path = f"/v3/{self._project_id}/{noun}/{item['id']}/action"
                self._send_admin("POST", path, {"os-force_delete": {}})
            self._wait_until_settled()

    def _replay(self, recorded: golden.Golden) -> Replayed:
        request = recorded.request
        unknown = self._find_unknown(request)
        if unknown:
            return Replayed(request, None, f"not sent: there is no {', '.join(sorted(unknown))}")
        raw = self._send_golden(request)
        self._learn_id(recorded, raw)
        if raw.status == http.client.ACCEPTED and _is_work(request):
            self._wait_until_settled()
        return Replayed(request, golden.normalise_answer(self._names, raw.status, raw.headers, raw.body))

    def _send_golden(self, request: golden.Request) -> Raw:
        headers = {name: self._resolve(value) for name, value in request.headers.items()}
        return self._send(request.method, self._resolve(request.path), headers, self._encode_body(request))

    def _encode_body(self, request: golden.Request) -> bytes | None:
        if request.raw is not None:
            return self._resolve(request.raw).encode("latin-1")
        if request.body is not None:
            return self._resolve(json.dumps(request.body)).encode()
        return None

    def _send(self, method: str, path: str, headers: Mapping[str, str], body: bytes | None) -> Raw:
        connection = http.client.HTTPConnection(self._address.hostname or "", self._address.port, timeout=TIMEOUT_S)
        with contextlib.closing(connection):
            connection.request(method, path, body=body, headers={"Accept": "application/json", **headers})
            response = connection.getresponse()
            return Raw(response.status, dict(response.getheaders()), response.read())

    def _find_unknown(self, request: golden.Request) -> set[str]:
        text = request.path + json.dumps(request.body)
        return {name for name in _NAME.findall(text) if name != "P" and self._names.find_id(name) is None}

    def _resolve(self, text: str) -> str:
        text = _RUN.sub(lambda match: match[1] * int(match[2]), text)
        return _NAME.sub(self._resolve_name, text)

    def _resolve_name(self, match: re.Match[str]) -> str:
        if match[1] == "P":
            return self._project_id
        return self._names.find_id(match[1]) or match[0]

    def _learn_id(self, recorded: golden.Golden, raw: Raw) -> None:
        """The id of what a request created gets the name it has in the recording."""
        token = _root_id(recorded.answer.body)
        if recorded.request.method != "POST" or token is None:
            return
        with contextlib.suppress(ValueError):
            created = _root_id(json.loads(raw.body))
            if created is not None:
                self._names.learn(token.strip("{}"), created)

    def _remove_limits(self) -> None:
        """The recorded server had no limits."""
        unlimited = {"volumes": -1, "snapshots": -1, "gigabytes": -1}
        path = f"/v3/{self._project_id}/os-quota-sets/{self._project_id}"
        self._send_admin("PUT", path, {"quota_set": unlimited})

    def _wait_until_settled(self) -> None:
        deadline = time.monotonic() + TIMEOUT_S
        while self._is_working() and time.monotonic() < deadline:
            time.sleep(0.02)

    def _is_working(self) -> bool:
        return any(item["status"] in TRANSIENT for noun in ("volumes", "snapshots") for item in self._list(noun))

    def _list(self, noun: str) -> list[dict[str, Any]]:
        raw = self._send_admin("GET", f"/v3/{self._project_id}/{noun}/detail", None)
        listed: list[dict[str, Any]] = json.loads(raw.body).get(noun, [])
        return listed

    def _send_admin(self, method: str, path: str, body: Any) -> Raw:
        headers = {"X-Auth-Token": f"admin:{self._project_id}", "Content-Type": "application/json"}
        return self._send(method, path, headers, None if body is None else json.dumps(body).encode())


def _is_work(request: golden.Request) -> bool:
    if not request.path.endswith("/action"):
        return request.method in ("POST", "DELETE")
    return any(_WORK.fullmatch(name) for name in request.body or {})


def _root_id(body: Any) -> str | None:
    if not isinstance(body, dict) or len(body) != 1:
        return None
    (resource,) = body.values()
    return resource.get("id") if isinstance(resource, dict) else None
