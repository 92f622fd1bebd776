"""Reading bodies, from streams as cheroot gives them."""

import io
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from volsnap import exception
from volsnap.api import body, errors

LIMIT = 100


class Chunked:
    """As cheroot's decoder of chunks: what matters is the stream below it."""

    def __init__(self, data: bytes) -> None:
        self.rfile = io.BufferedReader(io.BytesIO(data))


def _chunked(data: bytes) -> dict[str, Any]:
    return {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input": Chunked(data)}


def _sized(data: bytes, length: str | None = None) -> dict[str, Any]:
    length = str(len(data)) if length is None else length
    return {"CONTENT_LENGTH": length, "wsgi.input": io.BytesIO(data)}


def test_body_is_read_to_its_length() -> None:
    assert body.read(_sized(b"x" * LIMIT), LIMIT) == b"x" * LIMIT


def test_no_body() -> None:
    assert body.read({}, LIMIT) == b""
    assert body.read({"CONTENT_LENGTH": ""}, LIMIT) == b""


@pytest.mark.parametrize("length", ["abc", "-1", "1.5", "٣"])
def test_length_must_be_a_number(length: str) -> None:
    with pytest.raises(exception.Invalid):
        body.read(_sized(b"x", length), LIMIT)


@pytest.mark.parametrize("length", [str(LIMIT + 1), "9" * 5000])
def test_long_body_is_refused(length: str) -> None:
    with pytest.raises(errors.TooLarge, match="at most 100 bytes"):
        body.read(_sized(b"x", length), LIMIT)


def test_short_body_is_refused() -> None:
    with pytest.raises(exception.Invalid):
        body.read(_sized(b"x", "2"), LIMIT)


def test_chunks_are_put_together() -> None:
    data = b"3;ext=1\r\nabc\r\nA\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\nnext"
    environ = _chunked(data)
    assert body.read(environ, LIMIT) == b"abc0123456789"
    assert environ["wsgi.input"].rfile.read() == b"next"


def test_chunks_beyond_the_limit_are_refused_before_they_are_read() -> None:
    environ = _chunked(b"FFFFFFFFFF\r\n" + b"x" * 10_000_000)
    with pytest.raises(errors.TooLarge):
        body.read(environ, LIMIT)
    assert environ["wsgi.input"].rfile.tell() < 1_000_000


@pytest.mark.parametrize("data", [b"zz\r\n", b"-1\r\n", b"", b"5\r\nab", b"0x5\r\nabcde\r\n0\r\n\r\n"])
def test_bad_chunks_are_refused(data: bytes) -> None:
    with pytest.raises(exception.Invalid):
        body.read(_chunked(data), LIMIT)


@pytest.fixture
def connection() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def test_client_that_stalls_is_answered_at_once(
    connection: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = connection
    theirs.sendall(b"abc")
    start = time.monotonic()
    with ours.makefile("rb") as stream, pytest.raises(errors.TooLarge):
        body.read({"CONTENT_LENGTH": "1000000", "wsgi.input": stream}, LIMIT)
    assert time.monotonic() - start < 0.5


def test_what_a_fast_client_sends_is_read_away(
    connection: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = connection
    data = b"x" * 5_000_000
    sender = threading.Thread(target=theirs.sendall, args=(data,))
    sender.start()
    with ours.makefile("rb") as stream, pytest.raises(errors.TooLarge):
        body.read({"CONTENT_LENGTH": str(len(data)), "wsgi.input": stream}, LIMIT)
    sender.join(5)
    assert not sender.is_alive()
