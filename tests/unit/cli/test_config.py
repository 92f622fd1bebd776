"""Which source wins, and what a login turns into."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.unit.cli import keystone as keystones
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


@pytest.fixture
def keystone(stub: stubs.Stub, monkeypatch: pytest.MonkeyPatch) -> Any:
    server = keystones.FakeKeystone(stub.url, P2)
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
