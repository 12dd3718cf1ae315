"""Protection of what is released."""

from typing import TYPE_CHECKING

from flame_flwr.lazy_imports import lazy_exports

if TYPE_CHECKING:
    from flame_flwr.privacy.clip import Clip as Clip
    from flame_flwr.privacy.disclosure import Disclosure as Disclosure
    from flame_flwr.privacy.disclosure_rule import DisclosureRule as DisclosureRule
    from flame_flwr.privacy.gaussian_noise import GaussianNoise as GaussianNoise
    from flame_flwr.privacy.laplace import Laplace as Laplace
    from flame_flwr.privacy.rows_per_parameter import RowsPerParameter as RowsPerParameter
    from flame_flwr.privacy.rules import MaxBins as MaxBins
    from flame_flwr.privacy.rules import MaxRows as MaxRows
    from flame_flwr.privacy.rules import MinCount as MinCount
    from flame_flwr.privacy.rules import NoisyMinMax as NoisyMinMax
    from flame_flwr.privacy.rules import Strict as Strict
    from flame_flwr.privacy.sparse_vector import SparseVector as SparseVector
    from flame_flwr.privacy.top_fraction import TopFraction as TopFraction
    from flame_flwr.privacy.update_filter import UpdateFilter as UpdateFilter

__all__, __dir__, __getattr__ = lazy_exports(
    __name__,
    {
        ".clip": ["Clip"],
        ".disclosure": ["Disclosure"],
        ".disclosure_rule": ["DisclosureRule"],
        ".gaussian_noise": ["GaussianNoise"],
        ".laplace": ["Laplace"],
        ".rows_per_parameter": ["RowsPerParameter"],
        ".rules": ["MaxBins", "MaxRows", "MinCount", "NoisyMinMax", "Strict"],
        ".sparse_vector": ["SparseVector"],
        ".top_fraction": ["TopFraction"],
        ".update_filter": ["UpdateFilter"],
    },
)
