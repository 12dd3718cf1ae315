"""Whether an estimator that arrived is one that was fitted: the check is ours.

What it may be made of is decided before, in ``estimator_types``. Here its numbers are held against
how many features and classes it says it has; then ``estimator_trial`` lets it compute.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from flame_flwr.payload.estimator_categories import wrong_categories, wrong_counts, wrong_statistics
from flame_flwr.payload.estimator_trial import try_out
from flame_flwr.payload.estimator_types import FITTED, MULTILABEL, family_of

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["check_estimator"]


def check_estimator(value: Any) -> None:
    """See that an estimator, and those in it, can do what fitted ones can.

    Parameters
    ----------
    value : estimator
        Of the types that may travel.

    Raises
    ------
    ValueError
        One cannot; the text names the class and the attribute, and no number of it.
    """
    try:
        _check(value)
    except ValueError:
        raise
    except Exception as error:  # of values that cannot even be compared
        kind, why = type(value).__name__, type(error).__name__
        raise ValueError(f"{kind} holds what no fit gives ({why})") from error


def _check(value: Any) -> None:
    single = list(_single_ones(value, set()))
    for estimator in single:
        for name, why in _wrong(estimator):
            raise ValueError(f"{type(estimator).__name__}.{name} {why}")
    for estimator in single:
        try_out(estimator, estimator)
    if not single:
        raise ValueError("Pipeline.steps has none that computes")
    if single[0] is not value:
        try_out(value, single[0])


def _single_ones(value: Any, seen: set[int]) -> Iterator[Any]:
    """Give the estimators that compute, in the order in which a pipeline asks them."""
    if id(value) in seen:
        raise ValueError(f"{type(value).__name__} is twice in it")
    # By skops's cached nodes one may be in many places for few bytes; each is asked once at most.
    seen.add(id(value))
    if _family(value) != "pipeline":
        yield value
        return
    if set(vars(value)) - _OF_PIPELINES or vars(value).get("memory") is not None:
        raise ValueError("Pipeline has more than steps")
    steps = vars(value).get("steps")
    if not isinstance(steps, list) or not all(map(_is_step, steps)):
        raise ValueError("Pipeline.steps are not names, each with an estimator")
    for _, step in steps:
        if step is not None and step != "passthrough":
            yield from _single_ones(step, seen)


def _is_step(step: Any) -> bool:
    if not isinstance(step, tuple) or len(step) != 2 or not isinstance(step[0], str):
        return False
    return step[1] is None or step[1] == "passthrough" or _family(step[1]) is not None


def _family(value: Any) -> str | None:
    return family_of(type(value).__module__, type(value).__name__)


def _wrong(estimator: Any) -> Iterator[tuple[str, str]]:
    """Give what is wrong with the attributes of one estimator: a name, and why."""
    yield from _wrong_kinds(estimator)
    fitted, family = vars(estimator), str(_family(estimator))
    if type(estimator).__name__ in _BLIND and fitted.get("warm_start"):
        yield "warm_start", "has a fit go on in coefficients of any number: set it to False"
    yield from _wrong_counts(fitted, family)
    sizes = _sizes(fitted, family)
    for each in map(Numbers.of, FITTED[family].split()):
        yield from each.wrong(fitted, sizes)
    yield from wrong_counts(fitted, sizes) if family == "categories" else ()
    yield from wrong_categories(fitted, sizes["f"]) if family == "encoder" else ()
    yield from wrong_statistics(fitted, sizes["f"]) if family == "imputer" else ()
    # Few bytes could say a billion features, and `transform` would make an array of them.
    backed = any(sizes.get("f") in np.shape(each) for each in fitted.values() if _is_array(each))
    if sizes.get("f", 0) > _FEATURES and not backed and family != "encoder":
        yield "n_features_in_", "is more than it has numbers for"


def _wrong_kinds(estimator: Any) -> Iterator[tuple[str, str]]:
    """Look for what no fitted estimator has: other objects, or a value in a method's place."""
    options = estimator._get_param_names()
    for name, value in vars(estimator).items():
        if name == "_label_binarizer" or (name == "indicator_" and value is not None):
            inner = {"LabelBinarizer"} if name[0] == "_" else {"MissingIndicator"}
            if type(value).__name__ not in inner:
                yield name, "is of another kind"
            else:
                yield from _wrong_kinds(value)
        elif name not in options and hasattr(type(estimator), name) and name not in _OWN:
            yield name, "is in the place of a method"
        elif not _is_plain(value):
            yield name, "is of another kind"


def _is_plain(value: Any) -> bool:
    """Tell whether a value is made of numbers, texts and types, each looked at once."""
    # Without recursion, and each object once: skops's cached nodes put one in many places.
    waiting, seen = [value], set()
    while waiting:
        each = waiting.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        if type(each) is dict:
            waiting += [*each.keys(), *each.values()]
        elif type(each) in (list, tuple, set) or (_is_array(each) and each.dtype == object):
            waiting += np.ravel(each).tolist() if _is_array(each) else each
        elif not (_is_array(each) or isinstance(each, _PLAIN) or _is_loss(each)):
            return False
    return True


def _is_array(value: Any) -> bool:
    return type(value) is np.ndarray


def _is_loss(value: Any) -> bool:
    return type(value).__module__.startswith(("sklearn._loss", "sklearn.linear_model._sgd_fast"))


