"""Which version a request gets."""

import pathlib
import re

import pytest

from volsnap.api import microversions


def test_history_ends_with_the_highest_version_of_cinder() -> None:
    assert microversions.MAX == 71


def test_every_version_has_a_line_of_its_own() -> None:
    assert all(line.strip() == line and line for line in microversions.HISTORY)
    assert len(set(microversions.HISTORY)) == len(microversions.HISTORY)


def test_constants_are_versions_and_go_up() -> None:
    text = pathlib.Path(microversions.__file__).read_text()
    constants = [(name, int(value)) for name, value in re.findall(r"^([A-Z_]+) = (\d+)$", text, re.M)]
    values = [value for _, value in constants]
    assert len(constants) > 20
    assert values == sorted(values)
    assert len(set(values)) == len(values)
    assert max(values) <= microversions.MAX


@pytest.mark.parametrize(
    ("header", "version"),
    [
        (None, 0),
        ("volume 3.0", 0),
        ("volume 3.71", 71),
        ("volume latest", 71),
        ("Volume 3.8", 8),
        ("compute 2.1, volume 3.50", 50),
        ("volume   3.7", 7),
    ],
)
def test_version_is_read_from_the_header(header: str | None, version: int) -> None:
    assert microversions.requested(header) == version


@pytest.mark.parametrize(
    ("header", "error"),
    [
        ("volume abc", microversions.BadVersion),
        ("volume 3", microversions.BadVersion),
        ("volume 3.01", microversions.BadVersion),
        ("volume 3.-1", microversions.BadVersion),
        ("volume ٣.١", microversions.BadVersion),
        ("volume", microversions.BadVersion),
        ("compute 2.1", microversions.NoVersion),
        ("3.50", microversions.NoVersion),
        ("", microversions.NoVersion),
        ("volume 2.0", microversions.UnsupportedVersion),
        ("volume 3.72", microversions.UnsupportedVersion),
        ("volume 4.0", microversions.UnsupportedVersion),
        ("volume 3." + "9" * 5000, microversions.UnsupportedVersion),
    ],
)
def test_bad_version_is_refused(header: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        microversions.requested(header)
