"""Who sent a request.

A strategy turns a request into a context or raises; nothing behind it looks at a token. A further strategy is one
function here, one entry in :data:`STRATEGIES` and one choice of the option ``auth_strategy``.
"""

from collections.abc import Callable

from volsnap import context
from volsnap.api import errors, wire
from volsnap.policies import base, enforcer

Strategy = Callable[[wire.Request, enforcer.Enforcer], "context.RequestContext"]

#: Each role has those behind it, as Keystone sees to it.
_ROLES = ("admin", "member", "reader")
_LONGEST = 255


class TokenMissing(Exception):
    """A client without a token asks for one, the way noauth hands them out."""


def noauth(request: wire.Request, policy: enforcer.Enforcer) -> context.RequestContext:
    """Believe a token ``user:project`` (an administrator) or ``user:project:role,role``.

    :raises TokenMissing: there is no token and the request changes nothing.
    :raises errors.NotAuthenticated: there is none that could be believed.
    """
    token = request.header("X-Auth-Token")
    if not token:
        if request.method in ("GET", "HEAD"):
            raise TokenMissing
        raise errors.NotAuthenticated
    user, _, rest = token.partition(":")
    project, _, roles_text = rest.partition(":")
    project = project or user
    if not user or len(user) > _LONGEST or len(project) > _LONGEST:
        raise errors.NotAuthenticated
    roles = _with_implied([role for role in roles_text.split(",") if role])
    credentials = {"user_id": user, "project_id": project, "roles": roles}
    return context.RequestContext(
        user_id=user,
        project_id=project,
        roles=roles,
        is_admin=policy.allows(base.CONTEXT_IS_ADMIN, {}, credentials),
        policy=policy,
        request_id=request.request_id,
    )


def _with_implied(roles: list[str]) -> tuple[str, ...]:
    """The roles and what they imply; every role for who names none."""
    if not roles:
        return _ROLES
    highest = min((_ROLES.index(role) for role in roles if role in _ROLES), default=len(_ROLES))
    return tuple(dict.fromkeys([*roles, *_ROLES[highest:]]))


def hand_out_token(request: wire.Request) -> wire.Response:
    """What noauth answers who comes without a token: here is one, and this is where to use it."""
    user = request.header("X-Auth-User") or "admin"
    project = request.header("X-Auth-Project-Id") or "admin"
    return wire.Response(
        204,
        media_type="text/plain; charset=UTF-8",
        headers=[
            ("X-Auth-Token", f"{user}:{project}"),
            ("X-Server-Management-Url", f"{request.base_url}{_ascii(request.path.rstrip('/'))}"),
        ],
    )


def _ascii(path: str) -> str:
    return path.encode("ascii", "replace").decode()


STRATEGIES: dict[str, Strategy] = {"noauth": noauth}
