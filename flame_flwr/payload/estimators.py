"""The row for fitted scikit-learn estimators, through skops: the extra ``estimators``.

skops stores an estimator as a zip file of plain data and only loads types it knows to be
harmless. Which these are has changed between its versions, so what travels is decided here,
and skops' own audit comes on top. Refused are not a few: forests and trees, neighbour searches
and fitted sparse arrays among them, because compiled code follows the numbers they hold
without looking. Before skops sees a file that arrived, its sizes are checked in ``archives``.
"""

from __future__ import annotations

import importlib
import re
import sys
from functools import lru_cache
from types import ModuleType
from typing import TYPE_CHECKING, Any

from flame_flwr.errors import PayloadError
from flame_flwr.payload.archives import check_archive, kinds
from flame_flwr.payload.kinds import BesideKind
from flame_flwr.payload.wire import RefusedError, type_name

if TYPE_CHECKING:
    from flame_flwr.payload.decoder import Decoder
    from flame_flwr.payload.encoder import Encoder

__all__ = ["ESTIMATOR", "KINDS", "is_estimator"]

_KERNELS = (
    "CompoundKernel ConstantKernel DotProduct ExpSineSquared Exponentiation Matern PairwiseKernel "
    "Product RBF RationalQuadratic Sum WhiteKernel"
)
_SCORES = "chi2 f_classif f_oneway f_regression r_regression"
_LINKS = "IdentityLink Interval LogLink LogitLink"
_LOSS_NAMES = "HalfBinomialLoss HalfGammaLoss HalfPoissonLoss HalfSquaredError"
_HARMLESS = frozenset(
    {
        "numpy.dtype",
        "sklearn.gaussian_process._gpc._BinaryGaussianProcessClassifierLaplace",
        "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
        "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
        *(f"sklearn._loss.link.{name}" for name in _LINKS.split()),
        *(f"sklearn._loss.loss.{name}" for name in _LOSS_NAMES.split()),
        *(f"sklearn.gaussian_process.kernels.{name}" for name in _KERNELS.split()),
        *(f"sklearn.feature_selection._univariate_selection.{name}" for name in _SCORES.split()),
    }
)
"""Types written in Python, or plain data, that some skops asks about and that may be loaded."""

_LOSSES = frozenset({"sklearn._loss._loss", "sklearn.linear_model._sgd_fast"})
"""Compiled modules whose types hold a few numbers, and no places in other arrays."""

_OTHERS = re.compile(r"(builtins|collections|functools|numpy)(\..+)?|scipy\.special(\..+)?")
"""Modules outside scikit-learn: which of their types, skops knows well in every version."""

_LOADERS = frozenset(
    f"{name}Node"
    for name in (
        *("Bytearray", "Bytes", "Cached", "DType", "DefaultDict", "Dict", "Function", "Json"),
        *("List", "Loss", "MaskedArray", "NdArray", "Object", "Partial", "RandomGenerator"),
        *("RandomState", "Set", "Slice", "Tuple", "Type"),
    )
)
"""How skops may make a value. A loader can make another type than the one that a file names."""


def is_estimator(value: object) -> bool:
    """Tell whether a value is a scikit-learn estimator, without importing scikit-learn."""
    base = sys.modules.get("sklearn.base")
    return base is not None and isinstance(value, base.BaseEstimator)


def _pack(value: object, encoder: Encoder) -> list[Any]:
    skops = _skops()
    if skops is None:
        raise RefusedError(value, f"{_EXTRA}. Or return its coefficients as a dict of arrays")
    try:
        data = skops.dumps(value)
        unknown = {*skops.get_untrusted_types(data=data)}
    except Exception as error:
        raise RefusedError(
            value, f"skops cannot store it ({type(error).__name__}). {_ATTRIBUTES}"
        ) from error
    try:
        schema = check_archive(data)
    except ValueError as error:  # skops stores a sparse array as an archive in its own
        raise RefusedError(value, _SPARSE) from error
    unknown = (unknown | _refused(schema)) - _HARMLESS
    if unknown:
        raise RefusedError(value, _ways_out(unknown))
    return [encoder.blob(data)]


