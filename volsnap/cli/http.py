"""One keep-alive connection to the service, and what its answers mean.

Invariant: every failure leaves as a CliError of one line. A request that changes something is sent
at most once: only a GET is repeated after a lost connection, and only a connection known to be
alive is reused for the others. Secrets never reach the debug output: the token, and every value
under a key that names a secret.
"""

import http.client
import json
import select
import sys
import time
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode, urlsplit

from volsnap.cli import config, errors

_MAX_MESSAGE = 600
_SECRET_WORDS = (
    "password",
    "secret",
    "token",
    "auth_key",
    "keyring",
    "admin_pass",
    "adminpass",
    "passphrase",
)
_HINTS = {
    401: "check the credentials: OS_* variables or --os-cloud",
    406: "choose another --os-volume-api-version",
    413: "see 'volsnap quota-show --usage'",
}


class Answer(NamedTuple):
    """What came back: the decoded body (None when empty) and the request's id."""

    status: int
    body: Any
    request_id: str | None

    def part(self, key: str) -> Any:
        """The value under ``key``; an answer without it is not from Block Storage."""
        if not isinstance(self.body, dict) or key not in self.body:
            raise errors.CliError(
                f"the answer has no {key!r}; check that OS_ENDPOINT / --os-endpoint is a Block Storage v3 endpoint"
            )
        return self.body[key]


class Client:
    """Sends requests to one endpoint. Not for use by several threads."""

    def __init__(self, settings: config.Settings, *, is_debug: bool = False) -> None:
        self.project_id = settings.project_id
        self.microversion = settings.microversion
        self._settings = settings
        self._token = settings.token
        self._is_debug = is_debug
        parts = urlsplit(settings.endpoint)
        self._is_https = parts.scheme == "https"
        self._host, self._port, self._base = parts.hostname or "", parts.port, parts.path
        self._server = f"{parts.scheme}://{parts.netloc}"
        self._connection: http.client.HTTPConnection | None = None

    def speaks(self, minor: int) -> bool:
        """Whether requests are sent at microversion 3.``minor`` or later."""
        return self.microversion == "latest" or int(self.microversion.partition(".")[2]) >= minor

    def get(self, path: str, query: Mapping[str, Any] | None = None, *, microversion: str | None = None) -> Answer:
        """Read something."""
        return self.request("GET", path, query=query, microversion=microversion)

    def post(self, path: str, body: Any) -> Answer:
        """Make something, or run an action."""
        return self.request("POST", path, body=body)

    def put(self, path: str, body: Any) -> Answer:
        """Replace something."""
        return self.request("PUT", path, body=body)

    def delete(self, path: str, query: Mapping[str, Any] | None = None) -> Answer:
        """Remove something."""
        return self.request("DELETE", path, query=query)

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        microversion: str | None = None,
    ) -> Answer:
        """Send one request below the endpoint and decode the answer. Raises HttpError from status
        300 on.
        """
        target = self._base + path
        given = {key: value for key, value in (query or {}).items() if value is not None}
        if given:
            target += f"?{urlencode(given)}"
        payload = None if body is None else json.dumps(body).encode()
        for is_last in (False, True):
            headers = self._build_headers(payload, microversion or self.microversion)
            response, raw = self._exchange(method, target, payload, headers)
            if response.status == 401 and self._settings.renew is not None and not is_last:
                self._token = self._settings.renew()
                continue
            break
        return self._decode(response, raw)

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _build_headers(self, payload: bytes | None, microversion: str) -> dict[str, str]:
        headers = {
            "Accept": "application/json",
            "User-Agent": "volsnap",
            "X-Auth-Token": self._token,
            "OpenStack-API-Version": f"volume {microversion}",
        }
        if payload is not None:
            headers["Content-Type"] = "application/json"
        return headers

    def _exchange(
        self, method: str, target: str, payload: bytes | None, headers: dict[str, str]
    ) -> tuple[http.client.HTTPResponse, bytes]:
        self._debug_request(method, target, payload, headers)
        started = time.monotonic()
        try:
            response, raw = self._send(method, target, payload, headers)
        except (OSError, http.client.HTTPException) as err:
            self.close()
            raise errors.UnreachableError(self._explain(method, err)) from err
        except KeyboardInterrupt:
            self.close()
            raise
        self._debug_response(response, raw, time.monotonic() - started)
        return response, raw

    def _send(
        self, method: str, target: str, payload: bytes | None, headers: dict[str, str]
    ) -> tuple[http.client.HTTPResponse, bytes]:
        is_reused = self._connection is not None
        try:
            return self._send_once(method, target, payload, headers)
        except (ConnectionError, http.client.RemoteDisconnected):
            if not (is_reused and method == "GET"):
                raise
            self.close()
            return self._send_once(method, target, payload, headers)

    def _send_once(
        self, method: str, target: str, payload: bytes | None, headers: dict[str, str]
    ) -> tuple[http.client.HTTPResponse, bytes]:
        if self._connection is not None and _is_stale(self._connection):
            self.close()
        if self._connection is None:
            self._connection = self._connect()
        self._connection.request(method, target, body=payload, headers=headers)
        response = self._connection.getresponse()
        raw = response.read()
        if response.will_close:
            self.close()
        return response, raw

    def _connect(self) -> http.client.HTTPConnection:
        timeout_s = self._settings.http_timeout_s
        if not self._is_https:
            return http.client.HTTPConnection(self._host, self._port, timeout=timeout_s)
        import ssl  # http.client has loaded it already where Python has it

        try:
            trust = ssl.create_default_context(cafile=self._settings.ca_file)
        except OSError as err:
            raise errors.UsageError(
                f"OS_CACERT / --os-cacert: {self._settings.ca_file} is not a readable file of PEM certificates"
            ) from err
        if self._settings.is_insecure:
            trust.check_hostname = False
            trust.verify_mode = ssl.CERT_NONE
        return http.client.HTTPSConnection(self._host, self._port, timeout=timeout_s, context=trust)

    def _explain(self, method: str, err: Exception) -> str:
        if isinstance(err, ConnectionRefusedError):
            return (
                f"cannot connect to {self._server}: connection refused; start the service with "
                "'volsnap up' "
                "or set OS_ENDPOINT / --os-endpoint"
            )
        if isinstance(err, TimeoutError):
            doubt = "" if method == "GET" else "; the service may still do the work, look before you repeat"
            return (
                f"{self._server} did not answer in {self._settings.http_timeout_s:g} s"
                f"; raise --http-timeout or check the service{doubt}"
            )
        if type(err).__name__ == "gaierror":
            return f"{self._server}: the host name is not known; check OS_ENDPOINT / --os-endpoint"
        if "CERTIFICATE_VERIFY_FAILED" in str(err):
            return f"{self._server}: its certificate is not trusted; name the authority in OS_CACERT / --os-cacert"
        reason = " ".join(str(err).split()) or type(err).__name__
        return f"{self._server}: no usable answer ({reason}); check OS_ENDPOINT / --os-endpoint and the service"

    def _decode(self, response: http.client.HTTPResponse, raw: bytes) -> Answer:
        request_id = response.getheader("x-openstack-request-id")
        body: Any = None
        is_json = True
        if raw:
            try:
                body = json.loads(raw)
            except ValueError:
                is_json = False
        if response.status >= 300:
            message = _fault_message(body) if is_json else None
            raise errors.HttpError(
                self._describe(response, message, request_id),
                status=response.status,
                request_id=request_id,
            )
        if not is_json:
            kind = response.getheader("Content-Type") or "no content type"
            raise errors.CliError(
                f"{self._server} answered {response.status} but not JSON ({kind}); "
                "check that OS_ENDPOINT / --os-endpoint is a Block Storage v3 endpoint"
            )
        return Answer(response.status, body, request_id)

    def _describe(self, response: http.client.HTTPResponse, message: str | None, request_id: str | None) -> str:
        if message is None:
            return (
                f"{self._server} answered {response.status} {response.reason} without a reason; "
                "check that OS_ENDPOINT / --os-endpoint is a Block Storage v3 endpoint"
            )
        hint = _HINTS.get(response.status)
        text = message.rstrip(".") + (f"; {hint}" if hint else "")
        return f"{text} (HTTP {response.status}{', ' + request_id if request_id else ''})"

    def _debug_request(self, method: str, target: str, payload: bytes | None, headers: dict[str, str]) -> None:
        if not self._is_debug:
            return
        shown = {name: "***" if name == "X-Auth-Token" else value for name, value in headers.items()}
        lines = [
            f"> {method} {self._server}{target}",
            *(f"> {name}: {value}" for name, value in shown.items()),
        ]
        if payload is not None:
            lines.append(f"> {_without_secrets(payload)}")
        print("\n".join(lines), file=sys.stderr)

    def _debug_response(self, response: http.client.HTTPResponse, raw: bytes, seconds: float) -> None:
        if not self._is_debug:
            return
        lines = [f"< {response.status} {response.reason} ({seconds * 1000:.0f} ms)"]
        for name, value in response.getheaders():
            is_secret = "token" in name.lower() or name.lower() in ("set-cookie", "authorization")
            lines.append(f"< {name}: {'***' if is_secret else value}")
        lines.append(f"< {_without_secrets(raw)}")
        print("\n".join(lines), file=sys.stderr)


