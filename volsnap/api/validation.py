"""Checks request bodies against JSON schemas, one schema per range of versions.

The ranges of one :class:`Versioned` follow each other without gap or overlap; it is checked when it is made.
"""

import re
import uuid
from collections.abc import Mapping
from typing import Any

import jsonschema

from volsnap import exception
from volsnap.api import microversions, wire

Schema = Mapping[str, Any]

_MOST_SHOWN = 1000
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")

_FORMATS = jsonschema.FormatChecker(formats=())


@_FORMATS.checks("uuid", raises=ValueError)
def _is_uuid(value: object) -> bool:
    if isinstance(value, str):
        uuid.UUID(value)
    return True


@_FORMATS.checks("one-line keys")
def _has_one_line_keys(value: object) -> bool:
    # The regular expressions of metadata keys end in "$", which lets a line feed pass.
    return not (isinstance(value, dict) and any("\n" in str(key) for key in value))


@_FORMATS.checks("printable")
def _is_printable(value: object) -> bool:
    return not (isinstance(value, str) and _CONTROL.search(value))


class Versioned:
    """The schemas of one request, by the version they begin with."""

    def __init__(self, *ranges: tuple[int, Schema]) -> None:
        starts = [start for start, _ in ranges]
        if starts[0] != microversions.MIN or starts != sorted(set(starts)):
            raise ValueError(f"the ranges must start at 0 and go up: {starts}")
        self.schemas = [schema for _, schema in ranges]
        self._validators = [
            (start, jsonschema.Draft4Validator(schema, format_checker=_FORMATS)) for start, schema in reversed(ranges)
        ]

    def check(self, value: object, version: int) -> None:
        """Return when ``value`` is as ``version`` wants it.

        :raises exception.Invalid: it is not; the message names the field.
        """
        validator = next(v for start, v in self._validators if version >= start)
        try:
            error = next(validator.iter_errors(value), None)
        except RecursionError as err:
            raise exception.Invalid(reason="The request body is nested too deeply.") from err
        if error is not None:
            raise exception.Invalid(reason=_explain(error))


def body(request: wire.Request, schema: Versioned) -> dict[str, Any]:
    """The request's body, checked.

    :raises exception.Invalid: it is missing or wrong.
    """
    value = request.json()
    schema.check(value, request.version)
    checked: dict[str, Any] = value
    return checked


def boolean(value: object) -> bool:
    """The truth of a value that :data:`volsnap.api.v3.schemas.fields.BOOLEAN` lets pass."""
    if isinstance(value, str):
        return value.lower() in ("true", "1", "on", "yes", "y", "t")
    return bool(value)


def _explain(error: jsonschema.ValidationError) -> str:
    if not error.path:
        return _shorten(error.message)
    field = error.path[-1]
    value = _shorten(str(error.instance))
    return f"Invalid input for field/attribute {field}. Value: {value}. {_shorten(error.message)}"


def _shorten(text: str) -> str:
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…"
