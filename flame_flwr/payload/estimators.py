"""Fitted scikit-learn estimators, through skops: the extra ``estimators``.

skops stores an estimator as a zip file of plain data and only loads types it knows to be
harmless; an estimator with any other type in it is refused when it is encoded. That are
not a few: forests and trees, neighbour searches and fitted sparse arrays among them,
because compiled code follows the numbers they hold without looking. Before skops sees a
file that arrived, its sizes are checked in ``archives``.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from flame_flwr.errors import PayloadError
from flame_flwr.payload.archives import check_archive
from flame_flwr.payload.wire import ESTIMATOR, RefusedError

if TYPE_CHECKING:
    from flame_flwr.payload.decoder import Decoder
    from flame_flwr.payload.encoder import Encoder

__all__ = ["RESTORE", "is_estimator", "pack"]

_KERNELS = (
    "CompoundKernel ConstantKernel DotProduct ExpSineSquared Exponentiation Matern PairwiseKernel "
    "Product RBF RationalQuadratic Sum WhiteKernel"
)
_SCORES = "chi2 f_classif f_oneway f_regression r_regression"
_HARMLESS = frozenset(
    {
        "numpy.dtype",
        "sklearn.gaussian_process._gpc._BinaryGaussianProcessClassifierLaplace",
        "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
        "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
        *(f"sklearn.gaussian_process.kernels.{name}" for name in _KERNELS.split()),
        *(f"sklearn.feature_selection._univariate_selection.{name}" for name in _SCORES.split()),
    }
)
"""Types written in Python, or plain data, that skops asks about and that may be loaded."""


def is_estimator(value: object) -> bool:
    """Tell whether a value is a scikit-learn estimator, without importing scikit-learn."""
    base = sys.modules.get("sklearn.base")
    return base is not None and isinstance(value, base.BaseEstimator)


def pack(value: object, encoder: Encoder) -> list[Any]:
    """Turn an estimator into a tagged list."""
    skops = _skops()
    if skops is None:
        raise RefusedError(value, f"{_EXTRA}. Or return its coefficients as a dict of arrays")
    try:
        data = skops.dumps(value)
        unknown = sorted(set(skops.get_untrusted_types(data=data)) - _HARMLESS)
    except Exception as error:
        raise RefusedError(
            value,
            f"skops cannot store it ({type(error).__name__}). "
            "Return its coefficients as a dict of arrays instead",
        ) from error
    if unknown:
        raise RefusedError(
            value,
            f"It holds types that skops does not trust: {', '.join(unknown)}. "
            "Return its coefficients as a dict of arrays instead, or teach its class with "
            "flame_flwr.payload.register_type",
        )
    check_archive(data)
    return [ESTIMATOR, encoder.blob(data)]


def _restore(items: list[Any], decoder: Decoder) -> Any:
    (place,) = items
    skops = _skops()
    if skops is None:
        raise PayloadError(f"The payload holds a scikit-learn estimator. {_EXTRA}.")
    data = bytes(decoder.blob(place))
    check_archive(data)
    return skops.loads(data, trusted=sorted(_HARMLESS))


def _skops() -> ModuleType | None:
    try:
        return importlib.import_module("skops.io")
    except ImportError:
        return None


_EXTRA = 'Install the extra on every side: pip install "flame-flwr[estimators]"'

RESTORE: dict[Any, Any] = {ESTIMATOR: _restore}
"""How what follows a marker becomes a value again."""
