"""The study as a Flower app: ``flwr run . local``."""

from __future__ import annotations

from collections.abc import Sequence

from cross_site.analysis import CrossSiteAnalyzer, CrossSiteStrategy
from cross_site.hospitals import MEASUREMENTS
from cross_site.settings import COMPARISON, filters
from cross_site.table import expected
from flame_flwr.star import StarModel

__all__ = ["COLUMNS", "SETTINGS", "SHARE_OWN", "client_app", "model", "server_app"]

COLUMNS: Sequence[str] | None = MEASUREMENTS
"""What every file's measurements are called. ``None``: whatever they are, as long as all
hospitals have the same; then the hospitals compare them in round 1."""

SETTINGS = COMPARISON
"""What is trained: all of the comparison, or only one, such as ``COMPARISON[2:3]``."""

SHARE_OWN = True
"""Whether hospitals' own models go out once, for the cross-site matrix."""

model = StarModel(
    CrossSiteAnalyzer,
    CrossSiteStrategy(SETTINGS, COLUMNS),
    "s3",
    analyzer_kwargs={"columns": COLUMNS, "settings": SETTINGS, "share_own": SHARE_OWN},
    filters=filters(SETTINGS),
    expects=expected(COLUMNS),
)

client_app = model.client_app
server_app = model.server_app
