"""What every policy file builds on: the roles of the OpenStack defaults, by the names operators override.

``admin`` may do everything; ``member`` may change and ``reader`` may look at what belongs to the own project.
"""

from collections.abc import Sequence

from oslo_policy import policy

CONTEXT_IS_ADMIN = "context_is_admin"
ADMIN = "rule:admin_api"
READER = "rule:xena_system_admin_or_project_reader"
MEMBER = "rule:xena_system_admin_or_project_member"
ANYONE = ""

Operation = tuple[str, str]


def rule(name: str, check: str, description: str, *operations: Operation) -> policy.DocumentedRuleDefault:
    """One rule that guards ``operations``, each a method and a path."""
    return policy.DocumentedRuleDefault(
        name=name,
        check_str=check,
        description=description,
        operations=[{"method": method, "path": path} for method, path in operations],
    )


RULES: Sequence[policy.RuleDefault] = (
    policy.RuleDefault(CONTEXT_IS_ADMIN, "role:admin", "Who counts as an administrator."),
    policy.RuleDefault(
        "admin_api",
        "is_admin:True or (role:admin and is_admin_project:True)",
        "Who may use the parts of the API that are for administrators.",
    ),
    policy.RuleDefault(
        "xena_system_admin_or_project_reader",
        "rule:admin_api or (role:reader and project_id:%(project_id)s)",
        "Who may look at a project's resources.",
    ),
    policy.RuleDefault(
        "xena_system_admin_or_project_member",
        "rule:admin_api or (role:member and project_id:%(project_id)s)",
        "Who may change a project's resources.",
    ),
)
