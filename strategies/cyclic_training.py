"""``CyclicTraining``: a model goes from hospital to hospital, one message at a time."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from flwr.app import MessageType

from flame_flwr.aggregation.accumulators import check_choice
from flame_flwr.aggregation.convergence import MaxRounds
from flame_flwr.errors import ModelError
from flame_flwr.payload import to_record
from flame_flwr.strategies.cyclic_aggregation import CyclicAggregation, GoesOn
from flame_flwr.strategies.model_training import ModelTraining
from flame_flwr.strategies.reduce_strategy import NOT_GIVEN
from flame_flwr.strategies.round_messages import messages_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from flwr.app import ArrayRecord, ConfigRecord, Message
    from flwr.serverapp import Grid

    from flame_flwr.aggregation import Aggregation
    from flame_flwr.star.handle import FlameHandle

__all__ = ["CyclicTraining"]

_ORDERS = ("as given", "random")


class CyclicTraining(ModelTraining):
    """A model is trained at one hospital after another, each going on with what the last one sent.

    A round is one way through all hospitals. Nodes return a dict, such as ``{"model": weights,
    "local_n_samples": 120, "loss": 0.4}``, and get the last aggregate with the newest model in it;
    nothing of models is averaged. Each parameter may be a class attribute of a subclass instead.

    Parameters
    ----------
    order : {'as given', 'random'}
        Who comes after whom: participant order, or a new order in every round.
    rounds : int, optional
        How often the model goes through all hospitals. Without it there is a ``convergence``, or
        one round.
    seed : int
        Of random orders: round ``r`` has the same one in every run of a seed.
    model : str
        The key of the model: arrays, or anything else that travels.
    by : str, callable or None
        What weighs the metrics: a key, such as a sample count. ``None``: all nodes count the same.
    metrics : sequence of str, or dict of str to str, callable or None
        Keys of numbers that are averaged over the round, as for :class:`WeightedFedAvg`.
    **more
        As for :class:`ReduceStrategy`: ``convergence``, ``outputs``, ``initial`` and others.

    Raises
    ------
    ModelError
        Something is declared wrongly; or ``secure`` sums, as there is none.

    Notes
    -----
    "Cyclic weight transfer": Chang et al., "Distributed deep learning networks among institutions
    for medical imaging", JAMIA 2018.

    A node that fails has no part in the round: with ``on-failure = "skip"`` the next one gets the
    model of the one before. ``order`` of a round in ``run.json`` says through whom it went.
    ``round-timeout`` is how long one node may take, as only one is asked at a time. Every node sees
    the model as the one before has trained it, and not a mean of many: what disclosure rules allow
    of a model counts the more.

    Examples
    --------
    >>> from flame_flwr.star import StarAnalyzer, StarModelTester
    >>> class Halfway(StarAnalyzer):
    ...     def analysis_method(self, data, aggregator_results):
    ...         at = 0.0 if aggregator_results is None else aggregator_results["model"]
    ...         return {"model": (at + data) / 2}
    >>> strategy = CyclicTraining(rounds=2)
    >>> StarModelTester([8.0, 4.0], Halfway, strategy, "s3", quiet=True).result
    {'model': 5.0}
    """

    order: Any = "as given"
    rounds: Any = None
    seed: Any = 0
    model: Any = "model"

    in_turn = True
    _aggregates = CyclicAggregation
    _fixed = frozenset({"reductions", "first"})

    _DECLARED = frozenset({"_aggregation"})
    _aggregation: CyclicAggregation | None = None
    """The one of the run under way."""

    def __init__(
        self,
        order: str = NOT_GIVEN,
        rounds: int | None = NOT_GIVEN,
        *,
        seed: int = NOT_GIVEN,
        model: str = NOT_GIVEN,
        by: str | Callable[[Any], Any] | None = NOT_GIVEN,
        metrics: Iterable[str] | Mapping[str, Any] = NOT_GIVEN,
        **more: Any,
    ) -> None:
        self._declare(order=order, rounds=rounds, seed=seed, model=model, by=by, metrics=metrics)
        name = type(self).__name__
        check_choice(self, "order", *_ORDERS)
        if isinstance(self.seed, bool) or not isinstance(self.seed, int):
            raise ModelError(f"{name}: seed must be a whole number, not {self.seed!r}")
        means = self._metric_means()
        super().__init__({self.model: GoesOn(), **means}, **more)
        if self.rounds is not None:
            self._stop_also(MaxRounds(self.rounds))

    def about(self) -> dict[str, str]:
        """Return what must be the same in a run that goes on with a checkpoint."""
        return {**super().about(), "order": str(self.order), "seed": str(self.seed)}

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterator[Message]:
        """Yield a message for one node after another, each with the model of the one before.

        The next is made when the answer to the last one has been merged.
        """
        run, aggregation = self._run, self._aggregation
        assert aggregation is not None
        for node in self._line(run.record.nodes, server_round):
            run.note_sent(arrays)
            yield from messages_for(
                run, MessageType.TRAIN, server_round, arrays, config, only=(node,)
            )
            # Reached when the reply is merged; after a node that failed it is what that node got.
            arrays = to_record(run.encoded(aggregation.goes_on(), stays=False))

    def make_aggregation(
        self, flame: FlameHandle, nodes: tuple[str, ...], simple_analysis: bool
    ) -> Aggregation:
        """Return what keeps the newest model."""
        made = super().make_aggregation(flame, nodes, simple_analysis)
        assert isinstance(made, CyclicAggregation)
        self._aggregation = made
        return made

    def _line(self, nodes: list[str], number: int) -> list[str]:
        """Return the nodes in the order of a round."""
        if self.order == "as given":
            return list(nodes)
        # Of Python's generators this is what stays the same in every version of it.
        drawn = random.Random(f"{self.seed}/{number}")  # noqa: S311  (no secret)
        return sorted(nodes, key=lambda node: drawn.random())
