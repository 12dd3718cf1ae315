"""The row for fitted scikit-learn estimators, through skops: the extra ``estimators``.

skops stores an estimator as a zip file of plain data and only loads types it knows to be
harmless. Which these are has changed between its versions, so what travels is decided here, by
the list in ``estimator_types``, and skops' own audit comes on top. All others are refused, as
compiled code follows the numbers of many without looking, and others make arrays as large as a
number in them says. Before skops sees a file that arrived, its sizes are checked in ``archives``;
what it makes of it is checked after that, in ``estimator_check``.
"""

from __future__ import annotations

import importlib
import re
import sys
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING, Any

from flame_flwr.errors import PayloadError
from flame_flwr.payload.archives import check_archive, kinds
from flame_flwr.payload.estimator_check import check_estimator
from flame_flwr.payload.estimator_types import may_travel
from flame_flwr.payload.kinds import BesideKind
from flame_flwr.payload.wire_format import RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flame_flwr.payload.decoder import Decoder
    from flame_flwr.payload.encoder import Encoder

__all__ = ["ESTIMATOR", "KINDS", "is_estimator"]

_LINKS = "Interval LogLink"
_LOSS_NAMES = "HalfGammaLoss HalfPoissonLoss"
_HARMLESS = frozenset(
    {
        "numpy.dtype",
        "sklearn.impute._base.MissingIndicator",
        *(f"sklearn._loss.link.{name}" for name in _LINKS.split()),
        *(f"sklearn._loss.loss.{name}" for name in _LOSS_NAMES.split()),
    }
)
"""Types that are in estimators only: written in Python, and looked at with what they are in."""

_LOSSES = frozenset({"sklearn._loss._loss", "sklearn.linear_model._sgd_fast"})
"""Compiled modules whose types hold a few numbers, and no places in other arrays."""

_OTHERS = re.compile(r"(builtins|collections|numpy)(\..+)?")
"""Modules outside scikit-learn: which of their types, skops knows well in every version."""

_LOADERS = frozenset(
    f"{name}Node"
    for name in (
        *("Bytes", "Cached", "DType", "Dict", "Json", "List", "Loss", "NdArray", "Object"),
        *("RandomGenerator", "RandomState", "Set", "Slice", "Tuple", "Type"),
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
    try:
        check_estimator(value)  # as who receives it will
    except ValueError as error:
        raise RefusedError(value, f"{error}. {_ATTRIBUTES}, {_PICKLE}") from error
    return [encoder.blob(data)]


def _restore(decoder: Decoder, place: Any) -> Any:
    skops = _skops()
    if skops is None:
        raise PayloadError(f"The payload holds a scikit-learn estimator. {_EXTRA}.")
    # Before skops reads it: what its own audit lets through has changed between its versions.
    data = bytes(decoder.blob(place))
    refused = _refused(check_archive(data))
    if refused:
        raise PayloadError(
            "What arrived holds an estimator that may not travel, such as a tree or a neighbour "
            f"search. {_ATTRIBUTES}, {_PICKLE}.",
            detail=f"Untrusted types: {', '.join(sorted(refused))}",
        )
    estimator = skops.loads(data, trusted=sorted(_HARMLESS))
    if not is_estimator(estimator):
        raise PayloadError("What arrived as an estimator is none.")
    try:
        check_estimator(estimator)
    except ValueError as error:
        raise PayloadError(
            f"What arrived holds an estimator whose numbers do not fit each other: {error}."
        ) from error
    return estimator


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
    return module in _LOSSES or full in _HARMLESS or may_travel(module, name)


def _skops() -> ModuleType | None:
    try:
        with _without_torch():
            return importlib.import_module("skops.io")
    except ImportError:
        return None


@contextmanager
def _without_torch() -> Iterator[None]:
    """Keep skops from importing PyTorch, which takes seconds.

    It imports much of scikit-learn, one module of which imports PyTorch where that is installed.
    """
    name = "sklearn.externals.array_api_compat.torch"
    if name in sys.modules:
        yield
        return
    sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        sys.modules.pop(name, None)


_EXTRA = 'Install the extra on every side: pip install "flame-flwr[estimators]"'

_LONGEST = 200
_ATTRIBUTES = (
    "Return what you need of its fitted attributes, those that end in an underscore, as a dict of "
    "arrays instead"
)
_PICKLE = (
    'or declare payload="pickle" on the model (only where every party is trusted: who sends a '
    "pickle runs code at its receiver)"
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
        "or train a model of coefficients, such as LogisticRegression or GaussianNB"
    ),
    r"sklearn\.neighbors\._(ball|kd)_tree\.|sklearn\.metrics\._dist_metrics\.": (
        "It searches for neighbours among this node's rows, which are in it ({}), and does not "
        "travel. Return a summary of the rows instead, such as the mean of each class"
    ),
    r"sklearn\.svm\.": (
        "It is a support vector machine of libsvm ({}), which does not travel: compiled code reads "
        "wherever its numbers say, and its support vectors are rows of this node. Train a linear "
        f"one instead, LinearSVC or SGDClassifier, {_PICKLE}"
    ),
    r"sklearn\.cluster\.": (
        "It holds clusters ({}), and does not travel: compiled code follows its numbers without "
        "looking. Return what you need of them as a dict of arrays instead, such as the "
        f"cluster_centers_ of a KMeans, {_PICKLE}"
    ),
    r"(scipy\.sparse\.)": _SPARSE,
    r"(sklearn|scipy|numpy)\.": f"It holds {{}}, which may not be loaded. {_ATTRIBUTES}, {_PICKLE}",
    "": (
        "It holds a class or function that skops does not trust: {}. Teach the estimator's class "
        "with flame_flwr.payload.register_type, or return its coefficients as a dict of arrays "
        "instead"
    ),
}
"""What to do about refused types, by what their names begin with; the first that fits holds."""

ESTIMATOR = BesideKind(90, (), _pack, _restore, (object,), cost=2**17)
"""Every class of scikit-learn's: ``table`` finds this row for them."""

KINDS = (ESTIMATOR,)