def quote_id(text: str) -> str:
    """An id or key as one path segment, whatever is in it."""
    return quote(text, safe="")


def _is_stale(connection: http.client.HTTPConnection) -> bool:
    """An idle connection that is readable was closed by the server (or is out of step)."""
    if connection.sock is None:
        return True
    poller = select.poll()
    poller.register(connection.sock, select.POLLIN)
    return bool(poller.poll(0))


def _fault_message(body: Any) -> str | None:
    """The sentence in ``{"badRequest": {"code": 400, "message": …}}``, on one line."""
    fault: Any = body
    if isinstance(body, dict) and len(body) == 1:
        fault = next(iter(body.values()))
    message = fault.get("message") if isinstance(fault, dict) else None
    if not isinstance(message, str) or not message.strip():
        return None
    line = " ".join(message.split())
    return line if len(line) <= _MAX_MESSAGE else f"{line[:_MAX_MESSAGE]}…"


def _without_secrets(raw: bytes) -> str:
    try:
        return json.dumps(_mask(json.loads(raw)), ensure_ascii=False)
    except ValueError:
        return f"({len(raw)} bytes, not JSON)" if raw else "(no body)"


def _mask(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: "***" if any(word in key.lower() for word in _SECRET_WORDS) else _mask(each)
            for key, each in value.items()
        }
    return [_mask(each) for each in value] if isinstance(value, list) else value
