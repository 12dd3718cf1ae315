"""What a node is called in an analysis."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flame_flwr.config import NodeSettings
from flame_flwr.errors import ConfigError

if TYPE_CHECKING:
    from flwr.app import Context

__all__ = ["name_of", "name_or_address"]


def name_of(settings: NodeSettings, context: Context) -> str:
    """Return a node's id: its `name`, its number in a simulation, or Flower's node id."""
    if settings.name:
        return settings.name
    if settings.partition_id is not None:
        return f"node-{settings.partition_id}"
    return str(context.node_id)


def name_or_address(context: Context) -> str:
    """Return a node's id, or Flower's node id where its config is wrong."""
    try:
        return name_of(NodeSettings.from_config(context.node_config), context)
    except ConfigError:
        name = context.node_config.get("name")
        return name if isinstance(name, str) and name else str(context.node_id)
