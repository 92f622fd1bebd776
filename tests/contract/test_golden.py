"""volsnap answers what a real Cinder answered, but for what ``differences.yaml`` explains."""

import pytest

from tests.contract import compare, compatibility, explained, golden, replay

RECORDED = [recorded for run in golden.RUNS for recorded in golden.load(run)]
ENTRIES = explained.load()


@pytest.mark.parametrize("recorded", RECORDED, ids=lambda recorded: f"{recorded.request.run}/{recorded.request.name}")
def test_answer_is_the_recorded_one(recorded: golden.Golden, replays) -> None:
    request = recorded.request
    replayed: replay.Replayed = replays[request.run][request.name]
    if replayed.answer is None:
        pytest.fail(f"{_title(request)}\n  {replayed.problem}", pytrace=False)
    any_order = "sort_key=id" in request.path
    differences = compare.compare(recorded.answer, replayed.answer, any_order=any_order)
    unexplained, stale = explained.split(ENTRIES, request.key, differences)
    if unexplained or stale:
        pytest.fail(_describe(request, unexplained, stale), pytrace=False)


def test_every_listed_difference_is_about_a_request() -> None:
    keys = {recorded.request.key for recorded in RECORDED}
    patterns = [pattern for entry in ENTRIES for pattern in entry.requests]
    idle = [one for one in patterns if not any(explained.Entry((one,), (), "", "").covers_request(key) for key in keys)]
    assert not idle, "differences.yaml lists requests that are not replayed"


def test_every_listed_difference_has_a_kind() -> None:
    assert {entry.kind for entry in ENTRIES} <= set(explained.KINDS)


def test_the_document_tells_the_listed_differences() -> None:
    assert compatibility.FILE.read_text() == compatibility.render(ENTRIES, RECORDED), (
        "docs/compatibility.md is stale: run python -m tests.contract.compatibility"
    )


def _title(request: golden.Request) -> str:
    return f"{request.run}/{request.name}: {request.method} {request.path}"


def _describe(request: golden.Request, unexplained: list[compare.Difference], stale: list[str]) -> str:
    lines = [_title(request), *(f"  {one}" for one in unexplained)]
    lines += [f"  {place} is listed in differences.yaml but does not differ any more" for place in stale]
    return "\n".join(lines)
