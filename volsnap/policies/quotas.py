"""Who may see and set quotas."""

from volsnap.policies import base

SHOW = "volume_extension:quotas:show"
UPDATE = "volume_extension:quotas:update"
DELETE = "volume_extension:quotas:delete"
CLASS_GET = "volume_extension:quota_classes:get"
CLASS_UPDATE = "volume_extension:quota_classes:update"

_SET = "/os-quota-sets/{project_id}"
_CLASS = "/os-quota-class-sets/{class_name}"

RULES = (
    base.rule(SHOW, base.READER, "See a project's limits.", ("GET", _SET), ("GET", f"{_SET}/defaults")),
    base.rule(UPDATE, base.ADMIN, "Set a project's limits.", ("PUT", _SET)),
    base.rule(DELETE, base.ADMIN, "Put a project back to the default limits.", ("DELETE", _SET)),
    base.rule(CLASS_GET, base.ADMIN, "See the limits of a quota class.", ("GET", _CLASS)),
    base.rule(CLASS_UPDATE, base.ADMIN, "Set the limits of a quota class.", ("PUT", _CLASS)),
)
