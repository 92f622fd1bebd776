"""``--wait``: how it ends, what it says, what it survives."""

import re

import pytest

from tests.unit.cli import stub as stubs
from tests.unit.cli.conftest import Run
from volsnap.cli import wait

S1 = "a62503db-0da7-4f63-98d1-1840ff32726d"
V1 = "c9047ec5-ad4f-45a9-be3e-47bc3c207eca"
PROGRESS = wait.PROGRESS_KEY


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wait, "FIRST_PAUSE_S", 0.01)


def prepare_create(stub: stubs.Stub, *statuses: tuple[str, str]) -> None:
    stub.answer(
        "POST",
        "/snapshots",
        stubs.load_answer("snapshot_creating"),
        202,
        x_openstack_request_id="req-1",
    )
    for status, progress in statuses:
        stub.answer(
            "GET",
            f"/snapshots/{S1}",
            {"snapshot": {"id": S1, "status": status, PROGRESS: progress}},
        )


def test_create_waits_until_available_and_tells_each_change_once(volsnap: Run, stub: stubs.Stub) -> None:
    prepare_create(stub, ("creating", "0%"), ("creating", "0%"), ("creating", "50%"), ("available", "100%"))
    result = volsnap("snapshot-create", "--wait", V1, "-f", "value", "-c", "status")
    assert (result.code, result.out) == (0, "available\n")
    assert result.err.splitlines() == [
        "snapshot gs1: creating 0%",
        "snapshot gs1: creating 50%",
        "snapshot gs1: available 100%",
    ]
    assert stub.connections == 1


def test_a_failed_wait_says_why(volsnap: Run, stub: stubs.Stub) -> None:
    """The message of our own request is preferred to a newer one of another."""
    prepare_create(stub, ("creating", "0%"), ("error", "0%"))
    messages = [
        {"resource_uuid": S1, "request_id": "req-other", "user_message": "somebody else's"},
        {
            "resource_uuid": S1,
            "request_id": "req-1",
            "user_message": "create snapshot: no\nspace left",
        },
    ]
    stub.answer("GET", "/messages", {"messages": messages})
    result = volsnap("snapshot-create", "--wait", V1)
    assert result.code == 1
    assert result.out == ""
    assert result.err.splitlines()[-1].endswith("ended in status 'error': create snapshot: no space left")
    assert stub.find("GET", "/messages")[0].query["resource_uuid"] == S1


def test_messages_are_asked_for_at_a_version_that_has_them(volsnap: Run, stub: stubs.Stub) -> None:
    prepare_create(stub, ("error", "0%"))
    stub.answer("GET", "/messages", {"messages": []})
    result = volsnap("--os-volume-api-version", "3.0", "snapshot-create", "--wait", V1)
    assert result.code == 1
    assert "gave no reason" in result.err
    assert stub.find("GET", "/messages")[0].headers["OpenStack-API-Version"] == "volume 3.31"


def test_delete_waits_for_absence(volsnap: Run, stub: stubs.Stub) -> None:
    stub.answer("DELETE", f"/snapshots/{S1}", None, 202)
    stub.answer("GET", f"/snapshots/{S1}", {"snapshot": {"id": S1, "status": "deleting"}})
    stub.answer("GET", f"/snapshots/{S1}", {"itemNotFound": {"code": 404, "message": "gone"}}, 404)
    assert volsnap("snapshot-delete", "--wait", S1).code == 0


def test_a_delete_that_was_taken_back_is_a_failure(volsnap: Run, stub: stubs.Stub) -> None:
    stub.answer("DELETE", f"/snapshots/{S1}", None, 202)
    stub.answer("GET", f"/snapshots/{S1}", {"snapshot": {"id": S1, "status": "available"}})
    stub.answer("GET", "/messages", {"messages": [{"resource_uuid": S1, "user_message": "it is busy"}]})
    result = volsnap("snapshot-delete", "--wait", S1)
    assert result.code == 1
    assert "it is busy" in result.err


