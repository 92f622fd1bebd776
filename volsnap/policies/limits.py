"""Who may see what a project uses of its limits."""

from volsnap.policies import base

USED = "limits_extension:used_limits"

RULES = (base.rule(USED, base.READER, "See how much of the limits is used.", ("GET", "/limits")),)
