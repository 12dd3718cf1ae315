"""What the nodes agree on in the first round: columns, classes, and a scaling.

A node says what it has (:func:`agreement_of`), the server makes one of it (:func:`agree`), and it
goes out with every aggregate, where a node that missed a round finds it, too (:class:`Agreed`).
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from flame_flwr.errors import DataError
from flame_flwr.sklearn.checks import check_agrees_on_nothing, check_estimator
from flame_flwr.sklearn.rows import Rows, named_columns, rows_of
from flame_flwr.statistics import Moments

if TYPE_CHECKING:
    from flame_flwr.sklearn.analyzer import SklearnAnalyzer

__all__ = ["AGREED", "AGREEMENT", "ASKS", "Agreed", "agree", "agreement_of"]
__all__ += ["is_agreed", "is_asked", "odd_agreement", "rows_for"]

AGREED = "agreed"
"""The key of the aggregate under which all that was agreed on goes out."""

AGREEMENT = "agreement"
"""The key under which a node says what it has."""

_MOST_CLASSES = 10_000

ASKS = {"agree": True}
"""The aggregate of the first round, by which a strategy asks for it."""


def is_asked(aggregate: Any) -> bool:
    """Tell whether an aggregate asks a node for what it has."""
    return isinstance(aggregate, Mapping) and set(aggregate) == set(ASKS)


def is_agreed(aggregate: Any) -> bool:
    """Tell whether an aggregate has what was agreed on."""
    return isinstance(aggregate, Mapping) and aggregate.get(AGREED) is not None


def agreement_of(analyzer: SklearnAnalyzer, given: Any) -> dict[str, Any]:
    """Return what a node has.

    Returns
    -------
    dict
        ``columns``: how many, and a hash of their names, empty where they have none; ``classes``,
        the sorted labels, or None for a regressor; ``moments``, one per column, where features
        are to be scaled.

    Raises
    ------
    DataError
        The labels of a classifier are numbers with fractions: they would all be told.
    """
    x, y = rows_of(given, "dataset")
    names = named_columns(given[0])
    # names of columns may say what a hospital has: a hash is enough to compare them
    digest = hashlib.sha256("\n".join(names).encode()).hexdigest() if names else ""
    classifies = check_estimator(analyzer.estimator(), type(analyzer)).classifies
    if classifies and y.dtype.kind == "f" and (y != np.rint(y)).any():
        raise DataError(
            "the labels are numbers with fractions, and a classifier tells classes apart: take a "
            "regressor, or have `dataset` make classes of them"
        )
    labels = np.unique(y) if analyzer.classes is None else np.asarray(analyzer.classes)
    moments = None
    if analyzer.scaling:
        dense = x.toarray() if hasattr(x, "toarray") else x
        moments = [Moments.from_data(column) for column in dense.T]
    return {
        "columns": {"number": x.shape[1], "names": digest},
        "classes": [_plain(each) for each in labels.tolist()] if classifies else None,
        "moments": moments,
    }


def odd_agreement(said: Any, nodes: tuple[str, ...]) -> str:
    """Return what is wrong with what a node says that it has, or ``''``.

    Parameters
    ----------
    said : Any
        From a party that need not be honest.
    nodes : tuple of str
        Not needed.

    Examples
    --------
    >>> odd_agreement({"columns": {"number": 1, "names": ""}, "classes": [0], "moments": None}, ())
    ''
    >>> odd_agreement({"classes": [0]}, ())
    'it did not say what features and labels it has: look at what runs there'
    """
    answer = said if isinstance(said, Mapping) else {}
    columns = answer.get("columns")
    columns = columns if isinstance(columns, Mapping) else {}
    number = columns.get("number")
    if type(number) is int and isinstance(columns.get("names"), str):
        classes, moments = answer.get("classes"), answer.get("moments", ())
        if _is_list(classes, bool | int | float | str, _MOST_CLASSES) and (
            moments is None or (_is_list(moments, Moments, number) and len(moments) == number)
        ):
            return ""
    return "it did not say what features and labels it has: look at what runs there"


def _plain(label: Any) -> Any:
    """Return a label in a type of Python's: a column of objects may have NumPy's."""
    return label.item() if isinstance(label, np.generic) else label


def _is_list(value: Any, kind: Any, most: int) -> bool:
    if value is None:
        return True
    short = isinstance(value, list) and len(value) <= most
    return short and all(isinstance(each, kind) for each in value)


def agree(said: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Make one of what the nodes have.

    Parameters
    ----------
    said : dict of str to dict
        By node, what :func:`agreement_of` returned.

    Returns
    -------
    dict
        ``classes``, sorted, or None; ``mean`` and ``std``, shape (n_features,), or None: of all
        rows of all nodes, the deviation of a sample, and 1 for a column that never varies.

    Raises
    ------
    DataError
        The nodes have different columns, only some have classes or scale, there is only one class,
        or rules at the nodes keep back what features are scaled by.

    Examples
    --------
    >>> columns = {"number": 1, "names": ""}
    >>> both = {node: {"columns": columns, "classes": [node], "moments": None} for node in "ab"}
    >>> agree(both)
    {'classes': ['a', 'b'], 'mean': None, 'std': None}
    """
    _compare_columns(said)
    answers = list(said.values())
    mean = std = None
    scaling = [node for node, answer in said.items() if answer["moments"] is not None]
    if scaling:
        _check_all_scale(scaling, list(said))
        columns = zip(*(answer["moments"] for answer in answers), strict=True)
        merged = [functools.reduce(Moments.merge, column).result() for column in columns]
        mean = np.array([each["mean"] for each in merged], dtype=np.float64)
        # a column that never varies stays as it is, as scikit-learn's StandardScaler has it
        std = np.array([each["std"] or 1.0 for each in merged], dtype=np.float64)
        if not np.isfinite([mean, std]).all():
            raise DataError(
                "rules at the nodes keep back the means and deviations that features are scaled "
                "by, or there are none: leave `scaling` out, or ask for rules that allow them"
            )
    return {
        "classes": _classes([answer["classes"] for answer in answers]),
        "mean": mean,
        "std": std,
    }


