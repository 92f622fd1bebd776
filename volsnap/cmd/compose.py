"""Putting the parts together: what every process of volsnap is made of."""

import contextlib
import gc
import ipaddress
import logging
import sys
from collections.abc import Sequence
from typing import Any

from oslo_config import cfg

from volsnap import exception, rpc
from volsnap.conf import opts
from volsnap.db import engine, migrate
from volsnap.db.engine import Database
from volsnap.policies.enforcer import Enforcer
from volsnap.volume import backends
from volsnap.volume.api import VolumeApi
from volsnap.volume.journal import Announcer, Journal
from volsnap.volume.messages import Messages
from volsnap.volume.quota import Quotas
from volsnap.volume.service import VolumeService
from volsnap.volume.services import Services
from volsnap.volume.snapshots import Snapshots
from volsnap.volume.types import Types
from volsnap.volume.volumes import Volumes

LOG = logging.getLogger(__name__)


class Parts:
    """One process's parts, made once, each from the configuration alone."""

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self.conf = conf
        self.database = Database(conf.database.connection)
        engine.wait_for(self.database, conf.database.start_timeout)
        migrate.upgrade(self.database)
        self.announcer = Announcer()
        self.transport = rpc.make_transport(conf)
        self.client = rpc.VolumeClient(self.transport)
        self.journal = Journal(
            self.database,
            self.announcer,
            self.client.wake,
            lease_s=conf.lease_seconds,
            deadline_s=conf.operation_deadline,
        )

    def volume_api(self) -> VolumeApi:
        """The façade for the REST layer."""
        conf = self.conf
        quotas = Quotas(self.database, conf)
        snapshots = Snapshots(self.database, self.journal, quotas, ack_timeout_s=conf.create_ack_timeout)
        volumes = Volumes(
            self.database,
            self.journal,
            quotas,
            snapshots,
            self.client,
            default_type=conf.default_volume_type,
            default_zone=conf.storage_availability_zone,
            down_time_s=conf.service_down_time,
        )
        return VolumeApi(
            volumes=volumes,
            snapshots=snapshots,
            quotas=quotas,
            types=Types(self.database, default_name=conf.default_volume_type),
            services=Services(self.database, down_time_s=conf.service_down_time),
            messages=Messages(self.database),
        )

    def wsgi_app(self) -> Any:
        """The Block Storage API as a WSGI application."""
        from volsnap.api import app

        if self.conf.auth_strategy == "noauth" and not _is_loopback(self.conf.osapi_volume_listen):
            LOG.warning(
                "auth_strategy is noauth: whoever reaches %s is believed to be an administrator",
                self.conf.osapi_volume_listen,
            )
        return app.make_app(self.conf, self.volume_api(), Enforcer(self.conf))

    def volume_services(self) -> list[VolumeService]:
        """One service for each enabled backend."""
        return [self._volume_service(section) for section in self.conf.enabled_backends]

    def _volume_service(self, section: str) -> VolumeService:
        conf = self.conf
        return VolumeService(
            backends.backend_host(conf, section),
            backends.make_driver(conf, section),
            self.database,
            self.journal,
            self.announcer,
            self.transport,
            backend_name=conf[section].volume_backend_name or section,
            zone=conf.storage_availability_zone,
            maintain_s=conf.maintain_interval,
            cut_threads=conf.cut_threads,
            copy_threads=conf.copy_threads,
            poll_s=conf.poll_interval,
            lease_s=conf.lease_seconds,
        )


def load(arguments: Sequence[str], program: str) -> cfg.ConfigOpts:
    """The configuration of a process; prints one line and exits with 2 when it is bad."""
    try:
        conf = opts.load(arguments, program=program)
    except cfg.Error as err:
        sys.exit(fail(program, f"configuration: {err}", 2))
    logging.basicConfig(
        level=logging.DEBUG if conf.debug else logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
    )
    for noisy in ("oslo", "oslo_messaging", "alembic", "stevedore", "amqp"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    return conf


def make_parts(conf: cfg.ConfigOpts, program: str) -> Parts:
    """The parts; prints one line and exits with 1 when the database cannot be used."""
    try:
        return Parts(conf)
    except exception.VolsnapError as err:
        sys.exit(fail(program, str(err), 1))


def _is_loopback(address: str) -> bool:
    """Whether only this machine reaches ``address``."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"


def settle() -> None:
    """Spare the garbage collector what was loaded: it lives as long as the process.

    Lists build thousands of objects that hold no cycles; with the default thresholds the collector walks every module
    again and again meanwhile.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


def fail(program: str, sentence: str, code: int) -> int:
    """Print one line on standard error; returns ``code``."""
    with contextlib.suppress(BrokenPipeError):
        print(f"{program}: {sentence}", file=sys.stderr)
    return code
