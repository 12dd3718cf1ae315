"""The option ``--node`` of the commands that ask a node's config, and what its config names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flame_flwr.errors import ConfigError

if TYPE_CHECKING:
    from flame_flwr.config import NodeSettings

__all__ = ["NodeFolder", "with_path"]

NodeFolder = Annotated[
    Path,
    typer.Option("--node", help="the node's folder, with its node.toml; else the one you are in"),
]
"""The option of every command that asks a node's config."""


def with_path(node: Path, key: str) -> tuple[NodeSettings, Path]:
    """Return a node's settings, and a path that they name.

    Raises
    ------
    ConfigError
        They name none.
    """
    from flame_flwr.node.node_folder import node_settings

    settings = node_settings(node)
    path = getattr(settings, key.replace("-", "_"))
    if not path:
        raise ConfigError(f"the config of the node in {node} has no `{key}`")
    return settings, Path(path)