def test_an_extend_that_left_the_size_is_a_failure(volsnap: Run, stub: stubs.Stub) -> None:
    stub.answer("POST", f"/volumes/{V1}/action", None, 202)
    stub.answer("GET", f"/volumes/{V1}", {"volume": {"id": V1, "status": "extending", "size": 1}})
    stub.answer("GET", f"/volumes/{V1}", {"volume": {"id": V1, "status": "available", "size": 1}})
    assert volsnap("extend", V1, "2", "--wait").code == 1


def test_a_revert_that_was_taken_back_is_a_failure(volsnap: Run, stub: stubs.Stub) -> None:
    stub.answer("GET", f"/snapshots/{S1}", stubs.load_answer("snapshot"))
    stub.answer("POST", f"/volumes/{V1}/action", None, 202, x_openstack_request_id="req-9")
    stub.answer("GET", f"/volumes/{V1}", {"volume": {"id": V1, "status": "reverting"}})
    stub.answer("GET", f"/volumes/{V1}", {"volume": {"id": V1, "status": "available"}})
    stub.answer("GET", "/messages", {"messages": []})
    assert volsnap("revert-to-snapshot", S1, "--wait").code == 0
    stub.answer("GET", "/messages", {"messages": [{"request_id": "req-9", "user_message": "cannot"}]})
    stub.take("GET", "/messages")
    result = volsnap("revert-to-snapshot", S1, "--wait")
    assert result.code == 1
    assert result.err.endswith(": cannot\n")


def test_a_wait_survives_a_restart_of_the_service(volsnap: Run, stub: stubs.Stub) -> None:
    prepare_create(stub, ("creating", "0%"))
    stub.answer("GET", f"/snapshots/{S1}", None, 0)
    stub.answer("GET", f"/snapshots/{S1}", None, 0)
    stub.answer("GET", f"/snapshots/{S1}", {"serviceUnavailable": {"code": 503, "message": "later"}}, 503)
    stub.answer("GET", f"/snapshots/{S1}", {"snapshot": {"id": S1, "status": "available", PROGRESS: "100%"}})
    assert volsnap("snapshot-create", "--wait", V1).code == 0


def test_a_silence_that_does_not_end_is_a_failure(
    volsnap: Run, stub: stubs.Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wait, "OUTAGE_S", 0.1)
    prepare_create(stub, ("creating", "0%"))
    stub.answer("GET", f"/snapshots/{S1}", {"serviceUnavailable": {"code": 503, "message": "later"}}, 503)
    result = volsnap("snapshot-create", "--wait", V1)
    assert result.code == 1
    assert "later (HTTP 503)" in result.err


def test_timeout(volsnap: Run, stub: stubs.Stub) -> None:
    prepare_create(stub, ("creating", "10%"))
    result = volsnap("snapshot-create", "--wait", "--timeout", "1", V1)
    assert result.code == 1
    assert "still in status 'creating' after 1 s" in result.err
    assert volsnap("snapshot-create", "--timeout", "1", V1).code == 2


def test_ctrl_c_tells_that_the_service_goes_on(volsnap: Run, stub: stubs.Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_seconds: float) -> None:
        raise KeyboardInterrupt

    prepare_create(stub, ("creating", "10%"))
    monkeypatch.setattr(wait.time, "sleep", interrupt)
    result = volsnap("snapshot-create", "--wait", V1)
    assert result.code == 130
    assert "goes on" in result.err


def test_the_bar_on_a_terminal(volsnap: Run, stub: stubs.Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    prepare_create(stub, ("creating", "50%"), ("available", "100%"))
    result = volsnap("snapshot-create", "--wait", V1)
    assert re.search(r"\rgs1|creating \[#{12}\.{12}\] 50% 0 s", result.err)
    assert result.err.endswith("available [########################] 100% 0 s\n")


@pytest.mark.parametrize(("text", "bar"), [("", ""), (None, ""), ("x", ""), ("250%", "[" + "#" * 24 + "] 100%")])
def test_draw_bar(text: object, bar: str) -> None:
    assert wait.draw_bar(text) == bar
