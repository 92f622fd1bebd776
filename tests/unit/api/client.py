"""The application with a database and without a server, backend or message bus, for tests that send requests to it."""

import dataclasses
import io
import json
import pathlib
import shutil
import urllib.parse
import wsgiref.util
from collections.abc import Mapping
from typing import Any

import orjson
from oslo_config import cfg

from volsnap.api import app
from volsnap.conf import api, quota
from volsnap.db import migrate
from volsnap.db.engine import Database
from volsnap.policies.enforcer import Enforcer
from volsnap.volume.api import VolumeApi
from volsnap.volume.messages import Messages
from volsnap.volume.quota import Quotas
from volsnap.volume.services import Services
from volsnap.volume.snapshots import Snapshots
from volsnap.volume.types import Types
from volsnap.volume.volumes import Volumes

PROJECT = "1" * 32


@dataclasses.dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body's value."""
        return orjson.loads(self.body)

    @property
    def message(self) -> str:
        """The message of an error."""
        (fault,) = self.json.values()
        text: str = fault["message"]
        return text


class Client:
    """Sends requests to an application as a WSGI server would."""

    def __init__(self, application: app.Application, database: Database) -> None:
        self.application = application
        self.database = database

    def get(self, path: str, **more: Any) -> Answer:
        """GET a path."""
        return self.send("GET", path, **more)

    def post(self, path: str, body: object, **more: Any) -> Answer:
        """POST JSON to a path."""
        return self.send("POST", path, body=body, **more)

    def send(
        self,
        method: str,
        path: str,
        *,
        body: object = None,
        version: str | None = "3.71",
        token: str | None = f"admin:{PROJECT}",
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send a request; ``body`` is bytes, or a value that becomes JSON."""
        environ = _environ(method, path, body)
        if version is not None:
            environ["HTTP_OPENSTACK_API_VERSION"] = f"volume {version}"
        if token is not None:
            environ["HTTP_X_AUTH_TOKEN"] = token
        environ.update(headers or {})
        started: list[tuple[str, list[tuple[str, str]]]] = []
        pieces = self.application(environ, lambda *start: started.append(start))
        content = b"".join(pieces)
        (status, answered) = started[0]
        return Answer(int(status[:3]), dict(answered), content)


def make_database(folder: pathlib.Path) -> pathlib.Path:
    """An empty database in ``folder``, to be copied: the migrations take longer than most tests."""
    file = folder / "empty.sqlite"
    database = Database(f"sqlite:///{file}")
    migrate.upgrade(database)
    database.close()
    return file


def make(folder: pathlib.Path, empty: pathlib.Path | None = None, **overrides: Any) -> Client:
    """An application with an empty database in ``folder``, a copy of ``empty``; ``overrides`` are options."""
    conf = cfg.ConfigOpts()
    conf.register_opts([*api.OPTS, *quota.OPTS])
    conf([], project="volsnap", default_config_files=[], default_config_dirs=[])
    for name, value in overrides.items():
        conf.set_override(name, value)
    file = folder / "test.sqlite"
    shutil.copyfile(empty or make_database(folder), file)
    database = Database(f"sqlite:///{file}")
    return Client(app.make_app(conf, _volume_api(database, conf), Enforcer(conf)), database)


def _volume_api(database: Database, conf: cfg.ConfigOpts) -> VolumeApi:
    nothing: Any = None  # what only requests need that make a backend work
    quotas = Quotas(database, conf)
    snapshots = Snapshots(database, nothing, quotas, ack_timeout_s=0)
    return VolumeApi(
        volumes=Volumes(
            database,
            nothing,
            quotas,
            snapshots,
            nothing,
            default_type="__DEFAULT__",
            default_zone="nova",
            down_time_s=60,
        ),
        snapshots=snapshots,
        quotas=quotas,
        types=Types(database, default_name="__DEFAULT__"),
        services=Services(database, down_time_s=60),
        messages=Messages(database),
    )


def _environ(method: str, path: str, body: object) -> dict[str, Any]:
    name, _, query = path.partition("?")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "PATH_INFO": urllib.parse.unquote_to_bytes(name).decode("latin-1"),
        "QUERY_STRING": query,
        "HTTP_HOST": "test:8776",
    }
    wsgiref.util.setup_testing_defaults(environ)
    if body is not None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        environ["wsgi.input"] = io.BytesIO(data)
        environ["CONTENT_LENGTH"] = str(len(data))
        environ["CONTENT_TYPE"] = "application/json"
    return environ
