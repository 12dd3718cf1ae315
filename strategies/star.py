"""``StarStrategy``: a Flower strategy that runs a STAR analysis, with the one loop.

Flower's own ``Strategy.start`` has a fixed number of rounds and no way to stop; this one goes on
until its aggregation says that it is finished. Flower's Message methods are thin adapters, there
to be overridden and to be composed with other strategies.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from flwr.app import ArrayRecord, ConfigRecord, Message, MessageType, MetricRecord, RecordDict
from flwr.serverapp.strategy import Result, Strategy

from flame_flwr.aggregation import Aggregation, StarAggregation
from flame_flwr.aggregation.base import as_aggregation
from flame_flwr.aggregation.convergence import as_convergence
from flame_flwr.aggregation.early_stopping import EarlyStopping
from flame_flwr.clients.node import build
from flame_flwr.config import RunSettings
from flame_flwr.data.kept_values import open_kept_values
from flame_flwr.errors import ModelError, NodeFailedError
from flame_flwr.failure.where import where
from flame_flwr.flower import runtime
from flame_flwr.identity import AGGREGATOR_ID, Identity
from flame_flwr.log import logger
from flame_flwr.memory import return_freed_memory
from flame_flwr.metrics import check_names
from flame_flwr.payload import Payload, decode, from_record, to_record
from flame_flwr.results.callbacks import notify, shielded
from flame_flwr.results.checkpoint import AnalysisState
from flame_flwr.results.followed_lines import ParticipantsLine
from flame_flwr.results.formatting import shown_arguments, shown_settings
from flame_flwr.results.log_lines import log_evaluation, log_round, warn_of_unknown
from flame_flwr.results.metric_means import of_scores
from flame_flwr.results.record import RunRecord
from flame_flwr.star.handle import FlameHandle
from flame_flwr.strategies.rounds import Rounds
from flame_flwr.transport.exchange import shortened
from flame_flwr.transport.grid import GridTransport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from flwr.serverapp import Grid

    from flame_flwr.aggregation import Convergence
    from flame_flwr.data.kept_values import KeptValues
    from flame_flwr.results.checkpoint import Checkpoint
    from flame_flwr.star.nodes import StarAggregator
    from flame_flwr.transport.interface import Reply, Transport

__all__ = ["StarResult", "StarStrategy"]

_OWN = frozenset(
    {
        "aggregator",
        "aggregator_kwargs",
        "simple_analysis",
        "allow_pickle",
        "convergence",
        "nodes_read_first",
        "_link",
        "_current",
        "_own_arrays",
        "_result",
        "_kept_data",
    }
)
"""This class's own attributes; a checkpoint holds those that a user's strategy adds."""

_MARGIN = 60.0
"""Seconds that a message outlives the wait for its answer: the wait's own limit comes first."""


@dataclass
class StarResult(Result):
    """Flower's ``Result``, with the values.

    Attributes
    ----------
    record : RunRecord
        Nodes, history, last aggregate, evaluations and the final result.
    """

    record: RunRecord = field(default_factory=RunRecord)


