"""How a verb is declared: names and options as data, one function that does the work.

Invariant: everything the shell knows about a verb (parser, help, completion scripts) is derived
from its :class:`Verb` record, so a verb is added by writing one record in one noun file. Nothing
here talks HTTP.
"""

import argparse
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from volsnap.cli import errors

if TYPE_CHECKING:
    from volsnap.cli import context

TRUE_WORDS = frozenset({"true", "t", "yes", "y", "on", "1"})
FALSE_WORDS = frozenset({"false", "f", "no", "n", "off", "0"})

VALUE, FLAG, PAIRS, BOOLEAN, REPEAT = "value", "flag", "pairs", "boolean", "repeat"
"""Kinds of option: one value; none; ``k=v …``; an optional True/False; a value, may be given often.
"""


class Argument(NamedTuple):
    """One positional (a name without dashes) or one option with its aliases; the first name gives
    ``dest``.
    """

    names: tuple[str, ...]
    help: str
    kind: str = VALUE
    metavar: str | None = None
    nargs: str | None = None
    choices: tuple[str, ...] | None = None
    default: Any = None
    type: Callable[[str], Any] = str

    @property
    def is_positional(self) -> bool:
        return not self.names[0].startswith("-")

    @property
    def dest(self) -> str:
        return self.names[0].lstrip("-").replace("-", "_")


class Verb(NamedTuple):
    """One word after ``volsnap``. ``waits`` adds ``--wait`` and ``--timeout``."""

    name: str
    help: str
    run: "Callable[[context.Context, argparse.Namespace], int | None]"
    arguments: tuple[Argument, ...] = ()
    waits: bool = False


class Parser(argparse.ArgumentParser):
    """An argparse parser whose complaint is one line and an exit code 2 through our own error."""

    def error(self, message: str) -> NoReturn:
        verb = self.prog.partition(" ")[2]
        where = f"{verb}: " if verb else ""
        raise errors.UsageError(f"{where}{message} (see 'volsnap help{' ' + verb if verb else ''}')")


def natural(text: str) -> int:
    """A whole number, 0 or more."""
    try:
        number = int(text)
    except ValueError:
        number = -1
    if number < 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 0 or more")
    return number


def positive(text: str) -> int:
    """A whole number, 1 or more."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 1 or more")
    return number


def quota_limit(text: str) -> int:
    """A whole number, or -1 for no limit."""
    try:
        number = int(text)
    except ValueError:
        number = -2
    if number < -1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number, or -1 for no limit")
    return number


def boolean(text: str) -> bool:
    """True or False, in the words people use for it."""
    word = text.lower()
    if word in TRUE_WORDS:
        return True
    if word in FALSE_WORDS:
        return False
    raise argparse.ArgumentTypeError(f"{text!r} is neither True nor False")


FORMATTING = (
    Argument(
        ("--format", "-f"),
        "how to print: table (default), json, value",
        metavar="FORMAT",
        choices=("table", "json", "value"),
    ),
    Argument(("--column", "-c"), "print only this column; may be repeated", kind=REPEAT, metavar="COLUMN"),
)

WAITING = (
    Argument(("--wait", "--poll"), "come back when the work is finished, with its outcome", kind=FLAG),
    Argument(
        ("--timeout",),
        "give up waiting after this many seconds (default 3600; needs --wait)",
        metavar="SECONDS",
        type=positive,
    ),
)


def list_arguments(verb: Verb) -> tuple[Argument, ...]:
    """Everything the verb accepts, its own first."""
    return verb.arguments + (WAITING if verb.waits else ()) + FORMATTING


def add_argument(parser: argparse.ArgumentParser | argparse._ArgumentGroup, argument: Argument) -> None:
    """Declare one argument to argparse."""
    keywords: dict[str, Any] = {"help": argument.help}
    if argument.kind == FLAG:
        keywords["action"] = "store_true"
    else:
        keywords.update(metavar=argument.metavar, type=argument.type)
        keywords["action"] = "append" if argument.kind in (PAIRS, REPEAT) else "store"
        if argument.kind == BOOLEAN:
            keywords["type"] = boolean
        if argument.default is not None:
            keywords["default"] = argument.default
        if argument.nargs is not None:
            keywords["nargs"] = argument.nargs
        if argument.choices is not None:
            keywords["choices"] = argument.choices
    if not argument.is_positional:
        keywords["dest"] = argument.dest
    parser.add_argument(*argument.names, **keywords)


def spell_out(words: Sequence[str], arguments: Sequence[Argument]) -> list[str]:
    """Give every ``--metadata a=1 b=2`` and ``--force`` its own value, so that a positional may
    follow.

    argparse would let ``--metadata a=1 VOLUME`` and ``--force VOLUME`` swallow the volume, as
    ``cinder`` does.
    """
    kinds = {name: each.kind for each in arguments for name in each.names}
    spelled: list[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word == "--":
            return [*spelled, word, *rest]
        kind = kinds.get(word)
        if kind == PAIRS:
            spelled.extend(f"{word}={pair}" for pair in _take_pairs(word, rest))
        elif kind == BOOLEAN:
            has_value = bool(rest) and rest[0].lower() in TRUE_WORDS | FALSE_WORDS
            spelled.append(f"{word}={rest.pop(0) if has_value else 'True'}")
        else:
            spelled.append(word)
    return spelled


def _take_pairs(option: str, rest: list[str]) -> list[str]:
    pairs: list[str] = []
    while rest and "=" in rest[0] and not rest[0].startswith("-"):
        pairs.append(rest.pop(0))
    if not pairs:
        raise errors.UsageError(f"{option}: expected KEY=VALUE, for example {option} tier=gold")
    return pairs
