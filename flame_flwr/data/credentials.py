"""Credentials by reference: a variable in the environment, or a file; never a text in a config."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from flame_flwr.errors import ConfigError
from flame_flwr.log import logger

__all__ = ["resolve"]


def resolve(reference: object, what: str) -> str:
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
        It is no reference, or leads to nothing. A text that may be the secret itself is not
        repeated.
    """
    if not isinstance(reference, Mapping) or len(reference) != 1:
        raise ConfigError(
            f'{what} must be a reference, {{ env = "NAME" }} or {{ file = "/path" }}: '
            "no credential stands in a config"
        )
    [(kind, value)] = reference.items()
    if kind == "env" and isinstance(value, str) and value:
        found = os.environ.get(value, "")
        if not found:
            raise ConfigError(
                f"{what}: the environment variable that it names is not set here (of the "
                "SuperNode; a running one must be started again)",
                detail=value,
            )
        return found
    if kind == "file" and isinstance(value, str) and os.path.isabs(value):
        return _from_file(Path(value), what)
    raise ConfigError(f'{what} must be {{ env = "NAME" }} or {{ file = "/absolute/path" }}')


def _from_file(path: Path, what: str) -> str:
    try:
        text = path.read_text(encoding="utf-8").strip()
        mode = path.stat().st_mode
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{what}: the file that it names cannot be read ({type(error).__name__})",
            detail=str(path),
        ) from None
    if not text or "\n" in text:
        raise ConfigError(f"{what}: the file that it names must hold one line", detail=str(path))
    if mode & (stat.S_IROTH | stat.S_IWOTH):
        logger.warning("%s: every user of this machine may read the file: chmod o= %s", what, path)
    return text
