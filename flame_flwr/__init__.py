"""flame-flwr: federated analyses as two small classes, on Flower."""

from typing import TYPE_CHECKING

from flame_flwr.installed.versions import warn_of_untried
from flame_flwr.lazy_imports import lazy_exports

if TYPE_CHECKING:
    from flame_flwr.clients import StarClient as StarClient
    from flame_flwr.star import StarAggregator as StarAggregator
    from flame_flwr.star import StarAnalyzer as StarAnalyzer
    from flame_flwr.star import StarLocalDPModel as StarLocalDPModel
    from flame_flwr.star import StarModel as StarModel
    from flame_flwr.star import StarModelTester as StarModelTester
    from flame_flwr.strategies import StarStrategy as StarStrategy

__version__ = "0.1.0"

__all__, __dir__, __getattr__ = lazy_exports(
    __name__,
    {
        ".clients": ["StarClient"],
        ".star": [
            "StarAggregator",
            "StarAnalyzer",
            "StarLocalDPModel",
            "StarModel",
            "StarModelTester",
        ],
        ".strategies": ["StarStrategy"],
    },
)
__all__ += ["__version__"]

warn_of_untried()  # here, as most of what a user imports loads Flower much later, or never
