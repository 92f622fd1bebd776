"""Which source wins, and what a login turns into."""

import http.server
import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.unit.cli import stub as stubs
from tests.unit.cli.conftest import Run
from volsnap.cli import config, errors

P2 = "22222222222222222222222222222222"
P3 = "33333333333333333333333333333333"
CLOUDS = f"""
clouds:
  lab:
    auth_type: none
    auth: {{username: clouduser, project_id: "{P3}"}}
    endpoint: http://cloud.example:1/v3
    volume_api_version: "3.60"
    verify: false
  bad: 7
"""


def test_nothing_set_is_the_embedded_service() -> None:
    settings = config.load_settings({}, {})
    assert settings.endpoint == f"http://127.0.0.1:8776/v3/{config.DEFAULT_PROJECT_ID}"
    assert settings.token == f"admin:{config.DEFAULT_PROJECT_ID}"
    assert settings.microversion == "3.71"


def test_environment_of_the_cinder_shell() -> None:
    environ = {
        "OS_AUTH_TYPE": "noauth",
        "OS_USERNAME": "u",
        "OS_TENANT_ID": P2,
        "OS_VOLUME_ENDPOINT": "http://h:1/",
        "OS_VOLUME_API_VERSION": "3.50",
        "OS_CACERT": "/ca",
        "OS_INSECURE": "true",
    }
    settings = config.load_settings({}, environ)
    assert settings == config.Settings(
        endpoint=f"http://h:1/v3/{P2}",
        token=f"u:{P2}",
        project_id=P2,
        microversion="3.50",
        ca_file="/ca",
        is_insecure=True,
        http_timeout_s=60.0,
    )


def test_flags_win_over_cloud_and_cloud_over_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "clouds.yaml").write_text(CLOUDS)
    environ = {
        "OS_CLOUD": "lab",
        "OS_USERNAME": "envuser",
        "OS_ENDPOINT": "http://env/v3",
        "OS_PROJECT_ID": P2,
    }
    environ |= {"OS_AUTH_URL": "http://keystone/v3", "OS_PASSWORD": "p"}
    settings = config.load_settings({}, environ)
    assert settings.endpoint == f"http://cloud.example:1/v3/{P3}"
    assert settings.token == f"clouduser:{P3}"
    assert settings.microversion == "3.60"
    assert settings.is_insecure
    flags = {
        "os_username": "flaguser",
        "os_endpoint": "http://flag/v3",
        "os_volume_api_version": "latest",
    }
    settings = config.load_settings(flags, environ)
    assert (settings.endpoint, settings.token, settings.microversion) == (
        f"http://flag/v3/{P3}",
        f"flaguser:{P3}",
        "latest",
    )
    assert config.load_settings({"os_cloud": "lab"}, {}).project_id == P3


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("clouds: [", "YAML"),
        ("other: 1", "clouds:"),
        (CLOUDS, "it knows: bad, lab"),
        ("\x00", "YAML"),
    ],
)
def test_bad_clouds_file(tmp_path: Path, content: str, named: str) -> None:
    (tmp_path / "mine.yaml").write_text(content)
    with pytest.raises(errors.UsageError, match=named) as caught:
        config.load_settings({"os_cloud": "x"}, {"OS_CLIENT_CONFIG_FILE": str(tmp_path / "mine.yaml")})
    assert "\n" not in str(caught.value)


def test_secure_file_adds_the_secret(tmp_path: Path) -> None:
    (tmp_path / "clouds.yaml").write_text("clouds: {c: {auth_type: admin_token, auth: {endpoint: 'http://h/v3'}}}")
    (tmp_path / "secure.yaml").write_text("clouds: {c: {auth: {token: t}}}")
    assert config.load_settings({"os_cloud": "c"}, {}).token == "t"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://h:8776/v3", f"http://h:8776/v3/{P2}"),
        ("http://h:8776/", f"http://h:8776/v3/{P2}"),
        ("https://h/volume/v3/", f"https://h/volume/v3/{P2}"),
        (f"http://h/v3/{P2}", f"http://h/v3/{P2}"),
        ("http://h/v3/%(project_id)s", f"http://h/v3/{P2}"),
        ("http://[::1]:8776/v3", f"http://[::1]:8776/v3/{P2}"),
    ],
)
def test_endpoint(url: str, expected: str) -> None:
    assert config.normalize_endpoint(url, P2) == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, "noauth"),
        ({"OS_AUTH_URL": "u", "OS_PASSWORD": "p"}, "password"),
        ({"OS_AUTH_URL": "u", "OS_TOKEN": "t"}, "token"),
        ({"OS_AUTH_URL": "u", "OS_APPLICATION_CREDENTIAL_SECRET": "s"}, "v3applicationcredential"),
        ({"OS_TOKEN": "t"}, "admin_token"),
        ({"OS_AUTH_TYPE": "v3password", "OS_TOKEN": "t"}, "v3password"),
    ],
)
def test_auth_type(values: dict[str, str], expected: str) -> None:
    assert config.choose_auth_type(values) == expected


