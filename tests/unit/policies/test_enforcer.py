"""Who may do what by default, and by an operator's file."""

import pathlib
import time

import pytest
from oslo_config import cfg

from volsnap.policies import base, enforcer, rules, snapshots, volumes

ADMIN = {"user_id": "u", "project_id": "p", "roles": ["admin"], "is_admin": True}
MEMBER = {"user_id": "u", "project_id": "p", "roles": ["member", "reader"], "is_admin": False}
READER = {"user_id": "u", "project_id": "p", "roles": ["reader"], "is_admin": False}
OWN = {"project_id": "p", "user_id": "u"}
OTHERS = {"project_id": "q", "user_id": "x"}


def _enforcer(policy_file: pathlib.Path | None = None) -> enforcer.Enforcer:
    conf = cfg.ConfigOpts()
    conf([], project="volsnap", default_config_files=[], default_config_dirs=[])
    made = enforcer.Enforcer(conf)
    if policy_file is not None:
        conf.set_override("policy_file", str(policy_file), group="oslo_policy")
        made = enforcer.Enforcer(conf)
    return made


@pytest.mark.parametrize(
    ("creds", "target", "rule", "allowed"),
    [
        (ADMIN, OTHERS, snapshots.DELETE, True),
        (MEMBER, OWN, snapshots.DELETE, True),
        (MEMBER, OTHERS, snapshots.DELETE, False),
        (READER, OWN, snapshots.DELETE, False),
        (READER, OWN, snapshots.GET, True),
        (READER, OTHERS, snapshots.GET, False),
        (MEMBER, OWN, snapshots.RESET_STATUS, False),
        (ADMIN, OWN, snapshots.RESET_STATUS, True),
        (MEMBER, OWN, volumes.HOST_ATTRIBUTE, False),
        (MEMBER, OWN, snapshots.UPDATE_STATUS, True),
        (READER, OWN, base.CONTEXT_IS_ADMIN, False),
        (ADMIN, OWN, base.CONTEXT_IS_ADMIN, True),
    ],
)
def test_defaults(creds: dict[str, object], target: dict[str, str], rule: str, allowed: bool) -> None:
    decide = _enforcer()
    assert decide.allows(rule, target, creds) is allowed
    assert decide.allows(rule, target, creds) is allowed  # remembered


def test_rules_have_names_of_their_own() -> None:
    names = [rule.name for rule in rules.list_rules()]
    assert len(names) == len(set(names))


def test_operators_file_counts_and_is_read_again(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(enforcer, "RELOAD_S", 0.0)
    file = tmp_path / "policy.yaml"
    file.write_text(f'"{snapshots.DELETE}": "rule:admin_api"\n')
    decide = _enforcer(file)
    assert not decide.allows(snapshots.DELETE, OWN, MEMBER)
    time.sleep(0.01)
    file.write_text(f'"{snapshots.DELETE}": "role:member"\n')
    assert decide.allows(snapshots.DELETE, OWN, MEMBER)
