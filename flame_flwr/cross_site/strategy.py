"""``CrossSite``: two more rounds after a declared training, in which all models are scored.

A strategy, and not a flag of the model: which part of the aggregate is the model, and when its
training is done, is what a strategy declares.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from flame_flwr.aggregation.convergence import (
    Convergence,
    as_convergence,
    is_missing,
    stop_reason,
)
from flame_flwr.aggregation.pytree import look_up
from flame_flwr.cross_site.answers import kind_of, phase_tree
from flame_flwr.cross_site.phases import CROSS_SITE, DONE, OWN, SCORES
from flame_flwr.cross_site.result import CrossSiteResult
from flame_flwr.errors import ModelError
from flame_flwr.strategies.reduce_strategy import NOT_GIVEN, ReduceStrategy
from flame_flwr.strategies.weighted_fedavg import WeightedFedAvg

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flame_flwr.aggregation import Aggregation
    from flame_flwr.aggregation.reductions.tree import Tree
    from flame_flwr.star.handle import FlameHandle
    from flame_flwr.star.nodes import StarAnalyzer

__all__ = ["CrossSite", "CrossSiteFedAvg", "Scored"]


class CrossSite(ReduceStrategy):
    """Add cross-site validation to a declared strategy: it stands before that among the bases.

    ``class Study(CrossSite, SklearnFedAvg)``, or :class:`CrossSiteFedAvg`. When the strategy's
    convergence ends the training, each node sends a model of its own rows alone, in one round, and
    in a second one scores all of them and the common model on its held-out rows. What leaves then
    are counts: how many ill and healthy people have a prediction in each of the bins. Disclosure
    rules look at them as at every ``AUC`` of :mod:`flame_flwr.statistics`.

    Parameters
    ----------
    *arguments, **more
        As for the strategy.
    share_own : bool
        Whether nodes' own models travel to the others; true. Without it each is scored at home
        only, in one more round instead of two.
    bins : int
        Of the predictions from 0 to 1: an even number, so that one begins at 0.5; 100. They are
        the thresholds of the ROC curves.
    model_key : str
        Where the common model stands in the aggregate; ``model``.

    Raises
    ------
    ModelError
        One of them is something else, or the training has no convergence; or, when a class is
        made, it stands behind the strategy.

    Notes
    -----
    The analyzer has two methods, ``own_model`` and ``decisions``, see
    :class:`flame_flwr.cross_site.phases.Scorer`; a ``SklearnAnalyzer`` has them. The last aggregate
    has a :class:`CrossSiteResult` under ``cross_site``, and ``outputs=CROSS_SITE_FILES`` writes
    its files. A node that misses the first of the two rounds has no own model in it; one that
    misses the second scores none.

    Examples
    --------
    >>> from sklearn.linear_model import SGDClassifier
    >>> from flame_flwr.aggregation import MaxRounds
    >>> from flame_flwr.sklearn import SklearnAnalyzer, SklearnFedAvg
    >>> from flame_flwr.star import StarModelTester
    >>> class Fever(SklearnAnalyzer):
    ...     scaling = True
    ...
    ...     def estimator(self):
    ...         return SGDClassifier(loss="log_loss", random_state=0)
    ...
    ...     def dataset(self, data):
    ...         return [[degrees] for degrees in data], [int(degrees > 38) for degrees in data]
    ...
    ...     test_dataset = dataset
    >>> class Study(CrossSite, SklearnFedAvg):
    ...     bins = 10
    >>> hospitals = [[36.5, 37.0, 39.5], [36.0, 38.5, 40.0]]
    >>> study = Study(convergence=MaxRounds(4))
    >>> result = StarModelTester(hospitals, Fever, study, "s3", quiet=True).result
    >>> result["cross_site"].to_frame("auc").loc["common"].to_dict()
    {'node-0': 1.0, 'node-1': 1.0, 'all': 1.0}
    """

    share_own: bool = True
    bins: int = 100
    model_key: str = "model"

    _phase: str
    _rounds: int
    _trained: int
    _state: Any
    _found: Any
    _kind: Any

    _DECLARED = frozenset({"_training"})

    def __init_subclass__(cls, **more: Any) -> None:
        """See that it stands in front: behind a strategy that would go on training."""
        super().__init_subclass__(**more)
        for each in cls.__mro__[: cls.__mro__.index(CrossSite)]:
            if issubclass(each, ReduceStrategy) and not issubclass(each, CrossSite):
                raise ModelError(
                    f"{cls.__name__}: CrossSite stands in front of the strategy: name it before "
                    f"{each.__name__}, `class {cls.__name__}(CrossSite, {each.__name__})`"
                )

    def __init__(
        self,
        *arguments: Any,
        share_own: bool = NOT_GIVEN,
        bins: int = NOT_GIVEN,
        model_key: str = NOT_GIVEN,
        convergence: Any = NOT_GIVEN,
        **more: Any,
    ) -> None:
        self._declare(share_own=share_own, bins=bins, model_key=model_key)
        name = type(self).__name__
        if type(self.bins) is not int or self.bins < 2 or self.bins % 2:
            raise ModelError(f"{name}: bins must be an even number from 2, not {self.bins!r}")
        if not isinstance(self.share_own, bool):
            raise ModelError(f"{name}: share_own must be True or False, not {self.share_own!r}")
        training = as_convergence(self._declared("convergence", convergence))
        # the strategy may say it in words of its own, such as `rounds`
        scored = None if training is None else Scored(training)
        super().__init__(*arguments, convergence=scored, **more)
        if self.convergence is None:
            raise ModelError(
                f"{name}: say when the training ends, such as convergence=MaxRounds(10)"
            )
        self._begin()

    def make_aggregation(
        self, flame: FlameHandle, nodes: tuple[str, ...], simple_analysis: bool
    ) -> Aggregation:
        """Return what merges as declared, and begin with the training."""
        self._begin()
        return super().make_aggregation(flame, nodes, simple_analysis)

    def check_analyzer(self, analyzer: type[StarAnalyzer], arguments: Mapping[str, Any]) -> None:
        """Check that the analyzer can be asked.

        Raises
        ------
        ModelError
            It has not the methods, or says itself that something is missing, such as held-out rows.
        """
        super().check_analyzer(analyzer, arguments)
        missing = [each for each in ("own_model", "decisions") if not hasattr(analyzer, each)]
        if missing:
            raise ModelError(
                f"{type(self).__name__}: {analyzer.__name__} has no method {' and '.join(missing)}"
                ", which cross-site validation needs: a SklearnAnalyzer has both"
            )

    def sum_securely(self, secure: bool | None) -> None:
        """Refuse secure sums, masked or not.

        Raises
        ------
        ModelError
            They are asked for.
        """
        if secure is not None:
            raise ModelError(
                f"{type(self).__name__}: own models and what nodes count of them are no sums: run "
                "the study without secure sums, or the training alone with them"
            )
        super().sum_securely(secure)

    def _stop_also(self, convergence: Convergence | None) -> None:
        """Add a convergence that ends the training as well as the strategy's own."""
        if convergence is not None:
            scored = self.convergence
            more = convergence | scored.training if isinstance(scored, Scored) else convergence
            self.convergence = Scored(more)
            self._begin()

    def update(self, merged: Any, last: Any) -> Any:
        """Train until that has converged; then ask for own models, and for all scores."""
        if self._phase == OWN:
            return self._asking(SCORES, last, models=merged[OWN])
        if self._phase == SCORES:
            sent = last[CROSS_SITE]["models"]
            self._found = CrossSiteResult.of(merged[SCORES], self.bins, sent)
            self._phase = DONE
            return {**last, CROSS_SITE: {"ask": DONE}}
        aggregate = super().update(merged, last)
        self._rounds += 1
        # a checkpoint has the state alone: after a resume the convergence is a new one
        if self._state is not None:
            self._training.restore(self._state)
        before = None if self._rounds == 1 else last  # not what a strategy begins with
        why = stop_reason(self._training, self._rounds, aggregate, before)
        self._state = self._training.state()
        # a round of agreement makes no model, and an own one is trained as long as the common one
        self._trained += not is_missing(aggregate, self.model_key)
        if not why:
            return aggregate
        self.flame.flame_log(f"the training is done, and its models are scored: {why}")
        ask = OWN if self.share_own else SCORES
        return self._asking(ask, aggregate, models={})

    def finalize(self, aggregate: Any, evaluations: Mapping[str, dict[str, float]]) -> Any:
        """Put the result under ``cross_site``."""
        return super().finalize({**aggregate, CROSS_SITE: self._found}, evaluations)

    def _round_tree(self, number: int) -> Tree:
        asked = phase_tree(self._phase, self.bins, self._kind)
        return super()._round_tree(number) if asked is None else asked

    def _begin(self) -> None:
        scored = self.convergence
        assert isinstance(scored, Scored)
        self._training = copy.deepcopy(scored.training)  # which keeps a state from round to round
        self._phase = ""
        self._rounds = self._trained = 0
        self._state = self._found = self._kind = None

    def _asking(self, phase: str, aggregate: Any, models: Any) -> Any:
        """Return the aggregate that asks nodes for this."""
        self._phase, common = phase, look_up(aggregate, self.model_key)
        self._kind = kind_of(common)
        asked: dict[str, Any] = {"ask": phase, "rounds": self._trained}
        if phase == SCORES:
            asked |= {"models": models, "common": common}
            asked |= {"bins": self.bins, "shared": self.share_own}
        return {**aggregate, CROSS_SITE: asked}


