"""What an answer says of a message to a user."""

from typing import Any

from volsnap.api import wire
from volsnap.db.engine import Row

#: What was done, and what went wrong with it, by the numbers that clients know.
_ACTIONS = {
    "001": "schedule allocate volume",
    "002": "attach volume",
    "003": "copy volume to image",
    "004": "update attachment",
    "005": "copy image to volume",
    "006": "unmanage volume",
    "007": "extend volume",
    "008": "create volume from backend storage",
    "009": "create snapshot",
    "010": "delete snapshot",
    "011": "update snapshot",
    "012": "update snapshot metadata",
    "013": "create backup",
    "014": "delete backup",
    "015": "restore backup",
    "016": "reimage volume",
}
_DETAILS = {
    "001": "Nobody knows why it failed; the service's log may tell.",
    "002": "The storage backend is not ready; try again later.",
    "003": "Could not find any available weighted backend.",
    "004": "The volume's content could not be uploaded.",
    "005": "The volume cannot be attached in that mode.",
    "006": "A limit of the project is reached.",
}


def detail(row: Row, linker: wire.Linker) -> dict[str, Any]:
    """A message."""
    return {
        "id": row.id,
        "event_id": f"VOLUME_{row.resource_type}_{row.action_id}_{row.detail_id}",
        "user_message": row.text or _standard_text(row),
        "message_level": row.level,
        "created_at": row.created_at,
        "guaranteed_until": row.expires_at,
        "request_id": row.request_id,
        "links": linker.links(row.id),
        "resource_type": row.resource_type,
        "resource_uuid": row.resource_uuid,
    }


def _standard_text(row: Row) -> str:
    action = _ACTIONS.get(row.action_id, "unknown action")
    return f"{action}:{_DETAILS.get(row.detail_id, _DETAILS['001'])}"
