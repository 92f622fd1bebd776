"""Chooses the real backends the conformance suite runs on.

``VOLSNAP_TEST_BACKENDS`` (comma list, default ``file,rbd``) names them; the LVM runner inside the
guest sets ``lvm-thick,lvm-thin``. Invariant: a backend that was asked for and cannot be had is a
failure, never a silent skip; only ``VOLSNAP_SKIP=lvm,rbd,…`` skips, and pytest says so in its last
lines.

Each backend module (``file_backend``, ``lvm_backend``, ``rbd_backend``) offers the context manager
``open_backend(name, workdir)``, which yields a :class:`tests.drivers.backend.Backend` and clears up
behind itself.
"""

import importlib
import os
import pathlib
from collections.abc import Iterator
from typing import Any

import pytest

from tests.drivers.backend import Backend

#: Backend name → the module that makes it; the module's prefix is also the pytest mark.
MODULES = {
    "file": "file",
    "file-xfs": "file",
    "lvm-thick": "lvm",
    "lvm-thin": "lvm",
    "rbd": "rbd",
}


def _words(variable: str, default: str) -> list[str]:
    """The comma list in an environment variable."""
    return [word.strip() for word in os.environ.get(variable, default).split(",") if word.strip()]


CHOSEN = _words("VOLSNAP_TEST_BACKENDS", "file,rbd")
SKIPPED = _words("VOLSNAP_SKIP", "")
if unknown := set(CHOSEN) - set(MODULES):
    raise pytest.UsageError(f"VOLSNAP_TEST_BACKENDS: {min(unknown)} is none of {sorted(MODULES)}")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests of one driver alone (``test_file.py``, …) where it was not chosen."""
    unwanted = set(MODULES.values()) - {MODULES[name] for name in CHOSEN}
    out = [item for item in items if any(item.get_closest_marker(kind) for kind in unwanted)]
    items[:] = [item for item in items if item not in out]
    config.hook.pytest_deselected(items=out)
    for item in items:
        for kind in SKIPPED:
            if item.get_closest_marker(kind):
                item.add_marker(pytest.mark.skip(reason=f"VOLSNAP_SKIP names {kind}"))


def _params() -> list[Any]:
    """One parameter per chosen backend, with its mark."""
    return [pytest.param(name, marks=getattr(pytest.mark, MODULES[name]), id=name) for name in CHOSEN]


@pytest.fixture(scope="session", params=_params())
def storage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    """The real storage, made once for all tests of one backend."""
    name: str = request.param
    module = importlib.import_module(f"tests.drivers.{MODULES[name]}_backend")
    workdir: pathlib.Path = tmp_path_factory.mktemp(name)
    with module.open_backend(name, workdir) as opened:
        yield opened


@pytest.fixture
def backend(storage: Backend) -> Iterator[Backend]:
    """The storage, empty before the test and emptied after it."""
    storage.reset()
    yield storage
    storage.reset()
