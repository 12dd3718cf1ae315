"""``SklearnFedAvg``: federated averaging after a round in which the nodes agree.

``SklearnCrossSite`` is the same with a cross-site validation after it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flame_flwr.aggregation.reductions.looked_at import LookedAtPerNode
from flame_flwr.cross_site.strategy import CrossSite
from flame_flwr.errors import ModelError
from flame_flwr.sklearn.agreement import AGREED, AGREEMENT, ASKS, agree, odd_agreement
from flame_flwr.sklearn.analyzer import SklearnAnalyzer
from flame_flwr.strategies.weighted_fedavg import WeightedFedAvg

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flame_flwr.star.nodes import StarAnalyzer

__all__ = ["SklearnCrossSite", "SklearnFedAvg"]


class SklearnFedAvg(WeightedFedAvg):
    """``WeightedFedAvg`` for a ``SklearnAnalyzer`` whose nodes agree in the first round.

    They agree on the features, compared by number and by a hash of their names; on the classes, of
    which each node may have some only; and, with ``scaling=True`` of the analyzer, on means and
    deviations over all rows. The aggregate of every round has it under ``agreed``, with the
    ``classes``, ``mean`` and ``std`` that the model must be used with. A convergence counts this
    round: ``MaxRounds(11)`` trains ten.

    Parameters
    ----------
    *arguments, **more
        As for :class:`~flame_flwr.strategies.WeightedFedAvg`; not ``first``, ``initial`` or
        ``secure``, as what nodes say of their classes is no sum.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import SGDClassifier
    >>> from flame_flwr.aggregation import MaxRounds
    >>> from flame_flwr.sklearn import SklearnAnalyzer
    >>> from flame_flwr.star import StarModelTester
    >>> class Ward(SklearnAnalyzer):
    ...     scaling = True
    ...
    ...     def estimator(self):
    ...         return SGDClassifier(random_state=0)
    ...
    ...     def dataset(self, data):
    ...         ages, wards = data
    ...         return np.array(ages)[:, None], wards
    >>> hospitals = [([7, 9, 71], ["child", "child", "old"]), ([8, 40], ["child", "adult"])]
    >>> result = StarModelTester(
    ...     hospitals, Ward, SklearnFedAvg(convergence=MaxRounds(3)), "s3", quiet=True
    ... ).result
    >>> result["agreed"]["classes"], result["agreed"]["mean"], result["model"]["coef"].shape
    (['adult', 'child', 'old'], array([27.]), (3, 1))
    """

    _fixed = frozenset({"first"})

    def __init__(self, *arguments: Any, **more: Any) -> None:
        for name in ("first", "initial"):
            if name in more:
                raise ModelError(f"{type(self).__name__}: `{name}` is its own: leave it out")
        said = LookedAtPerNode(fault=odd_agreement)
        super().__init__(*arguments, first={AGREEMENT: said}, initial=ASKS, **more)

    def check_analyzer(self, analyzer: type[StarAnalyzer], arguments: Mapping[str, Any]) -> None:
        """Check that the analyzer can agree with others.

        Raises
        ------
        ModelError
            It is no ``SklearnAnalyzer``.
        """
        super().check_analyzer(analyzer, arguments)
        if not issubclass(analyzer, SklearnAnalyzer):
            raise ModelError(
                f"{type(self).__name__}: {analyzer.__name__} is no SklearnAnalyzer, so it does not "
                "agree on features and classes in the first round: take WeightedFedAvg"
            )

    def update(self, merged: Any, last: Any) -> Any:
        """Agree in the first round; then hand on what was agreed on with the new model."""
        if AGREEMENT in merged:
            return {AGREED: agree(merged[AGREEMENT])}
        return {**merged, AGREED: last[AGREED]}


class SklearnCrossSite(CrossSite, SklearnFedAvg):
    """:class:`SklearnFedAvg`, and then every node's own model and the common one at every node.

    Parameters as for :class:`~flame_flwr.cross_site.CrossSite` and :class:`SklearnFedAvg`. The
    analyzer needs a ``test_dataset``.

    Examples
    --------
    >>> from flame_flwr.aggregation import MaxRounds
    >>> from flame_flwr.cross_site import CROSS_SITE_FILES
    >>> strategy = SklearnCrossSite(convergence=MaxRounds(11), outputs=CROSS_SITE_FILES)
    >>> [name for name, *_ in strategy.outputs]
    ['cross_site.txt', 'cross_site.csv', 'cross_site.png', 'roc.csv', 'roc.png']
    """

    def update(self, merged: Any, last: Any) -> Any:
        """Agree in the first round, on two classes; then as of ``CrossSite``.

        Raises
        ------
        ModelError
            There are not two.
        """
        aggregate = super().update(merged, last)
        if AGREEMENT in merged and len(aggregate[AGREED]["classes"] or ()) != 2:
            raise ModelError("cross-site validation is of classifiers of two classes")
        return aggregate
