"""A pytest plugin of tools/run_tests.py: writes into the report which real backend each test runs on.

It also skips what VOLSNAP_SKIP names, in every folder alike.
"""

import os
from collections.abc import Iterable

import pytest

#: What tests are counted by.
BACKENDS = ("file", "file-xfs", "lvm-thick", "lvm-thin", "rbd", "postgresql+rabbitmq")
_MARKS = {"file": "file", "lvm": "lvm", "rbd": "rbd", "postgresql": "postgresql+rabbitmq"}
#: Fixtures that start volsnap on its file backend.
_FILE_FIXTURES = {"server", "start_server"}


def find_backends(item: pytest.Item) -> Iterable[str]:
    """The backends of one test: from its parameters, else its marks, else the server it starts."""
    parameters = getattr(getattr(item, "callspec", None), "params", {})
    found = {value for value in parameters.values() if isinstance(value, str) and value in BACKENDS}
    for mark, name in _MARKS.items():
        if item.get_closest_marker(mark) and not any(one.startswith(name) for one in found):
            found.add(name)
    if not found and _FILE_FIXTURES & set(getattr(item, "fixturenames", ())):
        found.add("file")
    return found


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Note the backends, skip what is not wanted."""
    unwanted = [word.strip() for word in os.environ.get("VOLSNAP_SKIP", "").split(",") if word.strip()]
    for item in items:
        item.user_properties += [("backend", name) for name in sorted(find_backends(item))]
        for mark in unwanted:
            if item.get_closest_marker(mark) and not item.get_closest_marker("skip"):
                item.add_marker(pytest.mark.skip(reason=f"VOLSNAP_SKIP names {mark}"))
