"""Every error volsnap raises on purpose, in one tree.

::

    VolsnapError
    ├── Invalid                 the request is wrong                          400
    │   ├── InvalidInput        a field has a bad value; names the field
    │   └── InvalidStatus       the resource is in no status that allows this
    ├── Forbidden               policy says no                                403
    ├── NotFound                there is no such thing (or it is not yours)   404
    ├── Conflict                it exists already, or somebody was faster     409
    ├── OverQuota               a limit of the project is reached             413
    └── ServiceUnavailable      the database or a backend does not answer     503

What a storage backend can say has its own tree, :class:`volsnap.volume.drivers.base.DriverError`; a failed
command is :class:`volsnap.lowlevel.run.CommandError`. ``api/errors.py`` is the only place that turns an
exception into an HTTP status.
"""

from typing import Any


class VolsnapError(Exception):
    """Base class: a message template and the fields it is filled with.

    Raise with keyword fields only; the sentence lives in the class, not at the raise site.
    """

    msg = "An unexpected error occurred."

    def __init__(self, **fields: Any) -> None:
        self.fields = fields
        super().__init__(self.msg.format(**fields))


class Invalid(VolsnapError):
    """The request cannot be carried out as it stands; repeating it gives the same answer."""

    msg = "{reason}"


class InvalidInput(Invalid):
    """One input is bad. Fields: ``reason`` names the input and the remedy."""

    msg = "Invalid input received: {reason}"


class InvalidStatus(Invalid):
    """The resource's status does not allow the action. Fields: ``kind``, ``id``, ``reason``."""

    msg = "Invalid {kind}: {reason}"


class Forbidden(VolsnapError):
    """Policy refuses. Fields: ``action``."""

    msg = "Policy doesn't allow {action} to be performed."


class NotFound(VolsnapError):
    """There is no such resource for this caller. Fields: ``kind`` (a noun), ``id``."""

    msg = "{kind} {id} could not be found."


class Conflict(VolsnapError):
    """The thing exists, or changed under the request. Fields: ``reason``."""

    msg = "{reason}"


class OverQuota(VolsnapError):
    """A limit of the project is reached. Fields: ``reason``."""

    msg = "{reason}"


class ServiceUnavailable(VolsnapError):
    """A part that the request needs does not answer now; the same request may work later. Fields: ``reason``."""

    msg = "{reason}"
