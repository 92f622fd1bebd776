"""Who may do what with volumes."""

from volsnap.policies import base

CREATE = "volume:create"
GET = "volume:get"
GET_ALL = "volume:get_all"
UPDATE = "volume:update"
DELETE = "volume:delete"
FORCE_DELETE = "volume:force_delete"
HOST_ATTRIBUTE = "volume_extension:volume_host_attribute"
TENANT_ATTRIBUTE = "volume_extension:volume_tenant_attribute"
MIGRATION_ATTRIBUTE = "volume_extension:volume_mig_status_attribute"
ENCRYPTION = "volume_extension:volume_encryption_metadata"
MULTIATTACH = "volume:multiattach"
EXTEND = "volume:extend"
EXTEND_ATTACHED = "volume:extend_attached_volume"
REVERT = "volume:revert_to_snapshot"
RESET_STATUS = "volume_extension:volume_admin_actions:reset_status"
FORCE_DELETE_ACTION = "volume_extension:volume_admin_actions:force_delete"
READONLY = "volume:update_readonly_flag"
INITIALIZE = "volume_extension:volume_actions:initialize_connection"
TERMINATE = "volume_extension:volume_actions:terminate_connection"
GET_METADATA = "volume:get_volume_metadata"
CREATE_METADATA = "volume:create_volume_metadata"
UPDATE_METADATA = "volume:update_volume_metadata"
DELETE_METADATA = "volume:delete_volume_metadata"

_ONE = "/volumes/{volume_id}"
_ACTION = f"{_ONE}/action"
_METADATA = f"{_ONE}/metadata"
_KEY = f"{_METADATA}/{{key}}"
_SHOWN = (("GET", _ONE), ("GET", "/volumes/detail"))

RULES = (
    base.rule(CREATE, base.MEMBER, "Create a volume.", ("POST", "/volumes")),
    base.rule(GET, base.READER, "Show a volume.", ("GET", _ONE)),
    base.rule(
        GET_ALL,
        base.READER,
        "List volumes or sum them up.",
        ("GET", "/volumes"),
        ("GET", "/volumes/detail"),
        ("GET", "/volumes/summary"),
    ),
    base.rule(
        UPDATE,
        base.MEMBER,
        "Rename or describe a volume, or make it bootable.",
        ("PUT", _ONE),
        ("POST", f"{_ACTION} (os-set_bootable)"),
    ),
    base.rule(DELETE, base.MEMBER, "Delete a volume.", ("DELETE", _ONE)),
    base.rule(FORCE_DELETE, base.ADMIN, "Delete a volume whatever its status.", ("DELETE", _ONE)),
    base.rule(HOST_ATTRIBUTE, base.ADMIN, "See which backend holds a volume.", *_SHOWN),
    base.rule(TENANT_ATTRIBUTE, base.READER, "See the project of a volume.", *_SHOWN),
    base.rule(MIGRATION_ATTRIBUTE, base.ADMIN, "See the migration status of a volume.", *_SHOWN),
    base.rule(
        ENCRYPTION,
        base.READER,
        "See how a volume is encrypted.",
        ("GET", f"{_ONE}/encryption"),
        ("GET", f"{_ONE}/encryption/{{key}}"),
    ),
    base.rule(
        MULTIATTACH,
        base.MEMBER,
        "Create a volume that several servers may use at once.",
        ("POST", "/volumes"),
    ),
    base.rule(EXTEND, base.MEMBER, "Grow a volume.", ("POST", f"{_ACTION} (os-extend)")),
    base.rule(
        EXTEND_ATTACHED,
        base.MEMBER,
        "Grow a volume while it is in use.",
        ("POST", f"{_ACTION} (os-extend)"),
    ),
    base.rule(
        REVERT,
        base.MEMBER,
        "Put a volume back to one of its snapshots.",
        ("POST", f"{_ACTION} (revert)"),
    ),
    base.rule(
        RESET_STATUS,
        base.ADMIN,
        "Set the status of a volume by hand.",
        ("POST", f"{_ACTION} (os-reset_status)"),
    ),
    base.rule(
        FORCE_DELETE_ACTION,
        base.ADMIN,
        "Delete a volume whatever its status.",
        ("POST", f"{_ACTION} (os-force_delete)"),
    ),
    base.rule(
        READONLY,
        base.MEMBER,
        "Make a volume read-only or writable.",
        ("POST", f"{_ACTION} (os-update_readonly_flag)"),
    ),
    base.rule(
        INITIALIZE,
        base.MEMBER,
        "Export a volume to a host.",
        ("POST", f"{_ACTION} (os-initialize_connection)"),
    ),
    base.rule(
        TERMINATE,
        base.MEMBER,
        "End the export of a volume to a host.",
        ("POST", f"{_ACTION} (os-terminate_connection)"),
    ),
    base.rule(
        GET_METADATA,
        base.READER,
        "See a volume's metadata.",
        ("GET", _METADATA),
        ("GET", _KEY),
    ),
    base.rule(CREATE_METADATA, base.MEMBER, "Add to a volume's metadata.", ("POST", _METADATA)),
    base.rule(
        UPDATE_METADATA,
        base.MEMBER,
        "Replace a volume's metadata.",
        ("PUT", _METADATA),
        ("PUT", _KEY),
    ),
    base.rule(DELETE_METADATA, base.MEMBER, "Remove a volume's metadata.", ("DELETE", _KEY)),
)
