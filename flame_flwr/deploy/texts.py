"""The scripts, units and pages of a federation: ``text-files/`` with their blanks filled in.

Every value is quoted for the language it is put into. The same federation gives the same texts.
"""

from __future__ import annotations

import json
import re
import shlex
from datetime import date
from importlib.resources import files
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from flame_flwr.config import NODE_KEYS
from flame_flwr.wheel import installed_wheel

if TYPE_CHECKING:
    from flame_flwr.deploy.federation import Federation, Hospital

__all__ = ["analyst_texts", "front_page", "hospital_texts", "server_texts", "systemd_quote"]

_MORE = {"disclosure": "disclosure.txt"}
"""Files with what `node.toml` says of a key beside its meaning."""

_BLANK = re.compile(r"@([A-Z_]+)@")


def front_page(federation: Federation, until: date, ca_until: date) -> str:
    """Return the page that says who gets what."""
    return _fill(
        "README.md",
        NAME=federation.name,
        UNTIL=f"{until}",
        CA_UNTIL=f"{ca_until}",
        **_wheel(federation),
    )


def server_texts(federation: Federation, until: date) -> dict[str, str]:
    """Return the server's scripts, unit and page by their file names."""
    server, unit = federation.server, "flame-flwr-server.service"
    writable = _outermost([server.home, server.results])
    register = f"sudo -u {federation.user} sh {shlex.quote(f'{server.folder}/register.sh')}"
    return {
        "start.sh": _script(
            "server-start.sh",
            VENV=federation.venv,
            HOME=server.home,
            LISTEN=server.listen,
            PORT=f"{server.port}",
        ),
        "connect.sh": _connect(federation, server.local_address),
        "register.sh": _script("register.sh", NAME=federation.name),
        unit: _unit(
            f"Flower SuperLink of the federation {federation.name}",
            federation,
            server.folder,
            writable,
        ),
        "README.md": _fill(
            "server.md",
            NAME=federation.name,
            UNIT=unit,
            UNTIL=f"{until}",
            GET=_get(federation),
            PORT=f"{server.port}",
            HOME=server.home,
            RESULTS=server.results,
            REGISTER=register,
            INSTALL=_install(federation, "server", server.folder, writable, unit),
        ),
    }


def hospital_texts(federation: Federation, hospital: Hospital) -> dict[str, str]:
    """Return a hospital's script, unit, node config and page by their file names."""
    unit = f"flame-flwr-{hospital.name}.service"
    writable = _writable(hospital)
    key_note = "; you made it yourself: put it here" if hospital.public_key else ""
    return {
        "start.sh": _script(
            "node-start.sh",
            VENV=federation.venv,
            HOME=hospital.home,
            SERVER=federation.server.address,
            PORT=f"{hospital.port}",
        ),
        "node.toml": node_toml(hospital),
        unit: _unit(
            f"Flower SuperNode of {hospital.name} in the federation {federation.name}",
            federation,
            hospital.folder,
            writable,
        ),
        "README.md": _fill(
            "node.md",
            PARTY=hospital.name,
            NAME=federation.name,
            UNIT=unit,
            USER=federation.user,
            GET=_get(federation),
            SERVER=federation.server.address,
            PORT=f"{hospital.port}",
            KEY_NOTE=key_note,
            INSTALL=_install(federation, hospital.name, hospital.folder, writable, unit),
        ),
    }


def analyst_texts(federation: Federation) -> dict[str, str]:
    """Return the analyst's script and page by their file names."""
    return {
        "connect.sh": _connect(federation, federation.server.address),
        "README.md": _fill(
            "analyst.md",
            NAME=federation.name,
            VENV=federation.venv,
            GET=_get(federation),
            SERVER=federation.server.address,
            RESULTS=federation.server.results,
        ),
    }


def node_toml(hospital: Hospital) -> str:
    """Return the file that ``flower-supernode --node-config`` reads."""
    lines = [
        "# What this node reads and keeps. The hospital may change it; restart the node afterwards."
    ]
    for key, value in {"name": hospital.name, **hospital.node_config}.items():
        more = [_text_file(_MORE[key]).rstrip()] if key in _MORE else []
        lines += ["", f"# {NODE_KEYS[key].doc}", *more, f"{key} = {_toml(value)}"]
    return "\n".join(lines) + "\n"


def systemd_quote(path: str) -> str:
    """Quote a path for a systemd unit: spaces, quotes, backslashes and ``%`` mean themselves."""
    escaped = path.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"'


def _connect(federation: Federation, server: str) -> str:
    return _script("connect.sh", NAME=federation.name, VENV=federation.venv, SERVER=server)


def _unit(description: str, federation: Federation, folder: str, writable: list[str]) -> str:
    return _fill(
        "unit.service",
        DESCRIPTION=description,
        START="/bin/sh " + systemd_quote(f"{folder}/start.sh").replace("$", "$$"),
        USER=federation.user,
        WRITABLE=" ".join(systemd_quote(path) for path in writable),
    )


def _writable(hospital: Hospital) -> list[str]:
    """Return the folders that a node writes to, without those that lie within another."""
    config = hospital.node_config
    audit_log = PurePosixPath(str(config["audit-log"]))
    folders = [config["state-dir"], audit_log.parent, config.get("cache-dir", "")]
    return _outermost([hospital.home, *map(str, folders)])


def _outermost(folders: list[str]) -> list[str]:
    paths = [PurePosixPath(folder) for folder in dict.fromkeys(folders) if folder]
    return [str(path) for path in paths if not any(other in path.parents for other in paths)]


def _install(federation: Federation, name: str, folder: str, writable: list[str], unit: str) -> str:
    """Return the commands that put a party's folder where its unit looks for it."""
    user = federation.user
    return _fill(
        "install.sh",
        USER=user,
        MAKE="\n".join(f"install -d -o {user} -m 0700 {shlex.quote(path)}" for path in writable),
        PARENT=shlex.quote(str(PurePosixPath(folder).parent)),
        NAME=name,
        FOLDER=shlex.quote(folder),
        UNIT_FILE=shlex.quote(f"{folder}/{unit}"),
        UNIT=unit,
    ).rstrip()


def _get(federation: Federation) -> str:
    """Return how a party gets flame-flwr: which file, how it is checked, and where it goes."""
    return _fill("get.md", VENV=shlex.quote(federation.venv), **_wheel(federation)).rstrip()


def _wheel(federation: Federation) -> dict[str, str]:
    wheel = federation.wheel or installed_wheel()
    return {"WHEEL": wheel.name, "VERSION": wheel.version, "HASH": wheel.sha256}


def _script(name: str, **values: str) -> str:
    return _fill(name, **{key: shlex.quote(value) for key, value in values.items()})


def _fill(name: str, **values: str) -> str:
    return _BLANK.sub(lambda found: values[found.group(1)], _text_file(name))


def _text_file(name: str) -> str:
    return (files("flame_flwr.deploy") / "text-files" / name).read_text("utf-8")


def _toml(value: object) -> str:
    """Write a text, number or boolean as TOML; texts here have no control characters."""
    return json.dumps(value, ensure_ascii=False)