def _wrong_counts(fitted: dict[str, Any], family: str) -> Iterator[tuple[str, str]]:
    """Look at how many features and classes there are, and what they are called."""
    features, names = fitted.get("n_features_in_"), fitted.get("feature_names_in_")
    if family != "labels":
        if features is None:
            yield "n_features_in_", "is missing, as if it were not fitted"
        elif type(features) not in _COUNTS or features < 1:
            yield "n_features_in_", "is no count"
    if names is not None and not (
        _is_array(names) and names.shape == (features,) and all(isinstance(n, str) for n in names)
    ):
        yield "feature_names_in_", "has not one name per feature"
    if family in _OF_CLASSES and not _are_classes(_classes(fitted), _OF_CLASSES[family]):
        yield "classes_", "is no list of classes in order"


def _classes(fitted: dict[str, Any]) -> Any:
    binarizer = fitted.get("_label_binarizer")
    if binarizer is None:
        return fitted.get("classes_")
    known = vars(binarizer).get("classes_")  # which scikit-learn asks, in some versions
    return known if np.array_equal(fitted.get("classes_", known), known) else None


def _are_classes(value: Any, least: int) -> bool:
    """Tell whether these are distinct classes, sorted as every fit does."""
    if not _is_array(value) or value.ndim != 1 or len(value) < least:
        return False
    if value.dtype == object:
        if not all(isinstance(each, str | int) for each in value):
            return False
    elif value.dtype.kind not in "biufUS":
        return False
    # NaN is no class: it is equal to no label, not even to itself.
    return bool(np.all(value[:-1] < value[1:])) and bool(np.all(value == value))


def _sizes(fitted: dict[str, Any], family: str) -> dict[str, int]:
    """Return how long each axis is: what `FITTED` has letters for."""
    classes = _classes(fitted) if family in _OF_CLASSES else ()
    sizes = {"f": fitted.get("n_features_in_", 0), "c": len(classes), "r": len(classes)}
    binarizer = fitted.get("_label_binarizer")
    if sizes["c"] == 2 and getattr(binarizer, "y_type_", None) != MULTILABEL:
        sizes["r"] = 1
    if family == "regressor":
        shape = np.shape(fitted.get("coef_", 0))
        sizes["r"] = shape[0] if len(shape) == 2 else 1
    if family == "components":
        sizes["k"] = next(iter(np.shape(fitted.get("components_", 0))), 0)
    return sizes


class Numbers(NamedTuple):
    """What one attribute must be.

    Attributes
    ----------
    name : str
        Of the attribute.
    axes : tuple of str
        The axes that it may have: one letter each.
    options : str
        What else its numbers may, or may not, be.
    """

    name: str
    axes: tuple[str, ...]
    options: str

    @classmethod
    def of(cls, text: str) -> Numbers:
        """Read an entry of `FITTED`."""
        name, _, rest = text.partition(":")
        axes = rest.rstrip("?~<+")
        return cls(name, tuple(axes.split("|")), rest[len(axes) :])

    def wrong(self, fitted: dict[str, Any], sizes: dict[str, int]) -> Iterator[tuple[str, str]]:
        """Give what is wrong with the attribute of a fitted estimator: its name, and why."""
        value = fitted.get(self.name)
        if value is None:
            if "?" not in self.options:
                yield self.name, "is missing"
            return
        array = np.asarray(value) if isinstance(value, int | float | np.number) else value
        if not _is_array(array) or array.dtype.kind not in "biuf":
            yield self.name, "has no numbers"
            return
        if array.shape not in self._shapes(sizes):
            per = " and ".join(_WORDS[axis] for axis in self.axes[-1]) or "estimator"
            yield self.name, f"has not one entry per {per}"
        odd = ~np.isfinite(array)
        odd &= ~(np.isnan(array) & ("~" in self.options))
        odd &= ~(np.isneginf(array) & ("<" in self.options))
        if odd.any() or ("+" in self.options and (array <= 0).any()):
            yield self.name, "has numbers that no fit gives"

    def _shapes(self, sizes: dict[str, int]) -> list[tuple[int, ...]]:
        """Return the shapes that there may be: those of one axis less for one row only."""
        several = sizes["r"] > 1 and "rf" in self.axes
        axes = self.axes[-1:] if several else self.axes
        return [tuple(sizes[axis] for axis in each) for each in axes]


_BLIND = {"ElasticNet", "Lasso", "MultiTaskElasticNet", "MultiTaskLasso"}
"""Their `fit`, which is compiled, would write behind coefficients that are fewer than its rows'."""

_OF_PIPELINES = {"steps", "memory", "verbose", "transform_input"}
_OF_CLASSES = {
    **dict.fromkeys(["classifier", "ridge classifier"], 2),
    **dict.fromkeys(["gaussian", "counts", "complement", "categories", "labels"], 1),
}
"""How many classes there are at least."""

_COUNTS = (int, np.int32, np.int64, np.intp)
_FEATURES = 4096
"""How many features a scaler that neither moves nor scales may say that it has."""

_OWN = {"_sklearn_output_config"}
_PLAIN = (
    *(type(None), bool, int, float, str, bytes, type, slice, np.generic, np.dtype),
    *(np.random.RandomState, np.random.Generator),
)
_WORDS = {"f": "feature", "c": "class", "r": "row of coefficients", "k": "component"}
