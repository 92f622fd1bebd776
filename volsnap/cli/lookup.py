"""From what a person types (a name or an id) to an id.

Invariant: a name is looked up in the caller's own project only and must be unique there; two of
the same name are never chosen from. Another project's resource is reached by its id alone.
"""

from volsnap.cli import errors, http, output

_HEX = frozenset("0123456789abcdefABCDEF")


def looks_like_id(text: str) -> bool:
    """A UUID, with or without dashes."""
    digits = text.replace("-", "")
    is_dashed = len(text) == 36 and [len(part) for part in text.split("-")] == [8, 4, 4, 4, 12]
    return (is_dashed or len(text) == 32) and len(digits) == 32 and set(digits) <= _HEX


def resolve_id(client: http.Client, kind: str, text: str) -> str:
    """The id of the ``kind`` (``volume``, ``snapshot``) called ``text``; an id costs no request."""
    if looks_like_id(text):
        return text
    found = _list_named(client, kind, text)
    if not found:
        raise errors.CliError(
            f"{kind.upper()}: no {kind} is called {text!r} in this project; see 'volsnap "
            f"{_list_verb(kind)}' or give an id"
        )
    if len(found) > 1:
        ids = ", ".join(str(each["id"]) for each in found[:5])
        more = ", …" if len(found) > 5 else ""
        raise errors.UsageError(
            f"{kind.upper()}: {len(found)} {kind}s are called {text!r}; give one of the ids: {ids}{more}"
        )
    return str(found[0]["id"])


def _list_named(client: http.Client, kind: str, name: str) -> list[output.Resource]:
    if not name:
        raise errors.UsageError(f"{kind.upper()}: is empty; give a name or an id")
    answer = client.get(f"/{kind}s", {"name": name})
    return [each for each in answer.part(f"{kind}s") if each.get("name") == name]


def _list_verb(kind: str) -> str:
    return "list" if kind == "volume" else f"{kind}-list"