class StarStrategy(Strategy):
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
    Subclasses override :meth:`make_aggregation` to merge values their own way, or Flower's
    Message methods to choose nodes, add to configs and change what arrives.
    """

    _DECLARED: ClassVar[frozenset[str]] = frozenset()
    """A subclass's attributes that only declare: a checkpoint has no need of them."""

    nodes_read_first: bool = False
    """Whether nodes read their data before they answer hello; the app of a model sets it."""

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
        self._link: GridTransport | None = None
        self._current: Rounds | None = None
        self._own_arrays: dict[str, bytes] = {}
        self._result = StarResult()
        self._kept_data: KeptValues | None = None

    # ---- to override -------------------------------------------------------------------

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
        return self._messages(MessageType.TRAIN, "fitins", server_round, arrays, config)

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
        link = self._grid_link()
        aggregate = self.collect(server_round, map(link.read_result, replies))
        seconds = self._rounds.record.history[-1].node_seconds
        metrics = MetricRecord({"nodes": len(seconds), "seconds": max(seconds.values())})
        arrays = to_record(aggregate)
        self._rounds.lighten(from_record(arrays))
        self._own_arrays = {key: array.data for key, array in arrays.items()}
        return arrays, metrics

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Return one message per node: the last aggregate. Called after the last round only."""
        return self._messages(MessageType.EVALUATE, "evaluateins", server_round, arrays, config)

    def aggregate_evaluate(
        self, server_round: int, replies: Iterable[Message]
    ) -> MetricRecord | None:
        """Keep every node's numbers; return the means of those that all nodes gave.

        They are weighted by ``n_test`` where the nodes give that, but for whole numbers, which are
        counts; of others it is the plain mean.
        """
        link = self._grid_link()
        self.collect_evaluations(link.read_scores(reply) for reply in replies)
        scores = list(self._rounds.record.evaluations.values())
        common = [key for key in scores[0] if all(key in score for score in scores)]
        means: dict[str, Any] = {
            key: float(sum(score[key] for score in scores) / len(scores)) for key in common
        }
        weighted = of_scores(self._rounds.record.evaluations)
        return MetricRecord(means | {key: weighted[key][0] for key in common if key in weighted})

    def summary(self) -> None:
        """Log what is run."""
        merges = getattr(self.aggregator, "__name__", "an aggregation of its own")
        logger.info("%s with %s", type(self).__name__, merges)

    def is_simple(self, simple_analysis: bool) -> bool:
        """Tell whether there is one round and no more.

        Parameters
        ----------
        simple_analysis : bool
            What the model says; the strategy's own word and a convergence count more.
        """
        if self.simple_analysis is not None:
            return self.simple_analysis
        return simple_analysis and self.convergence is None

    def metric_keys(self) -> Iterable[str]:
        """Return which keys of what nodes return are metrics; they are shown as reported ones.

        A dict says of each, too, which key the aggregate's number of that name is weighted by, or
        ``""`` where it is none: a line, the report and TensorBoard then show that mean with its
        weight.
        """
        return ()

    def stop_also(self, convergence: Convergence | None) -> None:
        """Let a convergence end the run too, beside the strategy's own."""
        if convergence is not None:
            own = self.convergence
            self.convergence = convergence if own is None else own | convergence

    def about(self) -> dict[str, str]:
        """Return what must be the same in a run that goes on with a checkpoint."""
        return {
            "strategy": type(self).__qualname__,
            "aggregator": getattr(self.aggregator, "__qualname__", ""),
        }

    # ---- the way of a run --------------------------------------------------------------

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
        """Run the analysis over a Flower Grid.

        Parameters
        ----------
        grid : Grid
            Flower's.
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
        settings = settings or RunSettings.from_config({})
        if timeout is not None:
            settings = settings.with_round_timeout(timeout)
        self.summary()
        return_freed_memory()
        kept = checkpoint.open(settings.resume) if checkpoint is not None else None
        self._link = GridTransport(
            self,
            grid,
            settings,
            train_config or ConfigRecord(),
            evaluate_config or ConfigRecord(),
            session=secrets.token_hex(16) if kept is None else kept.session,
            after=None if kept is None else {node: kept.after.get(node, 0) for node in kept.nodes},
        )
        first = None if initial_arrays is None else from_record(initial_arrays)
        try:
            return self.run(
                self._link,
                settings,
                record if record is not None else RunRecord(),
                simple_analysis=simple_analysis,
                num_rounds=num_rounds,
                initial=first,
                evaluate_fn=evaluate_fn,
                checkpoint=checkpoint,
                kept=kept,
            )
        finally:
            self._link = None

    def run(
        self,
        link: Transport,
        settings: RunSettings,
        record: RunRecord,
        *,
        simple_analysis: bool,
        num_rounds: int | None = None,
        initial: Payload | None = None,
        evaluate_fn: Callable[[int, ArrayRecord], MetricRecord | None] | None = None,
        checkpoint: Checkpoint | None = None,
        kept: AnalysisState | None = None,
    ) -> StarResult:
        """Run the one loop over a link; :meth:`start` and the in-process runtime call it."""
        nodes, evaluates = link.hello()
        record.nodes = list(nodes)
        record.failures += [{"round": 0, "node": n, "why": why} for n, why in link.absent.items()]
        logger.info("%s", ParticipantsLine(len(nodes), shortened(nodes)))
        simple = self.is_simple(simple_analysis)
        notify(record, "began", record, self._most_rounds(simple, num_rounds))
        self._current = run = self._begin(nodes, evaluates, settings, record, simple, initial)
        run.aggregate = initial
        if kept is not None:
            self._go_on(run, kept)
        if checkpoint is not None:
            checkpoint.check(self._progress(run))
        try:
            while not run.finished(num_rounds):
                number = len(record.history) + 1
                self._enter_round(number)
                notify(record, "entered", number)
                started = time.perf_counter()
                run.aggregate = link.train(number, run.aggregate)
                entry = record.history[-1]
                entry.seconds = time.perf_counter() - started
                with shielded("the aggregate's change"):
                    record.note_change(run.measured)
                notify(record, "finished", entry, record)
                with shielded("the round's line"):
                    log_round(entry, record)
                if evaluate_fn is not None:
                    scores = evaluate_fn(number, to_record(run.aggregate))
                    if scores is not None:
                        self._result.evaluate_metrics_serverapp[number] = scores
                if checkpoint is not None:
                    checkpoint.save(self._progress(run), number)
            run.settle()
            self._enter_round(len(record.history) + 1)
            if evaluates and run.aggregate is not None:
                link.evaluate(len(record.history), run.aggregate)
                notify(record, "evaluated", record)
                with shielded("the evaluation's line"):
                    log_evaluation(record)
            with shielded("a look at what is shown"):
                warn_of_unknown(record)
            with where(AGGREGATOR_ID, "final_method"):
                record.result = run.aggregation.final(record.aggregate, record.evaluations)
            return self._result
        finally:
            self._current = None
            run.settle()
            record.filters.log_budgets()

    def collect(self, number: int, replies: Iterable[Reply]) -> Payload:
        """Take a round's replies and return the new aggregate; see :meth:`Rounds.collect`."""
        return self._rounds.collect(number, replies)

    def note_error(self, number: int, node: str, what: str, error: Exception) -> None:
        """Record that a node in this process raised; see :meth:`Rounds.note_error`."""
        self._rounds.note_error(number, node, what, error)

    def collect_evaluations(self, replies: Iterable[Reply]) -> None:
        """Keep an evaluation's numbers; see :meth:`Rounds.collect_evaluations`."""
        self._rounds.collect_evaluations(replies)

    def accept(
        self, number: int, arrays: ArrayRecord | None, metrics: MetricRecord | None
    ) -> Payload:
        """Take what :meth:`aggregate_train` returned, also a subclass's, as the aggregate."""
        if arrays is None:
            raise NodeFailedError(
                f"{type(self).__name__}.aggregate_train returned no arrays: there is no aggregate"
            )
        payload = from_record(arrays)
        if not _same(arrays, self._own_arrays):
            self._rounds.replace(number, payload)
        self._result.arrays = arrays
        if metrics is not None:
            self._result.train_metrics_clientapp[number] = metrics
        return payload

    def accept_evaluation(self, metrics: MetricRecord | None) -> None:
        """Take what :meth:`aggregate_evaluate` returned."""
        if metrics is not None:
            number = len(self._rounds.record.history)
            self._result.evaluate_metrics_clientapp[number] = metrics

    # ---- helpers -----------------------------------------------------------------------

    @property
    def _rounds(self) -> Rounds:
        if self._current is None:
            raise RuntimeError("no run is under way: call start()")
        return self._current

    def _grid_link(self) -> GridTransport:
        if self._link is None:
            raise RuntimeError("no run over a Grid is under way: call start()")
        return self._link

    def _begin(
        self,
        nodes: tuple[str, ...],
        evaluates: bool,
        settings: RunSettings,
        record: RunRecord,
        simple: bool,
        initial: Payload | None,
    ) -> Rounds:
        self._own_arrays = {}
        self._result = StarResult(record=record)
        keys = self.metric_keys()
        metrics = dict(keys) if isinstance(keys, Mapping) else dict.fromkeys(keys, "")
        check_names(metrics, f"{type(self).__name__}: metrics")
        identity = Identity(AGGREGATOR_ID, nodes, settings.analysis_id, settings.project_id)
        with where(AGGREGATOR_ID, "its constructor"):
            self._kept_data = self._store(settings)
            flame = FlameHandle(identity, store=self._kept_data)
            aggregation = as_aggregation(self.make_aggregation(flame, nodes, simple))
        if self.convergence is not None:
            private = not record.public.exact
            aggregation = EarlyStopping(
                aggregation, self.convergence, private=private, hides=record.public.hides
            )
        if initial is not None:
            aggregation.replace(decode(initial, allow_pickle=self.allow_pickle))
        record.study |= self._study()
        record.weighted_by |= {name: by for name, by in metrics.items() if by}
        return Rounds(record, settings, aggregation, self.allow_pickle, evaluates, metrics)

    def _study(self) -> dict[str, str]:
        """Return what there is to know of the server's side: for ``run.json`` and the report."""
        about = {"strategy": type(self).__name__}
        if self.aggregator is not None:
            about["aggregator"] = self.aggregator.__name__
        if self.aggregator_kwargs:
            about["aggregator arguments"] = shown_arguments(self.aggregator_kwargs)
        if self.convergence is not None:
            about["convergence"] = shown_settings(self.convergence)
        return about

    def _most_rounds(self, simple: bool, num_rounds: int | None) -> int | None:
        """Return how many rounds there are at most, where that is declared."""
        declared = None if self.convergence is None else self.convergence.most_rounds()
        known = [most for most in (1 if simple else None, num_rounds, declared) if most is not None]
        return min(known, default=None)

    def _enter_round(self, number: int) -> None:
        """Tell the aggregator's kept data which round it is in; what follows replaces its own."""
        if self._kept_data is not None and self._link is not None:
            self._kept_data.enter_round(self._link.session, number, number - 1)

    def _progress(self, run: Rounds) -> AnalysisState:
        """Return what another run needs to go on after this round.

        Raises
        ------
        ModelError
            The aggregation, or an attribute of it or of a user's own strategy, cannot be saved.
        """
        aggregation = run.aggregation.save()
        if aggregation is None:
            name = type(getattr(run.aggregation, "aggregator", run.aggregation)).__name__
            raise ModelError(
                f"{name} has no save() and load(), so there can be no `checkpoint` of this analysis"
            )
        own = {key: value for key, value in vars(self).items() if key not in _OWN | self._DECLARED}
        return AnalysisState(
            session=self._grid_link().session,
            nodes=tuple(run.record.nodes),
            after=dict(run.after),
            record=run.record.progress(),
            aggregate=run.aggregate,
            aggregation=aggregation,
            strategy=own,
        )

    def _go_on(self, run: Rounds, kept: AnalysisState) -> None:
        """Be where the kept analysis was."""
        run.record.go_on(kept.record)
        run.after.update(kept.after)
        run.aggregate = kept.aggregate
        run.aggregation.load(kept.aggregation)
        run.aggregation.replace(run.record.aggregate)
        vars(self).update(kept.strategy)
        logger.info("going on after round %d", len(run.record.history))

    def _store(self, settings: RunSettings) -> KeptValues | None:
        """Return where the aggregator keeps data; ``None`` for in this process."""
        if not settings.state_dir and (self._link is None or runtime() == "process"):
            return None
        return open_kept_values(
            settings.state_dir, settings.project_id, AGGREGATOR_ID, where="the run config"
        )

    def _messages(
        self, kind: str, prefix: str, number: int, arrays: ArrayRecord, config: ConfigRecord
    ) -> list[Message]:
        rounds, link = self._rounds, self._grid_link()
        everyone = json.dumps(list(link.addresses))
        configs: dict[tuple[bool, int], ConfigRecord] = {}  # few: messages share what they can

        def config_for(node: str) -> ConfigRecord:
            key = knows, after = node in rounds.answered, rounds.after.get(node, 0)
            if key not in configs:
                own = ConfigRecord({**config, "round": number, "after": after})
                own["session"] = link.session
                if not knows:
                    own["analyzers"] = everyone
                configs[key] = own
            return configs[key]

        return [
            Message(
                RecordDict({f"{prefix}.parameters": arrays, f"{prefix}.config": config_for(node)}),
                address,
                kind,
                ttl=rounds.settings.round_timeout + _MARGIN,
                group_id=str(number),
            )
            for node, address in link.addresses.items()
        ]


def _same(arrays: ArrayRecord, own: dict[str, bytes]) -> bool:
    """Tell whether a subclass left the aggregate as it was, by identity: it may be large."""
    return arrays.keys() == own.keys() and all(
        array.data is own[key] for key, array in arrays.items()
    )
