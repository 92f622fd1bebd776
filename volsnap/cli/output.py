"""Tables, JSON and bare values on stdout.

Invariant: what a person reads (table) is lined up by the width a terminal gives the text and can
hold no control character; what a program reads (json, value) is the service's own resource,
unshortened.
"""

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from volsnap.cli import errors

Resource = dict[str, Any]


class Column(NamedTuple):
    """A column's heading and the field of the resource it shows."""

    title: str
    key: str


class Printer:
    """Prints resources the way ``-f`` and ``-c`` ask for."""

    def __init__(self, form: str, wanted: Sequence[str]) -> None:
        self.form = form
        self._wanted = list(wanted)

    def print_list(
        self,
        resources: Sequence[Resource],
        columns: Sequence[Column],
        *,
        envelope: Resource | None = None,
    ) -> None:
        """Many of one kind. Columns that no resource has are left out of the table.

        ``envelope`` (``{"count": 7}``) is printed around the JSON list, under the key ``items``.
        """
        if self.form == "json":
            items = [self._pick_json(each) for each in resources]
            self._dump(items if envelope is None else {**envelope, "items": items})
            return
        shown = self._choose(resources, columns)
        rows = [[each.get(column.key) for column in shown] for each in resources]
        if self.form == "value":
            _write_lines(" ".join(_bare(cell) for cell in row) for row in rows)
        else:
            write_table([column.title for column in shown], rows)

    def print_resource(self, resource: Resource) -> None:
        """One resource, a line per field."""
        if self.form == "json":
            self._dump(self._pick_json(resource))
            return
        keys = sorted(resource) if not self._wanted else [self._match(name, resource) for name in self._wanted]
        keys = [key for key in keys if key != "links" or self._wanted]
        if self.form == "value":
            _write_lines(_bare(resource[key]) for key in keys)
        else:
            write_table(["Property", "Value"], [[key, resource[key]] for key in keys])

    def say(self, sentence: str) -> None:
        """A remark for a person; a program that asked for json or values does not get it."""
        if self.form == "table":
            _write_lines([sentence])

    def _dump(self, value: Any) -> None:
        _write_lines([json.dumps(value, indent=2, ensure_ascii=False)])

    def _pick_json(self, resource: Resource) -> Resource:
        if not self._wanted:
            return resource
        keys = [self._match(name, resource) for name in self._wanted]
        return {key: resource[key] for key in keys}

    def _match(self, name: str, resource: Resource) -> str:
        found = {_plain(key): key for key in resource}.get(_plain(name))
        if found is None:
            raise errors.UsageError(f"-c / --column: there is no {name!r}; choose from: {', '.join(sorted(resource))}")
        return found

    def _choose(self, resources: Sequence[Resource], columns: Sequence[Column]) -> list[Column]:
        if not self._wanted:
            return [each for each in columns if not resources or any(each.key in one for one in resources)]
        known = {_plain(column.title): column for column in columns}
        known |= {_plain(column.key): column for column in columns}
        for resource in resources[:1]:
            known = {_plain(key): Column(key, key) for key in resource} | known
        missing = [name for name in self._wanted if _plain(name) not in known]
        if missing and resources:
            names = ", ".join(sorted(known))
            raise errors.UsageError(f"-c / --column: there is no {missing[0]!r}; choose from: {names}")
        return [known.get(_plain(name)) or Column(name, name) for name in self._wanted]


def write_table(titles: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """An ASCII table as the ``cinder`` shell draws it."""
    cells = [[_cell(each) for each in row] for row in rows]
    widths = [measure_width(title) for title in titles]
    for row in cells:
        widths = [max(width, measure_width(cell)) for width, cell in zip(widths, row, strict=True)]
    rule = "+" + "+".join("-" * (width + 2) for width in widths) + "+"
    body = [_draw_row(row, widths) for row in cells]
    _write_lines([rule, _draw_row(titles, widths), rule, *body, rule])


def measure_width(text: str) -> int:
    """How many columns of a terminal the text takes."""
    if text.isascii():
        return len(text)
    import unicodedata  # a second table file: only when there is something to measure

    width = 0
    for character in text:
        if unicodedata.combining(character) or unicodedata.category(character) in (
            "Mn",
            "Me",
            "Cf",
        ):
            continue
        width += 2 if unicodedata.east_asian_width(character) in "WF" else 1
    return width


def make_printable(text: str) -> str:
    """The text with control characters spelled out, so that a name cannot steer the terminal."""
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() else " " if each in "\r\n\t" else each.encode("unicode_escape").decode()
        for each in text
    )


def _draw_row(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (cell + " " * (width - measure_width(cell)) for cell, width in zip(cells, widths, strict=True))
    return "| " + " | ".join(padded) + " |"


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return make_printable(_bare(value))


def _bare(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    return str(value)


def _plain(name: str) -> str:
    return name.lower().replace(" ", "_").replace("-", "_")


def _write_lines(lines: Iterable[str]) -> None:
    text = "".join(f"{line}\n" for line in lines)
    sys.stdout.write(text)
