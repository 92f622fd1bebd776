"""Who asks: the identity and the ids of one request, immutable from the door to the journal."""

import dataclasses
import uuid
from collections.abc import Mapping

from volsnap import exception
from volsnap.policies import enforcer


def new_request_id() -> str:
    """A fresh ``req-…`` id."""
    return f"req-{uuid.uuid4()}"


@dataclasses.dataclass(frozen=True, slots=True)
class RequestContext:
    """The caller of one request.

    ``is_admin`` is what policy says of the roles, decided once when the request comes in.
    """

    user_id: str
    project_id: str
    roles: tuple[str, ...]
    is_admin: bool
    policy: enforcer.Enforcer
    request_id: str = dataclasses.field(default_factory=new_request_id)

    def can(self, rule: str, project_id: str | None = None) -> bool:
        """Whether policy ``rule`` allows the caller to act in ``project_id``, by default the caller's own."""
        target = {"project_id": project_id or self.project_id, "user_id": self.user_id}
        return self.policy.allows(rule, target, self._credentials())

    def authorize(self, rule: str, project_id: str | None = None) -> None:
        """Return when policy allows it.

        :raises exception.Forbidden: it does not.
        """
        if not self.can(rule, project_id):
            raise exception.Forbidden(action=rule)

    @property
    def visible_project(self) -> str | None:
        """The project whose resources the caller may see; None: everybody's."""
        return None if self.is_admin else self.project_id

    def _credentials(self) -> Mapping[str, object]:
        return {
            "user_id": self.user_id,
            "project_id": self.project_id,
            "roles": list(self.roles),
            "is_admin": self.is_admin,
        }
