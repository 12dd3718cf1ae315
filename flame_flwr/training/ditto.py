"""``Ditto``: a personal model at every node, drawn to the common one, which never travels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from flame_flwr.errors import ConfigError, ModelError
from flame_flwr.star.nodes import StarAnalyzer
from flame_flwr.training.checks import check_strength

if TYPE_CHECKING:
    from collections.abc import Callable

    from flame_flwr.star.handle import FlameHandle

__all__ = ["Ditto"]


class Ditto(StarAnalyzer):
    """Trains a personal model beside the common one: it stands in front of an analyzer.

    ``class Personal(Ditto, Mine)``, of a ``TorchAnalyzer`` or a ``SklearnAnalyzer``. In every round
    it trains the common model as that does, which is merged over the nodes. Then it trains its own
    one, from where that was, drawn to the common model that it was sent. The personal model stays
    at the node: it is kept there when the run ends, and only its scores leave.

    Parameters
    ----------
    flame : FlameHandle
        The framework's handle.
    lam : float
        How strongly the personal model is drawn to the common one; 1. With 0 it is the node's own
        model, trained on its samples alone; the larger, the closer to the common one. With plain
        gradient steps of PyTorch, times the learning rate, it must be below 2.
    **more
        As for the analyzer behind it.

    Attributes
    ----------
    personal : dict or None
        The personal model, in the form of the common one.
    personal_tag : str
        The tag under which it is kept: ``self.flame.get_local_tags()`` lists it, and
        ``self.flame.get_intermediate_data("local", tag="personal-model", tag_option="last")`` of a
        later analysis of the project gets it, with scikit-learn together with the ``classes``,
        ``mean`` and ``std`` that it must be used with.

    Raises
    ------
    ModelError
        `lam` is no number from 0; when a class is made, it stands behind the analyzer; or, when a
        model is built, in front of none that trains a model.

    Notes
    -----
    Li et al., "Ditto: Fair and Robust Federated Learning Through Personalization", ICML 2021,
    algorithm 1: a node's objective is ``F(v) + lam / 2 * ||v - w||**2``, with as many epochs or
    passes for ``v`` as for the common model. Of scikit-learn's models the second term acts as a
    step after every pass, as that of FedProx does.

    Rounds return ``personal_loss`` and others, of the personal model after training on the node's
    samples, and with a ``test_dataset`` ``test_personal_loss`` and others on that. The evaluation
    scores both final models on these samples: ``common_loss``, ``personal_loss``. It keeps the
    personal model, so an ``evaluation_method`` of your own begins with
    ``super().evaluation_method(data, result)``; one of the analyzer behind is not called.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import SGDRegressor
    >>> from flame_flwr.aggregation import MaxRounds
    >>> from flame_flwr.sklearn import SklearnAnalyzer
    >>> from flame_flwr.star import StarModelTester
    >>> from flame_flwr.strategies import WeightedFedAvg
    >>> class Stay(Ditto, SklearnAnalyzer):
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

    def __init_subclass__(cls, **more: Any) -> None:
        """See that it stands in front: behind an analyzer it would train nothing."""
        super().__init_subclass__(**more)
        if cls._beside is not Ditto._beside:
            raise ModelError(
                f"{cls.__name__}: Ditto stands in front of the analyzer: name it first of the bases"
            )

    @classmethod
    def _check_bases(cls) -> None:
        """See that what it stands in front of trains a model."""
        if not hasattr(cls, "_train_personal"):
            raise ModelError(
                f"{cls.__name__}: Ditto stands in front of an analyzer that trains a model, and "
                "there is none: name a TorchAnalyzer or a SklearnAnalyzer behind it, such as "
                f"`class {cls.__name__}(Ditto, Mine)`"
            )

    def __init__(self, flame: FlameHandle, *, lam: float | None = None, **more: Any) -> None:
        super().__init__(flame, **more)
        if lam is not None:
            self.lam = lam
        check_strength(self, "lam")
        self.personal: dict[str, Any] | None = None
        self._kept_beside: Any = None

    def evaluation_method(self, data: Any, result: Any) -> dict[str, float]:
        """Score the final common model and the personal one, and keep the personal one here.

        Returns
        -------
        dict of str to float
            ``n``, how many samples: those of ``test_dataset`` where there are some, else of
            ``dataset``; ``common_...`` and ``personal_...`` of every score.

        Raises
        ------
        ModelError
            The strategy has merged no model.
        """
        common = result.get("model") if isinstance(result, Mapping) else None
        if common is None:
            raise ModelError(
                f"{type(self).__name__}: the last aggregate has no `model`, to which Ditto draws "
                "the personal ones: take a strategy that merges it, such as WeightedFedAvg"
            )
        score = self._final_scorer(data, result)
        scores: dict[str, float] = {}
        for called, model in {"common": common, "personal": self.personal}.items():
            if model is not None:  # a node that missed every round has no personal one
                found = score(model)
                scores["n"] = found.pop("n")
                scores |= {f"{called}_{name}": value for name, value in found.items()}
        if self.personal is not None:
            self._keep({**self.personal, **self._used_with(result)})
        return scores

    if TYPE_CHECKING:  # what the analyzer behind it has

        def _train_personal(self, *around: Any) -> tuple[Any, dict[str, dict[str, float]]]: ...

        def _final_scorer(self, data: Any, result: Any) -> Callable[[Any], dict[str, float]]: ...

        def _used_with(self, result: Any) -> dict[str, Any]: ...

    def _beside(self, *around: Any) -> dict[str, float]:
        """Train the personal model, and return its scores."""
        self.personal, found = self._train_personal(*around)
        return {
            f"{called}_{name}": value
            for called, scores in found.items()
            for name, value in scores.items()
            if name != "n"
        }

    def _keep(self, model: dict[str, Any]) -> None:
        try:
            self.flame.save_intermediate_data(model, "local", tag=self.personal_tag)
        except ConfigError as error:
            self.flame.flame_log(
                f"the personal model is not kept after this run: {error.message}",
                log_type="warning",
            )