def rows_for(analyzer: SklearnAnalyzer, given: tuple[Any, Any], aggregate: Any = None) -> Rows:
    """Return checked rows as the model sees them, scaled where nodes agreed on a scaling.

    Parameters
    ----------
    analyzer : SklearnAnalyzer
        Whose rows they are.
    given : tuple
        What its ``dataset`` returns.
    aggregate : Any
        The last one, which has what was agreed on.

    Raises
    ------
    DataError
        They are not as they must be.
    """
    return Agreed.of(analyzer, aggregate).rows(*rows_of(given, "dataset"))


@dataclass(frozen=True)
class Agreed:
    """What was agreed on, as a node uses it."""

    classes: npt.NDArray[Any] | None = None
    mean: npt.NDArray[np.float64] | None = None
    std: npt.NDArray[np.float64] | None = None

    @classmethod
    def of(cls, analyzer: SklearnAnalyzer, aggregate: Any) -> Agreed:
        """Read it from an aggregate, or from what the analyzer declares.

        Raises
        ------
        ModelError
            The nodes must agree first, and the strategy has not asked.
        """
        if is_agreed(aggregate):
            found = aggregate[AGREED]
            classes = found["classes"]
            return cls(
                None if classes is None else np.asarray(classes), found["mean"], found["std"]
            )
        classifies = check_estimator(analyzer.estimator(), type(analyzer)).classifies
        check_agrees_on_nothing(
            type(analyzer).__name__,
            classes=classifies and analyzer.classes is None,
            scaling=bool(analyzer.scaling),
        )
        return cls(np.unique(np.asarray(analyzer.classes)) if classifies else None)

    def to_dict(self) -> dict[str, Any]:
        """Return it as the aggregate has it."""
        labels = None if self.classes is None else self.classes.tolist()
        return {"classes": labels, "mean": self.mean, "std": self.std}

    def rows(self, x: Any, y: npt.NDArray[Any]) -> Rows:
        """Return rows as the model sees them.

        Raises
        ------
        DataError
            A label is none of the classes, a target is no number, or there are not as many features
        as were agreed on.
        """
        if self.classes is None and (y.dtype.kind == "U" or isinstance(y[0], str)):
            raise DataError(
                "the targets of a regressor must be numbers: look for texts in that column, or "
                "take a classifier"
            )
        if self.classes is not None and not np.isin(y, self.classes).all():
            raise DataError(
                "a row has a label that is none of the classes: name all of them in `classes`, or "
                "leave that row out"
            )
        if self.mean is None:
            return Rows(x, y, self.classes)
        if x.shape[1] != len(self.mean):
            raise DataError(
                f"the rows have {x.shape[1]} features, and {len(self.mean)} were agreed on: "
                "`dataset` and `test_dataset` must return the same columns in every round"
            )
        # with the mean taken away, a sparse table has no zeros left
        dense = x.toarray() if hasattr(x, "toarray") else x
        return Rows((dense - self.mean) / self.std, y, self.classes)


def _check_all_scale(scaling: list[str], nodes: list[str]) -> None:
    others = sorted(set(nodes) - set(scaling), key=nodes.index)
    if others:
        raise DataError(
            f"features are scaled at {', '.join(scaling)} and not at {', '.join(others)}: "
            "`scaling` must be the same at every node"
        )


def _compare_columns(said: Mapping[str, Mapping[str, Any]]) -> None:
    by_columns: dict[tuple[int, str], list[str]] = {}
    for node, answer in said.items():
        found = answer["columns"]
        by_columns.setdefault((found["number"], found["names"]), []).append(node)
    if len(by_columns) > 1:
        told = "; ".join(f"{', '.join(nodes)}: {n}" for (n, _), nodes in by_columns.items())
        raise DataError(
            f"the nodes have different features, so no model fits all of them ({told}). Have "
            "`dataset` return the same columns, called alike and in the same order, at every node"
        )


def _classes(found: list[Any]) -> list[Any] | None:
    if all(each is None for each in found):
        return None
    try:
        classes = sorted({label for each in found for label in each})
    except TypeError:
        raise DataError(
            "the nodes' labels are of different types, such as texts at one and numbers at "
            "another: have `dataset` return the same everywhere"
        ) from None
    if len(classes) < 2:
        raise DataError(
            "all rows of all nodes have the same label: a classifier needs rows of two classes"
        )
    return classes
