"""A Keystone of three answers: the version document, a token with a catalog, a refusal.

Invariant: a login whose body has the word ``wrong`` in it is refused, every other is accepted.
"""

import http.server
import json
import threading
from collections.abc import Sequence
from typing import Any

TOKENS = ("first", "second", "third")


class FakeKeystone:
    """The three answers keystoneauth1 needs: version, token, refusal."""

    def __init__(self, volume_url: str, project_id: str, tokens: Sequence[str] = TOKENS) -> None:
        self.logins: list[Any] = []
        self.tokens = iter(tokens)
        keystone = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                link = {"rel": "self", "href": f"{keystone.url}/"}
                self._send(200, {"version": {"id": "v3.14", "status": "stable", "links": [link]}})

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                keystone.logins.append(body)
                if "wrong" in json.dumps(body):
                    self._send(401, {"error": {"code": 401, "message": "no", "title": "Unauthorized"}})
                    return
                endpoints = [
                    {"id": r, "interface": "public", "region": r, "region_id": r, "url": url}
                    for r, url in (("far", "http://far.example/v3"), ("near", f"{volume_url}/{project_id}"))
                ]
                catalog = [
                    {"type": "volumev2", "id": "2", "name": "old", "endpoints": endpoints[:1]},
                    {"type": "volumev3", "id": "3", "name": "cinderv3", "endpoints": endpoints},
                    {
                        "type": "identity",
                        "id": "1",
                        "name": "keystone",
                        "endpoints": [{**each, "url": keystone.url} for each in endpoints],
                    },
                ]
                token = {
                    "methods": ["password"],
                    "expires_at": "2999-01-01T00:00:00.0Z",
                    "issued_at": "2026-01-01T00:00:00.0Z",
                    "project": {"id": project_id, "name": "p", "domain": {"id": "default", "name": "Default"}},
                    "user": {"id": "u", "name": "u", "domain": {"id": "default", "name": "Default"}},
                    "roles": [],
                    "catalog": catalog,
                }
                self._send(201, {"token": token}, next(keystone.tokens))

            def _send(self, status: int, body: Any, token: str | None = None) -> None:
                payload = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(payload)))
                if token:
                    self.send_header("X-Subject-Token", token)
                self.end_headers()
                self.wfile.write(payload)

            def log_message(self, *_arguments: Any) -> None:
                """Quiet."""

        self._server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v3"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
