"""What an encoder, an imputer or a naive Bayes of categories has, one part per feature."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["wrong_categories", "wrong_counts", "wrong_statistics"]

_LARGEST = 2**63


def wrong_categories(fitted: dict[str, Any], features: int) -> Iterator[tuple[str, str]]:
    """Check an encoder's categories: scikit-learn makes places in a sparse array of them.

    SciPy then writes wherever they say.

    Parameters
    ----------
    fitted : dict
        The encoder's attributes.
    features : int
        How many features it has.

    Yields
    ------
    tuple of str
        The name of an attribute, and what is wrong with it.
    """
    categories = fitted.get("categories_")
    if not isinstance(categories, list) or not all(map(_is_list_of_categories, categories)):
        yield "categories_", "is no list of categories in order"
        return
    if features != len(categories):
        yield "categories_", "has not one entry per feature"
    if fitted.get("_infrequent_enabled") or "_infrequent_indices" in fitted:
        yield "categories_", "has infrequent ones, which do not travel"
    try:
        numbers = np.dtype(fitted.get("dtype")).kind in "biuf"
    except TypeError:  # of what names no type of NumPy's
        numbers = False
    if not numbers:
        yield "dtype", "is none of numbers"
    yield from _wrong_drops(fitted, list(map(len, categories)))


def _wrong_drops(fitted: dict[str, Any], sizes: list[int]) -> Iterator[tuple[str, str]]:
    """Look at which category of each feature has no column: the same by both of its names."""
    name = "_drop_idx_after_grouping"
    places: Any = fitted.get(name)
    known: Any = fitted.get("drop_idx_")
    drops = [None] * len(sizes) if places is None else np.ravel(places).tolist()
    if len(drops) != len(sizes) or not all(map(_is_place, drops, sizes)):
        yield name, "names no category of each feature"
        return
    if not np.array_equal(places, known):
        yield "drop_idx_", "does not fit the categories without a column"
    kept = [size - (drop is not None) for size, drop in zip(sizes, drops, strict=True)]
    columns = fitted.get("_n_features_outs", kept)
    if type(columns) is not list or columns != kept or {type(each) for each in columns} != {int}:
        yield "_n_features_outs", "does not fit categories_"


def wrong_counts(fitted: dict[str, Any], sizes: dict[str, int]) -> Iterator[tuple[str, str]]:
    """Check a naive Bayes of categories: per feature it has an array of classes and categories.

    Parameters
    ----------
    fitted : dict
        Its attributes.
    sizes : dict
        How many features (``"f"``) and classes (``"c"``) it has.

    Yields
    ------
    tuple of str
        The name of an attribute, and what is wrong with it.
    """
    shapes = [(sizes["c"], count) for count in np.ravel(fitted["n_categories_"]).tolist()]
    for name in ("category_count_", "feature_log_prob_"):
        arrays = fitted.get(name)
        if not isinstance(arrays, list) or [np.shape(array) for array in arrays] != shapes:
            yield name, "has not one entry per category"
        elif not all(_are_numbers(array) and not np.isnan(array).any() for array in arrays):
            yield name, "has numbers that no fit gives"


def wrong_statistics(fitted: dict[str, Any], features: int) -> Iterator[tuple[str, str]]:
    """Check an imputer: what it puts in, and where it says that something was missing.

    Parameters
    ----------
    fitted : dict
        Its attributes.
    features : int
        How many features it has.

    Yields
    ------
    tuple of str
        The name of an attribute, and what is wrong with it.
    """
    found, indicator = fitted.get("statistics_"), fitted.get("indicator_")
    if type(found) is not np.ndarray or found.shape != (features,):
        yield "statistics_", "has not one entry per feature"
    elif found.dtype == object and not all(map(_is_category, found)):
        yield "statistics_", "is neither of numbers nor of text"
    elif found.dtype.kind not in "biufUSO" or (_are_numbers(found) and np.isinf(found).any()):
        yield "statistics_", "has entries that no fit gives"
    if indicator is None:
        return
    if vars(indicator).get("error_on_new") is not False:
        yield "indicator_", "is none of an imputer's"
    places = vars(indicator).get("features_")
    if not _are_numbers(places) or places.ndim != 1 or places.dtype.kind not in "iu":
        yield "indicator_", "names no features"
    elif not np.isin(places, np.arange(features)).all() or len(np.unique(places)) < len(places):
        yield "indicator_", "names no features of it, or one twice"


def _is_list_of_categories(value: Any) -> bool:
    """Tell whether these are categories as scikit-learn looks them up: numbers by their order.

    Texts it looks up one by one, and numbers in an array of objects in either way.
    """
    if type(value) is not np.ndarray or value.ndim != 1 or value.dtype.kind not in "biufUSO":
        return False
    # By Python's own values, as an array of objects may hold anything and compare in any way.
    found = value.tolist()
    known = found[: len(found) - sum(map(_is_missing, found[-2:]))]  # what is missing is at the end
    if not found or any(map(_is_missing, known)) or not all(map(_is_category, found)):
        return False
    if all(isinstance(each, str | bytes) for each in known):
        return len(set(found)) == len(found)
    return all(one < two for one, two in pairwise(known))


def _is_missing(value: Any) -> bool:
    return value is None or value != value


def _is_category(value: Any) -> bool:
    """Tell whether a value is text, a number or missing; none that is slow to look up."""
    if type(value) is int:
        return -_LARGEST <= value < _LARGEST
    return value is None or type(value) in (str, bytes, bool, float)


def _are_numbers(value: Any) -> bool:
    return type(value) is np.ndarray and value.dtype.kind in "biuf"


def _is_place(drop: Any, size: int) -> bool:
    return drop is None or (type(drop) is int and 0 <= drop < size)
