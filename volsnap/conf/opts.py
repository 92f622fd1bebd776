"""Every option of volsnap, for loading and for the sample configuration."""

import itertools
from collections.abc import Iterable, Sequence

from oslo_config import cfg

from volsnap.conf import api, backend, database, file, lvm, quota, rbd, service


def list_opts() -> list[tuple[str, Iterable[cfg.Opt]]]:
    """The options by group, as oslo-config-generator wants them."""
    drivers = {"file": file, "lvm": lvm, "rbd": rbd}
    return [
        ("DEFAULT", itertools.chain(service.OPTS, api.OPTS, quota.OPTS)),
        (database.GROUP, database.OPTS),
        *((name, itertools.chain(backend.OPTS, module.OPTS)) for name, module in drivers.items()),
    ]


def load(arguments: Sequence[str], *, program: str = "volsnap") -> cfg.ConfigOpts:
    """Read configuration files and command-line options into the process's one configuration.

    It is ``cfg.CONF`` because oslo.messaging reads options of its own from there.

    :raises cfg.Error: a file or a value is bad.
    """
    conf = cfg.CONF
    conf.register_opts([*service.OPTS, *api.OPTS, *quota.OPTS])
    conf.register_opts(database.OPTS, group=database.GROUP)
    conf(list(arguments), project="volsnap", prog=program)
    for section in conf.enabled_backends:
        backend.register(conf, section)
    return conf
