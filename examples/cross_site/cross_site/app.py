"""The study as a Flower app: ``flwr run . local``."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from cross_site.analysis import CrossSiteAnalyzer, CrossSiteStrategy
from cross_site.hospitals import MEASUREMENTS
from cross_site.naming import check_files
from cross_site.settings import COMPARISON, filters
from cross_site.table import expected
from flame_flwr.clients import NodePlan, StarClient
from flame_flwr.star import StarModel

__all__ = ["COLUMNS", "SETTINGS", "SHARE_OWN", "CrossSiteClient"]
__all__ += ["client_app", "model", "server_app"]

COLUMNS: Sequence[str] | None = MEASUREMENTS
"""What every file's measurements are called. ``None``: whatever they are, as long as all
hospitals have the same; then the hospitals compare them in round 1."""

SETTINGS = COMPARISON
"""What is trained: all of the comparison, or only one, such as ``COMPARISON[2:3]``."""

SHARE_OWN = True
"""Whether hospitals' own models go out once, for the cross-site matrix."""


class CrossSiteClient(StarClient):
    """Reads files that are called as ``study.files`` in the run config says.

    Then they have whatever measurements they have, and ``COLUMNS`` does not count.
    """

    def __init__(self, plan: NodePlan, context: Any) -> None:
        files = str(context.run_config.get("study.files", ""))
        if files:
            check_files(files)
            arguments = {**plan.analyzer_kwargs, "files": files, "columns": None}
            expects = tuple(expected(None, files))
            plan = dataclasses.replace(plan, analyzer_kwargs=arguments, expects=expects)
        super().__init__(plan, context)


model = StarModel(
    CrossSiteAnalyzer,
    CrossSiteStrategy(SETTINGS, COLUMNS),
    "s3",
    analyzer_kwargs={"columns": COLUMNS, "settings": SETTINGS, "share_own": SHARE_OWN},
    filters=filters(SETTINGS),
    expects=expected(COLUMNS),
    client=CrossSiteClient,
)

client_app = model.client_app
server_app = model.server_app
