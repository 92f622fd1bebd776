"""Request bodies on volumes. Below 3.53 unknown fields of a new volume are let pass, as they always were."""

from volsnap.api import microversions, validation
from volsnap.api.v3.schemas import fields

_NAMES = {
    "name": fields.LONG_NAME,
    "display_name": fields.LONG_NAME,
    "description": fields.LONG_NAME,
    "display_description": fields.LONG_NAME,
}

_NEW = fields.closed(
    {
        **_NAMES,
        "size": fields.SIZE_OR_NULL,
        "volume_type": {"type": ["string", "null"], "maxLength": 255},
        "metadata": fields.METADATA_OR_NULL,
        "snapshot_id": fields.ID_OR_NULL,
        "source_volid": fields.ID_OR_NULL,
        "imageRef": {"type": ["string", "null"], "maxLength": 255},
        "image_id": {"type": ["string", "null"], "maxLength": 255},
        "backup_id": fields.ID_OR_NULL,
        "group_id": fields.ID_OR_NULL,
        "consistencygroup_id": fields.ID_OR_NULL,
        "availability_zone": {"type": ["string", "null"], "maxLength": 255},
        "multiattach": {"anyOf": [fields.BOOLEAN, {"type": "null"}]},
    }
)
_HINTS = {"type": ["object", "null"]}


def _create(volume: fields.Piece) -> fields.Piece:
    body = fields.wrapped("volume", volume)
    hints = {"OS-SCH-HNT:scheduler_hints": _HINTS, "scheduler_hints": _HINTS}
    return {**body, "properties": {**body["properties"], **hints}}


CREATE = validation.Versioned(
    (0, {**_create({**_NEW, "additionalProperties": True}), "additionalProperties": True}),
    (microversions.STRICT_VOLUMES, _create(_NEW)),
)

_CHANGED = fields.closed({**_NAMES, "metadata": fields.METADATA_OR_NULL})

UPDATE = validation.Versioned(
    (0, fields.wrapped("volume", _CHANGED)),
    (microversions.STRICT_VOLUMES, fields.wrapped("volume", fields.any_of(_CHANGED))),
)


def _action(name: str, properties: fields.Piece, *required: str) -> validation.Versioned:
    return validation.Versioned((0, fields.wrapped(name, fields.closed(properties, *required))))


_STATUS = {"type": ["string", "null"], "maxLength": 64}

EXTEND = _action("os-extend", {"new_size": fields.SIZE}, "new_size")
RESET_STATUS = validation.Versioned(
    (
        0,
        fields.wrapped(
            "os-reset_status",
            fields.any_of(
                fields.closed(
                    {
                        "status": _STATUS,
                        "attach_status": _STATUS,
                        "migration_status": _STATUS,
                    }
                )
            ),
        ),
    )
)
FORCE_DELETE = validation.Versioned((0, fields.wrapped("os-force_delete", {})))
SET_BOOTABLE = _action("os-set_bootable", {"bootable": fields.BOOLEAN}, "bootable")
READONLY = _action("os-update_readonly_flag", {"readonly": fields.BOOLEAN}, "readonly")
REVERT = _action("revert", {"snapshot_id": fields.ID_OR_NULL})
_CONNECTOR = {"connector": {"type": ["object", "string", "null"]}}
INITIALIZE = _action("os-initialize_connection", _CONNECTOR, "connector")
TERMINATE = _action("os-terminate_connection", _CONNECTOR, "connector")
