"""The gate as a node's and a run's config ask for it, and what the node's own log says of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flame_flwr.clients.filter_counts import kept_account
from flame_flwr.clients.node_data import node_rules
from flame_flwr.clients.node_name import name_of
from flame_flwr.config import RunSettings
from flame_flwr.log import logger
from flame_flwr.privacy.gate import Gate

if TYPE_CHECKING:
    from flwr.app import Context

    from flame_flwr.config import NodeSettings
    from flame_flwr.privacy.study_declaration import Study

__all__ = ["log_protection", "node_gate"]


def node_gate(settings: NodeSettings, context: Context) -> Gate:
    """Return the gate of a node for one message, with what has left in the run before.

    Parameters
    ----------
    settings : NodeSettings
        Those of the node's config.
    context : Context
        Of the node and run.
    """
    return Gate(
        name_of(settings, context),
        node_rules(settings, RunSettings.from_config(context.run_config)),
        settings.update_filters(),
        pickles=settings.pickle != "never",
        account=kept_account(context.state),
    )


def log_protection(gate: Gate, study: Study) -> None:
    """Say in the node's own log what its answers go through."""
    for each in gate.filters:
        logger.info("this node's own filter: %s", each)
    for rule in gate.holding(study):
        logger.info("disclosure rule at this node: %s", rule)
