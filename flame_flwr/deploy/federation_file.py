"""``FEDERATION.toml``: read and checked, every key of it, before anything is written.

What is in the file is no secret.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from flame_flwr.config import NODE_KEYS, NodeSettings
from flame_flwr.deploy.federation import Federation, Hospital, Server
from flame_flwr.errors import ConfigError
from flame_flwr.identity import AGGREGATOR_ID
from flame_flwr.suggestions import nearest_or_known
from flame_flwr.textfiles import read_toml

__all__ = ["EXAMPLE", "read_federation"]

EXAMPLE = (files("flame_flwr.deploy") / "text-files" / "federation.toml").read_text("utf-8")
"""A file that can be used as it is, with the defaults as comments."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_LABEL = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)")
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,30}")
_TAKEN = {"ca", "server", "analyst", "readme.md", AGGREGATOR_ID}
_FLOWERS_OWN = {"default", "local", "supergrid"}
_ETC, _VAR = "/etc/flame-flwr", "/var/lib/flame-flwr"
_NO_KEYS = {"name", "partition-id", "num-partitions"}
_REQUIRED = object()

_RULES = "MinCount(5), MaxBins(50), MaxRows(200)"
"""The disclosure rules of a hospital that names none: what leaves by accident is mostly small
groups, statistics as long as the data, and the data."""

_Keys = Mapping[str, tuple[type, Any]]
_TOP: _Keys = {
    "name": (str, _REQUIRED),
    "days": (int, 825),
    "user": (str, "flame-flwr"),
    "venv": (str, "/opt/flame-flwr"),
    "server": (dict, _REQUIRED),
    "hospitals": (list, _REQUIRED),
}
_SERVER: _Keys = {
    "host": (str, _REQUIRED),
    "port": (int, 8000),
    "names": (list, ()),
    "listen": (str, "0.0.0.0"),  # noqa: S104  (hospitals connect from outside)
    "folder": (str, f"{_ETC}/server"),
    "home": (str, f"{_VAR}/server"),
    "results": (str, ""),
}
_HOSPITAL: _Keys = {
    "name": (str, _REQUIRED),
    "port": (int, 9094),
    "folder": (str, ""),
    "home": (str, ""),
    "public-key": (str, ""),
}


def read_federation(path: Path) -> Federation:
    """Read and check a ``FEDERATION.toml``.

    Raises
    ------
    ConfigError
        It cannot be read, or a key is unknown, missing, or has a value that cannot be; the
        message names the file, the key and what it should be.
    """
    try:
        values = read_toml(path)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"{path} is no TOML file: {error}") from error
    try:
        return _federation(values, path.absolute().parent)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error.message}", detail=error.detail) from error


def _federation(given: Mapping[str, Any], beside: Path) -> Federation:
    top = _checked(given, _TOP, "at the top")
    name = _party_name(top["name"], "at the top")
    if "." in name or name.lower() in _FLOWERS_OWN:
        raise ConfigError(f"`name` must have no dot and not be one of Flower's own: {name!r}")
    if not 1 <= top["days"] <= 3650:
        raise ConfigError(f"`days` must be from 1 to 3650, not {top['days']}")
    if not _USER.fullmatch(top["user"]):
        raise ConfigError(f"`user` must be the name of a Linux user, not {top['user']!r}")
    if not top["hospitals"]:
        raise ConfigError("there must be at least one [[hospitals]] entry")
    hospitals = tuple(
        _hospital(entry, f"in hospital {number}", beside)
        for number, entry in enumerate(top["hospitals"], 1)
    )
    seen: set[str] = set()
    for hospital in hospitals:
        if hospital.name.lower() in seen:
            raise ConfigError(f"two hospitals are called {hospital.name!r}: names must differ")
        seen.add(hospital.name.lower())
    return Federation(
        name=name,
        days=top["days"],
        user=top["user"],
        venv=_absolute(top["venv"], "venv", "at the top"),
        server=_server(top["server"]),
        hospitals=hospitals,
    )


