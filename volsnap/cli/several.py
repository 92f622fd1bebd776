"""Verbs that take several resources.

Invariant: one failure does not keep the others from being tried; each failure is one line on
stderr, and the exit code is 1 when any of them failed.
"""

import sys
from collections.abc import Callable, Iterable

from volsnap.cli import errors


def try_each(names: Iterable[str], work: Callable[[str], None]) -> int:
    """Run ``work`` for every name; answers the exit code."""
    worst = 0
    for name in names:
        try:
            work(name)
        except errors.CliError as err:
            print(f"volsnap: {err}", file=sys.stderr)
            worst = max(worst, err.exit_code)
    return worst
