"""The one door to keystoneauth1: a token and the Block Storage endpoint out of the catalog.

Invariant: imported only when a login needs Keystone; what goes wrong inside leaves as a one-line
CliError and never carries a password, secret or token.
"""

from collections.abc import Mapping
from typing import Any

from volsnap.cli import errors

SERVICE_TYPES = ("block-storage", "volumev3", "block-store")

try:
    from keystoneauth1 import exceptions as ksa_exceptions
    from keystoneauth1 import loading, session
except ImportError as missing:
    raise errors.UsageError(
        "OS_AUTH_URL / OS_AUTH_TYPE: Keystone needs keystoneauth1; pip install 'volsnap[keystone]'"
    ) from missing


class Session:
    """One login at Keystone."""

    def __init__(
        self,
        auth_type: str,
        values: Mapping[str, str],
        *,
        ca_file: str | None,
        is_insecure: bool,
        timeout_s: float,
    ) -> None:
        self._values = values
        self._auth = _load_plugin(auth_type, values)
        self._session = session.Session(
            auth=self._auth, verify=False if is_insecure else ca_file or True, timeout=timeout_s
        )

    def get_token(self) -> str:
        """A token, fetched at first use."""
        return str(self._ask(lambda: self._session.get_token()))

    def renew_token(self) -> str:
        """A new token in place of one the service refused."""
        self._session.invalidate()
        return self.get_token()

    def find_project_id(self) -> str | None:
        """The project the token is scoped to."""
        project_id = self._ask(lambda: self._session.get_project_id())
        return str(project_id) if project_id else None

    def get_endpoint(self) -> str:
        """The endpoint of Block Storage in the catalog."""
        region = self._values.get("OS_REGION_NAME")
        interface = self._values.get("OS_INTERFACE") or self._values.get("OS_ENDPOINT_TYPE") or "public"
        catalog = self._ask(lambda: self._auth.get_access(self._session).service_catalog)
        found = catalog.get_endpoint_data_list(interface=interface, region_name=region)
        for service_type in SERVICE_TYPES:
            for data in found:
                if data.service_type == service_type:
                    return str(data.url)
        where = f" in region {region!r}" if region else ""
        raise errors.UsageError(
            f"OS_REGION_NAME: the catalog has no {interface} endpoint of type block-storage or "
            f"volumev3{where}; "
            "check the region or set OS_ENDPOINT"
        )

    def _ask(self, question: Any) -> Any:
        url = self._values.get("OS_AUTH_URL")
        try:
            return question()
        except ksa_exceptions.Unauthorized as err:
            raise errors.CliError(
                f"Keystone at {url} refuses the login; check OS_USERNAME, OS_PASSWORD, OS_PROJECT_NAME and the domains"
            ) from err
        except ksa_exceptions.MissingRequiredOptions as err:
            raise errors.UsageError(_one_line(err)) from err
        except ksa_exceptions.ClientException as err:
            raise errors.CliError(f"Keystone at {url}: {_one_line(err)}; check OS_AUTH_URL") from err


def _load_plugin(auth_type: str, values: Mapping[str, str]) -> Any:
    try:
        loader: Any = loading.get_plugin_loader(auth_type)
    except ksa_exceptions.NoMatchingPlugin as err:
        raise errors.UsageError(
            f"OS_AUTH_TYPE / --os-auth-type: {auth_type!r} is not known; use noauth, "
            "admin_token, password, token or "
            "v3applicationcredential"
        ) from err
    options = {}
    for option in loader.get_options():
        names = [f"OS_{name.upper().replace('-', '_')}" for name in (option.dest, *(o.name for o in option.deprecated))]
        value = next((values[name] for name in names if values.get(name)), None)
        if value is not None:
            options[option.dest] = value
    if not values.get("OS_AUTH_URL"):
        raise errors.UsageError(f"OS_AUTH_URL: not set; OS_AUTH_TYPE={auth_type} needs the URL of Keystone")
    try:
        return loader.load_from_options(**options)
    except ksa_exceptions.MissingRequiredOptions as err:
        raise errors.UsageError(f"{_one_line(err)}; set the OS_* variables of that name") from err


def _one_line(err: Exception) -> str:
    return " ".join(str(err).split())[:400]
