"""Checking bodies: the schemas themselves, and what they say of a bad body."""

from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest

from volsnap import exception
from volsnap.api import validation
from volsnap.api.v3.schemas import metadata, quotas, services, snapshots, volumes

MODULES = (metadata, quotas, services, snapshots, volumes)
VOLUME_ID = "0b0b0b0b-0000-4000-8000-000000000001"


def _schemas() -> Iterator[tuple[str, validation.Versioned]]:
    for module in MODULES:
        for name, value in vars(module).items():
            if isinstance(value, validation.Versioned):
                yield f"{module.__name__.rpartition('.')[2]}.{name}", value


ALL = dict(_schemas())


@pytest.mark.parametrize("name", ALL)
def test_schema_is_a_schema(name: str) -> None:
    for schema in ALL[name].schemas:
        jsonschema.Draft4Validator.check_schema(schema)
        _check_closed(schema, name)


def _check_closed(schema: Any, name: str) -> None:
    """Every object with named properties says what it does about others."""
    if isinstance(schema, dict):
        if "properties" in schema and "type" in schema:
            assert "additionalProperties" in schema, name
            required = schema.get("required", [])
            assert set(required) <= set(schema["properties"]), name
        for part in schema.values():
            _check_closed(part, name)


def test_ranges_must_follow_each_other() -> None:
    with pytest.raises(ValueError, match="ranges"):
        validation.Versioned((0, {}), (5, {}), (5, {}))
    with pytest.raises(ValueError, match="ranges"):
        validation.Versioned((1, {}))


def test_range_of_the_version_decides() -> None:
    versioned = validation.Versioned((0, {"type": "object"}), (53, {"type": "string"}))
    versioned.check({}, 52)
    versioned.check("x", 53)
    with pytest.raises(exception.Invalid):
        versioned.check("x", 52)


@pytest.mark.parametrize(
    ("snapshot", "message"),
    [
        ({}, "Invalid input for field/attribute snapshot. Value: {}. 'volume_id' is a required property"),
        (
            {"volume_id": "zzz"},
            "Invalid input for field/attribute volume_id. Value: zzz. "
            "'zzz' is not valid under any of the given schemas",
        ),
        (
            {"volume_id": VOLUME_ID, "name": 1},
            "Invalid input for field/attribute name. Value: 1. 1 is not of type 'string', 'null'",
        ),
        (
            {"volume_id": VOLUME_ID, "metadata": {"": "1"}},
            "Invalid input for field/attribute metadata. Value: {'': '1'}. "
            "'' does not match any of the regexes: '^[a-zA-Z0-9-_:. /]{1,255}$'",
        ),
    ],
)
def test_message_is_the_one_clients_know(snapshot: Any, message: str) -> None:
    with pytest.raises(exception.Invalid) as caught:
        snapshots.CREATE.check({"snapshot": snapshot}, 71)
    assert str(caught.value) == message


def test_message_about_a_huge_value_is_short() -> None:
    with pytest.raises(exception.Invalid) as caught:
        snapshots.CREATE.check({"snapshot": {"volume_id": "x" * 100_000}}, 71)
    assert len(str(caught.value)) < 3000


def test_key_that_ends_in_a_line_feed_is_refused() -> None:
    with pytest.raises(exception.Invalid, match="metadata"):
        metadata.ITEMS.check({"metadata": {"a\n": "b"}}, 71)


def test_size_may_be_text() -> None:
    volumes.CREATE.check({"volume": {"size": "10"}}, 71)


def test_unknown_fields_of_volumes_are_refused_since_3_53() -> None:
    body = {"volume": {"size": 1, "foo": 1}}
    volumes.CREATE.check(body, 52)
    with pytest.raises(exception.Invalid, match="foo"):
        volumes.CREATE.check(body, 53)


@pytest.mark.parametrize("text", ["true", "ON", "y", "1", True])
def test_truth(text: object) -> None:
    assert validation.boolean(text)


@pytest.mark.parametrize("text", ["false", "off", "n", "0", False, None])
def test_untruth(text: object) -> None:
    assert not validation.boolean(text)
