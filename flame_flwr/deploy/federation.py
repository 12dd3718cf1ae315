"""``FEDERATION.toml``: who takes part in a federation, and where things are at each party.

Every key is checked here, before anything is written. What is in the file is no secret.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flame_flwr.config import NODE_KEYS, NodeSettings
from flame_flwr.errors import ConfigError
from flame_flwr.identity import AGGREGATOR_ID
from flame_flwr.suggestions import nearest_or_known
from flame_flwr.textfiles import read_toml
from flame_flwr.wheel import Wheel

__all__ = ["EXAMPLE", "Federation", "Hospital", "Server", "read_federation"]

EXAMPLE = """\
# Who takes part. `flame-flwr provision federation.toml` makes a folder for every party from this.
# Only the keys without a "#" before them are needed; the others show their defaults.

name = "long-covid"           # the connection's name for the analyst
# days = 825                  # how long the server's certificate is valid
# user = "flame-flwr"         # the user that runs the services
# venv = "/opt/flame-flwr"    # the Python environment with flame-flwr in it, at every party

[server]
host = "flower.example.org"   # the name or address that hospitals and analyst connect to
# port = 8000
# names = []                  # more names and addresses for the certificate
# listen = "0.0.0.0"          # the address of the server's own that it listens on
# folder = "/etc/flame-flwr/server"              # where the server's folder will be
# home = "/var/lib/flame-flwr/server"            # where it keeps its database
# results = "/var/lib/flame-flwr/server/results" # where runs may write their results

[[hospitals]]
name = "hospital-a"
data = "/srv/long-covid"      # what its node reads; the hospital may write it itself, in node.toml
# port = 9094                 # of the node, on its own host only
# folder = "/etc/flame-flwr/hospital-a"
# home = "/var/lib/flame-flwr/hospital-a"
# state-dir = "/var/lib/flame-flwr/hospital-a/state"
# audit-log = "/var/lib/flame-flwr/hospital-a/audit.jsonl"
# public-key = "hospital-a.pub"  # a key that the hospital made itself, beside this file
# disclosure = "MinCount(5), MaxBins(50), MaxRows(200)"  # of what may leave; "" for no rules
# and any other key of the node config, such as filters or share-tracebacks

[[hospitals]]
name = "hospital-b"
data = "/srv/long-covid"
"""
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


@dataclass(frozen=True, slots=True)
class Server:
    """The server's part. ``names`` are all names and addresses of its certificate, in order."""

    host: str
    port: int
    names: tuple[str, ...]
    listen: str
    folder: str
    home: str
    results: str

    @property
    def address(self) -> str:
        """What hospitals and analyst connect to, ``host:port``."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def local_address(self) -> str:
        """What programs on the server's own host connect to, ``host:port``."""
        own = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.listen, self.listen)  # noqa: S104
        return f"[{own}]:{self.port}" if ":" in own else f"{own}:{self.port}"


@dataclass(frozen=True, slots=True)
class Hospital:
    """A hospital's part.

    ``node_config`` is what its ``node.toml`` will hold beside its name; ``public_key`` is the
    file with a key of the hospital's own, or ``None``.
    """

    name: str
    port: int
    folder: str
    home: str
    public_key: Path | None
    node_config: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Federation:
    """A checked ``FEDERATION.toml``, and the wheel that every party installs.

    Without one, the pages name the wheel of the flame-flwr that is installed here.
    """

    name: str
    days: int
    user: str
    venv: str
    server: Server
    hospitals: tuple[Hospital, ...]
    wheel: Wheel | None = None

    def hospital(self, name: str) -> Hospital:
        """Return a hospital by its name.

        Raises
        ------
        ConfigError
            There is none of this name.
        """
        for hospital in self.hospitals:
            if hospital.name == name:
                return hospital
        known = ", ".join(hospital.name for hospital in self.hospitals)
        raise ConfigError(
            f"there is no hospital {name!r} in the file, which has {known}: add a [[hospitals]] "
            "entry for it first"
        )


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
    name = _party_name(top["name"], "name", "at the top")
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
    name = _party_name(values["name"], "name", where)
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


def _party_name(name: str, key: str, where: str) -> str:
    if not _NAME.fullmatch(name) or name.endswith("."):
        raise ConfigError(
            f"`{key}` {where} becomes a file's name: letters, digits, `.`, `_` and `-`, beginning "
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
