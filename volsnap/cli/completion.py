"""Completion scripts for bash, zsh and fish, written from the verb table.

Invariant: a script holds only words of the table and is static: completing never calls the service.
"""

from collections.abc import Sequence

from volsnap.cli import errors, global_options, verbs

SHELLS = ("bash", "zsh", "fish")


def write_script(shell: str, table: Sequence[verbs.Verb], built_in: Sequence[tuple[str, str]]) -> str:
    """The script of one shell."""
    writers = {"bash": _write_bash, "zsh": _write_zsh, "fish": _write_fish}
    if shell not in writers:
        raise errors.UsageError(f"SHELL: {shell!r} is not known; choose from {', '.join(SHELLS)}")
    return writers[shell](table, built_in)


def _list_options(verb: verbs.Verb) -> list[str]:
    return [name for each in verbs.list_arguments(verb) if not each.is_positional for name in each.names]


def _list_choices(verb: verbs.Verb) -> list[str]:
    return [word for each in verbs.list_arguments(verb) if each.is_positional for word in each.choices or ()]


def _list_globals() -> list[str]:
    return [each.names[0] for each in global_options.GLOBAL_OPTIONS]


def _list_values_taken() -> list[str]:
    return [name for each in global_options.GLOBAL_OPTIONS if each.kind != verbs.FLAG for name in each.names]


def _write_bash(table: Sequence[verbs.Verb], built_in: Sequence[tuple[str, str]]) -> str:
    names = " ".join([verb.name for verb in table] + [name for name, _help in built_in])
    cases = [
        f'        {verb.name}) words="{" ".join([*_list_options(verb), *_list_choices(verb)])}" ;;' for verb in table
    ]
    return "\n".join(
        [
            "# bash completion of volsnap; load it with: source <(volsnap completion bash)",
            "_volsnap() {",
            '    local word verb="" words="" current="${COMP_WORDS[COMP_CWORD]}" index=1',
            "    while [ $index -lt $COMP_CWORD ]; do",
            '        word="${COMP_WORDS[index]}"',
            '        case "$word" in',
            f"        {'|'.join(_list_values_taken())}) index=$((index + 1)) ;;",
            "        -*) ;;",
            '        *) verb="$word"; break ;;',
            "        esac",
            "        index=$((index + 1))",
            "    done",
            '    case "$verb" in',
            f'        "") words="{names} {" ".join(_list_globals())}" ;;',
            *cases,
            f'        completion) words="{" ".join(SHELLS)}" ;;',
            f'        help) words="{names}" ;;',
            "    esac",
            '    COMPREPLY=($(compgen -W "$words" -- "$current"))',
            "}",
            "complete -o default -F _volsnap volsnap",
            "",
        ]
    )


def _write_zsh(table: Sequence[verbs.Verb], built_in: Sequence[tuple[str, str]]) -> str:
    described = [(verb.name, verb.help) for verb in table] + list(built_in)
    listed = [f"        {_quote(f'{name}:{text}')}" for name, text in described]
    cases = [
        f"        {verb.name}) compadd -- {' '.join([*_list_options(verb), *_list_choices(verb)])} ;;" for verb in table
    ]
    return "\n".join(
        [
            "#compdef volsnap",
            "# zsh completion of volsnap; load it with: source <(volsnap completion zsh)",
            "_volsnap() {",
            "    local -a verbs",
            "    verbs=(",
            *listed,
            "    )",
            '    local verb="" word',
            "    for word in ${words[2,CURRENT-1]}; do",
            "        if (( ${+verbs[(r)$word:*]} )); then verb=$word; break; fi",
            "    done",
            '    case "$verb" in',
            '        "") _describe "verb" verbs ;;',
            *cases,
            f"        completion) compadd -- {' '.join(SHELLS)} ;;",
            '        help) _describe "verb" verbs ;;',
            "    esac",
            "}",
            "compdef _volsnap volsnap",
            "",
        ]
    )


def _write_fish(table: Sequence[verbs.Verb], built_in: Sequence[tuple[str, str]]) -> str:
    lines = [
        "# fish completion of volsnap; load it with: volsnap completion fish | source",
        "complete -c volsnap -f",
    ]
    described = [(verb.name, verb.help) for verb in table] + list(built_in)
    lines += [f"complete -c volsnap -n __fish_use_subcommand -a {name} -d {_quote(text)}" for name, text in described]
    for verb in table:
        seen = f"'__fish_seen_subcommand_from {verb.name}'"
        for each in verbs.list_arguments(verb):
            value = "" if each.kind == verbs.FLAG else " -r"
            lines += [
                f"complete -c volsnap -n {seen} {_fish_flag(name)} -d {_quote(each.help)}{value}"
                for name in each.names
                if not each.is_positional
            ]
        lines += [f"complete -c volsnap -n {seen} -a {word}" for word in _list_choices(verb)]
    lines.append(f"complete -c volsnap -n '__fish_seen_subcommand_from completion' -a {_quote(' '.join(SHELLS))}")
    return "\n".join([*lines, ""])


def _fish_flag(name: str) -> str:
    return f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}"


def _quote(text: str) -> str:
    return "'" + text.replace("'", "’") + "'"
