"""The migrations make the schema that the code expects, once, whoever starts first."""

import pathlib
import subprocess
import sys
import uuid
from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from alembic import autogenerate, runtime, script
from alembic.config import Config

from tests.labs import servers
from volsnap.db import migrate, models, volume_types
from volsnap.db.engine import Database

_ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def url(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> Iterator[str]:
    """An empty database."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/volsnap.sqlite"
        return
    server = servers.shared_postgresql()
    name = f"migrate-{uuid.uuid4()}"
    yield server.create_database(name)
    server.drop_database(name)


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    """The door to it."""
    opened = Database(url)
    yield opened
    opened.close()


def test_head_is_the_newest_migration() -> None:
    """``migrate.HEAD`` is what Alembic finds, and there is one head."""
    config = Config()
    config.set_main_option("script_location", str(pathlib.Path(migrate.__file__).parent / "migrations"))
    assert script.ScriptDirectory.from_config(config).get_heads() == [migrate.HEAD]


def test_upgraded_schema_equals_the_models(database: Database) -> None:
    """Tables, columns, types, indexes and keys: nothing is left to do."""
    assert migrate.version(database) is None
    assert migrate.upgrade(database)
    assert migrate.version(database) == migrate.HEAD
    with database.engine.connect() as conn:
        context = runtime.migration.MigrationContext.configure(conn, opts={"compare_type": True})
        assert autogenerate.compare_metadata(context, models.METADATA) == []


def test_second_upgrade_does_nothing(database: Database) -> None:
    """It says so, and there is still one default type."""
    assert migrate.upgrade(database)
    assert not migrate.upgrade(database)
    with database.read() as conn:
        assert [row.name for row in volume_types.list_all(conn)] == [migrate.DEFAULT_TYPE]


def test_processes_upgrade_at_once(url: str, database: Database) -> None:
    """Four processes start at the same moment: all come up, and the schema is made once."""
    code = f"from volsnap.db import engine, migrate; migrate.upgrade(engine.Database({url!r}))"
    running = [
        subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True, cwd=_ROOT) for _ in range(4)
    ]
    errors = [process.communicate(timeout=120)[1] for process in running]
    assert [process.returncode for process in running] == [0] * 4, errors
    assert migrate.version(database) == migrate.HEAD
    with database.read() as conn:
        assert conn.execute(sa.text("SELECT count(*) FROM volume_types")).scalar_one() == 1


def test_killed_upgrade_is_made_good(url: str, database: Database) -> None:
    """A process dies after the tables are made and before the commit: the next one begins anew."""
    code = (
        "import os; from volsnap.db import engine, migrate, volume_types\n"
        "volume_types.create = lambda *arguments: os._exit(9)\n"
        f"migrate.upgrade(engine.Database({url!r}))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=_ROOT, timeout=120).returncode == 9
    assert migrate.version(database) is None
    assert migrate.upgrade(database)
    assert migrate.version(database) == migrate.HEAD
