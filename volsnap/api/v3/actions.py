"""Actions: requests whose body has one key that says what to do."""

import dataclasses
from collections.abc import Callable, Mapping

from volsnap import exception
from volsnap.api import errors, wire


@dataclasses.dataclass(frozen=True, slots=True)
class Action:
    """What to do, and since which version it can be asked for."""

    run: Callable[[wire.Request, str], wire.Response]
    since: int = 0


def dispatch(request: wire.Request, actions: Mapping[str, Action], item_id: str) -> wire.Response:
    """Run the action that the body names.

    :raises exception.Invalid: it names none that exists.
    :raises errors.NotInVersion: it exists in later versions only.
    """
    if not request.body:
        raise _no_such(None)
    body = request.json()
    if not isinstance(body, dict) or len(body) != 1:
        raise exception.Invalid(reason="Malformed request body")
    name = next(iter(body))
    action = actions.get(name)
    if action is None:
        raise _no_such(name[:255])
    if request.version < action.since:
        raise errors.NotInVersion
    return action.run(request, item_id)


def _no_such(name: str | None) -> exception.Invalid:
    return exception.Invalid(
        reason=f"There is no such action: {name}. Verify the request body and Content-Type header and try again."
    )
