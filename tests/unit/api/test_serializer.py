"""What bodies can hold."""

import pytest

from volsnap import exception
from volsnap.api import serializer


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b'{"a": "\\ud800"}',
        b'{"a": "\xff"}',
        b"[" * 100_000,
        b"",
        b'{"a": 1} x',
    ],
)
def test_malformed_body_is_refused(body: bytes) -> None:
    with pytest.raises(exception.Invalid, match="Malformed request body"):
        serializer.load(body)


def test_deep_body_is_refused() -> None:
    with pytest.raises(exception.Invalid, match="nested"):
        serializer.load(b"[" * 600 + b"]" * 600)


@pytest.mark.parametrize("body", [b'{"s": {"name": "a\\u0000"}}', b'{"s": [{"name": ["\\u0000"]}]}'])
def test_null_character_is_refused_with_the_name_of_its_field(body: bytes) -> None:
    with pytest.raises(exception.InvalidInput, match="name contains a null character"):
        serializer.load(body)


def test_null_character_in_a_key_is_refused() -> None:
    with pytest.raises(exception.InvalidInput, match="metadata contains a null character"):
        serializer.load(b'{"metadata": {"\\u0000": "v"}}')


def test_backslash_u_in_a_text_is_no_null_character() -> None:
    assert serializer.load(b'{"a": "\\\\u0000"}') == {"a": "\\u0000"}


def test_last_of_equal_keys_counts() -> None:
    assert serializer.load(b'{"a": 1, "a": 2}') == {"a": 2}


def test_embedded_text_stands_as_it_is() -> None:
    assert serializer.dump({"metadata": serializer.embed('{"a":"b"}')}) == b'{"metadata":{"a":"b"}}'
