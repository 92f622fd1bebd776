"""Who may do what with snapshots."""

from volsnap.policies import base

GET_ALL = "volume:get_all_snapshots"
EXTENDED = "volume_extension:extended_snapshot_attributes"
CREATE = "volume:create_snapshot"
GET = "volume:get_snapshot"
UPDATE = "volume:update_snapshot"
DELETE = "volume:delete_snapshot"
RESET_STATUS = "volume_extension:snapshot_admin_actions:reset_status"
UPDATE_STATUS = "snapshot_extension:snapshot_actions:update_snapshot_status"
FORCE_DELETE = "volume_extension:snapshot_admin_actions:force_delete"
GET_METADATA = "volume:get_snapshot_metadata"
UPDATE_METADATA = "volume:update_snapshot_metadata"
DELETE_METADATA = "volume:delete_snapshot_metadata"

_ONE = "/snapshots/{snapshot_id}"
_ACTION = f"{_ONE}/action"
_METADATA = f"{_ONE}/metadata"
_KEY = f"{_METADATA}/{{key}}"

RULES = (
    base.rule(GET_ALL, base.READER, "List snapshots.", ("GET", "/snapshots"), ("GET", "/snapshots/detail")),
    base.rule(
        EXTENDED,
        base.READER,
        "See the progress and the project of a snapshot.",
        ("GET", _ONE),
        ("GET", "/snapshots/detail"),
    ),
    base.rule(CREATE, base.MEMBER, "Take a snapshot.", ("POST", "/snapshots")),
    base.rule(GET, base.READER, "Show a snapshot.", ("GET", _ONE)),
    base.rule(UPDATE, base.MEMBER, "Rename or describe a snapshot.", ("PUT", _ONE)),
    base.rule(DELETE, base.MEMBER, "Delete a snapshot.", ("DELETE", _ONE)),
    base.rule(
        RESET_STATUS,
        base.ADMIN,
        "Set the status of a snapshot by hand.",
        ("POST", f"{_ACTION} (os-reset_status)"),
    ),
    base.rule(
        UPDATE_STATUS,
        base.MEMBER,
        "Report how far a snapshot taken elsewhere has come.",
        ("POST", f"{_ACTION} (os-update_snapshot_status)"),
    ),
    base.rule(
        FORCE_DELETE,
        base.ADMIN,
        "Delete a snapshot whatever its status.",
        ("POST", f"{_ACTION} (os-force_delete)"),
    ),
    base.rule(
        GET_METADATA,
        base.READER,
        "See a snapshot's metadata.",
        ("GET", _METADATA),
        ("GET", _KEY),
    ),
    base.rule(
        UPDATE_METADATA,
        base.MEMBER,
        "Set a snapshot's metadata.",
        ("POST", _METADATA),
        ("PUT", _METADATA),
        ("PUT", _KEY),
    ),
    base.rule(DELETE_METADATA, base.MEMBER, "Remove a snapshot's metadata.", ("DELETE", _KEY)),
)
