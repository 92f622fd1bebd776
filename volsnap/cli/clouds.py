"""A named cloud of ``clouds.yaml``, as the ``OS_*`` variables it stands for.

Invariant: the files are found where every OpenStack client looks for them, the first one found
wins, and ``secure.yaml`` beside the search path adds its secrets. This is the only door to PyYAML.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from volsnap.cli import errors

_INTERFACES = {"publicURL": "public", "internalURL": "internal", "adminURL": "admin"}
_RENAMED = {
    "volume_api_version": "OS_VOLUME_API_VERSION",
    "block_storage_api_version": "OS_VOLUME_API_VERSION",
    "block_storage_default_microversion": "OS_VOLUME_API_VERSION",
    "volume_default_microversion": "OS_VOLUME_API_VERSION",
    "endpoint": "OS_ENDPOINT",
    "endpoint_type": "OS_INTERFACE",
}


def read_cloud(name: str, environ: Mapping[str, str]) -> dict[str, str]:
    """The cloud's settings under their ``OS_*`` names. Raises UsageError when it is nowhere to be
    found.
    """
    path, clouds = _load("clouds", environ.get("OS_CLIENT_CONFIG_FILE"), environ)
    if path is None:
        raise errors.UsageError(
            f"--os-cloud / OS_CLOUD: no clouds.yaml found for {name!r}; "
            "put one into ~/.config/openstack or name it in OS_CLIENT_CONFIG_FILE"
        )
    entry = clouds.get(name)
    if not isinstance(entry, dict):
        known = ", ".join(sorted(str(each) for each in clouds)) or "none"
        raise errors.UsageError(f"--os-cloud / OS_CLOUD: {path} has no cloud {name!r}; it knows: {known}")
    secret = _load("secure", environ.get("OS_CLIENT_SECURE_FILE"), environ)[1].get(name)
    return _to_variables(_merge(entry, secret if isinstance(secret, dict) else {}))


def _load(stem: str, named_file: str | None, environ: Mapping[str, str]) -> tuple[Path | None, dict[str, Any]]:
    home = environ.get("XDG_CONFIG_HOME") or str(Path(environ.get("HOME") or "~").expanduser() / ".config")
    folders = (Path.cwd(), Path(home) / "openstack", Path("/etc/openstack"))
    candidates = [folder / f"{stem}{ending}" for folder in folders for ending in (".yaml", ".yml")]
    for path in [Path(named_file), *candidates] if named_file else candidates:
        if path.is_file():
            return path, _parse(path)
    return None, {}


def _parse(path: Path) -> dict[str, Any]:
    try:
        import yaml
    except ImportError as err:
        raise errors.UsageError(f"{path}: reading it needs PyYAML; pip install 'volsnap[keystone]'") from err
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as err:
        reason = " ".join(str(err).split())
        raise errors.UsageError(f"{path}: cannot be read as YAML: {reason}") from err
    clouds = content.get("clouds") if isinstance(content, dict) else None
    if not isinstance(clouds, dict):
        raise errors.UsageError(f"{path}: has no 'clouds:' section; add one with an entry per cloud")
    return clouds


def _merge(entry: dict[str, Any], secret: dict[str, Any]) -> dict[str, Any]:
    merged = entry | {key: value for key, value in secret.items() if key != "auth"}
    auths = [each for each in (entry.get("auth"), secret.get("auth")) if isinstance(each, dict)]
    merged["auth"] = {key: value for auth in auths for key, value in auth.items()}
    return merged


def _to_variables(entry: dict[str, Any]) -> dict[str, str]:
    variables: dict[str, str] = {}
    for key, value in [*entry.items(), *entry["auth"].items()]:
        if value is None or isinstance(value, dict | list):
            continue
        variables[_RENAMED.get(key, f"OS_{key.upper()}")] = str(value)
    if "verify" in entry:
        variables["OS_INSECURE"] = "" if entry["verify"] else "1"
    interface = variables.get("OS_INTERFACE")
    if interface in _INTERFACES:
        variables["OS_INTERFACE"] = _INTERFACES[interface]
    return {name: value for name, value in variables.items() if value}
