"""Checks of what an analyzer is given, and of its estimator."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any

from flame_flwr.errors import ModelError
from flame_flwr.training.checks import check_flag, check_strength, check_whole

if TYPE_CHECKING:
    import numpy as np

    from flame_flwr.sklearn.analyzer import SklearnAnalyzer

__all__ = ["CheckedEstimator", "check_agrees_on_nothing", "check_estimator", "check_held_back"]
__all__ += ["check_settings", "length_above_0"]


def check_settings(analyzer: SklearnAnalyzer) -> None:
    """Check the parameters.

    Raises
    ------
    ModelError
        One is not what it must be.
    """
    check_whole(analyzer, "passes", 1)
    check_whole(analyzer, "seed", 0)
    check_strength(analyzer, "fedprox_mu")
    check_flag(analyzer, "scaling")
    if analyzer.classes is not None and not _are_classes(analyzer.classes):
        raise ModelError(
            f"{type(analyzer).__name__}: classes must name at least two labels, all texts or all "
            f"numbers, not {analyzer.classes!r}"
        )


def _are_classes(named: Any) -> bool:
    try:
        return not isinstance(named, str) and len(sorted(set(named))) > 1
    except TypeError:  # they are not to be compared, or no sequence
        return False


@dataclass(frozen=True)
class CheckedEstimator:
    """What kind of estimator a user's one is."""

    estimator: Any
    owner: str
    partial: bool
    classifies: bool

    def length(self, n_rows: int) -> float:
        """Return the lengths of a pass's steps together.

        Raises
        ------
        ModelError
            The steps are not all alike, or of no length.
        """
        if getattr(self.estimator, "learning_rate", None) != "constant":
            raise ModelError(
                f"{self.owner}: FedProx and Ditto need to know how far a pass goes. Take an "
                "estimator with steps of one length, such as "
                "SGDClassifier(learning_rate='constant', eta0=0.01), or write a method "
                "`pass_length(self, estimator, n_rows)`"
            )
        step = self.estimator.eta0
        return length_above_0(step, f"{self.owner}.estimator: eta0 must be") * n_rows


def length_above_0(given: Any, what: str) -> float:
    """Return a length that a user has said.

    Parameters
    ----------
    given : Any
        What was said.
    what : str
        What must be such a number, for the message.

    Raises
    ------
    ModelError
        It is no finite number above 0; the message has no value, as it may travel.
    """
    is_number = isinstance(given, Real) and not isinstance(given, bool)
    length = float(given) if is_number else math.nan
    if not 0 < length < math.inf:
        # may be computed of the rows: the value stays at the node
        raise ModelError(f"{what} a finite number above 0", detail=f"it is {given!r}")
    return length


def check_estimator(
    estimator: Any, owner: type[Any], classes: np.ndarray | None = None
) -> CheckedEstimator:
    """Refuse what cannot be trained round by round.

    Parameters
    ----------
    estimator : Any
        What ``estimator`` of an analyzer returned.
    owner : type
        The analyzer's class.
    classes : ndarray, optional
        All labels that there are.

    Raises
    ------
    ModelError
        It is no estimator, one that starts anew with every fit, or needs all rows at once.
    """
    from sklearn.base import BaseEstimator, is_classifier

    name, kind = f"{owner.__name__}.estimator", type(estimator).__name__
    if isinstance(estimator, type) or not isinstance(estimator, BaseEstimator):
        raise ModelError(f"{name} must return an estimator of scikit-learn, not {kind}")
    partial, given = hasattr(estimator, "partial_fit"), estimator.get_params(deep=False)
    if not partial and given.get("warm_start") is not True:
        raise ModelError(
            f"{name}: {kind} would begin anew in every round. Take one with partial_fit, such as "
            "SGDClassifier, or with warm_start=True, such as "
            "LogisticRegression(max_iter=1, warm_start=True)"
        )
    if given.get("solver") == "liblinear":
        raise ModelError(
            f"{name}: the solver 'liblinear' begins anew in every round, with warm_start too: take "
            "another, such as 'lbfgs'"
        )
    if partial and given.get("early_stopping"):
        raise ModelError(
            f"{name}: this {kind} would keep rows of its own to stop by, which it cannot do when "
            "it is trained pass by pass: leave `early_stopping` out. A convergence of the strategy "
            "says when to stop, such as Plateau('loss', patience=3)"
        )
    if partial and given.get("class_weight") == "balanced":
        raise ModelError(
            f"{name}: class_weight is 'balanced', for which {kind} would need all rows at once: "
            "give weights by label, the same at every node, such as class_weight={0: 1, 1: 5}"
        )
    if given.get("average"):
        raise ModelError(
            f"{name}: this {kind} keeps two models, its last one and its own average, of which "
            "only one would be averaged over the nodes: leave `average` out"
        )
    return CheckedEstimator(estimator, owner.__name__, partial, bool(is_classifier(estimator)))


def check_agrees_on_nothing(name: str, *, classes: bool, scaling: bool) -> None:
    """Refuse an analyzer whose nodes must agree first, where no strategy asks them.

    Parameters
    ----------
    name : str
        Of its class.
    classes, scaling : bool
        What they must agree on.

    Raises
    ------
    ModelError
        There is something.
    """
    needed = ["`classes`"] if classes else []
    needed += ["`scaling`"] if scaling else []
    if needed:
        raise ModelError(
            f"{name}: the nodes must agree on {' and '.join(needed)} first. "
            "Take flame_flwr.sklearn.SklearnFedAvg as strategy, or declare all labels as "
            "`classes` and scale in `dataset`"
        )


def check_held_back(analyzer: type[SklearnAnalyzer]) -> None:
    """Refuse a cross-site validation without rows that are not trained with.

    Raises
    ------
    ModelError
        No ``test_dataset`` is written.
    """
    if analyzer.test_dataset is None:
        raise ModelError(
            f"{analyzer.__name__}: cross-site validation is on rows that are not trained with: "
            "write a `test_dataset`"
        )
