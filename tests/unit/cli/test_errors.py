"""Bad input and bad servers: one line, the right exit code, the field by name, no traceback."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from tests.unit.cli import stub as stubs
from tests.unit.cli.conftest import Run

S1 = "a62503db-0da7-4f63-98d1-1840ff32726d"


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["snapshto-list"], "did you mean 'snapshot-list'"),
        (["--debug"], "a verb is missing"),
        (["--os-endpoint"], "a verb is missing"),
        (["snapshot-create"], "VOLUME"),
        (["snapshot-create", "--metadata", "v"], "--metadata"),
        (["snapshot-create", "--metadata", "=x", "v"], "--metadata"),
        (["snapshot-create", "--force=maybe", "v"], "--force"),
        (["snapshot-create", "--timeout", "5", S1], "--timeout"),
        (["snapshot-list", "--limit", "-1"], "--limit"),
        (["snapshot-list", "--limit", "many"], "--limit"),
        (["snapshot-list", "--nonsense"], "--nonsense"),
        (["snapshot-list", "-f", "xml"], "--format"),
        (["snapshot-show", ""], "SNAPSHOT"),
        (["snapshot-metadata", S1, "add", "a=b"], "set|unset"),
        (["snapshot-metadata", S1, "set", "ab"], "KEY=VALUE"),
        (["snapshot-rename", S1], "NAME"),
        (["create"], "SIZE"),
        (["create", "0"], "SIZE"),
        (["create", "big"], "SIZE"),
        (["create", "--snapshot-id", S1, "--source-volid", S1], "--source-volid"),
        (["extend", S1], "NEWSIZE"),
        (["quota-update", "--snapshots", "-2"], "--snapshots"),
        (["completion"], "SHELL"),
        (["completion", "tcsh"], "SHELL"),
        (["help", "nothing"], "'nothing'"),
        (["--os-endpoint", "nonsense", "list"], "--os-endpoint"),
        (["--os-endpoint", "ftp://h/v3", "list"], "--os-endpoint"),
        (["--os-endpoint", "http://h:99999/v3", "list"], "--os-endpoint"),
        (["--os-endpoint", "http://[::1/v3", "list"], "--os-endpoint"),
        (["--os-endpoint", "http://h\nx/v3", "list"], "--os-endpoint"),
        (["--os-endpoint", "http://u:s3cret@h/v3", "list"], "--os-endpoint"),
        (["--os-volume-api-version", "three", "list"], "--os-volume-api-version"),
        (["--os-volume-api-version", "2.0", "list"], "--os-volume-api-version"),
        (["--http-timeout", "0", "list"], "--http-timeout"),
        (["--os-project-id", "a/b", "list"], "OS_PROJECT_ID"),
        (["--os-username", "adm\u00edn", "list"], "OS_USERNAME"),
        (["--os-cloud", "nowhere", "list"], "--os-cloud"),
        (["--os-auth-type", "admin_token", "list"], "OS_TOKEN"),
        (["--os-token", "t", "list"], "OS_ENDPOINT"),
        (["--os-auth-type", "password", "list"], "OS_AUTH_URL"),
        (
            ["--os-auth-type", "martian", "--os-auth-url", "http://127.0.0.1:1/v3", "list"],
            "OS_AUTH_TYPE",
        ),
        (["list", "bad\udcffbytes"], "UTF-8"),
        (["--debug", "up"], "--debug"),
    ],
)
def test_bad_usage(run: Run, words: list[str], named: str) -> None:
    result = run(*words)
    assert result.code == 2
    assert result.out == ""
    assert result.err.startswith("volsnap: ")
    assert result.err.count("\n") == 1
    assert named in result.err
    assert "s3cret" not in result.err


@pytest.mark.parametrize(
    ("status", "body", "headers", "named"),
    [
        (404, stubs.load_answer("snapshot_missing_volume"), {}, "could not be found (HTTP 404)"),
        (
            400,
            {"badRequest": {"code": 400, "message": "Invalid volume:\n must be available"}},
            {},
            "must be available",
        ),
        (
            413,
            {"overLimit": {"code": 413, "message": "Quota exceeded"}},
            {},
            "volsnap quota-show --usage",
        ),
        (401, {"unauthorized": {"code": 401, "message": "no"}}, {}, "credentials"),
        (401, b"<html>401</html>", {}, "HTTP 401|answered 401"),
        (
            406,
            {"computeFault": {"code": 406, "message": "Version 3.71"}},
            {},
            "--os-volume-api-version",
        ),
        (500, b"", {}, "answered 500"),
        (500, {"a": {"message": 3}}, {}, "answered 500"),
        (302, b"", {"Location": "http://x/"}, "answered 302"),
        (300, {"versions": [{"id": "v3.0"}]}, {}, "answered 300"),
        (200, b"<html>hello</html>", {"Content-Type": "text/html"}, "not JSON (text/html)"),
        (200, b"\xff\xfe\x00", {}, "not JSON"),
        (200, {"other": []}, {}, "the answer has no 'snapshots'"),
        (200, [1, 2], {}, "the answer has no 'snapshots'"),
        (200, b"", {}, "the answer has no 'snapshots'"),
        (0, None, {}, "no usable answer"),
    ],
)
def test_bad_answers(
    volsnap: Run, stub: stubs.Stub, status: int, body: object, headers: dict[str, str], named: str
) -> None:
    stub.answer("GET", "/snapshots/detail", body, status, **headers)
    result = volsnap("snapshot-list")
    assert result.code == 1
    assert result.err.count("\n") == 1
    assert any(each in result.err for each in named.split("|")), result.err


def test_the_request_id_is_told(volsnap: Run, stub: stubs.Stub) -> None:
    body = {"conflictingRequest": {"code": 409, "message": "somebody was faster."}}
    stub.answer("GET", f"/snapshots/{S1}", body, 409, x_openstack_request_id="req-abc")
    assert volsnap("snapshot-show", S1).err == "volsnap: somebody was faster (HTTP 409, req-abc)\n"


def test_connection_refused(run: Run) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    result = run("--os-endpoint", f"http://127.0.0.1:{port}/v3", "snapshot-list")
    assert result.code == 1
    assert "connection refused" in result.err
    assert "volsnap up" in result.err


@pytest.fixture
def silent_port() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_a_server_that_never_answers(run: Run, silent_port: int) -> None:
    endpoint = f"http://127.0.0.1:{silent_port}/v3"
    result = run("--os-endpoint", endpoint, "--http-timeout", "0.2", "snapshot-list")
    assert result.code == 1
    assert "did not answer in 0.2 s" in result.err
    result = run("--os-endpoint", endpoint, "--http-timeout", "0.2", "delete", S1)
    assert "may still do the work" in result.err


@pytest.mark.parametrize(
    "raw",
    [b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{", b"\x00" * 70000],
)
def test_a_server_that_speaks_something_else(run: Run, raw: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            for _attempt in range(2):
                try:
                    peer, _address = listener.accept()
                except OSError:
                    return
                with peer:
                    peer.recv(4096)
                    peer.sendall(raw)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        result = run("--os-endpoint", f"http://127.0.0.1:{listener.getsockname()[1]}/v3", "list")
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(5)
    assert result.code == 1
    assert result.err.count("\n") == 1


def test_a_change_is_sent_once_only(volsnap: Run, stub: stubs.Stub) -> None:
    stub.answer("DELETE", f"/snapshots/{S1}", None, 0)
    assert volsnap("snapshot-delete", S1).code == 1
    assert len(stub.requests) == 1


def test_a_connection_closed_by_the_server_is_opened_again(volsnap: Run, stub: stubs.Stub) -> None:
    stub.answer("GET", "/snapshots", {"snapshots": [{"id": S1, "name": "s"}]}, 200, Connection="close")
    stub.answer("DELETE", f"/snapshots/{S1}", None, 202)
    assert volsnap("snapshot-delete", "s").code == 0
    assert stub.connections == 2


def test_debug_shows_requests_without_secrets(volsnap: Run, stub: stubs.Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OS_TOKEN", "t0ps3cret")
    monkeypatch.setenv("OS_AUTH_TYPE", "admin_token")
    monkeypatch.setenv("OS_PASSWORD", "t0ps3cret")
    monkeypatch.setenv("OS_PROJECT_ID", stubs.PROJECT_ID)
    data = {
        "auth_password": "t0ps3cret",
        "keyring": "t0ps3cret",
        "list": [{"secret_uuid": "t0ps3cret"}],
    }
    info = {"connection_info": {"driver_volume_type": "rbd", "data": data}}
    stub.answer("POST", f"/volumes/{S1}/action", info, 200, X_Subject_Token="t0ps3cret")
    result = volsnap("--debug", "connect", S1)
    assert result.code == 0, result.err
    assert stub.requests[0].headers["X-Auth-Token"] == "t0ps3cret"
    assert "t0ps3cret" not in result.err
    assert f"> POST {stub.url}/{stubs.PROJECT_ID}/volumes/{S1}/action" in result.err
    assert "> X-Auth-Token: ***" in result.err
    assert '"driver_volume_type": "rbd"' in result.err


def start(stub: stubs.Stub, *words: str, stdout: int = subprocess.PIPE) -> "subprocess.Popen[bytes]":
    environ = {
        **os.environ,
        "OS_ENDPOINT": stub.url,
        "LC_ALL": "C",
        "PYTHONUTF8": "0",
        "PYTHONCOERCECLOCALE": "0",
    }
    command = [sys.executable, "-m", "volsnap.cli.main", *words]
    return subprocess.Popen(command, env=environ, cwd=stubs.ANSWERS.parents[3], stdout=stdout, stderr=subprocess.PIPE)


@pytest.mark.parametrize("words", [["snapshot-list"], ["help"], ["snapshot-list", "--help"]])
def test_a_reader_that_goes_away(stub: stubs.Stub, words: list[str]) -> None:
    stub.answer("GET", "/snapshots/detail", stubs.load_answer("snapshots"))
    reader, writer = os.pipe()
    os.close(reader)
    process = start(stub, *words, stdout=writer)
    os.close(writer)
    assert process.communicate(timeout=30)[1] == b""
    assert process.returncode == 141


def test_a_full_disk(stub: stubs.Stub) -> None:
    stub.answer("GET", "/snapshots/detail", stubs.load_answer("snapshots"))
    full = os.open("/dev/full", os.O_WRONLY)
    process = start(stub, "snapshot-list", stdout=full)
    os.close(full)
    _out, err = process.communicate(timeout=30)
    assert process.returncode == 1
    assert err.startswith(b"volsnap: cannot write the output")
    assert err.count(b"\n") == 1


def test_closed_streams(stub: stubs.Stub) -> None:
    stub.answer("GET", "/snapshots/detail", stubs.load_answer("snapshots"))
    command = f"'{sys.executable}' -m volsnap.cli.main snapshot-list"
    environ = {**os.environ, "OS_ENDPOINT": stub.url}
    folder = stubs.ANSWERS.parents[3]
    for closing in (">&-", "2>&-", ">&- 2>&-", "<&-"):
        done = subprocess.run(["sh", "-c", f"{command} {closing}"], env=environ, cwd=folder, capture_output=True)
        assert (done.returncode, done.stderr) == (0, b""), closing


def test_interrupt_while_waiting(stub: stubs.Stub) -> None:
    creating = stubs.load_answer("snapshot_creating")
    stub.answer("POST", "/snapshots", creating, 202)
    stub.answer("GET", f"/snapshots/{S1}", creating)
    process = start(stub, "snapshot-create", "--wait", S1)
    deadline = time.monotonic() + 20
    while not stub.find("GET", f"/snapshots/{S1}") and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert b"Traceback" not in err
    assert err.endswith(b"volsnap: interrupted\n")


def test_a_terminal_without_unicode(stub: stubs.Stub) -> None:
    stub.answer("GET", "/snapshots/detail", {"snapshots": [{"id": "1", "name": "Schnappschuß\x1b[2J"}]})
    process = start(stub, "snapshot-list")
    out, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (0, b"")
    assert b"\x1b" not in out
