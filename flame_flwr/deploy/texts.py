"""The scripts, units and pages of a federation: ``text-files/`` with their blanks filled in.

Every value is quoted for the language it is put into. The same federation gives the same texts.
"""

from __future__ import annotations

import shlex
from datetime import date
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from flame_flwr.deploy.node_config import node_toml
from flame_flwr.deploy.proxy import nginx_config
from flame_flwr.deploy.text_templates import fill, script
from flame_flwr.deploy.units import service_unit
from flame_flwr.installed.wheel import installed_wheel

if TYPE_CHECKING:
    from flame_flwr.deploy.federation import Federation, Hospital, Server

__all__ = ["analyst_texts", "front_page", "hospital_texts", "rotation_text", "server_texts"]


_PROXY_FILES = """\
| `nginx.conf` | the reverse proxy in front of the SuperLink |
| `analysts.pem` | the certificates of those who may start runs |
"""

_BUBBLEWRAP = "apt-get install bubblewrap\n"
_SANDBOX_NOTE = """. Bubblewrap is the
sandbox that `node.toml` asks for; without it no analysis runs here"""

_KEY_OF_ANALYST = """\
`analyst.pem` and `analyst.key` are
your certificate, without which nobody starts a run. **Secret**: `analyst.key`; whoever has it can
start runs in your name. `connect.sh` sends the certificate, which Flower's own commands cannot: a
command gets an address on this computer, open to you alone, for as long as it runs."""


def front_page(federation: Federation, until: date, ca_until: date) -> str:
    """Return the page that says who gets what."""
    return fill(
        "README.md",
        NAME=federation.name,
        UNTIL=f"{until}",
        CA_UNTIL=f"{ca_until}",
        ANALYST_SECRET="`analyst.key`" if federation.server.is_proxied else "nothing",
        **_wheel(federation),
    )


def server_texts(federation: Federation, until: date) -> dict[str, str]:
    """Return the server's scripts, unit and page by their file names."""
    server, unit = federation.server, "flame-flwr-server.service"
    writable = _outermost([server.home, server.results])
    register = f"sudo -u {federation.user} sh {shlex.quote(f'{server.folder}/register.sh')}"
    return {
        "start.sh": script(
            "server-start.sh",
            VENV=federation.venv,
            HOME=server.home,
            LISTEN="127.0.0.1" if server.is_proxied else server.listen,
            PORT=f"{server.local_port if server.is_proxied else server.port}",
        ),
        **({"nginx.conf": nginx_config(server)} if server.is_proxied else {}),
        "connect.sh": _connect(federation, server.local_address),
        "register.sh": script("register.sh", NAME=federation.name),
        "end-old-key.sh": script("end-old-key.sh", NAME=federation.name),
        unit: service_unit(
            f"Flower SuperLink of the federation {federation.name}",
            federation,
            server.folder,
            writable,
        ),
        "README.md": fill(
            "server.md",
            NAME=federation.name,
            UNIT=unit,
            UNTIL=f"{until}",
            GET=_get(federation),
            PROXY_FILES=_PROXY_FILES if server.is_proxied else "",
            PORT_TEXT=_port_text(server),
            HOME=server.home,
            RESULTS=server.results,
            REGISTER=register,
            INSTALL=_install(federation, "server", server.folder, writable, unit),
        ),
    }


def hospital_texts(federation: Federation, hospital: Hospital) -> dict[str, str]:
    """Return a hospital's script, unit, node config and page by their file names."""
    unit = _unit_name(hospital)
    writable = _writable(hospital)
    key_note = "; you made it yourself: put it here" if hospital.public_key else ""
    sandbox = hospital.node_config.get("sandbox")
    has_sandbox = sandbox != "off"
    return {
        "start.sh": script(
            "node-start.sh",
            VENV=federation.venv,
            HOME=hospital.home,
            SERVER=federation.server.address,
            PORT=f"{hospital.port}",
            PRELOAD=hospital.preload,
        ),
        "network.sh": script("network.sh", UNIT=unit, HOST=federation.server.host),
        "node.toml": node_toml(hospital),
        unit: service_unit(
            f"Flower SuperNode of {hospital.name} in the federation {federation.name}",
            federation,
            hospital.folder,
            writable,
            sandbox=has_sandbox,
            restrict_network=True,
        ),
        "README.md": fill(
            "node.md",
            PARTY=hospital.name,
            NAME=federation.name,
            UNIT=unit,
            USER=federation.user,
            FOLDER=shlex.quote(hospital.folder),
            VENV=shlex.quote(federation.venv),
            GET=_get(federation),
            SERVER=federation.server.address,
            PORT=f"{hospital.port}",
            KEY_NOTE=key_note,
            IDENTITY=str(hospital.node_config["identity-key"]),
            PEERS=shlex.quote(str(hospital.node_config["peers"])),
            SANDBOX_NOTE=_SANDBOX_NOTE if sandbox == "bwrap" else "",
            INSTALL=(_BUBBLEWRAP if has_sandbox else "")
            + _install(
                federation,
                hospital.name,
                hospital.folder,
                writable,
                unit,
                f"sh {shlex.quote(f'{hospital.folder}/network.sh')}",
                is_root_owned=True,
            ),
        ),
    }