def _restore(decoder: Decoder, place: Any) -> Any:
    skops = _skops()
    if skops is None:
        raise PayloadError(f"The payload holds a scikit-learn estimator. {_EXTRA}.")
    data = bytes(decoder.blob(place))
    refused = _refused(check_archive(data))
    if refused:
        raise PayloadError(
            "What arrived holds an estimator that may not travel, such as a tree or a neighbour "
            f"search. {_ATTRIBUTES}.",
            detail=f"Untrusted types: {', '.join(sorted(refused))}",
        )
    return skops.loads(data, trusted=sorted(_HARMLESS))


def _ways_out(refused: set[str]) -> str:
    """Say what can be done about types that may not be loaded: the first advice that fits."""
    for pattern, advice in _ADVICE.items():
        named = sorted(name for name in refused if re.match(pattern, name))
        if named:
            return advice.format(", ".join(named)[:_LONGEST])
    raise AssertionError(refused)


def _refused(schema: Any) -> set[str]:
    """Return the types in a skops file that may not be loaded, whatever skops thinks of them."""
    return {
        f"{module}.{name}"
        for module, name, loader in kinds(schema)
        if loader not in _LOADERS or not _may_travel(module, name)
    }


def _may_travel(module: str, name: str) -> bool:
    if module.partition(".")[0] != "sklearn":
        return _OTHERS.fullmatch(module) is not None
    full = f"{module}.{name}"
    return module in _LOSSES or full in _HARMLESS or full in _estimators()


@lru_cache(maxsize=1)
def _estimators() -> frozenset[str]:
    """Return the full names of scikit-learn's own estimators, which are written in Python."""
    found = importlib.import_module("sklearn.utils").all_estimators()
    return frozenset(type_name(cls) for _, cls in found)


def _skops() -> ModuleType | None:
    try:
        return importlib.import_module("skops.io")
    except ImportError:
        return None


_EXTRA = 'Install the extra on every side: pip install "flame-flwr[estimators]"'

_LONGEST = 200
_ATTRIBUTES = (
    "Return what you need of its fitted attributes, those that end in an underscore, as a dict of "
    "arrays instead"
)
_SPARSE = (
    "It holds a sparse array, which does not travel within an estimator. Make it dense first, such "
    "as with .densify(), or fit it on a dense array"
)
_ADVICE = {
    r"sklearn\.(tree\.|ensemble\._hist_gradient_boosting\.)": (
        "It is made of trees ({}), and they do not travel: compiled code follows their numbers "
        "without looking. Return what you need of them as a dict of arrays instead, such as "
        "feature_importances_ or the tree_.feature, tree_.threshold and tree_.value of each tree; "
        "or train a model of coefficients, such as LogisticRegression or MLPClassifier"
    ),
    r"sklearn\.neighbors\._(ball|kd)_tree\.|sklearn\.metrics\._dist_metrics\.": (
        "It searches for neighbours among this node's rows, which are in it ({}), and does not "
        "travel. Return a summary of the rows instead, such as the centroids_ of a NearestCentroid"
    ),
    r"(scipy\.sparse\.)": _SPARSE,
    r"(sklearn|scipy|numpy)\.": "It holds {}, which may not be loaded. " + _ATTRIBUTES,
    r".*<lambda>": (
        "It holds a lambda ({}), which is code. Use a function of NumPy's or scikit-learn's, or "
        "return what the estimator gives as a dict of arrays instead"
    ),
    "": (
        "It holds a class or function that skops does not trust: {}. Teach the estimator's class "
        "with flame_flwr.payload.register_type, or return its coefficients as a dict of arrays "
        "instead"
    ),
}
"""What to do about refused types, by what their names begin with; the first that fits holds."""

ESTIMATOR = BesideKind(90, (), _pack, _restore, (object,))
"""Every class of scikit-learn's: ``table`` finds this row for them."""

KINDS = (ESTIMATOR,)
