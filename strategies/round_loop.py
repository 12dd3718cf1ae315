"""The one loop: rounds until the aggregation has finished, then the evaluation.

It has the shape of Flower's own ``Strategy.start``, which cannot stop early and is therefore
overridden. What a round asks, and how answers are merged, is said by a strategy's methods; what is
kept from one round to the next is in :mod:`flame_flwr.strategies.run_state`.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

from flwr.app import ConfigRecord
from flwr.serverapp.strategy import Strategy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flwr.app import ArrayRecord, MetricRecord

    from flame_flwr.results.checkpoint import Checkpoint
    from flame_flwr.strategies.run_state import Run
    from flame_flwr.strategies.run_sums import RunSums

__all__ = ["RoundLoop"]


class RoundLoop(Strategy):
    """A strategy with the loop, and with what belongs to the run under way alone."""

    _DECLARED: ClassVar[frozenset[str]] = frozenset({"_run_sums", "_current", "_given"})
    """Attributes that a checkpoint leaves out: they declare the analysis, or are the run's own.

    Each class names its own; a subclass has those of all its bases, too.
    """

    def __init_subclass__(cls, **more: Any) -> None:
        """Gather the attributes that all bases leave out of a checkpoint."""
        super().__init_subclass__(**more)
        cls._DECLARED = frozenset().union(*(vars(base).get("_DECLARED", ()) for base in cls.mro()))

    _given: frozenset[str] = frozenset()
    """Attributes that hold what the strategy was built with: whoever resumes builds it again."""

    _run_sums: RunSums | None = None
    """The secure sums of the run under way."""

    _current: Run | None = None
    """The run under way."""

    @property
    def _run(self) -> Run:
        if self._current is None:
            raise RuntimeError("no run is under way: call start()")
        return self._current

    def _kept(self) -> dict[str, Any]:
        """Return what a checkpoint keeps of the strategy: attributes that a user's subclass set."""
        left_out = self._DECLARED | self._given
        return {name: value for name, value in vars(self).items() if name not in left_out}

    @contextmanager
    def _under_way(self, run: Run) -> Iterator[None]:
        """Have a run under way within the block, and its record complete however that ends."""
        self._current = run
        try:
            yield
        finally:
            self._current = None  # an instance may be started again, and must not see this run
            if run.sums is not None:
                run.record.secure = run.sums.about()
            run.close()

    def _run_rounds(
        self,
        run: Run,
        num_rounds: int | None,
        train_config: ConfigRecord | None,
        evaluate_fn: Callable[[int, ArrayRecord], MetricRecord | None] | None,
        checkpoint: Checkpoint | None,
    ) -> None:
        """Run rounds until the last one; the parameters are those of ``start``."""
        if checkpoint is not None:
            # An attribute that cannot be saved is found now, and not after a first round of hours.
            checkpoint.check(run.state(self))
        name = type(self).__name__
        for number in run.rounds(num_rounds):
            config = ConfigRecord(dict(train_config or {}))  # a strategy may put more into it
            messages = self.configure_train(number, run.to_send(), config, run.transport.grid)
            replies = run.exchange(messages, f"{name}.configure_train", number)
            # The replies come as the strategy asks for them: nodes are waited for in here.
            arrays, metrics = self.aggregate_train(number, replies)
            run.accept_aggregate(arrays, metrics, f"{name}.aggregate_train")
            run.end_round(evaluate_fn)
            if checkpoint is not None:
                checkpoint.save(run.state(self), number)
                run.record.stage.checkpoint = number
        run.end_rounds()

    def _run_evaluation(self, run: Run, evaluate_config: ConfigRecord | None) -> None:
        """Have the nodes score the last aggregate, where they do."""
        if run.evaluates and run.arrays is not None:
            last, config = run.number, ConfigRecord(dict(evaluate_config or {}))
            messages = self.configure_evaluate(last, run.to_send(), config, run.transport.grid)
            replies = run.exchange(messages, f"{type(self).__name__}.configure_evaluate")
            run.accept_scores(self.aggregate_evaluate(last, replies))
