"""The verb table: every verb of the shell, from the noun files.

Invariant: the single source of names and options; dispatch, help and completion read nothing else.
"""

from volsnap.cli import (
    completion,
    messages,
    quotas,
    services,
    snapshots,
    verbs,
    volume_types,
    volumes,
)

NOUNS: tuple[tuple[str, tuple[verbs.Verb, ...]], ...] = (
    ("Snapshots", snapshots.VERBS),
    ("Volumes", volumes.VERBS),
    ("Quotas and limits", quotas.VERBS),
    ("Service", services.VERBS + messages.VERBS + volume_types.VERBS),
)

BUILT_IN: tuple[tuple[str, str], ...] = (
    ("up", "run the whole service on this machine (arguments go to it)"),
    ("completion", "print a completion script: bash, zsh or fish"),
    ("help", "explain a verb"),
)


def list_verbs() -> list[verbs.Verb]:
    """Every verb that talks to the service."""
    return [verb for _noun, group in NOUNS for verb in group]


def find_verb(name: str) -> verbs.Verb | None:
    """The verb of that name."""
    return next((verb for verb in list_verbs() if verb.name == name), None)


def list_names() -> list[str]:
    """Every word that may follow ``volsnap``."""
    return [verb.name for verb in list_verbs()] + [name for name, _help in BUILT_IN]


def write_completion(shell: str) -> str:
    """The completion script of a shell."""
    return completion.write_script(shell, list_verbs(), BUILT_IN)
