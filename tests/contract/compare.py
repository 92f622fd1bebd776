"""Where a live answer differs from the recorded one.

Compared are the status, the headers of ``golden.HEADERS`` and the body: the keys at every level,
the JSON types, the values and the text of errors. These values may differ, each for the reason
given:

* ``RACES``: a creation may already be done when we answer, because the answer waits for the cut;
  what was ``creating`` in the recording may be ``available``, its progress 100% and its
  ``updated_at`` set.
* ``MEASURED``: numbers of the machine or of the project's use are compared by type: capacities,
  what is used, and the limits in force (the recorded server had none by default).
* ``CHOSEN``: names of backends and pools.
* The order of a list that is sorted by id (``any_order``), because ids are random.
* A request id in an answer where Cinder forgot it (empty bodies, unknown paths) is no difference.
  Neither is the content type of an empty body: it says nothing.
"""

import dataclasses
import re
from collections.abc import Iterator
from typing import Any

from tests.contract import golden

#: (recorded, live) pairs of one value that a faster creation explains.
RACES: dict[str, list[tuple[Any, Any]]] = {
    "status": [("creating", "available")],
    "os-extended-snapshot-attributes:progress": [("0%", "100%")],
    "updated_at": [(None, "<time>")],
}
#: Bodies whose numbers are compared by type only.
MEASURED = re.compile(r"answer\.(limits|quota_set|quota_class_set|pools|services)\b")
#: What the operator named.
CHOSEN = re.compile(r"answer\.pools\[\d+\]\.(name|capabilities\.(pool_name|volume_backend_name|vendor_name))")
#: Headers that may be there though Cinder did not send them.
_ADDED = {"x-compute-request-id", "x-openstack-request-id", "Content-Type", "Vary"}


@dataclasses.dataclass(frozen=True)
class Difference:
    """One place of an answer where the two are not the same."""

    path: str
    expected: Any
    got: Any

    def __str__(self) -> str:
        return f"{self.path}\n    Cinder:  {_show(self.expected)}\n    volsnap: {_show(self.got)}"


class _Absent:
    def __repr__(self) -> str:
        return "(absent)"


ABSENT = _Absent()


def compare(expected: golden.Answer, got: golden.Answer, *, any_order: bool = False) -> list[Difference]:
    """Every difference between a recorded and a live answer, the status first."""
    found = []
    if expected.status != got.status:
        found.append(Difference("status", expected.status, got.status))
    found += _compare_headers(expected, got)
    bodies = (expected.body, got.body)
    if any_order:
        bodies = (_in_one_order(expected.body), _in_one_order(got.body))
    return found + list(_compare_values("answer", *bodies))


def _in_one_order(body: Any) -> Any:
    """The body of a list, its items by their recorded names."""
    if not isinstance(body, dict):
        return body
    return {
        key: sorted(items, key=lambda item: item["id"]) if isinstance(items, list) else items
        for key, items in body.items()
    }


def _compare_headers(expected: golden.Answer, got: golden.Answer) -> Iterator[Difference]:
    for name in golden.HEADERS:
        ours, theirs = got.headers.get(name), expected.headers.get(name)
        if ours == theirs or (theirs is None and name in _ADDED):
            continue
        if name == "Content-Type" and expected.body is None and got.body is None:
            continue
        yield Difference(
            f"headers.{name}",
            ABSENT if theirs is None else theirs,
            ABSENT if ours is None else ours,
        )


def _compare_values(path: str, expected: Any, got: Any) -> Iterator[Difference]:
    if isinstance(expected, dict) and isinstance(got, dict):
        yield from _compare_objects(path, expected, got)
    elif isinstance(expected, list) and isinstance(got, list) and len(expected) == len(got):
        for index, (theirs, ours) in enumerate(zip(expected, got, strict=True)):
            yield from _compare_values(f"{path}[{index}]", theirs, ours)
    elif not _is_same(path, expected, got):
        yield Difference(path, expected, got)


def _compare_objects(path: str, expected: dict[str, Any], got: dict[str, Any]) -> Iterator[Difference]:
    for key in [*expected, *(key for key in got if key not in expected)]:
        yield from _compare_values(f"{path}.{key}", expected.get(key, ABSENT), got.get(key, ABSENT))


def _is_same(path: str, expected: Any, got: Any) -> bool:
    if type(expected) is type(got) and expected == got:
        return True
    if MEASURED.match(path) and _is_number(expected) and _is_number(got):
        return True
    if CHOSEN.fullmatch(path) and isinstance(expected, str) and isinstance(got, str):
        return True
    races = RACES.get(path.rpartition(".")[2], [])
    return any((theirs, ours) == (expected, got) for theirs, ours in races)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _show(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 1000 else f"{text[:1000]}… ({len(text)} characters)"
