"""From a configuration section to a running driver: the only place that knows which drivers there are."""

import dataclasses
import importlib
from typing import Any

from oslo_config import cfg

from volsnap.conf import backend
from volsnap.volume.drivers import base

#: Module and class of each ``volume_driver``; imported when a section asks for it (librbd loads slowly).
_CLASSES = {
    "file": ("volsnap.volume.drivers.file", "FileDriver", "FileSettings"),
    "lvm": ("volsnap.volume.drivers.lvm", "LvmDriver", "LvmSettings"),
    "rbd": ("volsnap.volume.drivers.rbd", "RbdDriver", "RbdSettings"),
}


def make_driver(conf: cfg.ConfigOpts, section: str) -> base.Driver:
    """The driver that a backend's section describes."""
    module_name, driver_name, settings_name = _CLASSES[backend.register(conf, section)]
    module = importlib.import_module(module_name)
    settings_class: Any = getattr(module, settings_name)
    values = {field.name: conf[section][field.name] for field in dataclasses.fields(settings_class)}
    driver: base.Driver = getattr(module, driver_name)(settings_class(**values))
    return driver


def backend_host(conf: cfg.ConfigOpts, section: str) -> str:
    """The name of a backend in rows and messages: ``host@section``."""
    return f"{conf.host}@{section}"
