"""One HTTP request and one answer, as everything behind the edge of the application sees them.

A :class:`Request` is text that has been decoded and bounded: its path and query are valid Unicode without null
characters, its body is no longer than the limit. Who breaks that is answered before a handler is looked for. Headers
and URLs are WebOb's to read, and it writes the answer; the query and the body are bounded here first.
"""

import dataclasses
import re
import urllib.parse
from typing import Any

import webob.request

from volsnap import context as request_context
from volsnap import exception
from volsnap.api import errors, serializer
from volsnap.volume import api as volume_api

_MOST_QUERY_FIELDS = 1000
_JSON_TYPES = frozenset({"application/json", "application/vnd.openstack.volume+json"})


@dataclasses.dataclass(frozen=True, slots=True)
class Settings:
    """What the operator chose for the API."""

    max_limit: int
    max_body_bytes: int
    public_endpoint: str | None
    project_id: re.Pattern[str]


@dataclasses.dataclass(slots=True)
class Response:
    """An answer. ``media_type`` None: there is no body and no type is named."""

    status: int
    body: bytes = b""
    media_type: str | None = "application/json"
    headers: list[tuple[str, str]] = dataclasses.field(default_factory=list)


class Linker:
    """The two links that every resource carries, but for its id; worked out once for a whole list.

    As JSON text: the dictionaries would cost more than the rest of a row.
    """

    def __init__(self, own: str, bookmark: str) -> None:
        self._start = '[{"rel":"self","href":' + _open_string(own)
        self._middle = '"},{"rel":"bookmark","href":' + _open_string(bookmark)

    def links(self, item_id: str) -> object:
        """The links of one resource, whose id needs no escapes."""
        return serializer.embed(f'{self._start}{item_id}{self._middle}{item_id}"}}]')


def _open_string(text: str) -> str:
    """A JSON string without the quotation mark at its end."""
    return serializer.dump(text).decode()[:-1]


@dataclasses.dataclass(slots=True)
class Request:
    """A request on its way in; the parts that are not known yet when it comes in are filled by the middleware."""

    http: webob.request.BaseRequest
    settings: Settings
    api: volume_api.VolumeApi
    request_id: str
    path: str = ""
    query: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    body: bytes = b""
    version: int = 0
    version_header: str | None = None
    #: The project id in the path, as it stands there; empty without one.
    path_project: str = ""
    _context: request_context.RequestContext | None = None

    @property
    def method(self) -> str:
        """The HTTP method."""
        method: str = self.http.method
        return method

    @property
    def context(self) -> request_context.RequestContext:
        """Who sent it. Known once the request is authenticated."""
        assert self._context is not None
        return self._context

    @context.setter
    def context(self, value: request_context.RequestContext) -> None:
        self._context = value

    def header(self, name: str) -> str | None:
        """A header."""
        value: str | None = self.http.headers.get(name)
        return value

    def parameter(self, name: str) -> str | None:
        """A query parameter; the last one when it is there several times."""
        for key, value in reversed(self.query):
            if key == name:
                return value
        return None

    @property
    def base_url(self) -> str:
        """What absolute links start with, without a slash at the end."""
        endpoint: str = self.settings.public_endpoint or self.http.application_url
        return endpoint.rstrip("/")

    def linker(self, collection: str) -> "Linker":
        """Makes the links of the resources of ``collection``."""
        base, project = self.base_url, self.path_project
        tail = f"/{project}/{collection}/" if project else f"/{collection}/"
        return Linker(f"{base}/v3{tail}", f"{base}{tail}")

    def json(self) -> Any:
        """The body's value.

        :raises exception.Invalid: there is none, or it is no JSON.
        :raises errors.UnsupportedMediaType: it is something else and says so.
        """
        if not self.body:
            raise exception.InvalidInput(reason="the request needs a body, a JSON object.")
        if (self.http.content_type or "application/json").strip().lower() not in _JSON_TYPES:
            raise errors.UnsupportedMediaType
        return serializer.load(self.body)


def decode_path(raw: str) -> str:
    """The path of a WSGI environment as Unicode.

    :raises errors.RouteNotFound: nothing can live there.
    """
    try:
        path = raw.encode("latin-1").decode()
    except UnicodeError as err:
        raise errors.RouteNotFound from err
    if "\0" in path:
        raise errors.RouteNotFound
    return path


def decode_query(raw: str) -> list[tuple[str, str]]:
    """The fields of a query string, in order.

    :raises exception.InvalidInput: it is not UTF-8, has a null character or too many fields.
    """
    if not raw:
        return []
    try:
        fields = urllib.parse.parse_qsl(raw, keep_blank_values=True, errors="strict", max_num_fields=_MOST_QUERY_FIELDS)
    except ValueError as err:
        raise exception.InvalidInput(
            reason=f"the query string must be UTF-8 with at most {_MOST_QUERY_FIELDS} fields."
        ) from err
    for name, value in fields:
        if "\0" in name or "\0" in value:
            raise exception.InvalidInput(reason="the query string contains a null character; remove it.")
    return fields


def ok(value: object, status: int = 200) -> Response:
    """An answer with a JSON body."""
    return Response(status, serializer.dump(value))


def empty(status: int) -> Response:
    """An answer without a body."""
    return Response(status)
