"""The block storage API as a WSGI application.

The invariant: whatever comes in, one answer goes out, with a request id, in the shapes of ``errors.py``.
"""

import functools
import logging
import re
from collections.abc import Callable, Iterable
from typing import Any

import webob
import webob.request
from oslo_config import cfg

from volsnap import context as request_context
from volsnap.api import auth, body, errors, microversions, routes, wire
from volsnap.api.v3 import versions
from volsnap.policies import enforcer
from volsnap.volume import api as volume_api

LOG = logging.getLogger(__name__)

StartResponse = Any
Application = Callable[[dict[str, Any], StartResponse], Iterable[bytes]]
Next = Callable[[wire.Request], wire.Response]
Middleware = Callable[[wire.Request, Next], wire.Response]

_VERSION_HEADER = "OpenStack-API-Version"


def make_app(conf: cfg.ConfigOpts, volume_api: volume_api.VolumeApi, policy: enforcer.Enforcer) -> Application:
    """The application. ``conf`` has the options of ``conf/api.py`` registered."""
    settings = wire.Settings(
        max_limit=conf.osapi_max_limit,
        max_body_bytes=conf.osapi_max_request_body_size,
        public_endpoint=conf.public_endpoint,
        project_id=re.compile(conf.project_id_regex),
    )
    serve = _chain(routes.Table(routes.ROUTES), auth.STRATEGIES[conf.auth_strategy], policy)
    return functools.partial(_call, settings, volume_api, serve)


def _chain(table: routes.Table, strategy: auth.Strategy, policy: enforcer.Enforcer) -> Next:
    """Everything a request passes, the outermost first.

    Errors are turned into answers outside of all that may raise them. A body is read (or refused) before anything is
    decided by it. Discovery and health come before authentication: who looks for the door has no key yet. The version
    is known before routing, which depends on it; the router comes last and calls the handler.
    """
    middleware: tuple[Middleware, ...] = (
        _answer_errors,
        _decode,
        _discover,
        functools.partial(_authenticate, strategy=strategy, policy=policy),
        _negotiate,
    )
    serve: Next = functools.partial(_route, table=table)
    for layer in reversed(middleware):
        serve = _before(layer, serve)
    return serve


def _before(layer: Middleware, serve: Next) -> Next:
    return lambda request: layer(request, serve)


def _call(
    settings: wire.Settings,
    api: volume_api.VolumeApi,
    serve: Next,
    environ: dict[str, Any],
    start_response: StartResponse,
) -> Iterable[bytes]:
    request = wire.Request(
        http=webob.request.BaseRequest(environ),
        settings=settings,
        api=api,
        request_id=request_context.new_request_id(),
    )
    answer = serve(request)
    response = webob.Response(answer.body, answer.status, _headers(request, answer))
    body: Iterable[bytes] = response(environ, start_response)  # without the body when it is a HEAD
    return body


def _headers(request: wire.Request, response: wire.Response) -> list[tuple[str, str]]:
    headers = [
        ("Content-Length", str(len(response.body))),
        ("x-compute-request-id", request.request_id),
        ("x-openstack-request-id", request.request_id),
    ]
    if response.media_type is not None:
        headers.append(("Content-Type", response.media_type))
    if request.version_header is not None:
        headers.append((_VERSION_HEADER, request.version_header))
        headers.append(("Vary", _VERSION_HEADER))
    return headers + response.headers


def _answer_errors(request: wire.Request, serve: Next) -> wire.Response:
    try:
        return serve(request)
    except Exception as error:  # noqa: BLE001 -- the edge of the process
        errors.log(error, request.request_id)
        if isinstance(error, errors.RouteNotFound):
            request.version_header = None  # what is not there has no version
        return wire.Response(errors.status_of(error), errors.body_of(error), headers=errors.headers_of(error))


def _decode(request: wire.Request, serve: Next) -> wire.Response:
    environ = request.http.environ
    request.body = body.read(environ, request.settings.max_body_bytes)
    request.path = wire.decode_path(environ.get("PATH_INFO", ""))
    request.query = wire.decode_query(environ.get("QUERY_STRING", ""))
    return serve(request)


def _discover(request: wire.Request, serve: Next) -> wire.Response:
    if request.path == "/healthcheck":
        return wire.ok({"detailed": False, "reasons": ["OK"]})
    if request.path == "/v3":
        return versions.redirect(request)
    if request.path in ("", "/"):
        return _negotiate(request, functools.partial(_only_get, answer=versions.index))
    if request.path == "/v3/":
        # Cinder's noauth asks for a token here; keystoneauth, and so the openstack command, then finds no versions.
        return _negotiate(request, functools.partial(_only_get, answer=versions.show))
    if request.path.startswith("/v3/"):
        return serve(request)
    raise errors.RouteNotFound


def _authenticate(
    request: wire.Request, serve: Next, *, strategy: auth.Strategy, policy: enforcer.Enforcer
) -> wire.Response:
    if request.method == "OPTIONS":  # asks about the resource, does nothing to it
        return serve(request)
    try:
        request.context = strategy(request, policy)
    except auth.TokenMissing:
        return auth.hand_out_token(request)
    return serve(request)


def _negotiate(request: wire.Request, serve: Next) -> wire.Response:
    try:
        request.version = microversions.requested(request.header(_VERSION_HEADER))
    except microversions.UnsupportedVersion as err:
        if not err.text.startswith("2."):
            request.version_header = f"volume {err.text}"
        raise
    request.version_header = f"volume 3.{request.version}"
    return serve(request)


def _only_get(request: wire.Request, answer: Next) -> wire.Response:
    """Discovery can be read, no more."""
    if request.method != "GET":
        raise errors.BadMethod
    return answer(request)


def _route(request: wire.Request, table: routes.Table) -> wire.Response:
    segments = request.path.split("/")[2:]
    project = ""
    if not table.knows(segments[0].removesuffix(".json")):
        project, segments = segments[0], segments[1:]
        if not _is_project(request, project):
            raise errors.RouteNotFound
    found = table.find(segments) if segments else None
    if found is None:
        raise errors.RouteNotFound
    by_method, values = found
    if request.method == "OPTIONS":
        request.version_header = None
        return wire.Response(200, media_type=None)
    route = by_method.get(request.method)
    if route is None:
        raise errors.RouteNotFound
    if project and project != request.context.project_id:
        raise errors.OtherProject
    if request.version < route.since:
        raise errors.NotInVersion
    request.path_project = project
    return route.handler(request, *values)


def _is_project(request: wire.Request, segment: str) -> bool:
    """Whether a segment of the path is a project id: it looks like one, or it is the caller's."""
    if request.settings.project_id.fullmatch(segment):
        return True
    return request.method != "OPTIONS" and segment == request.context.project_id
