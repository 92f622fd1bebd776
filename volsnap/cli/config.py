"""Where the service is and who asks: flags, a named cloud, the ``OS_*`` environment, or the
embedded default.

Invariant: all sources are first brought into one mapping of ``OS_*`` names (flags over the named
cloud over the environment), and one function turns that mapping into :class:`Settings`. A named
cloud (``--os-cloud`` or ``OS_CLOUD``) replaces what the environment says about identity and
endpoint as a whole, as openstacksdk does: half of one login mixed with half of another is never
sent anywhere. Reading it imports nothing but the standard library, except PyYAML for a named cloud
and keystoneauth1 for Keystone.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from volsnap.cli import errors, global_options

DEFAULT_ENDPOINT = "http://127.0.0.1:8776/v3"
DEFAULT_PROJECT_ID = "11111111111111111111111111111111"
"""The project of the embedded service when nobody names one; any 32 hexadecimal digits are
accepted there.
"""
DEFAULT_USER = "admin"
DEFAULT_MICROVERSION = "3.71"
DEFAULT_HTTP_TIMEOUT_S = 60.0

NOAUTH_TYPES = frozenset({"noauth", "none"})
STATIC_TOKEN_TYPES = frozenset({"admin_token", "token", "token_endpoint"})
ENDPOINT_NAMES = (
    "OS_ENDPOINT",
    "OS_VOLUME_ENDPOINT",
    "CINDER_ENDPOINT",
    "OS_VOLUME_ENDPOINT_OVERRIDE",
    "OS_BLOCK_STORAGE_ENDPOINT_OVERRIDE",
)

_KEPT_WITH_A_CLOUD = frozenset({"OS_VOLUME_API_VERSION", "OS_CACERT", "OS_INSECURE", "OS_CLIENT_CONFIG_FILE"})


class Settings(NamedTuple):
    """Everything the connection needs. ``renew`` fetches a fresh token when the old one has
    expired.
    """

    endpoint: str
    token: str
    project_id: str
    microversion: str
    ca_file: str | None
    is_insecure: bool
    http_timeout_s: float
    renew: Callable[[], str] | None = None


def load_settings(flags: Mapping[str, Any], environ: Mapping[str, str]) -> Settings:
    """Bring all sources together. Raises UsageError naming the variable that is wrong."""
    values = merge_sources(flags, environ)
    auth_type = choose_auth_type(values)
    common = _read_common(values)
    if auth_type in NOAUTH_TYPES:
        return _noauth(values, common)
    if auth_type in STATIC_TOKEN_TYPES and not values.get("OS_AUTH_URL"):
        return _static_token(values, common)
    return _keystone(auth_type, values, common)


def merge_sources(flags: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, str]:
    """One mapping of ``OS_*`` names; an empty value counts as not set."""
    given = {
        name: ("1" if value is True else str(value))
        for name, dest in global_options.list_variables()
        if (value := flags.get(dest)) not in (None, False, "")
    }
    values = {name: value for name, value in environ.items() if value}
    cloud = given.get("OS_CLOUD") or values.get("OS_CLOUD")
    if cloud:
        from volsnap.cli import clouds  # PyYAML: only when a cloud is named

        kept = {
            name: value
            for name, value in values.items()
            if name in _KEPT_WITH_A_CLOUD or not name.startswith(("OS_", "CINDER_"))
        }
        values = kept | clouds.read_cloud(cloud, values)
    return values | given


def choose_auth_type(values: Mapping[str, str]) -> str:
    """What ``OS_AUTH_TYPE`` says, or what the other variables can only mean."""
    named = values.get("OS_AUTH_TYPE") or values.get("OS_AUTH_PLUGIN") or values.get("OS_AUTH_SYSTEM")
    if named:
        return named
    if values.get("OS_AUTH_STRATEGY") == "noauth":
        return "noauth"
    if values.get("OS_AUTH_URL"):
        if values.get("OS_APPLICATION_CREDENTIAL_SECRET"):
            return "v3applicationcredential"
        return "token" if values.get("OS_TOKEN") and not values.get("OS_PASSWORD") else "password"
    return "admin_token" if values.get("OS_TOKEN") else "noauth"


def normalize_endpoint(url: str, project_id: str | None) -> str:
    """The endpoint with version and project, as every client of Block Storage writes it."""
    parts = _split_url(url)
    path = parts.path.rstrip("/")
    for marker in ("%(project_id)s", "%(tenant_id)s", "$(project_id)s", "$(tenant_id)s"):
        path = path.replace(marker, project_id or "").rstrip("/")
    segments = path.split("/")
    if "v3" not in segments:
        path += "/v3"
    if path.endswith("/v3") and project_id:
        path += f"/{project_id}"
    return f"{parts.scheme}://{parts.netloc}{path}"


def _split_url(url: str) -> Any:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as err:
        raise errors.UsageError(f"OS_ENDPOINT / --os-endpoint: {err}; {_URL_EXAMPLE}") from err
    if parts.username is not None or parts.password is not None:
        raise errors.UsageError(
            "OS_ENDPOINT / --os-endpoint: leave user and password out of the URL; use OS_* variables"
        )
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise errors.UsageError(f"OS_ENDPOINT / --os-endpoint: {url!r} is not an http(s) URL; {_URL_EXAMPLE}")
    if not url.isascii() or any(character.isspace() for character in url):
        raise errors.UsageError(f"OS_ENDPOINT / --os-endpoint: {url!r} has a character no URL may have; {_URL_EXAMPLE}")
    return parts


_URL_EXAMPLE = f"write for example {DEFAULT_ENDPOINT}"


def _read_common(values: Mapping[str, str]) -> dict[str, Any]:
    return {
        "microversion": _microversion(values.get("OS_VOLUME_API_VERSION")),
        "ca_file": values.get("OS_CACERT"),
        "is_insecure": values.get("OS_INSECURE", "").lower() in ("1", "true", "yes", "on"),
        "http_timeout_s": _timeout(values.get("OS_HTTP_TIMEOUT")),
    }


def _microversion(text: str | None) -> str:
    if text is None or text == "3":
        return DEFAULT_MICROVERSION
    if text == "latest":
        return text
    major, dot, minor = text.partition(".")
    if major != "3" or not dot or not (minor.isascii() and minor.isdigit()):
        raise errors.UsageError(
            f"--os-volume-api-version / OS_VOLUME_API_VERSION: {text!r} is not a version; "
            f"write 3.X, for example {DEFAULT_MICROVERSION}, or latest"
        )
    return f"3.{int(minor)}"


def _timeout(text: str | None) -> float:
    if text is None:
        return DEFAULT_HTTP_TIMEOUT_S
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 1e6:
        raise errors.UsageError(f"--http-timeout / OS_HTTP_TIMEOUT: {text!r} is not a number of seconds above 0")
    return seconds


def _find_endpoint(values: Mapping[str, str]) -> str | None:
    return next((values[name] for name in ENDPOINT_NAMES if values.get(name)), None)


def _find_project_id(values: Mapping[str, str]) -> str | None:
    return values.get("OS_PROJECT_ID") or values.get("OS_TENANT_ID")


def _check_header(name: str, value: str) -> str:
    if not value.isascii() or not value.isprintable():
        raise errors.UsageError(f"{name}: only printable ASCII characters can be sent in a header")
    return value


def _noauth(values: Mapping[str, str], common: dict[str, Any]) -> Settings:
    user = values.get("OS_USERNAME") or values.get("OS_USER_ID") or DEFAULT_USER
    project_id = _find_project_id(values) or DEFAULT_PROJECT_ID
    _check_header("OS_USERNAME", user)
    if not _check_header("OS_PROJECT_ID", project_id).replace("-", "").isalnum():
        raise errors.UsageError(
            f"OS_PROJECT_ID / --os-project-id: {project_id!r} is not a project id; write 32 hexadecimal digits"
        )
    endpoint = normalize_endpoint(_find_endpoint(values) or DEFAULT_ENDPOINT, project_id)
    return Settings(endpoint=endpoint, token=f"{user}:{project_id}", project_id=project_id, **common)


def _static_token(values: Mapping[str, str], common: dict[str, Any]) -> Settings:
    token, endpoint = values.get("OS_TOKEN"), _find_endpoint(values)
    if not token:
        raise errors.UsageError("OS_TOKEN: not set; with OS_AUTH_TYPE=admin_token set it, or pass --os-token")
    if not endpoint:
        raise errors.UsageError("OS_ENDPOINT: not set; with a bare token set it, or pass --os-endpoint")
    project_id = _find_project_id(values)
    endpoint = normalize_endpoint(endpoint, project_id)
    return Settings(
        endpoint=endpoint,
        token=_check_header("OS_TOKEN", token),
        project_id=project_id or endpoint.rpartition("/")[2],
        **common,
    )


def _keystone(auth_type: str, values: Mapping[str, str], common: dict[str, Any]) -> Settings:
    from volsnap.cli import keystone  # keystoneauth1 costs 300 ms: only when Keystone is asked

    session = keystone.Session(
        auth_type,
        values,
        ca_file=common["ca_file"],
        is_insecure=common["is_insecure"],
        timeout_s=common["http_timeout_s"],
    )
    token = session.get_token()
    project_id = session.find_project_id() or _find_project_id(values)
    endpoint = _find_endpoint(values) or session.get_endpoint()
    return Settings(
        endpoint=normalize_endpoint(endpoint, project_id),
        token=token,
        project_id=project_id or "",
        renew=session.renew_token,
        **common,
    )
