"""Comparing the database with the storage, and mending what can be mended without a doubt.

Work goes on while the audit looks, so the rows and the journal are read before *and* after the storage: only what is
wrong in both readings is reported. An object is never removed because nobody claims it, unless it is recognisably half
made: a database that was restored from yesterday knows nothing of today's volumes.
"""

import dataclasses
import enum
from collections.abc import Iterable, Mapping, Sequence

from volsnap.db import operations, snapshots, volumes
from volsnap.db.engine import Database, Row
from volsnap.objects.operation import TRANSIENT, Kind, Resource
from volsnap.objects.snapshot import SnapshotStatus
from volsnap.objects.volume import VolumeStatus
from volsnap.volume.drivers import base
from volsnap.volume.journal import tell


class Problem(enum.StrEnum):
    """What can be wrong."""

    LEFTOVER = "half-made object"
    ORPHAN = "object without a row"
    MISSING = "row without an object"
    STUCK = "transient status without work in the journal"
    LOST = "available, but its content is lost"


@dataclasses.dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong; ``found`` is the storage's side of it."""

    problem: Problem
    resource: Resource
    id: str
    name: str
    status: str | None = None
    found: base.StorageObject | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Report:
    """What an audit saw of one backend."""

    backend: str
    volumes: int
    snapshots: int
    objects: int
    foreign: int
    working: int
    findings: Sequence[Finding]


@dataclasses.dataclass(frozen=True, slots=True)
class _Reading:
    """The database's side at one moment."""

    rows: Mapping[tuple[Resource, str], Row]
    #: What the journal changes.
    working: frozenset[str | None]
    operations: int


#: Statuses that only work in the journal may hold; a revert holds that of its snapshot, too.
_PASSING = {
    Resource.VOLUME: TRANSIENT[Resource.VOLUME],
    Resource.SNAPSHOT: TRANSIENT[Resource.SNAPSHOT] | {SnapshotStatus.RESTORING},
}

#: A row in one of these need not have an object.
_NO_OBJECT_NEEDED = frozenset({VolumeStatus.ERROR, VolumeStatus.ERROR_DELETING, VolumeStatus.ERROR_MANAGING})


def audit(database: Database, driver: base.Driver, backend: str) -> Report:
    """Compare one backend with its rows.

    :raises base.Unavailable: the storage cannot be asked now.
    """
    before = _read(database, backend)
    objects = list(driver.inventory())
    after = _read(database, backend)
    ours = {key: found for found in objects if (key := _key(found)) is not None}
    settled = {key: row for key, row in before.rows.items() if _is_settled(key, before, after)}
    findings = [
        *_unclaimed(ours.items(), before, after),
        *_unfinished(objects, before, after),
        *_unfounded(settled, ours),
    ]
    return Report(
        backend=backend,
        volumes=sum(1 for resource, _ in after.rows if resource is Resource.VOLUME),
        snapshots=sum(1 for resource, _ in after.rows if resource is Resource.SNAPSHOT),
        objects=len(ours),
        foreign=sum(1 for found in objects if _key(found) is None),
        working=after.operations,
        findings=findings,
    )


def fix(database: Database, driver: base.Driver, finding: Finding, *, delete_orphans: bool = False) -> str | None:
    """Mend one finding; returns what was done, None when it was left alone.

    :raises base.DriverError: the storage did not do it.
    """
    if finding.problem is Problem.LEFTOVER or (finding.problem is Problem.ORPHAN and delete_orphans):
        assert finding.found is not None
        driver.discard(finding.found)
        return "removed from the storage"
    if finding.problem is Problem.ORPHAN:
        return None
    _show_error(database, finding)
    return "status set to error, with a message to its owner"


def _read(database: Database, backend: str) -> _Reading:
    with database.read() as conn:
        # The journal last: an operation that ends in between leaves its row as the result says.
        rows = {(Resource.VOLUME, row.id): row for row in volumes.on_backend(conn, backend)}
        rows |= {(Resource.SNAPSHOT, row.id): row for row in snapshots.on_backend(conn, backend)}
        work = operations.list_all(conn, backend)
    # A revert gives the snapshot it reads a status too.
    named = {row.resource_id for row in work} | {row.source_id for row in work if row.kind == Kind.VOLUME_REVERT}
    return _Reading(rows, frozenset(named), len(work))


def _is_settled(key: tuple[Resource, str], before: _Reading, after: _Reading) -> bool:
    """Nothing was done with it while the storage was read: neither reading knows of work, and both say the same."""
    if key not in after.rows or key[1] in before.working | after.working:
        return False
    return bool(before.rows[key].status == after.rows[key].status)


def _key(found: base.StorageObject) -> tuple[Resource, str] | None:
    """The row that an object of ours should have; None for others' and for half-made objects."""
    if found.leftover:
        return None
    if found.snapshot_id is not None:
        return Resource.SNAPSHOT, found.snapshot_id
    if found.volume_id is not None:
        return Resource.VOLUME, found.volume_id
    return None


def _unclaimed(
    ours: Iterable[tuple[tuple[Resource, str], base.StorageObject]], before: _Reading, after: _Reading
) -> Iterable[Finding]:
    """Whole objects of ours that no row and no work names."""
    for (resource, object_id), found in ours:
        known = (resource, object_id) in before.rows or (resource, object_id) in after.rows
        if not known and object_id not in before.working | after.working:
            yield Finding(Problem.ORPHAN, resource, object_id, found.name, found=found)


def _unfinished(objects: Iterable[base.StorageObject], before: _Reading, after: _Reading) -> Iterable[Finding]:
    """Half-made objects that no work will finish or remove."""
    for found in objects:
        object_id = found.snapshot_id or found.volume_id
        # A snapshot with a volume's id is the instant that this volume is being cloned from.
        resource = Resource.SNAPSHOT if found.snapshot_id is not None else Resource.VOLUME
        # A row that came while we looked was being made just then.
        new = (resource, object_id) in after.rows and (resource, object_id) not in before.rows
        if found.leftover and not new and object_id not in before.working | after.working:
            yield Finding(Problem.LEFTOVER, resource, object_id or "", found.name, found=found)


def _unfounded(
    settled: Mapping[tuple[Resource, str], Row], ours: Mapping[tuple[Resource, str], base.StorageObject]
) -> Iterable[Finding]:
    """Rows that say something the storage does not bear out."""
    for (resource, row_id), row in settled.items():
        found = ours.get((resource, row_id))
        name = found.name if found is not None else row_id
        if row.status in _PASSING[resource]:
            yield Finding(Problem.STUCK, resource, row_id, name, row.status, found)
        elif found is None and row.status not in _NO_OBJECT_NEEDED:
            yield Finding(Problem.MISSING, resource, row_id, name, row.status)
        elif found is not None and not found.valid and row.status == SnapshotStatus.AVAILABLE:
            yield Finding(Problem.LOST, resource, row_id, name, row.status, found)


def _show_error(database: Database, finding: Finding) -> None:
    rows = volumes if finding.resource is Resource.VOLUME else snapshots
    with database.write() as conn:
        row = rows.find(conn, finding.id)
        if row is None or not rows.claim(conn, finding.id, [finding.status], VolumeStatus.ERROR):
            return
        tell(
            conn,
            project_id=row.project_id,
            request_id="",
            resource=finding.resource,
            resource_id=finding.id,
            action="008" if finding.resource is Resource.VOLUME else "009",
            reason=f"An audit of the storage found: {finding.problem.value}.",
        )