def _server(given: Mapping[str, Any]) -> Server:
    where = "in [server]"
    values = _checked(given, _SERVER, where)
    listen = values["listen"]
    try:
        wildcard = ipaddress.ip_address(listen).is_unspecified
    except ValueError:
        raise ConfigError(f"`listen` {where} must be an IP address, not {listen!r}") from None
    names = [values["host"], *values["names"], *([] if wildcard else [listen])]
    for name in names:
        _check_host(name, "host" if name == values["host"] else "names", where)
    names += ["localhost", "127.0.0.1", "::1"]  # programs on the server's own host
    home = _absolute(values["home"], "home", where)
    return Server(
        host=values["host"],
        port=_port(values["port"], where),
        names=tuple(dict.fromkeys(names)),
        listen=listen,
        folder=_absolute(values["folder"], "folder", where),
        home=home,
        results=_absolute(values["results"] or f"{home}/results", "results", where),
    )


def _hospital(given: Any, where: str, beside: Path) -> Hospital:
    if not isinstance(given, dict):
        raise ConfigError("`hospitals` must be tables, each under [[hospitals]]")
    node_keys = {key: about for key, about in NODE_KEYS.items() if key not in _NO_KEYS}
    known = {**_HOSPITAL, **dict.fromkeys(node_keys, (object, None))}
    values = _checked(given, known, where)
    name = _party_name(values["name"], where)
    if name.lower() in _TAKEN:
        raise ConfigError(f"a hospital cannot be called {name!r}: it is the name of another party")
    where = f"in hospital {name!r}"
    home = _absolute(values["home"] or f"{_VAR}/{name}", "home", where)
    config = {key: given[key] for key in node_keys if key in given}
    own = {"state-dir": f"{home}/state", "audit-log": f"{home}/audit.jsonl"}
    config = {"data": "", **own, "disclosure": _RULES, **config}
    try:
        settings = NodeSettings.from_config({"name": name, **config})
        settings.update_filters()
        if not settings.disclosure.startswith("/"):  # a file of rules is the hospital's
            settings.disclosure_rules()
    except ConfigError as error:
        raise ConfigError(f"{where}: {error.message}", detail=error.detail) from error
    for key, value in config.items():
        _check_text(value, key, where)
    return Hospital(
        name=name,
        port=_port(values["port"], where),
        folder=_absolute(values["folder"] or f"{_ETC}/{name}", "folder", where),
        home=home,
        public_key=beside / values["public-key"] if values["public-key"] else None,
        node_config=config,
    )


def _checked(given: Mapping[str, Any], keys: _Keys, where: str) -> dict[str, Any]:
    for key, value in given.items():
        if key not in keys:
            raise ConfigError(f"unknown key `{key}` {where}; {nearest_or_known(key, keys)}")
        kind = keys[key][0]
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            words = {str: "a text", int: "a whole number", list: "a list", dict: "a table"}
            raise ConfigError(f"`{key}` {where} must be {words[kind]}, not {value!r}")
        for text in value if isinstance(value, list) else [value]:
            _check_text(text, key, where)
    missing = [key for key, (_, default) in keys.items() if default is _REQUIRED]
    for key in missing:
        if key not in given:
            raise ConfigError(f"`{key}` is missing {where}")
    return {key: given.get(key, default) for key, (_, default) in keys.items()}


def _check_text(value: Any, key: str, where: str) -> None:
    if isinstance(value, str) and not value.isprintable():
        raise ConfigError(f"`{key}` {where} must have no line break or other control character")


def _party_name(name: str, where: str) -> str:
    if not _NAME.fullmatch(name) or name.endswith("."):
        raise ConfigError(
            f"`name` {where} becomes a file's name: letters, digits, `.`, `_` and `-`, beginning "
            f"with a letter or digit, not {name!r}"
        )
    return name


def _check_host(name: Any, key: str, where: str) -> None:
    try:
        nowhere = ipaddress.ip_address(str(name)).is_unspecified
    except ValueError:
        labels = str(name).split(".")
        good = isinstance(name, str) and not labels[-1].isdecimal()
        good = good and all(_LABEL.fullmatch(label) for label in labels)
        if not good or len(str(name)) > 253:
            raise ConfigError(
                f"`{key}` {where} must be a name such as flower.example.org, or an IP address, "
                f"without https:// and without a port, not {name!r}"
            ) from None
        return
    if nowhere:
        raise ConfigError(f"`{key}` {where} is what others connect to, so it cannot be {name}")


def _port(port: int, where: str) -> int:
    if not 1 <= port <= 65535:
        raise ConfigError(f"`port` {where} must be from 1 to 65535, not {port}")
    return port


def _absolute(path: str, key: str, where: str) -> str:
    if not path.startswith("/"):
        raise ConfigError(f"`{key}` {where} must be an absolute path, not {path!r}")
    return path.rstrip("/") or "/"
