"""Who may see and stop services."""

from volsnap.policies import base

INDEX = "volume_extension:services:index"
UPDATE = "volume_extension:services:update"
FREEZE = "volume:freeze_host"
THAW = "volume:thaw_host"
POOLS = "scheduler_extension:scheduler_stats:get_pools"
ZONES = "volume:availability_zone_list"

RULES = (
    base.rule(INDEX, base.ADMIN, "List services.", ("GET", "/os-services")),
    base.rule(
        UPDATE,
        base.ADMIN,
        "Take a service out of use or back in.",
        ("PUT", "/os-services/enable"),
        ("PUT", "/os-services/disable"),
        ("PUT", "/os-services/disable-log-reason"),
    ),
    base.rule(FREEZE, base.ADMIN, "Refuse changes on a backend.", ("PUT", "/os-services/freeze")),
    base.rule(THAW, base.ADMIN, "Allow changes on a backend again.", ("PUT", "/os-services/thaw")),
    base.rule(POOLS, base.ADMIN, "List storage pools.", ("GET", "/scheduler-stats/get_pools")),
    base.rule(ZONES, base.ANYONE, "List availability zones.", ("GET", "/os-availability-zone")),
)
