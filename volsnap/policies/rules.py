"""Every rule of volsnap, for the enforcer and for the sample policy file."""

import itertools

from oslo_policy import policy

from volsnap.policies import (
    base,
    limits,
    messages,
    quotas,
    services,
    snapshots,
    types,
    volumes,
)

_NOUNS = (base, limits, messages, quotas, services, snapshots, types, volumes)


def list_rules() -> list[policy.RuleDefault]:
    """The rules with their defaults."""
    return list(itertools.chain.from_iterable(noun.RULES for noun in _NOUNS))
