"""Calls that end in time."""

import threading
import time

import pytest

from volsnap.lowlevel import deadline


def _nothing(fraction: float) -> None:
    pass


def test_result_and_error_come_through() -> None:
    calls = deadline.Calls(4.0)
    assert calls.run(lambda beat: 42, _nothing) == 42
    with pytest.raises(KeyError, match="inside"):
        calls.run(lambda beat: {}["inside"], _nothing)


def test_stuck_work_is_given_up_inside_the_deadline() -> None:
    """The caller gets its answer, the work ends by itself later."""
    release = threading.Event()
    calls = deadline.Calls(0.4)
    began = time.monotonic()
    with pytest.raises(deadline.StuckError):
        calls.run(lambda beat: release.wait(10), _nothing)
    assert time.monotonic() - began < 2.0
    release.set()
    assert calls.run(lambda beat: 1, _nothing) == 1


def test_work_that_beats_may_take_long() -> None:
    """Three deadlines long, with a beat now and then; progress is told in the caller's thread."""
    told: list[tuple[float, str]] = []

    def work(beat: deadline.Beat) -> str:
        for step in range(12):
            time.sleep(0.1)
            beat(step / 12)
        return "done"

    def progress(fraction: float) -> None:
        told.append((fraction, threading.current_thread().name))

    assert deadline.Calls(0.4).run(work, progress) == "done"
    assert {name for _, name in told} == {threading.current_thread().name}
    fractions = [fraction for fraction, _ in told]
    assert len(fractions) >= 3
    assert fractions == sorted(fractions)


def test_progress_stops_the_work() -> None:
    """The exception reaches the caller, and the work has cleaned up by then."""
    ended: list[str] = []

    def work(beat: deadline.Beat) -> None:
        try:
            while True:
                time.sleep(0.01)
                beat(0.5)
        finally:
            ended.append("cleaned up")

    def stop(fraction: float) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        deadline.Calls(0.4).run(work, stop)
    assert ended == ["cleaned up"]


def test_stuck_calls_do_not_pile_up() -> None:
    """With many threads stuck no more are started: the answer is immediate."""
    release = threading.Event()
    calls = deadline.Calls(0.04)
    for _ in range(64):
        with pytest.raises(deadline.StuckError):
            calls.run(lambda beat: release.wait(30), _nothing)
    with pytest.raises(deadline.StuckError):
        calls.run(lambda beat: 1, _nothing)
    release.set()
    time.sleep(0.1)
    assert calls.run(lambda beat: 1, _nothing) == 1
