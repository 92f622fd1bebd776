"""The differences from Cinder that are meant: ``differences.yaml``, checked against every replay.

An entry names requests (shell patterns over ``run/request``), the places that differ (patterns over
what ``compare.py`` calls them: ``status``, ``headers.Vary``, ``answer.snapshot.size``), its kind
and the reason.
"""

import dataclasses
import fnmatch
import pathlib
from typing import Any

import yaml

from tests.contract import compare

FILE = pathlib.Path(__file__).parent / "differences.yaml"
#: Why a difference is there, in the order and the words of ``docs/compatibility.md``.
KINDS = {
    "cinder-fault": "Cinder answers wrongly; volsnap answers what the request deserves",
    "better": "volsnap says more or does it sooner",
    "backend": "What depends on the backend, the configuration or the moment",
    "not-yet": "volsnap does not do it yet",
}


@dataclasses.dataclass(frozen=True)
class Entry:
    """Differences with one reason."""

    requests: tuple[str, ...]
    differs: tuple[str, ...]
    kind: str
    reason: str

    def covers_request(self, key: str) -> bool:
        """True when it is about this request."""
        return any(fnmatch.fnmatchcase(key, pattern) for pattern in self.requests)


def load() -> list[Entry]:
    """The entries in the order of the file."""
    return [_entry(item) for item in yaml.safe_load(FILE.read_text()) or []]


def _entry(item: dict[str, Any]) -> Entry:
    return Entry(
        tuple(item["requests"]),
        tuple(item["differs"]),
        item["kind"],
        " ".join(item["reason"].split()),
    )


def split(
    entries: list[Entry], key: str, differences: list[compare.Difference]
) -> tuple[list[compare.Difference], list[str]]:
    """The differences no entry explains, and the places an entry lists that do not differ."""
    patterns = [pattern for entry in entries if entry.covers_request(key) for pattern in entry.differs]
    unexplained = [one for one in differences if not any(_matches(one.path, pattern) for pattern in patterns)]
    stale = [pattern for pattern in patterns if not any(_matches(one.path, pattern) for one in differences)]
    return unexplained, stale


def _matches(path: str, pattern: str) -> bool:
    """``answer.x[*]`` stands for any element; brackets mean themselves otherwise."""
    return fnmatch.fnmatchcase(path, pattern.replace("[", "[[]"))
