"""A node's settings, read from its folder: for the commands of ``flame-flwr node``."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

from flame_flwr.config import NodeSettings
from flame_flwr.errors import ConfigError
from flame_flwr.text.textfiles import read_toml

__all__ = ["check_user", "node_settings"]


def node_settings(folder: Path) -> NodeSettings:
    """Return the settings of a node.

    Parameters
    ----------
    folder : Path
        The folder that ``flame-flwr provision`` made for it, with its ``node.toml``; or that file.

    Raises
    ------
    ConfigError
        There is none, or it cannot be read.
    """
    path = folder / "node.toml" if folder.is_dir() else folder
    try:
        return NodeSettings.from_config(read_toml(path))
    except FileNotFoundError:
        raise ConfigError(
            f"there is no {path}: --node names the node's folder, which has its node.toml, such "
            "as /etc/flame-flwr/hospital-a"
        ) from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    except ConfigError as error:
        raise ConfigError(f"{path}: {error.message}", detail=error.detail) from error
    except ValueError as error:
        raise ConfigError(f"{path} is no TOML file: {error}") from error


def check_user(folder: Path) -> None:
    """See that a folder of a node is this user's own, so that the node can read what is written.

    Raises
    ------
    ConfigError
        It is another user's; the message has the command to say instead.
    """
    there = folder  # a new node has none yet: then it is asked of what it will be made in
    while not os.path.lexists(there) and there != there.parent:
        there = there.parent
    try:
        owner = os.stat(there, follow_symlinks=there != folder).st_uid
    except OSError as error:
        raise ConfigError(f"{there} cannot be looked at: {error.strerror}") from error
    own = owner == os.geteuid() if there == folder else os.access(there, os.W_OK | os.X_OK)
    if not own:
        name = _user_name(owner)
        raise ConfigError(
            f"{folder} is that of the user {name}, as whom the node runs: say it as that user, "
            f"`sudo -u {name} flame-flwr node ...`"
        )


def _user_name(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)
