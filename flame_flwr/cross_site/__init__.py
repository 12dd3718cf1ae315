"""Cross-site validation: every node's own model and the common one, scored at every node.

Strategies add two rounds to a training, an analyzer answers them, and a result has the table, the
heat map and the ROC curves, of counts by the models' predictions. Importing this does not import
matplotlib.
"""

from flame_flwr.cross_site.files import CROSS_SITE_FILES
from flame_flwr.cross_site.phases import answer, is_asked
from flame_flwr.cross_site.result import CrossSiteResult
from flame_flwr.cross_site.strategy import CrossSite, CrossSiteFedAvg

__all__ = [
    "CROSS_SITE_FILES",
    "CrossSite",
    "CrossSiteFedAvg",
    "CrossSiteResult",
    "answer",
    "is_asked",
]
