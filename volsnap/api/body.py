"""Reading a request's body without trusting it.

A body up to the limit is read whole. A longer one is read on for a moment and thrown away, because a client that is
still sending when the connection closes sees a reset instead of our answer.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from volsnap import exception
from volsnap.api import errors

_PIECE = 1 << 16
_DRAIN_S = 0.7
_LONGEST_LINE = 1024


class Stream(Protocol):
    """What a server gives as ``wsgi.input``."""

    def read(self, size: int = -1, /) -> bytes: ...

    def readline(self, size: int = -1, /) -> bytes: ...


def read(environ: Mapping[str, Any], limit: int) -> bytes:
    """The whole body of a request.

    :raises errors.TooLarge: it is longer than ``limit`` bytes.
    :raises exception.Invalid: it is not what its headers announce.
    """
    if "chunked" in environ.get("HTTP_TRANSFER_ENCODING", "").lower():
        return _read_chunked(environ["wsgi.input"], limit)
    announced = environ.get("CONTENT_LENGTH") or "0"
    if not (announced.isascii() and announced.isdigit()):
        raise exception.Invalid(reason="The header Content-Length must be a number.")
    length = int(announced) if len(announced) < 20 else limit + 1
    if length == 0:
        return b""
    stream: Stream = environ["wsgi.input"]
    if length > limit:
        _drain(stream.read)
        raise _too_large(limit)
    body = stream.read(length)
    if len(body) < length:
        raise exception.Invalid(reason="The request body is shorter than its Content-Length.")
    return body


def _read_chunked(stream: Any, limit: int) -> bytes:
    # cheroot's decoder holds a whole chunk in memory, whatever length the client gives it; below it is the socket.
    raw: Stream | None = getattr(stream, "rfile", None)
    if raw is None:
        body: bytes = stream.read(limit + 1)
        if len(body) > limit:
            _drain(stream.read)
            raise _too_large(limit)
        return body
    return _decode_chunks(raw, limit)


def _decode_chunks(raw: Stream, limit: int) -> bytes:
    pieces: list[bytes] = []
    total = 0
    deadline = float("inf")
    while left := _chunk_length(raw):
        while left:
            if time.monotonic() > deadline:
                raise _too_large(limit)
            piece = raw.read(min(left, _PIECE))
            if not piece:
                raise exception.Invalid(reason="The request body ends within a chunk.")
            left -= len(piece)
            total += len(piece)
            if total <= limit:
                pieces.append(piece)
            elif deadline == float("inf"):
                deadline = time.monotonic() + _DRAIN_S
        raw.readline(_LONGEST_LINE)
    while raw.readline(_LONGEST_LINE).strip():
        pass
    if total > limit:
        raise _too_large(limit)
    return b"".join(pieces)


def _chunk_length(raw: Stream) -> int:
    text = raw.readline(_LONGEST_LINE).partition(b";")[0].strip()
    try:
        length = int(text, 16)
    except ValueError as err:
        raise exception.Invalid(reason="The request body is not chunked as announced.") from err
    if length < 0:
        raise exception.Invalid(reason="The request body is not chunked as announced.")
    return length


def _drain(read_piece: Callable[[int], bytes]) -> None:
    deadline = time.monotonic() + _DRAIN_S
    while time.monotonic() < deadline and read_piece(_PIECE):
        pass


def _too_large(limit: int) -> errors.TooLarge:
    return errors.TooLarge(f"The request body is too large; send at most {limit} bytes.")
