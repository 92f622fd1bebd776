"""``volsnap``: find the verb, build its parser, run it, turn what happened into an exit code.

Invariant: one line on stderr per failure, never a traceback; exit codes are 0 done, 1 the
operation failed, 2 bad usage or configuration, 130 interrupted, 141 the reader of our output went
away. HTTP only: nothing of the server is imported, and only the parser of the verb that runs is
built, so that the command starts fast.
"""

import os
import sys
from collections.abc import Sequence

from volsnap.cli import context, errors, global_options, output, table, verbs
from volsnap.version import VERSION

INTERRUPTED = 130
READER_GONE = 141


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line; answers its exit code. Without ``argv`` it ends the process itself."""
    if argv is not None:
        return _run_guarded(list(argv))
    code = _run_guarded(sys.argv[1:])
    # Python's own tidying up at exit takes 10-25 ms, a fifth of what `volsnap snapshot-list` takes
    # in all, and there is nothing left to tidy: output is flushed, the connection is closed.
    os._exit(code)


def _run_guarded(words: list[str]) -> int:
    _prepare_streams()
    try:
        code = _run(words)
        sys.stdout.flush()
    except errors.CliError as err:
        return _fail(str(err), err.exit_code)
    except KeyboardInterrupt:
        return _fail("interrupted", INTERRUPTED)
    except BrokenPipeError:
        _drop_output()
        return READER_GONE
    except OSError as err:
        return _fail(f"cannot write the output: {err.strerror or err}; free the space or redirect", 1)
    except SystemExit as end:  # argparse has printed the help of a verb
        return _end_help(end)
    except Exception as err:
        # The process edge: a fault of ours is one line too.
        if "--debug" in words:
            raise
        return _fail(
            f"internal error: {type(err).__name__}: {err}; please report it with the output of --debug",
            1,
        )
    return code


def _end_help(end: SystemExit) -> int:
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _drop_output()
        return READER_GONE
    return int(end.code or 0)


def _run(words: list[str]) -> int:
    _check_text(words)
    index = _find_verb_index(words)
    if index is None:
        return _run_without_verb(words)
    name, before, after = words[index], words[:index], words[index + 1 :]
    if name == "up":
        return _run_service(before, after)
    if name == "help":
        return _print_help(after)
    if name == "completion":
        return _print_completion(after)
    verb = table.find_verb(name)
    if verb is None:
        raise errors.UsageError(f"{name!r} is no verb{_suggest(name)}; see 'volsnap help'")
    return _run_verb(verb, [*before, *after])


def _run_verb(verb: verbs.Verb, words: list[str]) -> int:
    arguments = (*verbs.list_arguments(verb), *global_options.GLOBAL_OPTIONS)
    options = _build_parser(verb).parse_args(verbs.spell_out(words, arguments))
    ctx = context.Context(options, os.environ)
    try:
        return verb.run(ctx, options) or 0
    finally:
        ctx.close()


def _build_parser(verb: verbs.Verb) -> verbs.Parser:
    parser = verbs.Parser(prog=f"volsnap {verb.name}", description=verb.help, allow_abbrev=False)
    for argument in verbs.list_arguments(verb):
        verbs.add_argument(parser, argument)
    group = parser.add_argument_group("connection")
    for argument in global_options.GLOBAL_OPTIONS:
        verbs.add_argument(group, argument)
    return parser


def _find_verb_index(words: Sequence[str]) -> int | None:
    """Where the verb is: the first word that is neither an option nor the value of one."""
    takes_value = {
        name
        for each in (*global_options.GLOBAL_OPTIONS, *verbs.FORMATTING)
        for name in each.names
        if each.kind != verbs.FLAG
    }
    is_value = False
    for index, word in enumerate(words):
        if is_value:
            is_value = False
        elif word in takes_value:
            is_value = True
        elif not word.startswith("-"):
            return index
    return None


def _run_without_verb(words: Sequence[str]) -> int:
    if "--version" in words:
        print(VERSION)
        return 0
    if not words or "-h" in words or "--help" in words:
        return _print_overview()
    raise errors.UsageError("a verb is missing, for example 'volsnap snapshot-list'; see 'volsnap help'")


def _print_overview() -> int:
    lines = [
        "usage: volsnap VERB [ARGUMENTS]",
        "",
        "Volume snapshots through the Block Storage v3 API.",
    ]
    groups = [(noun, [(verb.name, verb.help) for verb in group]) for noun, group in table.NOUNS]
    for noun, entries in [*groups, ("This command", list(table.BUILT_IN))]:
        lines += ["", f"{noun}:", *(f"  {name:<30}{text}" for name, text in entries)]
    lines += [
        "",
        "'volsnap help VERB' explains one. The service is found through OS_* variables or --os-cloud;",
    ]
    lines += ["without them it is the one that 'volsnap up' runs on this machine."]
    print("\n".join(lines))
    return 0


def _print_help(words: Sequence[str]) -> int:
    if not words:
        return _print_overview()
    verb = table.find_verb(words[0])
    if verb is not None:
        _build_parser(verb).print_help()
        return 0
    built_in = dict(table.BUILT_IN)
    if words[0] in built_in:
        print(f"volsnap {words[0]}: {built_in[words[0]]}")
        return 0
    raise errors.UsageError(f"{words[0]!r} is no verb{_suggest(words[0])}; see 'volsnap help'")


def _print_completion(words: Sequence[str]) -> int:
    if len(words) != 1:
        raise errors.UsageError("SHELL: give one of bash, zsh, fish; for example 'volsnap completion bash'")
    sys.stdout.write(table.write_completion(words[0]))
    return 0


def _run_service(before: Sequence[str], after: Sequence[str]) -> int:
    """Become the service. Another process image, because the command line imports nothing of the
    server.
    """
    if before:
        raise errors.UsageError(f"{before[0]}: has no meaning for 'volsnap up'; put the service's options after 'up'")
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", "volsnap.cmd.up", *after])  # noqa: S606  no shell is wanted


def _suggest(name: str) -> str:
    import difflib  # only on the way to an error

    close = difflib.get_close_matches(name, table.list_names(), n=1)
    return f", did you mean {close[0]!r}?" if close else ""


def _check_text(words: Sequence[str]) -> None:
    for number, word in enumerate(words, 1):
        if not word.isascii() and any("\ud800" <= each <= "\udfff" for each in word):
            raise errors.UsageError(f"argument {number} is not valid UTF-8; check the encoding of the terminal")


def _prepare_streams() -> None:
    """A closed stream (``>&-``) swallows; a name outside the locale's encoding is printed escaped."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: PTH123, SIM115  lives as long as we
        reconfigure = getattr(getattr(sys, name), "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def _fail(message: str, code: int) -> int:
    try:
        print(f"volsnap: {output.make_printable(message)}", file=sys.stderr, flush=True)
        sys.stdout.flush()
    except OSError:
        _drop_output()
    return code


def _drop_output() -> None:
    """Point stdout at nothing, or Python complains once more when it flushes at exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
