"""The pieces that request schemas are made of."""

from typing import Any

Piece = dict[str, Any]

#: Long names are refused here; where a handler refuses them in other words it is :data:`LONG_NAME`.
NAME: Piece = {"type": ["string", "null"], "maxLength": 255, "format": "printable"}
LONG_NAME: Piece = {"type": ["string", "null"], "format": "printable"}

ID: Piece = {"type": "string", "format": "uuid"}
ID_OR_NULL: Piece = {"anyOf": [ID, {"type": "null"}]}

SIZE: Piece = {
    "type": ["integer", "string"],
    "pattern": "^[0-9]+$",
    "maxLength": 10,
    "minimum": 1,
    "maximum": 2**31 - 1,
}
SIZE_OR_NULL: Piece = {**SIZE, "type": ["integer", "string", "null"]}

BOOLEAN: Piece = {
    "enum": [
        *(True, "True", "TRUE", "true", "1", "ON", "On", "on", "YES", "Yes", "yes", "y", "t"),
        *(False, "False", "FALSE", "false", "0", "OFF", "Off", "off", "NO", "No", "no", "n", "f"),
    ]
}

_VALUE: Piece = {"type": "string", "maxLength": 255}

#: Metadata that comes with a new resource.
METADATA_OR_NULL: Piece = {
    "type": ["object", "null"],
    "patternProperties": {"^[a-zA-Z0-9-_:. /]{1,255}$": _VALUE},
    "additionalProperties": False,
    "format": "one-line keys",
}
#: Metadata under a URL of its own: a key with a slash would be no key there.
METADATA: Piece = {
    "type": "object",
    "patternProperties": {"^[a-zA-Z0-9-_:. ]{1,255}$": _VALUE},
    "additionalProperties": False,
    "format": "one-line keys",
}


def wrapped(name: str, schema: Piece) -> Piece:
    """A body that is an object with the one key ``name``."""
    return {
        "type": "object",
        "properties": {name: schema},
        "required": [name],
        "additionalProperties": False,
    }


def closed(properties: Piece, *required: str) -> Piece:
    """An object with these properties and no others."""
    schema: Piece = {
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
    }
    return {**schema, "required": list(required)} if required else schema


def any_of(schema: Piece) -> Piece:
    """``schema``, with at least one of its properties present."""
    return {**schema, "anyOf": [{"required": [name]} for name in schema["properties"]]}
