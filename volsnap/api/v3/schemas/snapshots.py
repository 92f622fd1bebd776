"""Request bodies on snapshots."""

from volsnap.api import validation
from volsnap.api.v3.schemas import fields

_NAMES = {
    "name": fields.NAME,
    "display_name": fields.NAME,
    "description": fields.NAME,
    "display_description": fields.NAME,
}

CREATE = validation.Versioned(
    (
        0,
        fields.wrapped(
            "snapshot",
            fields.closed(
                {
                    **_NAMES,
                    "volume_id": fields.ID_OR_NULL,
                    "force": fields.BOOLEAN,
                    "metadata": fields.METADATA_OR_NULL,
                },
                "volume_id",
            ),
        ),
    )
)
UPDATE = validation.Versioned((0, fields.wrapped("snapshot", fields.any_of(fields.closed(_NAMES)))))

RESET_STATUS = validation.Versioned(
    (
        0,
        fields.wrapped(
            "os-reset_status",
            fields.closed({"status": {"type": "string", "minLength": 1}}, "status"),
        ),
    )
)
UPDATE_STATUS = validation.Versioned(
    (
        0,
        fields.wrapped(
            "os-update_snapshot_status",
            fields.closed(
                {
                    "status": {"type": "string", "minLength": 1},
                    "progress": {"type": ["string", "null"], "maxLength": 255},
                },
                "status",
            ),
        ),
    )
)
FORCE_DELETE = validation.Versioned((0, fields.wrapped("os-force_delete", {})))
