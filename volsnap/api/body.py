"""Reading a request's body without trusting it.

A body up to the limit is read whole. A longer one is read on for a moment and thrown away, because a client that is
still sending when the connection closes sees a reset instead of our answer.
"""

import io
import re
import select
import time
from collections.abc import Mapping
from typing import Any

from volsnap import exception
from volsnap.api import errors

_PIECE = 1 << 16
_DRAIN_S = 0.7
_PAUSE_MS = 50
_LONGEST_LINE = 1024
_HEX = re.compile(rb"[0-9a-fA-F]{1,16}")


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
    stream = environ["wsgi.input"]
    if length > limit:
        _drain(stream)
        raise _too_large(limit)
    body: bytes = stream.read(length)
    if len(body) < length:
        raise exception.Invalid(reason="The request body is shorter than its Content-Length.")
    return body


def _read_chunked(stream: Any, limit: int) -> bytes:
    # cheroot's decoder holds a whole chunk in memory, whatever length the client gives it; below it is the socket.
    raw = getattr(stream, "rfile", None)
    body: bytes = stream.read(limit + 1) if raw is None else _decode_chunks(raw, limit)
    if len(body) > limit:
        _drain(stream)
        raise _too_large(limit)
    return body


def _decode_chunks(raw: io.BufferedReader, limit: int) -> bytes:
    """The whole body, or a little more than ``limit`` bytes of it."""
    body = bytearray()
    while left := _chunk_length(raw):
        while left:
            piece = raw.read(min(left, _PIECE))
            if not piece:
                raise exception.Invalid(reason="The request body ends within a chunk.")
            left -= len(piece)
            body += piece
            if len(body) > limit:
                return bytes(body)
        raw.readline(_LONGEST_LINE)
    while raw.readline(_LONGEST_LINE).strip():
        pass  # trailers
    return bytes(body)


def _chunk_length(raw: io.BufferedReader) -> int:
    text = raw.readline(_LONGEST_LINE).partition(b";")[0].strip()
    if not _HEX.fullmatch(text):
        raise exception.Invalid(reason="The request body is not chunked as announced.")
    return int(text, 16)


def _drain(stream: Any) -> None:
    """Throw away what a client sends, until it pauses or long enough; the server closes the connection after a 413."""
    raw = getattr(stream, "rfile", stream)
    poll = select.poll()
    try:
        poll.register(raw.fileno(), select.POLLIN)
    except (AttributeError, io.UnsupportedOperation):
        return  # no socket, nobody who could miss the answer
    deadline = time.monotonic() + _DRAIN_S
    # Only what the kernel holds matters: that is what makes a closing connection reset.
    while time.monotonic() < deadline and poll.poll(_PAUSE_MS) and raw.read1(_PIECE):
        pass


def _too_large(limit: int) -> errors.TooLarge:
    return errors.TooLarge(f"The request body is too large; send at most {limit} bytes.")
