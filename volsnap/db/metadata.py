"""Metadata columns: a canonical JSON object of strings in a text column.

Canonical means sorted keys and no spaces, as :func:`dump` writes it. That makes "has this pair" an exact substring
test on every database (:func:`has_pair`): a quotation mark inside a key or value is escaped, so ``"key":"value"`` can
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


def has_pair(conn: sa.Connection, column: sa.ColumnElement[str], key: str, value: str) -> sa.ColumnElement[bool]:
    """SQL that is true where ``column`` holds ``key`` with exactly ``value``."""
    pair = dump({key: value})[1:-1]
    if conn.dialect.name == "postgresql":
        return sa.func.strpos(column, pair) > 0
    if conn.dialect.name == "sqlite":
        return sa.func.instr(column, pair) > 0
    return sa.func.instr(sa.func.binary(column), pair) > 0
