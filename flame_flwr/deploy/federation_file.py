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

from flame_flwr.config import NODE_KEYS, ConfigKey, NodeSettings
from flame_flwr.config.config_key import check_keys
from flame_flwr.deploy.federation import Federation, Hospital, Server
from flame_flwr.deploy.node_config import default_config
from flame_flwr.errors import ConfigError
from flame_flwr.identity import AGGREGATOR_ID
from flame_flwr.text.hosts import is_loopback
from flame_flwr.text.textfiles import read_settings

__all__ = ["EXAMPLE", "read_federation"]

EXAMPLE = (files("flame_flwr.deploy") / "text-files" / "federation.toml").read_text("utf-8")
"""A file that can be used as it is, with the defaults as comments."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_LABEL = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)")
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,30}")
_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
_TAKEN = {"ca", "server", "analyst", "readme.md", AGGREGATOR_ID}
_FLOWERS_OWN = {"default", "local", "supergrid"}
_ETC, _VAR = "/etc/flame-flwr", "/var/lib/flame-flwr"
_NO_KEYS = {"name", "partition-id", "num-partitions"}

_TOP = {
    "name": ConfigKey(str),
    "days": ConfigKey(int, 825),
    "user": ConfigKey(str, "flame-flwr"),
    "venv": ConfigKey(str, "/opt/flame-flwr"),
    "server": ConfigKey(dict),
    "hospitals": ConfigKey(list),
}
_SERVER = {
    "host": ConfigKey(str),
    "port": ConfigKey(int, 8000),
    "local-port": ConfigKey(int, 8001),
    "names": ConfigKey(list, ()),
    "listen": ConfigKey(str, ""),
    "folder": ConfigKey(str, f"{_ETC}/server"),
    "home": ConfigKey(str, f"{_VAR}/server"),
    "results": ConfigKey(str, ""),
}
_HOSPITAL = {
    "name": ConfigKey(str),
    "port": ConfigKey(int, 9094),
    "folder": ConfigKey(str, ""),
    "home": ConfigKey(str, ""),
    "public-key": ConfigKey(str, ""),
    "preload": ConfigKey(str, ""),
}


def read_federation(path: Path) -> Federation:
    """Read and check a ``FEDERATION.toml``.

    Raises
    ------
    ConfigError
        It cannot be read, or a key is unknown, missing, or has a value that cannot be; the
        message names the file, the key and what it should be.
    """
    values = read_settings(path)
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
    server = _server(top["server"])
    hospitals = tuple(
        _hospital(entry, f"in hospital {number}", beside, server)
        for number, entry in enumerate(top["hospitals"], 1)
    )
    seen: set[str] = set()
    for hospital in hospitals:  # in small letters: some file systems take two such for one folder
        if hospital.name.lower() in seen:
            raise ConfigError(f"two hospitals are called {hospital.name!r}: names must differ")
        seen.add(hospital.name.lower())
    return Federation(
        name=name,
        days=top["days"],
        user=top["user"],
        venv=_absolute(top["venv"], "venv", "at the top"),
        server=server,
        hospitals=hospitals,
    )


def _server(given: Mapping[str, Any]) -> Server:
    where = "in [server]"
    values = _checked(given, _SERVER, where)
    listen = values["listen"] or _default_listen(values["host"])
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
        local_port=_port(values["local-port"], where, "local-port"),
    )


def _default_listen(host: str) -> str:
    """Return the address to listen on: hospitals connect from outside, unless to this host."""
    if not is_loopback(host):
        return "0.0.0.0"  # noqa: S104
    return "127.0.0.1" if host.endswith("localhost") else host


def _hospital(given: Any, where: str, beside: Path, server: Server) -> Hospital:
    if not isinstance(given, dict):
        raise ConfigError("`hospitals` must be tables, each under [[hospitals]]")
    node_keys = {key: about for key, about in NODE_KEYS.items() if key not in _NO_KEYS}
    values = _checked(given, {**_HOSPITAL, **node_keys}, where)
    name = _party_name(values["name"], where)
    if name.lower() in _TAKEN:
        raise ConfigError(f"a hospital cannot be called {name!r}: it is the name of another party")
    where = f"in hospital {name!r}"
    home = _absolute(values["home"] or f"{_VAR}/{name}", "home", where)
    config = default_config(home, server) | {key: given[key] for key in node_keys if key in given}
    if not all(_MODULE.fullmatch(module) for module in values["preload"].split(",") if module):
        raise ConfigError(f"`preload` {where} must be modules with commas between: pandas,sklearn")
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
        preload=values["preload"],
    )


def _checked(given: Mapping[str, Any], keys: Mapping[str, ConfigKey], where: str) -> dict[str, Any]:
    values = check_keys(given, keys, where)
    for key, value in values.items():
        for text in value if isinstance(value, list) else [value]:
            _check_text(text, key, where)
    return {key: values.get(key, about.default) for key, about in keys.items()}


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
        good = isinstance(name, str) and not labels[-1].isdecimal()  # 10.0.0.256 is no address
        good = good and all(_LABEL.fullmatch(label) for label in labels)
        if not good or len(str(name)) > 253:
            raise ConfigError(
                f"`{key}` {where} must be a name such as flower.example.org, or an IP address, "
                f"without https:// and without a port, not {name!r}"
            ) from None
        return
    if nowhere:
        raise ConfigError(f"`{key}` {where} is what others connect to, so it cannot be {name}")


def _port(port: int, where: str, key: str = "port") -> int:
    if not 1 <= port <= 65535:
        raise ConfigError(f"`{key}` {where} must be from 1 to 65535, not {port}")
    return port


def _absolute(path: str, key: str, where: str) -> str:
    if not path.startswith("/"):
        raise ConfigError(f"`{key}` {where} must be an absolute path, not {path!r}")
    return path.rstrip("/") or "/"
