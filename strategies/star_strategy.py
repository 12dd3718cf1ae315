"""``StarStrategy``: a Flower strategy that runs a STAR analysis.

Flower's own strategies run a fixed number of rounds. This one goes on until its aggregation has
finished; the loop is in :mod:`flame_flwr.strategies.round_loop`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from flwr.app import ArrayRecord, ConfigRecord, Message, MessageType, MetricRecord

from flame_flwr.aggregation.convergence import as_convergence
from flame_flwr.clients.node import build
from flame_flwr.errors import ModelError
from flame_flwr.flower import runtime
from flame_flwr.log import logger
from flame_flwr.results.metric_means import of_all_nodes
from flame_flwr.strategies.merge_replies import keep_scores, merge_round
from flame_flwr.strategies.round_loop import RoundLoop
from flame_flwr.strategies.round_messages import messages_for
from flame_flwr.strategies.star_aggregation import StarAggregation
from flame_flwr.strategies.star_result import StarResult
from flame_flwr.strategies.start_run import settings_for, start_run
from flame_flwr.text.words import name_in_words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from flwr.serverapp import Grid

    from flame_flwr.aggregation import Aggregation, Convergence
    from flame_flwr.config import RunSettings
    from flame_flwr.results.checkpoint import Checkpoint
    from flame_flwr.results.run_record import RunRecord
    from flame_flwr.star.handle import FlameHandle
    from flame_flwr.star.nodes import StarAggregator, StarAnalyzer

__all__ = ["StarResult", "StarStrategy"]


class StarStrategy(RoundLoop):
    """Runs rounds until the aggregation is finished, then evaluation and the final method.

    Parameters
    ----------
    aggregator : type of StarAggregator or None
        The user's class; ``None`` in a subclass that makes an aggregation of its own.
    aggregator_kwargs : dict, optional
        For its constructor.
    simple_analysis : bool, optional
        One round and no more. ``None`` takes what :meth:`start` is told.
    allow_pickle : bool
        Whether values that cannot travel otherwise are pickled; as on the nodes.
    convergence : Convergence or callable, optional
        Ends the run too, beside what the aggregation says; see
        :mod:`flame_flwr.aggregation.convergence`. With it an analysis has more than one round
        where nothing else is said.

    Notes
    -----
    A subclass overrides what it needs, and calls the base class's for the rest. Flower's own
    methods choose nodes, add to messages and change what arrives, in this process, too:

    >>> from flame_flwr.star import StarAggregator, StarAnalyzer, StarModelTester
    >>> from flame_flwr.strategies import StarStrategy
    >>> class Rows(StarAnalyzer):
    ...     def analysis_method(self, data, aggregator_results):
    ...         return {"rows": len(data)}
    >>> class Total(StarAggregator):
    ...     def aggregation_method(self, analysis_results):
    ...         return sum(result["rows"] for result in analysis_results)
    ...     def has_converged(self, result, last_result):
    ...         return True
    >>> class FirstTwo(StarStrategy):
    ...     def configure_train(self, server_round, arrays, config, grid):
    ...         config["top"] = 3
    ...         return list(super().configure_train(server_round, arrays, config, grid))[:2]
    ...     def aggregate_train(self, server_round, replies):
    ...         arrays, metrics = super().aggregate_train(server_round, replies)
    ...         metrics["asked"] = 2
    ...         return arrays, metrics
    >>> hospitals = [[1, 2, 3], [4], [5, 6]]
    >>> StarModelTester(hospitals, Rows, FirstTwo(Total), "s3", quiet=True).result
    4

    :meth:`make_aggregation` merges values its own way, :meth:`metric_keys` says what of them are
    metrics, and :meth:`about` what must be the same in a run that goes on with a checkpoint:

    >>> from flame_flwr.aggregation import Finished
    >>> class Longest:
    ...     def begin(self, number):
    ...         self.found = 0
    ...     def add(self, node, value):
    ...         self.found = max(self.found, value["rows"])
    ...     def finish(self):
    ...         return Finished(self.found, converged=True, reason="one round is enough")
    >>> class Largest(StarStrategy):
    ...     def make_aggregation(self, flame, nodes, simple_analysis):
    ...         return Longest()
    ...     def metric_keys(self):
    ...         return ["rows"]
    ...     def about(self):
    ...         return {**super().about(), "of": "rows"}
    >>> tester = StarModelTester(hospitals, Rows, Largest(None), "s3", quiet=True)
    >>> tester.result, tester.record.history[0].node_metrics["node-2"]
    (3, {'rows': 2})
    """

    _DECLARED: ClassVar[frozenset[str]] = frozenset(
        {"aggregator", "aggregator_kwargs", "simple_analysis", "allow_pickle", "convergence"}
        | {"nodes_read_first", "secure", "score_sums"}
    )

    in_turn: ClassVar[bool] = False
    """Whether a round asks one node after another: then ``configure_train`` yields each message
    when the answer to the one before has been merged."""

    nodes_read_first: bool = False
    """Whether nodes read their data before they answer hello; the app of a model sets it."""

    secure: bool | None = None
    """Whether sums are masked, or on their grid; ``None``: neither."""

    score_sums: Any = None
    """How the numbers of ``evaluation_method`` are merged, where sums are secure."""

    def __init__(
        self,
        aggregator: type[StarAggregator] | None,
        *,
        aggregator_kwargs: dict[str, Any] | None = None,
        simple_analysis: bool | None = None,
        allow_pickle: bool = False,
        convergence: Convergence | Callable[[Any, Any], Any] | None = None,
    ) -> None:
        self.aggregator = aggregator
        self.convergence = as_convergence(convergence)
        self.aggregator_kwargs = dict(aggregator_kwargs or {})
        self.simple_analysis = simple_analysis
        self.allow_pickle = allow_pickle

    def make_aggregation(
        self, flame: FlameHandle, nodes: tuple[str, ...], simple_analysis: bool
    ) -> Aggregation:
        """Return a new aggregation for a run.

        Parameters
        ----------
        flame : FlameHandle
            The aggregator's handle.
        nodes : tuple of str
            The nodes, in participant order.
        simple_analysis : bool
            One round and no more.
        """
        if self.aggregator is None:
            raise ModelError(f"{type(self).__name__} has neither aggregator nor make_aggregation")
        aggregator = build(self.aggregator, flame, self.aggregator_kwargs)
        return StarAggregation(aggregator, nodes, simple_analysis)

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Return one message per node: the aggregate, the round, at first all nodes' ids."""
        return messages_for(self._run, MessageType.TRAIN, server_round, arrays, config)

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Merge the replies as they arrive.

        Returns
        -------
        arrays : ArrayRecord
            The aggregate, a payload: what the next round's messages carry.
        metrics : MetricRecord
            ``nodes`` that answered and ``seconds`` of the slowest.
        """
        arrays = merge_round(self._run, server_round, replies)
        seconds = self._run.record.history[-1].node_seconds
        return arrays, MetricRecord({"nodes": len(seconds), "seconds": max(seconds.values())})

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Return one message per node: the last aggregate. Called after the last round only."""
        return messages_for(self._run, MessageType.EVALUATE, server_round, arrays, config)

    def aggregate_evaluate(
        self, server_round: int, replies: Iterable[Message]
    ) -> MetricRecord | None:
        """Keep every node's numbers; return the means of those that all nodes gave.

        They are weighted by ``n_test`` where the nodes give that, but for whole numbers, which are
        counts; of others it is the plain mean.
        """
        keep_scores(self._run, replies)
        return MetricRecord(of_all_nodes(self._run.record.evaluations))

    def summary(self) -> None:
        """Log what is run; called once, before the nodes are greeted."""
        if runtime() != "process":  # there the caller has just named the classes
            merges = getattr(self.aggregator, "__name__", "an aggregation of its own")
            logger.info("%s with %s", type(self).__name__, merges)

    def _is_simple(self, simple_analysis: bool) -> bool:
        """Tell whether there is one round and no more.

        Parameters
        ----------
        simple_analysis : bool
            What the model says. What the strategy itself says, and a convergence, go before it.
        """
        if self.simple_analysis is not None:
            return self.simple_analysis
        return simple_analysis and self.convergence is None

    def metric_keys(self) -> Iterable[str]:
        """Return which keys of what nodes return are metrics; they are shown as reported ones.

        A dict says of each, too, which key the aggregate's number of that name is weighted by, if
        any, else ``""``: wherever that mean is shown, it is with its weight.
        """
        return ()

    def sum_securely(self, secure: bool | None) -> None:
        """Take what a model or a run config says of secure sums.

        Parameters
        ----------
        secure : bool or None
            ``None`` leaves it as it is.

        Raises
        ------
        ModelError
            What the strategy merges are no declared sums.
        """
        if secure is not None:
            raise ModelError(
                f"{type(self).__name__}: secure sums need declared reductions, and an aggregator "
                "that is written sees every node's part: declare them in a ReduceStrategy, such as "
                "ReduceStrategy({'n': Sum(), 'coef': WeightedMean('n')}, secure=True)"
            )

    def check_analyzer(self, analyzer: type[StarAnalyzer], arguments: Mapping[str, Any]) -> None:
        """Check that an analyzer fits this strategy; by default nothing is checked.

        It is called when a model is built.

        Parameters
        ----------
        analyzer : type of StarAnalyzer
            The class.
        arguments : dict of str to Any
            For its constructor, beside ``flame``.
        """

    def _stop_also(self, convergence: Convergence | None) -> None:
        """Add a convergence that ends the run as well as the strategy's own."""
        if convergence is not None:
            own = self.convergence
            self.convergence = convergence if own is None else own | convergence

    def about(self) -> dict[str, str]:
        """Return what must be the same in a run that goes on with a checkpoint."""
        return {
            "strategy": type(self).__qualname__,
            "aggregator": getattr(self.aggregator, "__qualname__", ""),
        }

    def in_words(self) -> str:
        """Return how answers are merged, for readers who write no Python."""
        plain = type(self) is StarStrategy
        return "the aggregator gets all answers" if plain else name_in_words(type(self).__name__)

    def start(
        self,
        grid: Grid,
        initial_arrays: ArrayRecord | None = None,
        num_rounds: int | None = None,
        timeout: float | None = None,
        train_config: ConfigRecord | None = None,
        evaluate_config: ConfigRecord | None = None,
        evaluate_fn: Callable[[int, ArrayRecord], MetricRecord | None] | None = None,
        *,
        settings: RunSettings | None = None,
        record: RunRecord | None = None,
        simple_analysis: bool = True,
        checkpoint: Checkpoint | None = None,
    ) -> StarResult:
        """Run the analysis.

        Parameters
        ----------
        grid : Grid
            Flower's, or the nodes in this process.
        initial_arrays : ArrayRecord, optional
            A payload (:func:`flame_flwr.payload.to_record`) that nodes get as the aggregate in
            the first round; without it they get ``None``.
        num_rounds : int, optional
            Stop after so many rounds even if not converged.
        timeout : float, optional
            Seconds to wait for a round's answers, in place of the settings' ``round-timeout``.
        train_config, evaluate_config : ConfigRecord, optional
            Added to every message's config.
        evaluate_fn : callable, optional
            Called with round and aggregate after every round, on the server.
        settings : RunSettings, optional
            The run config.
        record : RunRecord, optional
            Filled as the run goes on, so that a caller has what there is after a failure.
        simple_analysis : bool
            One round and no more, where the strategy itself does not say.
        checkpoint : Checkpoint, optional
            Where the analysis is kept after every round; with ``resume`` in the settings it goes
            on from there.

        Returns
        -------
        StarResult
            With ``record``.

        Raises
        ------
        NodesMissingError, NodeFailedError, ConfigError, NotConvergedError
            See there. What a user's aggregator raises comes through as itself.
        """
        settings = settings_for(self, settings, timeout)
        # Before the nodes are greeted, which may take long: a checkpoint may be none to go on with.
        kept = checkpoint.open(settings.resume) if checkpoint is not None else None
        run = start_run(self, grid, settings, record, simple_analysis, num_rounds, kept)
        with self._under_way(run):
            run.begin_from(initial_arrays, kept, self)
            self._run_rounds(run, num_rounds, train_config, evaluate_fn, checkpoint)
            self._run_evaluation(run, evaluate_config)
            run.make_result()
        return run.result
