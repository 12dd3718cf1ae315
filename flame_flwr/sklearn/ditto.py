"""``Ditto``: a personal model at every node, drawn to the common one, which never travels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flame_flwr.errors import ConfigError
from flame_flwr.sklearn.agreement import Agreed
from flame_flwr.sklearn.analyzer import SklearnAnalyzer
from flame_flwr.sklearn.checks import check_strength
from flame_flwr.sklearn.rows import rows_of
from flame_flwr.sklearn.training import zero_weights

if TYPE_CHECKING:
    from flame_flwr.sklearn.rows import Rows
    from flame_flwr.sklearn.training import Weights
    from flame_flwr.star.handle import FlameHandle

__all__ = ["Ditto"]


class Ditto(SklearnAnalyzer):
    """A :class:`SklearnAnalyzer` that trains a personal model beside the common one.

    In every round it trains the common model as the base does, which is averaged over the nodes,
    and its own one, from where that was, drawn after every pass to the common model that it was
    sent. The personal model stays at the node: it is kept there when the run ends, and only its
    scores leave.

    Parameters
    ----------
    flame : FlameHandle
        The framework's handle.
    lam : float
        How strongly the personal model is drawn to the common one; 1. With 0 it is the node's own
        model, trained on its rows alone; the larger, the closer to the common one.
    **more
        As for :class:`SklearnAnalyzer`.

    Attributes
    ----------
    personal : dict or None
        The personal model: ``coef``, and ``intercept`` where the estimator has one.
    personal_tag : str
        The tag under which it is kept: ``self.flame.get_local_tags()`` lists it, and
        ``self.flame.get_intermediate_data("local", tag="personal-model", tag_option="last")`` of a
        later analysis of the project gets it, with the ``classes``, ``mean`` and ``std`` that it
        must be used with.

    Notes
    -----
    Li et al., "Ditto: Fair and Robust Federated Learning Through Personalization", ICML 2021,
    algorithm 1: a node's objective is ``F(v) + lam / 2 * ||v - w||**2``. As with FedProx, the
    second term acts as a step between passes, see :class:`SklearnAnalyzer`.

    Rounds return ``personal_accuracy`` and others, of the personal model after training on the
    node's rows, and with a :meth:`test_dataset` ``test_personal_accuracy`` and others on that. The
    evaluation scores both final models on these rows: ``common_accuracy``, ``personal_accuracy``.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import SGDRegressor
    >>> from flame_flwr.aggregation import MaxRounds
    >>> from flame_flwr.star import StarModelTester
    >>> from flame_flwr.strategies import WeightedFedAvg
    >>> class Stay(Ditto):
    ...     lam = 0.1
    ...
    ...     def estimator(self):
    ...         return SGDRegressor(learning_rate="constant", eta0=0.05, random_state=0)
    ...
    ...     def dataset(self, data):
    ...         age, days = data
    ...         return age[:, None], days
    >>> age = np.linspace(-1, 1, 40)
    >>> strategy = WeightedFedAvg(convergence=MaxRounds(10))
    >>> hospitals = [np.array([age, 2 * age]), np.array([age, 6 * age])]
    >>> tester = StarModelTester(hospitals, Stay, strategy, "s3", quiet=True)
    >>> tester.result["model"]["coef"].round()
    array([4.])
    >>> scores = tester.evaluations["node-1"]
    >>> scores["personal_loss"] < scores["common_loss"]
    True
    """

    lam: float = 1.0
    personal_tag: str = "personal-model"

    def __init__(self, flame: FlameHandle, *, lam: float | None = None, **more: Any) -> None:
        super().__init__(flame, **more)
        if lam is not None:
            self.lam = lam
        check_strength(self, "lam")
        self.personal: Weights | None = None
        self._personal_estimator: Any = None

    def evaluation_method(self, data: Any, result: Any) -> dict[str, float]:
        """Score the final common model and the personal one, and keep the personal one here.

        Returns
        -------
        dict of str to float
            ``n``, how many rows: those of :meth:`test_dataset` where there is one, else of
            :meth:`dataset`; ``common_...`` and ``personal_...`` of every score.
        """
        agreed = Agreed.of(self, result)
        held_back = self.test_dataset(data)
        rows = agreed.rows(*rows_of(held_back or self.dataset(data), "dataset"))
        scores: dict[str, float] = {"n": len(rows.y)}
        models = {"common": result["model"], "personal": self.personal}
        for called, model in models.items():
            if model is not None:  # a node that missed every round has no personal one
                found = self.evaluate(model, rows)
                scores |= {f"{called}_{name}": value for name, value in found.items()}
        if self.personal is not None:
            self._keep({**self.personal, **agreed.to_dict()})
        return scores

    def _beside(self, received: Weights, rows: Rows, test: Rows | None) -> dict[str, float]:
        """Train the personal model, and score it."""
        self._personal_estimator = self._personal_estimator or self._new(rows)
        self.personal = self.train(
            self._personal_estimator,
            self.personal or zero_weights(self._personal_estimator, rows),
            rows,
            toward=received,
            strength=self.lam,
        )
        return {
            f"{prefix}personal_{name}": value
            for prefix, where in (("", rows), ("test_", test))
            if where is not None
            for name, value in self.evaluate(self.personal, where).items()
        }

    def _keep(self, model: dict[str, Any]) -> None:
        try:
            self.flame.save_intermediate_data(model, "local", tag=self.personal_tag)
        except ConfigError as error:
            self.flame.flame_log(
                f"the personal model is not kept after this run: {error.message}",
                log_type="warning",
            )
