"""Every configuration key, declared once: a field of ``RunSettings`` or ``NodeSettings``.

The run config is the analyst's (``[tool.flwr.app.config]`` and ``--run-config``); the node
config is the hospital's (``flower-supernode --node-config``). A key that is not here is refused,
unless it stands in a table of the app's own (``[tool.flwr.app.config.mine]``, read as
``mine.key``), which the framework leaves alone. Where a name or an id is expected,
a whole number is the text of its digits.
"""

from __future__ import annotations

from flame_flwr.config.config_key import (
    ConfigKey,
    Side,
    check_extra,
    check_max_rounds,
    check_results,
)
from flame_flwr.config.node_settings import NODE_KEYS, NodeSettings
from flame_flwr.config.run_settings import RUN_KEYS, RunSettings

__all__ = [
    "NODE_KEYS",
    "RUN_KEYS",
    "ConfigKey",
    "NodeSettings",
    "RunSettings",
    "Side",
    "check_extra",
    "check_max_rounds",
    "check_results",
]
