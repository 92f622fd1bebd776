"""From exception to answer."""

import logging

import orjson
import pytest

from volsnap import exception
from volsnap.api import errors, microversions


@pytest.mark.parametrize(
    ("error", "status", "name"),
    [
        (exception.InvalidInput(reason="x"), 400, "badRequest"),
        (exception.InvalidStatus(kind="volume", reason="x"), 400, "badRequest"),
        (exception.Forbidden(action="x"), 403, "forbidden"),
        (exception.NotFound(kind="Volume", id="x"), 404, "itemNotFound"),
        (exception.Conflict(reason="x"), 409, "conflictingRequest"),
        (exception.OverQuota(reason="x"), 413, "overLimit"),
        (exception.ServiceUnavailable(reason="x"), 503, "serviceUnavailable"),
        (errors.NotAuthenticated(), 401, "unauthorized"),
        (errors.NotInVersion(), 404, "itemNotFound"),
        (errors.OtherProject(), 400, "badRequest"),
        (errors.PreconditionFailed(), 412, "computeFault"),
        (errors.TooLarge("x"), 413, "overLimit"),
        (errors.UnsupportedMediaType(), 415, "badMediaType"),
        (microversions.UnsupportedVersion("3.99"), 406, "computeFault"),
        (microversions.BadVersion("x"), 400, "badRequest"),
        (RuntimeError("secret"), 500, "computeFault"),
    ],
)
def test_error_has_its_status_and_name(error: Exception, status: int, name: str) -> None:
    assert errors.status_of(error) == status
    assert orjson.loads(errors.body_of(error))[name]["code"] == status


def test_over_quota_says_when_to_retry() -> None:
    error = exception.OverQuota(reason="full")
    assert orjson.loads(errors.body_of(error))["overLimit"]["retryAfter"] == "0"
    assert errors.headers_of(error) == [("Retry-After", "0")]


def test_unexpected_error_is_logged_and_not_told(caplog: pytest.LogCaptureFixture) -> None:
    error = RuntimeError("secret")
    assert b"secret" not in errors.body_of(error)
    with caplog.at_level(logging.ERROR):
        errors.log(error, "req-1")
    assert "req-1" in caplog.text
    assert "secret" in caplog.text


def test_client_errors_are_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    errors.log(exception.NotFound(kind="Volume", id="x"), "req-1")
    assert not caplog.text


def test_message_always_serialises() -> None:
    body = errors.body_of(exception.Invalid(reason="\ud800" + "x" * 100_000))
    assert len(body) < 10_000


def test_every_error_on_purpose_has_a_status() -> None:
    def kinds(kind: type[Exception]) -> list[type[Exception]]:
        return [kind, *(below for child in kind.__subclasses__() for below in kinds(child))]

    listed = tuple(kind for kind, _ in errors.STATUSES)
    for kind in [*kinds(exception.VolsnapError), *kinds(errors.ApiError)]:
        if kind not in (exception.VolsnapError, errors.ApiError):
            assert issubclass(kind, listed), kind
