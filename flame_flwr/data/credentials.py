"""Credentials by reference: a variable in the environment, or a file; never a text in a config."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path

from flame_flwr.errors import ConfigError
from flame_flwr.files import os_errors_as
from flame_flwr.log import logger
from flame_flwr.text.textfiles import decode_text

__all__ = ["check_reference", "refuse_in_url", "resolve", "shown"]

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SURELY_A_NAME = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)+")
_AUTHORITY = re.compile(r"[^/?#]*")
_PORT = re.compile(r"(\[[^\]]*\]|[^:\[\]]*)(:[0-9]*)?")


def check_reference(reference: object, what: str) -> None:
    """Refuse anything but a reference. Whether it leads to a credential is not looked at.

    Parameters
    ----------
    reference : dict
        ``{"env": "NAME"}`` or ``{"file": "/absolute/path"}``.
    what : str
        What it is, for messages.

    Raises
    ------
    ConfigError
        It is not a reference. What was given may be the secret itself, so it is not repeated.
    """
    if isinstance(reference, Mapping) and len(reference) == 1:
        [(kind, value)] = reference.items()
        if kind == "env" and isinstance(value, str) and _VARIABLE.fullmatch(value):
            return
        if kind == "file" and isinstance(value, str) and os.path.isabs(value):
            return
    raise ConfigError(
        f'{what} must be a reference, {{ env = "NAME" }} or {{ file = "/absolute/path" }}: '
        "no credential stands in a config"
    )


def shown(reference: Mapping[str, object]) -> str:
    """Return a reference in words that may be printed.

    A variable's name is printed only where it is surely a name, such as ``STUDY_SECRET``: somebody
    may have written the secret itself in its place.
    """
    [(kind, value)] = reference.items()
    if kind == "env" and not _SURELY_A_NAME.fullmatch(str(value)):
        return "env (shown only where it is like STUDY_SECRET)"
    return f"{kind} {value}"


def refuse_in_url(url: str, what: str) -> None:
    """Refuse a URL, or anything like one, with a user or a password in it.

    Parameters
    ----------
    url : str
        Whatever was given.
    what : str
        What it is, for messages.

    Raises
    ------
    ConfigError
        There may be one. The URL is not repeated.
    """
    scheme, found, rest = url.partition("://")
    authority = _AUTHORITY.match(rest if found else "")
    host = authority[0] if authority else ""
    cut_off = "@" in rest and not _PORT.fullmatch(host)  # by a / in the password
    in_host = "@" in host or cut_off or (scheme == "s3" and ":" in host)
    if in_host or (not found and "@" in url and not os.path.isabs(url)):
        raise ConfigError(
            f"{what} must have no user, key or password in it: credentials are referred to, as "
            "variables of the environment or files"
        )


def resolve(reference: Mapping[str, str], what: str) -> str:
    """Return the text that a reference leads to.

    Parameters
    ----------
    reference : dict
        ``{"env": "NAME"}`` or ``{"file": "/absolute/path"}``.
    what : str
        What it is, for messages, such as ``dataset 'pasc': secret``.

    Raises
    ------
    ConfigError
        It is not a reference, or nothing is where it points. What was given may be the secret
        itself, so it is not repeated.
    """
    check_reference(reference, what)
    [(kind, value)] = reference.items()
    if kind == "file":
        return _from_file(Path(value), what)
    # a line's end comes along easily, and no header may hold one
    found = os.environ.get(value, "").strip("\r\n")
    if not found:
        raise ConfigError(
            f"{what}: the environment variable that it names is not set here (of the "
            "SuperNode; a running one must be started again)",
            detail=shown(reference),
        )
    if "\n" in found or "\r" in found:
        raise ConfigError(
            f"{what}: the environment variable that it names must hold one line",
            detail=shown(reference),
        )
    return found


def _from_file(path: Path, what: str) -> str:
    with os_errors_as(ConfigError, f"{what}: the file that it names cannot be read"):
        content, mode = path.read_bytes(), path.stat().st_mode
    try:
        text = decode_text(content).strip()
    except ValueError as error:
        raise ConfigError(
            f"{what}: the file that it names cannot be used: {error}", detail=str(path)
        ) from None
    if not text or "\n" in text:
        raise ConfigError(f"{what}: the file that it names must hold one line", detail=str(path))
    if mode & (stat.S_IROTH | stat.S_IWOTH):
        logger.warning("%s: every user of this machine may read the file: chmod o= %s", what, path)
    return text
