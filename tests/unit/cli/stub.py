"""A real HTTP server that replays answers and remembers what it was asked.

Invariant: it knows nothing of the command under test; what is not prepared is answered 404 as
Cinder would.
"""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

ANSWERS = Path(__file__).parent / "answers"
PROJECT_ID = "11111111111111111111111111111111"


def load_answer(name: str) -> Any:
    """One recorded answer of a real Cinder."""
    return json.loads((ANSWERS / f"{name}.json").read_text())


class Request(NamedTuple):
    """What the server was asked; ``path`` is without the ``/v3/PROJECT`` prefix."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any


class Prepared(NamedTuple):
    """One answer; ``body`` bytes are sent as they are, everything else as JSON."""

    status: int
    body: Any
    headers: dict[str, str]


class Stub:
    """The server. ``answer`` may be called several times: answers are used in order, the last one
    stays.
    """

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.connections = 0
        self._prepared: dict[tuple[str, str], list[Prepared]] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _make_handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/v3"

    def answer(self, method: str, path: str, body: Any, status: int = 200, **headers: str) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self._prepared.setdefault((method, path), []).append(Prepared(status, body, named))

    def find(self, method: str, path: str) -> list[Request]:
        return [each for each in self.requests if (each.method, each.path) == (method, path)]

    def take(self, method: str, path: str) -> Prepared:
        waiting = self._prepared.get((method, path))
        if not waiting:
            return Prepared(404, {"itemNotFound": {"code": 404, "message": f"no {path}"}}, {})
        return waiting.pop(0) if len(waiting) > 1 else waiting[0]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _make_handler(stub: Stub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def setup(self) -> None:
            stub.connections += 1
            super().setup()

        def _reply(self) -> None:
            parts = urlsplit(self.path)
            path = parts.path.removeprefix(f"/v3/{PROJECT_ID}")
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            stub.requests.append(
                Request(
                    self.command,
                    path,
                    dict(parse_qsl(parts.query)),
                    dict(self.headers.items()),
                    json.loads(raw) if raw else None,
                )
            )
            prepared = stub.take(self.command, path)
            if prepared.status == 0:  # hang up without a word
                self.close_connection = True
                return
            payload = prepared.body if isinstance(prepared.body, bytes) else json.dumps(prepared.body).encode()
            payload = b"" if prepared.body is None else payload
            self.send_response(prepared.status)
            headers = {
                "Content-Type": "application/json",
                "Content-Length": str(len(payload)),
            } | prepared.headers
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(payload)
            if prepared.headers.get("Connection") == "close":
                self.close_connection = True

        do_GET = do_POST = do_PUT = do_DELETE = _reply  # noqa: N815

        def log_message(self, *_arguments: Any) -> None:
            """Quiet."""

    return Handler