class FakeKeystone:
    """The three answers keystoneauth1 needs: version, token, refusal."""

    def __init__(self, volume_url: str) -> None:
        self.logins: list[Any] = []
        self.tokens = iter(["first", "second", "third"])
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
                    for r, url in (("far", "http://far.example/v3"), ("near", f"{volume_url}/{P2}"))
                ]
                catalog = [
                    {"type": "volumev2", "id": "2", "name": "old", "endpoints": endpoints[:1]},
                    {"type": "volumev3", "id": "3", "name": "cinderv3", "endpoints": endpoints},
                ]
                token = {
                    "methods": ["password"],
                    "expires_at": "2999-01-01T00:00:00.0Z",
                    "issued_at": "2026-01-01T00:00:00.0Z",
                    "project": {"id": P2, "name": "p", "domain": {"id": "default", "name": "Default"}},
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


@pytest.fixture
def keystone(stub: stubs.Stub, monkeypatch: pytest.MonkeyPatch) -> Any:
    server = FakeKeystone(stub.url)
    monkeypatch.setenv("OS_AUTH_URL", server.url)
    monkeypatch.setenv("OS_REGION_NAME", "near")
    yield server
    server.close()


def login(monkeypatch: pytest.MonkeyPatch, password: str = "right") -> None:
    for name, value in {"USERNAME": "u", "PASSWORD": password, "PROJECT_NAME": "p"}.items():
        monkeypatch.setenv(f"OS_{name}", value)
    monkeypatch.setenv("OS_USER_DOMAIN_NAME", "Default")
    monkeypatch.setenv("OS_PROJECT_DOMAIN_NAME", "Default")


def test_keystone_password(keystone: Any, run: Run, stub: stubs.Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    login(monkeypatch)
    stub.answer("GET", f"/v3/{P2}/volumes/detail", {"volumes": []})
    assert run("list").code == 0
    assert stub.requests[0].headers["X-Auth-Token"] == "first"


def test_an_expired_token_is_renewed_once(
    keystone: Any, run: Run, stub: stubs.Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    login(monkeypatch)
    refusal = {"error": {"code": 401, "message": "expired"}}
    stub.answer("GET", f"/v3/{P2}/volumes/detail", refusal, 401)
    stub.answer("GET", f"/v3/{P2}/volumes/detail", {"volumes": []})
    assert run("list").code == 0
    assert [each.headers["X-Auth-Token"] for each in stub.requests] == ["first", "second"]


def test_application_credential(keystone: Any, run: Run, stub: stubs.Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OS_APPLICATION_CREDENTIAL_ID", "ac")
    monkeypatch.setenv("OS_APPLICATION_CREDENTIAL_SECRET", "shh")
    stub.answer("GET", f"/v3/{P2}/volumes/detail", {"volumes": []})
    result = run("--debug", "list")
    assert result.code == 0, result.err
    assert keystone.logins[0]["auth"]["identity"]["methods"] == ["application_credential"]
    assert "shh" not in result.err


@pytest.mark.parametrize(
    ("change", "code", "named"),
    [
        ({"OS_PASSWORD": "wrong"}, 1, "OS_PASSWORD"),
        ({"OS_REGION_NAME": "mars"}, 2, "OS_REGION_NAME"),
        ({"OS_AUTH_URL": "http://127.0.0.1:1/v3"}, 1, "OS_AUTH_URL"),
        ({"OS_AUTH_URL": "nonsense"}, 1, "OS_AUTH_URL"),
    ],
)
def test_keystone_failures(
    keystone: Any,
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    change: dict[str, str],
    code: int,
    named: str,
) -> None:
    login(monkeypatch)
    for name, value in change.items():
        monkeypatch.setenv(name, value)
    result = run("list")
    assert result.code == code, result.err
    assert named in result.err
    assert result.err.count("\n") == 1
    assert "wrong" not in result.err


def test_nothing_but_the_standard_library_is_imported() -> None:
    """What ``volsnap snapshot-list`` loads decides how fast it starts."""
    code = (
        "import sys; before = set(sys.modules); import volsnap.cli.main; "
        "new = {n.partition('.')[0] for n in set(sys.modules) - before}; "
        "print(*sorted(new - sys.stdlib_module_names - {'volsnap'})); "
        "print(*sorted(n for n in sys.modules if n.startswith('volsnap.')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    foreign, ours = done.stdout.split("\n")[:2]
    assert foreign == ""
    assert all(name.startswith(("volsnap.cli", "volsnap.version")) for name in ours.split())
