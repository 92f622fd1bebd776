"""Request bodies on services."""

from volsnap.api import validation
from volsnap.api.v3.schemas import fields

_TEXT: fields.Piece = {"type": "string", "minLength": 1, "maxLength": 255}
_WHICH = {"host": _TEXT, "binary": _TEXT, "service": _TEXT}

SET_STATE = validation.Versioned((0, fields.closed({**_WHICH, "disabled_reason": fields.NAME}, "host")))
DISABLE_WITH_REASON = validation.Versioned(
    (
        0,
        fields.closed(
            {**_WHICH, "disabled_reason": {**_TEXT, "format": "printable"}},
            "host",
            "disabled_reason",
        ),
    )
)
SET_FROZEN = validation.Versioned((0, fields.closed({"host": _TEXT}, "host")))
