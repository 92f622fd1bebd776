"""What a verb gets to work with: the connection and the printer.

Invariant: nothing is resolved or opened before a verb asks for it, so ``help`` and ``completion``
work with a broken configuration and without a service.
"""

import argparse
from collections.abc import Mapping

from volsnap.cli import config, http, output


class Context:
    """One invocation of the command."""

    def __init__(self, options: argparse.Namespace, environ: Mapping[str, str]) -> None:
        self._options = options
        self._environ = environ
        self._client: http.Client | None = None
        self.printer = output.Printer(
            getattr(options, "format", None) or "table", getattr(options, "column", None) or []
        )

    @property
    def client(self) -> http.Client:
        """The connection to the service, made from flags, a named cloud and the environment."""
        if self._client is None:
            settings = config.load_settings(vars(self._options), self._environ)
            self._client = http.Client(settings, is_debug=bool(self._options.debug))
        return self._client

    def close(self) -> None:
        """Close the connection, if one was opened."""
        if self._client is not None:
            self._client.close()
