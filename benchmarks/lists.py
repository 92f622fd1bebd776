"""Lists: the same cost with a thousand and a million rows, on the first page and far behind it."""

import pathlib
import tempfile

import sqlalchemy as sa

from benchmarks import measure
from tests.labs.server import PROJECT_ID, Server
from volsnap.db import models
from volsnap.db.engine import Database

FEW, MANY = 1_000, 1_000_000


#: URLs of the databases with few and with many rows; None: SQLite in the server's folder.
Databases = tuple[str | None, str | None]


def run(databases: dict[str, Databases]) -> int:
    """Measure each kind of database; returns how many goals were missed."""
    return sum(_measure(name, urls) for name, urls in databases.items())


def _measure(name: str, urls: Databases) -> int:
    table = measure.Table(f"Lists on {name}")
    with tempfile.TemporaryDirectory(prefix="volsnap-bench-") as folder:
        few = Server(pathlib.Path(folder) / "few", database_url=urls[0])
        many = Server(pathlib.Path(folder) / "many", database_url=urls[1])
        try:
            seed(few.start(), FEW)
            seed(many.start(), MANY)
            _pages(table, few, many)
        finally:
            few.stop()
            many.stop()
    return table.missed


def _pages(table: measure.Table, few: Server, many: Server) -> None:
    small, large = measure.Client(few), measure.Client(many)
    deep_small, deep_large = _marker(FEW), _marker(MANY)
    first = "/snapshots/detail?limit=50"
    works = [
        lambda: small.call("GET", first),
        lambda: large.call("GET", first),
        lambda: small.call("GET", f"{first}&marker={deep_small}"),
        lambda: large.call("GET", f"{first}&marker={deep_large}"),
    ]
    for work in works:
        assert len(work()["snapshots"]) == 50
    base, first_many, deep_few, deep_many = measure.interleaved_ms(works, 200)
    table.line("50 rows, first page, 1 000 rows", base, "ms")
    table.line("50 rows, first page, 1 000 000 rows, against 1 000", first_many / base, "×", 1.2)
    table.line("50 rows, page at 95 %, 1 000 rows, against first page", deep_few / base, "×", 1.2)
    table.line("50 rows, page at 95 %, 1 000 000 rows, against first page", deep_many / base, "×", 1.2)
    table.line("CPU of a 50-row page, 1 000 000 rows", measure.cpu_ms(many, works[1], 300), "ms", 3)
    table.line("CPU of a 50-row page at 95 %, 1 000 000 rows", measure.cpu_ms(many, works[3], 300), "ms", 3)
    thousand = measure.cpu_ms(many, lambda: large.call("GET", "/snapshots/detail?limit=1000"), 50)
    table.line("CPU of a 1 000-row page, 1 000 000 rows", thousand, "ms", 15)


def _marker(rows: int) -> str:
    """The snapshot behind which the last 5 % of the default order (newest first) lie."""
    return _id(rows // 20)


def _id(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012d}"


def seed(server: Server, rows: int) -> None:
    """Write ``rows`` snapshots of one volume straight into the database."""
    volume = server.make_volume(1)
    database = Database(server.database_url)
    created = "2026-01-01T00:00:00.000000"
    with database.write() as conn:
        backend = conn.execute(sa.select(models.volumes.c.backend)).scalar_one()
        for start in range(0, rows, 20_000):
            numbers = range(start, min(start + 20_000, rows))
            conn.execute(
                sa.insert(models.snapshots),
                [
                    {
                        "id": _id(number),
                        "project_id": PROJECT_ID,
                        "user_id": "admin",
                        "volume_id": volume["id"],
                        "status": "available",
                        "previous_status": None,
                        "size_gib": 1,
                        "name": f"snapshot {number}",
                        "description": None,
                        "metadata": f'{{"number":"{number}"}}',
                        "progress": "100%",
                        "consumes_quota": True,
                        "backend": backend,
                        "created_at": f"2026-01-01T00:{number // 1_000_000:02d}:00.{number % 1_000_000:06d}",
                        "updated_at": created,
                    }
                    for number in numbers
                ],
            )
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
        conn.execute(sa.text("ANALYZE"))  # what autovacuum and PRAGMA optimize do in their own time
    database.close()
