"""``SklearnAnalyzer``: train a linear model of scikit-learn on every node.

A subclass says which estimator and which rows. What merges the coefficients is a strategy:
:class:`~flame_flwr.strategies.WeightedFedAvg`, or :class:`~flame_flwr.sklearn.SklearnFedAvg` where
the nodes agree on classes or a scaling first. Importing this module does not import scikit-learn.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np

from flame_flwr import cross_site
from flame_flwr.sklearn.agreement import AGREEMENT, Agreed, agreement_of, is_asked, rows_for
from flame_flwr.sklearn.checks import check_estimator, check_held_back, check_settings
from flame_flwr.sklearn.first_round import check_first_round
from flame_flwr.sklearn.personal import train_personal
from flame_flwr.sklearn.rows import Rows, rows_of
from flame_flwr.sklearn.scores import decisions_of, evaluate, scores_of
from flame_flwr.sklearn.training import Weights, fitted_with, train, zero_weights
from flame_flwr.star.nodes import StarAnalyzer
from flame_flwr.training.checks import set_given

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from flame_flwr.star.handle import FlameHandle

__all__ = ["SklearnAnalyzer"]


class SklearnAnalyzer(StarAnalyzer):
    """Trains a linear model of scikit-learn on the node's rows, some passes a round.

    A subclass writes :meth:`estimator` and :meth:`dataset`, and where it needs them :meth:`score`,
    or one of the methods that there are only where they are written: ``test_dataset(self, data)``
    and ``pass_length(self, estimator, n_rows)``, see the attributes. Each parameter may be a class
    attribute of a subclass instead.

    Parameters
    ----------
    flame : FlameHandle
        The framework's handle.
    classes : sequence, optional
        All labels that there are at any node. Without it the nodes of a classifier agree on them
        in the first round, which needs :class:`SklearnFedAvg`.
    passes : int
        How often a round goes through the rows; 1.
    fedprox_mu : float
        FedProx: how strongly the coefficients are drawn back to those that the round began with,
        after every pass; 0 is plain federated averaging.
    scaling : bool
        Whether features are scaled with the means and deviations of all nodes' rows, on which the
        nodes agree in the first round; false. It needs :class:`SklearnFedAvg`, too.
    seed : int
        An estimator whose ``random_state`` is None gets ``seed + r * passes + p`` in pass ``p``,
        from 0, of round ``r``, from 1.

    Attributes
    ----------
    test_dataset : callable or None
        Where it is written, it returns rows that are not trained with, on which every round scores
        what it gets, or ``None``.
    pass_length : callable or None
        Where it is written, it returns the lengths of a pass's steps together, which FedProx and
        Ditto go by. Without it that is ``eta0 * n_rows``, for an estimator with
        ``learning_rate="constant"``.

    Raises
    ------
    ModelError
        A parameter is not what it must be.

    Notes
    -----
    The estimator has ``coef_`` after a fit, and is trained by ``partial_fit`` where it has it, such
    as ``SGDClassifier`` and ``SGDRegressor``; else by ``fit`` with ``warm_start=True``, such as
    ``LogisticRegression(max_iter=1, warm_start=True)``. All begin with coefficients of zero. The
    node keeps its estimator from round to round, so a step length that falls with the number of
    rows seen goes on falling.

    A round returns a dict: ``model``, with ``coef`` and, where the estimator has one,
    ``intercept``; ``local_n_samples``; what :meth:`score` gives for the trained model on the
    node's rows; and with a `test_dataset` the same of the model as it was received, on that:
    ``n_test``, ``test_accuracy`` and others. That is what ``WeightedFedAvg`` takes. Scores are
    reported as metrics, too. A model is of use only with the ``agreed`` beside it in the aggregate.

    FedProx (Li et al., MLSys 2020) adds ``mu / 2 * ||w - w0||**2`` to the loss. scikit-learn has no
    place for it within a pass, so it acts as a step between passes, the proximal operator of this
    term: ``w0 + (w - w0) / (1 + mu * length)``, with the `pass_length`. The more passes, the
    closer it is to the paper's.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import SGDClassifier
    >>> from flame_flwr.aggregation import MaxRounds
    >>> from flame_flwr.star import StarModelTester
    >>> from flame_flwr.strategies import WeightedFedAvg
    >>> class Ill(SklearnAnalyzer):
    ...     classes = (0, 1)
    ...
    ...     def estimator(self):
    ...         return SGDClassifier(loss="log_loss", learning_rate="constant", eta0=0.1)
    ...
    ...     def dataset(self, data):
    ...         return data[:, :1], data[:, 1]
    >>> hospital = np.array([[36.5, 0], [36.9, 0], [39.1, 1], [38.4, 1]]) - [37.5, 0]
    >>> strategy = WeightedFedAvg(metrics=["accuracy"], convergence=MaxRounds(3))
    >>> StarModelTester([hospital, hospital], Ill, strategy, "s3", quiet=True).result["accuracy"]
    1.0
    """

    classes: Sequence[Any] | None = None
    passes: int = 1
    fedprox_mu: float = 0.0
    scaling: bool = False
    seed: int = 0

    test_dataset: Callable[[Any], tuple[Any, Any] | None] | None = None
    pass_length: Callable[[Any, int], float] | None = None

    _framework_calls = StarAnalyzer._framework_calls | {
        "analysis_method": {
            "estimator": (),
            "dataset": ("data",),
            "test_dataset": ("data",),
            "score": ("estimator", "x", "y"),
            "pass_length": ("estimator", "n_rows"),
        }
    }

    def __init__(
        self,
        flame: FlameHandle,
        *,
        classes: Sequence[Any] | None = None,
        passes: int | None = None,
        fedprox_mu: float | None = None,
        scaling: bool | None = None,
        seed: int | None = None,
    ) -> None:
        super().__init__(flame)
        given = {"classes": classes, "passes": passes, "fedprox_mu": fedprox_mu}
        given |= {"scaling": scaling, "seed": seed}
        set_given(self, given)
        check_settings(self)
        self._trained: Any = None

    # ---- to write ----------------------------------------------------------------------

    @abstractmethod
    def estimator(self) -> Any:
        """Return a new estimator, the same on every node."""

    @abstractmethod
    def dataset(self, data: Any) -> tuple[Any, Any]:
        """Return the node's rows: features, shape (n_rows, n_features), and labels or targets.

        Features may be an array, a DataFrame or a sparse matrix. The columns of DataFrames must be
        called alike at all nodes; where nodes agree first, that is compared.
        """

    # ---- to override -------------------------------------------------------------------

    def score(self, estimator: Any, x: Any, y: Any) -> Mapping[str, float]:
        """Return numbers by name that say how good a fitted estimator is on some rows.

        By default ``accuracy``, ``loss`` (mean log loss) where it has ``predict_proba``, and
        ``auc`` where there are two classes and `y` has both; for a regressor ``loss``, the mean
        squared error.
        """
        return scores_of(estimator, x, y)

    # ---- what the base does ------------------------------------------------------------

    def analysis_method(self, data: Any, aggregator_results: Any) -> dict[str, Any]:
        """Train from the aggregate's coefficients; see the class for what is returned.

        Raises
        ------
        DataError
            There are no rows, they are not finite, do not fit the model, or training went out of
            bounds.
        ModelError
            A method returned what it must not.
        """
        if cross_site.is_asked(aggregator_results):
            return cross_site.answer(self, data, aggregator_results)
        if is_asked(aggregator_results):
            return {AGREEMENT: agreement_of(self, self.dataset(data))}
        agreed = Agreed.of(self, aggregator_results)
        rows = agreed.rows(*rows_of(self.dataset(data), "dataset"))
        held_back = self._held_back(data)
        test = None if held_back is None else agreed.rows(*rows_of(held_back, "test_dataset"))
        received = self._received(aggregator_results, rows)
        # kept between rounds: an estimator counts its steps, by which they become shorter
        self._trained = self._trained or self._new(rows)
        weights = train(
            self, self._trained, received, rows, toward=received, strength=self.fedprox_mu
        )
        numbers = {**evaluate(self, weights, rows), **self._beside(received, rows, test)}
        if test is not None:
            tested = evaluate(self, received, test)
            numbers |= {f"test_{name}": value for name, value in tested.items()}
        self.flame.report_metrics(numbers)
        answer = {"model": weights, "local_n_samples": len(rows.y), **numbers}
        if self.test_dataset is not None:
            answer["n_test"] = 0 if test is None else len(test.y)  # 0: it counts for no test score
        return answer

    def own_model(self, data: Any, aggregate: Any, rounds: int) -> Weights:
        """Return coefficients trained on this node's rows alone, as long as so many rounds.

        For cross-site validation: :class:`flame_flwr.cross_site.CrossSite`.
        """
        rows = rows_for(self, self.dataset(data), aggregate)
        estimator = self._new(rows)
        weights = zero_weights(estimator, rows)
        for number in range(1, rounds + 1):
            weights = train(self, estimator, weights, rows, number=number)
        return weights

    def decisions(self, model: Weights, data: Any, aggregate: Any) -> tuple[Any, Any]:
        """Return 1 for the second of two classes, 0 for the first, and how likely it is said to be.

        Of the rows of `test_dataset`, for cross-site validation. There must be two classes.
        """
        held_back = self._held_back(data)
        if held_back is None:
            return [], []
        rows = rows_for(self, held_back, aggregate)
        return decisions_of(fitted_with(self._new(rows), model, rows), rows)

    # ---- helpers -----------------------------------------------------------------------

    @classmethod
    def _check_strategy(cls, strategy: Any, arguments: Mapping[str, Any]) -> None:
        check_first_round(cls, strategy.initial, arguments)
        if isinstance(strategy, cross_site.CrossSite):
            check_held_back(cls)

    def _held_back(self, data: Any) -> tuple[Any, Any] | None:
        return None if self.test_dataset is None else self.test_dataset(data)

    def _beside(self, *around: Any) -> dict[str, float]:
        """Do what a round does beside training the common model, and return its scores."""
        return {}

    def _train_personal(self, *around: Any) -> tuple[Any, dict[str, dict[str, float]]]:
        return train_personal(self, *around)

    def _final_scorer(self, data: Any, result: Any) -> Callable[[Any], dict[str, float]]:
        """Return what scores a final model on this node's rows."""
        rows = rows_for(self, self._held_back(data) or self.dataset(data), result)
        return lambda model: {"n": len(rows.y), **evaluate(self, model, rows)}

    def _used_with(self, result: Any) -> dict[str, Any]:
        """Return what a model must be kept with: what was agreed on."""
        return Agreed.of(self, result).to_dict()

    def _new(self, rows: Rows) -> Any:
        estimator = self.estimator()
        check_estimator(estimator, type(self), rows.classes)
        return estimator

    def _received(self, aggregate: Any, rows: Rows) -> Weights:
        model = aggregate.get("model") if aggregate is not None else None
        if model is None:
            return zero_weights(self._new(rows), rows)
        return {name: np.asarray(part) for name, part in model.items()}
