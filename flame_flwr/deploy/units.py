"""The systemd units of a federation's services: what each may do, reach and write to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flame_flwr.deploy.text_templates import fill, text_file

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flame_flwr.deploy.federation import Federation

__all__ = ["service_unit", "systemd_quote"]


def service_unit(
    description: str,
    federation: Federation,
    folder: str,
    writable: Iterable[str],
    *,
    sandbox: bool = False,
    restrict_network: bool = False,
) -> str:
    """Return the unit of a party's service, which runs ``start.sh`` of its folder.

    Parameters
    ----------
    description : str
        What the service is.
    federation : Federation
        Who takes part; it names the user.
    folder : str
        The party's.
    writable : iterable of str
        The folders that the service may write to.
    sandbox : bool
        Whether it may open the namespaces that a sandbox is made of.
    restrict_network : bool
        Whether it may reach nothing but its own host and what ``network.sh`` adds.
    """
    more = text_file("unit-sandbox.txt" if sandbox else "unit-strict.txt")
    if restrict_network:
        more += text_file("unit-network.txt")
    return fill(
        "unit.service",
        DESCRIPTION=description,
        # Only in ExecStart does systemd take `$NAME` for a variable; in paths it is itself.
        START="/bin/sh " + systemd_quote(f"{folder}/start.sh").replace("$", "$$"),
        USER=federation.user,
        WRITABLE=" ".join(systemd_quote(path) for path in writable),
        MORE=more.rstrip(),
    )


def systemd_quote(path: str) -> str:
    """Quote a path for a systemd unit: spaces, quotes, backslashes and ``%`` mean themselves."""
    escaped = path.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"'
