"""From exception to answer: the only table of HTTP statuses, and the shape of every error body.

A body is ``{"<name>": {"code": N, "message": "…"}}``. What is not in the table is a fault of ours: it is logged whole
with the request's id, and the client learns the id and nothing else.
"""

import logging
from collections.abc import Sequence

import orjson

from volsnap import exception
from volsnap.api import microversions

LOG = logging.getLogger(__name__)

_MOST_MESSAGE = 4096
_UNEXPECTED = "The server has either erred or is incapable of performing the requested operation."

FAULT_NAMES = {
    400: "badRequest",
    401: "unauthorized",
    403: "forbidden",
    404: "itemNotFound",
    405: "badMethod",
    409: "conflictingRequest",
    413: "overLimit",
    415: "badMediaType",
    503: "serviceUnavailable",
}


class ApiError(Exception):
    """Base class of what only HTTP knows."""

    message = ""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or self.message)


class RouteNotFound(ApiError):
    """No resource has this path, or the resource has no such method."""

    message = "The resource could not be found.<br /><br />\n\n\n"


class BadMethod(ApiError):
    """Discovery was asked to do more than tell."""

    message = "Only GET is possible here; the API's resources are under /v3/."


class OtherProject(ApiError):
    """The URL names another project than the one the request is authenticated for."""

    message = "Malformed request url"


class NotInVersion(ApiError):
    """The resource or action exists in another version of the API only."""

    message = "The resource could not be found."


class NotAuthenticated(ApiError):
    """The request does not say who sent it."""

    message = "The request you have made requires authentication: send X-Auth-Token."


class PreconditionFailed(ApiError):
    """If-Match names another state of the resource than the present one."""

    message = "The resource changed since the ETag in If-Match; read it again and retry."


class TooLarge(ApiError):
    """The request's body is longer than allowed."""


class UnsupportedMediaType(ApiError):
    """The request's body is not JSON."""

    message = "Unsupported Content-Type"


#: The first line that fits decides.
STATUSES: Sequence[tuple[type[Exception], int]] = (
    (exception.Invalid, 400),
    (exception.Forbidden, 403),
    (exception.NotFound, 404),
    (exception.Conflict, 409),
    (exception.OverQuota, 413),
    (exception.ServiceUnavailable, 503),
    (NotAuthenticated, 401),
    (RouteNotFound, 404),
    (BadMethod, 400),
    (OtherProject, 400),
    (NotInVersion, 404),
    (PreconditionFailed, 412),
    (TooLarge, 413),
    (UnsupportedMediaType, 415),
    (microversions.BadVersion, 400),
    (microversions.NoVersion, 400),
    (microversions.UnsupportedVersion, 406),
)


def status_of(error: Exception) -> int:
    """The status an error is answered with."""
    for kind, status in STATUSES:
        if isinstance(error, kind):
            return status
    return 500


def headers_of(error: Exception) -> list[tuple[str, str]]:
    """The headers an error's answer carries beside the usual ones."""
    if isinstance(error, exception.OverQuota):
        return [("Retry-After", "0")]
    return []


def body_of(error: Exception) -> bytes:
    """The body an error is answered with."""
    status = status_of(error)
    if isinstance(error, RouteNotFound):
        # What Cinder's router says; its clients read "message" from here.
        return orjson.dumps({"message": str(error), "code": "404 Not Found", "title": "Not Found"})
    message = _UNEXPECTED if status == 500 else _clean(str(error))
    fault: dict[str, object] = {"code": status, "message": message}
    if isinstance(error, exception.OverQuota):
        fault["retryAfter"] = "0"
    return orjson.dumps({FAULT_NAMES.get(status, "computeFault"): fault})


def log(error: Exception, request_id: str) -> None:
    """Write down what is a fault of ours; a client's fault is the client's business."""
    if status_of(error) == 500:
        LOG.error("%s: unexpected error", request_id, exc_info=error)
    elif isinstance(error, exception.ServiceUnavailable):
        LOG.warning("%s: %s", request_id, error)


def _clean(message: str) -> str:
    """A message that always serialises and is never as long as a hostile request."""
    message = message.encode(errors="replace").decode()
    if len(message) > _MOST_MESSAGE:
        message = f"{message[:_MOST_MESSAGE]}…"
    return message
