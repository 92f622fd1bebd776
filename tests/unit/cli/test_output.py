"""How tables line up and what they let through."""

import pytest

from volsnap.cli import output


@pytest.mark.parametrize(
    ("text", "width"),
    [("abc", 3), ("日本", 4), ("e\u0301", 1), ("ß", 1), ("\u200b", 0), ("🙂", 2), ("", 0)],
)
def test_measure_width(text: str, width: int) -> None:
    assert output.measure_width(text) == width


def test_wide_text_keeps_the_rules_straight(capsys: pytest.CaptureFixture[str]) -> None:
    output.write_table(["Name"], [["日本語"], ["abc"], [None], [{"k": "v"}]])
    lines = capsys.readouterr().out.splitlines()
    assert {output.measure_width(line) for line in lines} == {len(lines[0])}
    assert lines[3] == "| 日本語     |"
    assert lines[5] == "| -          |"


def test_control_characters_do_not_reach_the_terminal() -> None:
    assert output.make_printable("a\nb\x1b[31m") == "a b\\x1b[31m"


def test_an_unknown_column_names_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    printer = output.Printer("table", ["colour"])
    with pytest.raises(Exception, match="choose from: id"):
        printer.print_resource({"id": 1})
