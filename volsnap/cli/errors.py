"""What can go wrong for the person at the shell.

Invariant: every failure the command foresees is a :class:`CliError` whose text is one sentence
that names the field and the remedy, and whose ``exit_code`` is what the shell gets: 1 the
operation failed, 2 bad usage or configuration. ``main`` is the only place that prints one.
"""


class CliError(Exception):
    """The operation failed."""

    exit_code = 1


class UsageError(CliError):
    """The command line or the configuration is wrong; nothing was sent, or nothing was changed."""

    exit_code = 2


class UnreachableError(CliError):
    """The service gave no answer. Whether it did the work is not known; a poll may try again."""


class HttpError(CliError):
    """The service answered with an error status."""

    def __init__(self, message: str, *, status: int, request_id: str | None) -> None:
        super().__init__(message)
        self.status = status
        self.request_id = request_id