def rotation_text(federation: Federation, hospital: Hospital, public: str) -> str:
    """Return the page that goes with a hospital's new key; `public` is its file at the server."""
    return fill(
        "rotated.md",
        PARTY=hospital.name,
        NAME=federation.name,
        KEY_NOTE="; you made it yourself: put it here" if hospital.public_key else "",
        PUBLIC=f"keys/{public}",
        USER=federation.user,
        KEY=shlex.quote(f"{hospital.folder}/node.key"),
        PUB=shlex.quote(f"{hospital.folder}/node.pub"),
        UNIT=_unit_name(hospital),
    )


def analyst_texts(federation: Federation) -> dict[str, str]:
    """Return the analyst's script and page by their file names."""
    server = federation.server
    own_config = fill("own-config.txt", NAME=federation.name, SERVER=server.address).rstrip()
    return {
        "connect.sh": _connect(federation, federation.server.address),
        "README.md": fill(
            "analyst.md",
            NAME=federation.name,
            VENV=federation.venv,
            GET=_get(federation),
            SECRET=_KEY_OF_ANALYST if server.is_proxied else "Nothing here is secret.",
            OWN_CONFIG="" if server.is_proxied else own_config,
            RESULTS=server.results,
        ),
    }


def _unit_name(hospital: Hospital) -> str:
    return f"flame-flwr-{hospital.name}.service"


def _port_text(server: Server) -> str:
    """Say what whoever reaches the server's port can do."""
    if not server.is_proxied:
        return fill("open-port.txt", PORT=f"{server.port}").rstrip()
    config = shlex.quote(f"{server.folder}/nginx.conf")
    ports = {"PORT": f"{server.port}", "LOCAL_PORT": f"{server.local_port}"}
    return fill("proxied-port.txt", CONFIG=config, **ports).rstrip()


def _connect(federation: Federation, server: str) -> str:
    return script("connect.sh", NAME=federation.name, VENV=federation.venv, SERVER=server)


def _writable(hospital: Hospital) -> list[str]:
    """Return the folders that a node writes to, without those that lie within another."""
    # Each by its name in the unit's ReadWritePaths: all else is read-only to the service.
    config = hospital.node_config
    audit_log = PurePosixPath(str(config["audit-log"]))
    folders = [config["state-dir"], audit_log.parent, config.get("cache-dir", "")]
    return _outermost([hospital.home, *map(str, folders)])


def _outermost(folders: list[str]) -> list[str]:
    paths = [PurePosixPath(folder) for folder in dict.fromkeys(folders) if folder]
    return [str(path) for path in paths if not any(other in path.parents for other in paths)]


def _install(
    federation: Federation,
    name: str,
    folder: str,
    writable: list[str],
    unit: str,
    *steps: str,
    is_root_owned: bool = False,
) -> str:
    """Return the commands that put a party's folder where its unit looks for it."""
    user, quoted = federation.user, shlex.quote(folder)
    own = f"chown -R {user} {quoted}"
    if is_root_owned:  # the service reads it, and cannot change what it is told
        own = f"chown -R root:{user} {quoted} && chmod -R u=rwX,g=rX,o= {quoted}"
    make = f"install -d -o {user} -g {user} -m 0750"  # the service's group may read log and status
    return fill(
        "install.sh",
        USER=user,
        MAKE="\n".join(f"{make} {shlex.quote(path)}" for path in writable),
        PARENT=shlex.quote(str(PurePosixPath(folder).parent)),
        NAME=name,
        FOLDER=quoted,
        STEPS="\n".join(
            [own, f"cp {shlex.quote(f'{folder}/{unit}')} /etc/systemd/system/", *steps]
        ),
        UNIT=unit,
    ).rstrip()


def _get(federation: Federation) -> str:
    """Return how a party gets flame-flwr: which file, how it is checked, and where it goes."""
    return fill("get.md", VENV=shlex.quote(federation.venv), **_wheel(federation)).rstrip()


def _wheel(federation: Federation) -> dict[str, str]:
    wheel = federation.wheel or installed_wheel()
    return {"WHEEL": wheel.name, "VERSION": wheel.version, "HASH": wheel.sha256}
