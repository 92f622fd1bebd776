"""Help and completion scripts come out of the verb table, and shells accept them."""

import shutil
import subprocess

import pytest

from tests.unit.cli.conftest import Run
from volsnap.cli import completion, table, verbs


def test_every_verb_is_declared_once_and_explained(run: Run) -> None:
    names = table.list_names()
    assert len(names) == len(set(names))
    overview = run("help").out
    assert all(f"  {name} " in overview for name in names)
    for name in names:
        assert run("help", name).code == 0


def test_no_two_arguments_of_a_verb_share_a_name() -> None:
    from volsnap.cli import global_options

    for verb in table.list_verbs():
        every = (*verbs.list_arguments(verb), *global_options.GLOBAL_OPTIONS)
        dests = [each.dest for each in every]
        assert len(dests) == len(set(dests)), verb.name


@pytest.mark.parametrize("shell", completion.SHELLS)
def test_script_names_every_verb(run: Run, shell: str) -> None:
    script = run("completion", shell).out
    assert all(name in script for name in table.list_names())


def test_bash_accepts_the_script_and_completes(run: Run) -> None:
    script = run("completion", "bash").out
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)

    def complete(*words: str) -> list[str]:
        quoted = " ".join(f"'{word}'" for word in words)
        call = f"COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}; _volsnap"
        program = f'{script}\n{call}; echo "${{COMPREPLY[@]}}"'
        done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, check=True)
        return done.stdout.split()

    assert complete("volsnap", "snapshot-cr") == ["snapshot-create"]
    assert "--wait" in complete("volsnap", "--os-cloud", "x", "snapshot-create", "--w")
    assert complete("volsnap", "snapshot-metadata", "un") == ["unset"]
    assert complete("volsnap", "completion", "f") == ["fish"]


def test_other_shells_accept_the_script(run: Run) -> None:
    """Of zsh and fish, those that this machine has: neither is needed to develop volsnap."""
    for shell in ("zsh", "fish"):
        script = run("completion", shell).out
        assert script.count("'") % 2 == 0
        if program := shutil.which(shell):
            subprocess.run([program, "-n"], input=script, text=True, check=True)


def test_version(run: Run) -> None:
    assert run("--version").out.strip()