class CrossSiteFedAvg(CrossSite, WeightedFedAvg):
    """``WeightedFedAvg``, and then every node's own model and the common one at every node.

    Parameters as for :class:`CrossSite` and :class:`~flame_flwr.strategies.WeightedFedAvg`.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import SGDClassifier
    >>> from flame_flwr.aggregation import MaxRounds
    >>> from flame_flwr.sklearn import SklearnAnalyzer
    >>> from flame_flwr.star import StarModelTester
    >>> class Ill(SklearnAnalyzer):
    ...     classes = (0, 1)
    ...
    ...     def estimator(self):
    ...         return SGDClassifier(loss="log_loss", random_state=0)
    ...
    ...     def dataset(self, data):
    ...         return data[::2, :1], data[::2, 1]
    ...
    ...     def test_dataset(self, data):
    ...         return data[1::2, :1], data[1::2, 1]
    >>> fever = np.linspace(-2, 2, 40)
    >>> one, other = (np.array([fever, fever > limit]).T for limit in (0.1, -0.4))
    >>> strategy = CrossSiteFedAvg(convergence=MaxRounds(3))
    >>> result = StarModelTester([one, other], Ill, strategy, "s3", quiet=True).result
    >>> print(result["cross_site"].to_frame("accuracy").round(2))
                  node-0  node-1   all
    node-0 alone    1.00    0.90  0.95
    node-1 alone    0.90    1.00  0.95
    common          0.95    0.95  0.95
    """


class Scored(Convergence):
    """Stop when the models of a finished training are scored.

    Parameters
    ----------
    training : Convergence
        When that is finished.
    """

    def __init__(self, training: Convergence) -> None:
        self.training = training

    def check(self, number: int, aggregate: Any, last: Any) -> str | None:
        """Look whether the strategy has asked for everything."""
        asked = aggregate.get(CROSS_SITE) or {}
        return "all models are scored at every node" if asked.get("ask") == DONE else None

    def in_words(self) -> str:
        """Say when the training ends, and what comes then."""
        return f"{self.training.in_words()}, and then scores all models"

    def most_rounds(self) -> int | None:
        """Return the training's rounds and two more."""
        most = self.training.most_rounds()
        return None if most is None else most + 2
