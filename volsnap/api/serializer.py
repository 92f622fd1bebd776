"""JSON in and out. What is refused on the way in can never be stored: NaN, lone surrogates, endless nesting."""

from typing import Any

import orjson

from volsnap import exception

_DEEPEST = 500


def dump(value: object) -> bytes:
    """The JSON of ``value``."""
    return orjson.dumps(value)


def embed(text: str) -> orjson.Fragment:
    """JSON text, such as a metadata column, to stand inside another value as it is."""
    return orjson.Fragment(text)


def load(body: bytes) -> Any:
    """The value of a request's body.

    :raises exception.Invalid: it is no JSON, or nothing that can be stored.
    """
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as err:
        raise exception.Invalid(reason="Malformed request body") from err
    _check_depth(value)
    if b"\\u0000" in body:
        _check_nul(value)
    return value


def _check_depth(value: Any) -> None:
    """Refuse what would overflow the stack of whoever walks it."""
    level = [value]
    for _depth in range(_DEEPEST):
        level = [
            below
            for item in level
            if isinstance(item, dict | list)
            for below in (item.values() if isinstance(item, dict) else item)
        ]
        if not level:
            return
    raise exception.InvalidInput(reason=f"the request body is nested deeper than {_DEEPEST} levels.")


def _check_nul(value: Any, field: str = "body") -> None:
    """Refuse null characters, which PostgreSQL cannot store."""
    if isinstance(value, str) and "\0" in value:
        raise exception.InvalidInput(reason=f"{field} contains a null character; remove it.")
    if isinstance(value, list):
        for item in value:
            _check_nul(item, field)
    elif isinstance(value, dict):
        for key, item in value.items():
            _check_nul(key, field if "\0" not in key or field != "body" else repr(key))
            _check_nul(item, key)
