"""One section per storage backend: which driver, and the options of that driver.

The options of a driver stand in the module of its name and are called as the fields of its settings record.
"""

from types import ModuleType

from oslo_config import cfg

from volsnap.conf import file, lvm, rbd

OPTS: list[cfg.Opt] = [
    cfg.StrOpt("volume_driver", default="file", choices=["file", "lvm", "rbd"], help="The kind of storage."),
    cfg.StrOpt(
        "volume_backend_name",
        help="The name that volume types ask for; by default the name of the section.",
    ),
]

DRIVERS: dict[str, ModuleType] = {"file": file, "lvm": lvm, "rbd": rbd}


def register(conf: cfg.ConfigOpts, section: str) -> str:
    """Register the options of a backend's section; returns the driver's name.

    :raises cfg.ConfigFileValueError: the section names no driver that exists.
    """
    conf.register_opts(OPTS, group=section)
    driver: str = conf[section].volume_driver
    conf.register_opts(DRIVERS[driver].OPTS, group=section)
    return driver
