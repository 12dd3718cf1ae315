"""The STAR API: what ``flame.star`` exports, under this framework.

The model and the tester stand above this package, and are named from it.
"""

from typing import TYPE_CHECKING

from flame_flwr.lazy_imports import lazy_exports

if TYPE_CHECKING:
    from flame_flwr.analysis.model import StarLocalDPModel as StarLocalDPModel
    from flame_flwr.analysis.model import StarModel as StarModel
    from flame_flwr.analysis.tester import StarModelTester as StarModelTester
    from flame_flwr.star.nodes import StarAggregator as StarAggregator
    from flame_flwr.star.nodes import StarAnalyzer as StarAnalyzer

__all__, __dir__, __getattr__ = lazy_exports(
    __name__,
    {
        ".nodes": ["StarAggregator", "StarAnalyzer"],
        "flame_flwr.analysis.model": ["StarLocalDPModel", "StarModel"],
        "flame_flwr.analysis.tester": ["StarModelTester"],
    },
)
