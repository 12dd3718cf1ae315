"""Regressions, survival curves and the first table of a paper, of all hospitals' rows, exact.

A study is described once, and gives an analyzer and a strategy. Importing this imports neither
formulaic nor statsmodels: building a study does.
"""

from typing import TYPE_CHECKING

from flame_flwr.lazy_imports import lazy_exports

if TYPE_CHECKING:
    from flame_flwr.regression.cox import Cox as Cox
    from flame_flwr.regression.glm import GLM as GLM
    from flame_flwr.regression.meta_analysis import (
        RegressionMetaAnalysis as RegressionMetaAnalysis,
    )
    from flame_flwr.regression.result import RegressionResult as RegressionResult
    from flame_flwr.regression.strategy import RegressionStrategy as RegressionStrategy
    from flame_flwr.regression.study import RegressionAnalyzer as RegressionAnalyzer
    from flame_flwr.regression.survival import Survival as Survival
    from flame_flwr.regression.table_one import TableOne as TableOne
    from flame_flwr.regression.table_one_result import TableOneResult as TableOneResult

__preload__ = (
    *("flame_flwr.regression.glm", "flame_flwr.regression.cox", "flame_flwr.regression.survival"),
    *("flame_flwr.regression.table_one", "flame_flwr.regression.strategy"),
    *("formulaic", "statsmodels.genmod.families", "pandas", "scipy.stats"),
)
"""What a node imports once that is started with ``--preload flame_flwr.regression``."""

__all__, __dir__, __getattr__ = lazy_exports(
    __name__,
    {
        ".cox": ["Cox"],
        ".glm": ["GLM"],
        ".meta_analysis": ["RegressionMetaAnalysis"],
        ".result": ["RegressionResult"],
        ".strategy": ["RegressionStrategy"],
        ".study": ["RegressionAnalyzer"],
        ".survival": ["Survival"],
        ".table_one": ["TableOne"],
        ".table_one_result": ["TableOneResult"],
    },
)
