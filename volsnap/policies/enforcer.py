"""Decides whether policy allows something.

A decision follows from the rule, the owner of the target and the caller's user, project, roles and admin flag, from
nothing else; that makes it safe to remember. What is remembered is dropped when the policy file is looked at again,
every :data:`RELOAD_S` seconds, so a changed file takes effect within that time and without a restart.
"""

import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any, cast

from oslo_config import cfg
from oslo_policy import policy

from volsnap.policies import rules

RELOAD_S = 2.0
_REMEMBERED = 10_000

_Key = tuple[object, ...]


class Enforcer:
    """The rules as the operator's policy file leaves them."""

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self._enforcer = policy.Enforcer(conf)
        self._enforcer.register_defaults(rules.list_rules())
        self._enforcer.load_rules()
        self._lock = threading.Lock()
        self._decisions: dict[_Key, bool] = {}
        self._fresh_until = time.monotonic() + RELOAD_S

    def allows(self, rule: str, target: Mapping[str, object], creds: Mapping[str, object]) -> bool:
        """Whether a caller with ``creds`` may do ``rule`` to something that belongs to ``target``."""
        if time.monotonic() > self._fresh_until:
            self._look_again()
        decisions = self._decisions
        key: _Key = (
            rule,
            target.get("project_id"),
            target.get("user_id"),
            creds.get("project_id"),
            creds.get("user_id"),
            tuple(cast(Sequence[str], creds.get("roles") or ())),
            creds.get("is_admin"),
        )
        known = decisions.get(key)
        if known is None:
            known = self._decide(rule, target, creds)
            if len(decisions) >= _REMEMBERED:
                decisions.clear()
            decisions[key] = known
        return known

    def _decide(self, rule: str, target: Mapping[str, object], creds: Mapping[str, object]) -> bool:
        caller: dict[str, Any] = dict(creds)
        with self._lock:
            return bool(self._enforcer.enforce(rule, dict(target), caller))

    def _look_again(self) -> None:
        with self._lock:
            if time.monotonic() > self._fresh_until:
                self._enforcer.load_rules()
                # A new dictionary: a thread that decided by the old rules fills the old one.
                self._decisions = {}
                self._fresh_until = time.monotonic() + RELOAD_S
