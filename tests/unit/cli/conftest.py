"""The stub service and a way to run the command against it."""

import os
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest

from tests.unit.cli import stub as stubs
from volsnap.cli import main


class Result(NamedTuple):
    code: int
    out: str
    err: str


Run = Callable[..., Result]


@pytest.fixture
def stub() -> Iterator[stubs.Stub]:
    server = stubs.Stub()
    yield server
    server.close()


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    for name in os.environ:
        if name.startswith(("OS_", "CINDER_", "XDG_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.chdir(str(tmp_path))


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def run_command(*words: str) -> Result:
        code = main.main(list(words))
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return Result(code, captured.out, captured.err)

    return run_command


@pytest.fixture
def volsnap(run: Run, stub: stubs.Stub, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command, configured for the stub."""
    monkeypatch.setenv("OS_ENDPOINT", stub.url)
    return run
