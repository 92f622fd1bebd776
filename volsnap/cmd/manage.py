"""``volsnap-manage``: what operators do beside the API, on the database and the storage themselves."""

import argparse
import contextlib
import json
import os
import sys
import uuid
from collections.abc import Sequence

from oslo_config import cfg

from volsnap import exception
from volsnap.cmd import compose
from volsnap.db import engine, migrate
from volsnap.db import services as service_rows
from volsnap.db import volume_types as type_rows
from volsnap.db.engine import Database
from volsnap.volume import audit, backends
from volsnap.volume.drivers import base
from volsnap.volume.services import Services

PROGRAM = "volsnap-manage"
_LONGEST_NAME = 255


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 1 when it failed or found something wrong, 2 for bad usage."""
    options = _parser().parse_args(arguments)
    files = [word for name in options.config_file for word in ("--config-file", name)]
    conf = compose.load([*files, *(["--debug"] if options.debug else [])], PROGRAM)
    database = Database(conf.database.connection)
    try:
        engine.wait_for(database, conf.database.start_timeout)
        code: int = options.run(conf, database, options)
    except exception.VolsnapError as err:
        return compose.fail(PROGRAM, str(err), 1)
    finally:
        database.close()
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=PROGRAM, description=__doc__.partition(": ")[2])
    parser.add_argument("--config-file", action="append", default=[], help="configuration file; may repeat")
    parser.add_argument("--debug", action="store_true", help="log what is of use to developers only")
    nouns = parser.add_subparsers(required=True, metavar="COMMAND")

    db = nouns.add_parser("db", help="the database").add_subparsers(required=True, metavar="ACTION")
    db.add_parser("upgrade", help="bring the schema to this version").set_defaults(run=_db_upgrade)
    db.add_parser("version", help="print the schema's version").set_defaults(run=_db_version)

    compare = nouns.add_parser("audit", help="compare the database with the storage")
    compare.add_argument("--backend", help="one backend (its section); all enabled ones by default")
    compare.add_argument("--fix", action="store_true", help="mend what can be mended without a doubt")
    compare.add_argument(
        "--delete-orphans",
        action="store_true",
        help="with --fix: also remove whole objects of ours that no row names",
    )
    compare.add_argument("-f", "--format", choices=["table", "json"], default="table")
    compare.set_defaults(run=_audit)

    kind = nouns.add_parser("type", help="the volume types").add_subparsers(required=True, metavar="ACTION")
    create = kind.add_parser("create", help="a type whose volumes go to one backend")
    create.add_argument("name")
    create.add_argument("--backend-name", required=True, help="the volume_backend_name (by default the section)")
    create.set_defaults(run=_type_create)

    service = nouns.add_parser("service", help="the services").add_subparsers(required=True, metavar="ACTION")
    service.add_parser("list", help="who runs where").set_defaults(run=_service_list)
    return parser


def _db_upgrade(conf: cfg.ConfigOpts, database: Database, options: argparse.Namespace) -> int:
    before = migrate.version(database)
    changed = migrate.upgrade(database)
    print(f"schema {before or 'empty'} -> {migrate.HEAD}" if changed else f"schema {before}, nothing to do")
    return 0


def _db_version(conf: cfg.ConfigOpts, database: Database, options: argparse.Namespace) -> int:
    print(migrate.version(database) or "empty")
    return 0


def _type_create(conf: cfg.ConfigOpts, database: Database, options: argparse.Namespace) -> int:
    if not 0 < len(options.name) <= _LONGEST_NAME:
        return compose.fail(PROGRAM, f"name: give one of 1 to {_LONGEST_NAME} characters", 2)
    with database.write() as conn:
        if type_rows.find_by_name(conn, options.name) is not None:
            return compose.fail(PROGRAM, f"there is a volume type {options.name} already; choose another name", 1)
        specs = {"volume_backend_name": options.backend_name}
        type_rows.create(conn, str(uuid.uuid4()), options.name, None, specs)
    return 0


def _service_list(conf: cfg.ConfigOpts, database: Database, options: argparse.Namespace) -> int:
    with database.read() as conn:
        rows = service_rows.list_all(conn)
    services = [Services.describe(row, conf.service_down_time) for row in rows]
    print(f"{'binary':<14} {'host':<30} {'zone':<8} {'status':<9} {'state':<5} updated_at")
    for one in services:
        status, state = "disabled" if one.disabled else "enabled", "up" if one.is_up else "down"
        print(f"{one.binary:<14} {one.host:<30} {one.availability_zone:<8} {status:<9} {state:<5} {one.updated_at}")
    return 0


def _audit(conf: cfg.ConfigOpts, database: Database, options: argparse.Namespace) -> int:
    sections = [options.backend] if options.backend else list(conf.enabled_backends)
    unknown = [section for section in sections if section not in conf.enabled_backends]
    if unknown:
        return compose.fail(PROGRAM, f"--backend {unknown[0]} is not in enabled_backends", 2)
    wrong = 0
    for section in sections:
        driver = backends.make_driver(conf, section)
        try:
            driver.check()
            wrong += _audit_one(conf, database, driver, section, options)
        except base.DriverError as err:
            return compose.fail(PROGRAM, f"backend {section}: {err}", 1)
        finally:
            driver.close()
    return 1 if wrong else 0


def _audit_one(
    conf: cfg.ConfigOpts,
    database: Database,
    driver: base.Driver,
    section: str,
    options: argparse.Namespace,
) -> int:
    """Audit and, if asked, mend one backend; returns how many findings are left."""
    report = audit.audit(database, driver, backends.backend_host(conf, section))
    left = 0
    done: list[str | None] = []
    for finding in report.findings:
        what = None
        if options.fix:
            try:
                what = audit.fix(database, driver, finding, delete_orphans=options.delete_orphans)
            except base.DriverError as err:  # the others may still be mended
                compose.fail(PROGRAM, f"{finding.name}: {err}", 1)
        done.append(what)
        left += what is None
    (_print_json if options.format == "json" else _print_table)(report, done)
    return left


def _print_json(report: audit.Report, done: Sequence[str | None]) -> None:
    findings = [
        {
            "problem": one.problem.value,
            "resource": one.resource.value,
            "id": one.id,
            "name": one.name,
            "status": one.status,
            "done": what,
        }
        for one, what in zip(report.findings, done, strict=True)
    ]
    counts = {
        name: getattr(report, name) for name in ("backend", "volumes", "snapshots", "objects", "foreign", "working")
    }
    print(json.dumps({**counts, "findings": findings}))


def _print_table(report: audit.Report, done: Sequence[str | None]) -> None:
    print(
        f"{report.backend}: {report.volumes} volumes, {report.snapshots} snapshots in the database; "
        f"{report.objects} objects of ours, {report.foreign} of others on the storage; "
        f"{report.working} operations in work"
    )
    for one, what in zip(report.findings, done, strict=True):
        state = f" ({one.status})" if one.status else ""
        print(f"  {one.problem}: {one.resource} {one.name}{state}" + (f": {what}" if what else ""))
    if not report.findings:
        print("  nothing wrong")


def run() -> int:
    """The program's entry."""
    with contextlib.suppress(KeyboardInterrupt):
        return main()
    return 130


if __name__ == "__main__":
    code = run()
    sys.stdout.flush()
    os._exit(code)
