"""Files that are made from the code are committed and fresh."""

import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[2]


def test_generated_files_are_fresh() -> None:
    """The configuration and policy samples and docs/lifecycle.md say what the code says; else `make sample`."""
    done = subprocess.run(
        [sys.executable, "tools/generate.py", "--check"], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_stale_file_is_named(tmp_path: pathlib.Path) -> None:
    """The check fails when a file differs, and says which one and how to make it again."""
    program = (
        "import sys, pathlib; sys.path.insert(0, 'tools'); import generate;"
        f"generate.ROOT = pathlib.Path({str(tmp_path)!r}); sys.exit(generate.main(['--check']))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1, done.stderr
    assert "docs/lifecycle.md is stale; run make sample" in done.stdout


def test_documents_name_files_that_exist() -> None:
    """Every path that a document shows or links to is there."""
    missing = []
    for document in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        text = document.read_text()
        shown = re.findall(r"`((?:volsnap|tests|tools|docs|etc|benchmarks|changelog\.d)/[\w./-]*)`", text)
        linked = re.findall(r"\]\(([^)#:]+)\)", text)
        paths = [ROOT / name for name in shown] + [document.parent / name for name in linked]
        missing += [f"{document.name}: {path}" for path in paths if not path.exists()]
    assert not missing
