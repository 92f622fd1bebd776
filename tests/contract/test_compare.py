"""The comparison sees what a client would stumble over, and nothing else."""

import pytest

from tests.contract import compare, explained, golden

HEADERS = {"Content-Type": "application/json"}
RECORDED = {"snapshot": {"id": "{s1}", "status": "creating", "size": 1, "updated_at": None}}


def _paths(got: object, expected: object = RECORDED) -> list[str]:
    answers = (golden.Answer(200, HEADERS, body) for body in (expected, got))
    return [one.path for one in compare.compare(*answers)]


@pytest.mark.parametrize(
    ("changed", "path"),
    [
        ({"size": "1"}, "answer.snapshot.size"),
        ({"size": True}, "answer.snapshot.size"),
        ({"size": 2}, "answer.snapshot.size"),
        ({"more": None}, "answer.snapshot.more"),
        ({"status": "error"}, "answer.snapshot.status"),
        ({"id": "{s2}"}, "answer.snapshot.id"),
    ],
)
def test_changed_field_is_a_difference(changed: dict[str, object], path: str) -> None:
    assert _paths({"snapshot": {**RECORDED["snapshot"], **changed}}) == [path]


def test_missing_field_is_a_difference() -> None:
    assert _paths({"snapshot": {}}) == [f"answer.snapshot.{key}" for key in RECORDED["snapshot"]]


def test_finished_creation_is_no_difference() -> None:
    done = {**RECORDED["snapshot"], "status": "available", "updated_at": "<time>"}
    assert _paths({"snapshot": done}) == []


def test_measured_numbers_differ_only_by_type() -> None:
    assert _paths({"limits": {"used": 3}}, {"limits": {"used": 0}}) == []
    assert _paths({"limits": {"used": "3"}}, {"limits": {"used": 0}}) == ["answer.limits.used"]


def test_shorter_list_is_one_difference() -> None:
    assert _paths({"snapshots": []}, {"snapshots": [1, 2]}) == ["answer.snapshots"]


def test_missing_header_is_a_difference() -> None:
    bare, full = golden.Answer(200, {}, {}), golden.Answer(200, {"Vary": "X"}, {})
    assert [one.path for one in compare.compare(full, bare)] == ["headers.Vary"]
    assert compare.compare(bare, full) == []


def test_explained_difference_that_is_gone_is_stale() -> None:
    entry = explained.Entry(("mv30/*",), ("status", "answer.x[0].*"), "better", "why")
    differences = [compare.Difference("answer.x[0].y", 1, 2), compare.Difference("answer.z", 1, 2)]
    unexplained, stale = explained.split([entry], "mv30/snap-create", differences)
    assert [one.path for one in unexplained] == ["answer.z"]
    assert stale == ["status"]


def test_ids_of_a_live_answer_get_the_recorded_names() -> None:
    names = golden.Names("http://h:1", "p" * 32)
    names.learn("s1", "12345678-1234-1234-1234-123456789abc")
    text = f"http://h:1/v3/{'p' * 32}/snapshots/12345678-1234-1234-1234-123456789abc"
    assert names.normalise({"href": text, "host": "anything"}) == {
        "href": "{URL}/v3/{P}/snapshots/{s1}",
        "host": "<host>",
    }
