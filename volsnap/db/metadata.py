"""Metadata columns: a canonical JSON object of strings in a text column.

Canonical means sorted keys and no spaces, as :func:`dump` writes it. That makes "has this pair" an exact substring
test on every database (:func:`holds`): a quotation mark inside a key or value is escaped, so ``"key":"value"`` can
only stand where a pair stands.
"""

from collections.abc import Mapping

import orjson
import sqlalchemy as sa

EMPTY = "{}"


def dump(items: Mapping[str, str]) -> str:
    """The canonical text of ``items``."""
    return orjson.dumps(dict(items), option=orjson.OPT_SORT_KEYS).decode()


def load(text: str) -> dict[str, str]:
    """The items of a metadata column."""
    items: dict[str, str] = orjson.loads(text)
    return items


def pair(key: str, value: str) -> str:
    """What stands in the text of every object that has ``key`` with exactly ``value``."""
    return dump({key: value})[1:-1]


def holds(dialect: str, column: sa.ColumnElement[str], wanted: sa.ColumnElement[str]) -> sa.ColumnElement[bool]:
    """SQL that is true where ``column`` holds the :func:`pair` ``wanted``; exact in case, unlike LIKE."""
    if dialect == "postgresql":
        return sa.func.strpos(column, wanted) > 0
    if dialect == "sqlite":
        return sa.func.instr(column, wanted) > 0
    return sa.func.instr(sa.func.binary(column), wanted) > 0
