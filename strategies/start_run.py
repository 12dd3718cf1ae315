"""Starting a run: greet the nodes, and make the server's side of the analysis."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING

from flame_flwr.aggregation.base import as_aggregation
from flame_flwr.aggregation.early_stopping import EarlyStopping
from flame_flwr.config import RunSettings
from flame_flwr.data.kept_values import open_kept_values
from flame_flwr.errors import ConfigError
from flame_flwr.failure.node_notes import noting_node
from flame_flwr.flower import runtime
from flame_flwr.identity import AGGREGATOR_ID, Identity
from flame_flwr.log import logger
from flame_flwr.metrics import check_names
from flame_flwr.processes.memory import return_freed_memory
from flame_flwr.results.callbacks import notify
from flame_flwr.results.followed_lines import ParticipantsLine
from flame_flwr.results.formatting import shown_arguments, shown_settings
from flame_flwr.star.handle import FlameHandle
from flame_flwr.strategies.bookkeeping import Bookkeeping
from flame_flwr.strategies.run_state import Run
from flame_flwr.strategies.star_result import StarResult
from flame_flwr.text.words import arguments_in_words, name_in_words
from flame_flwr.transport.grid import GridTransport
from flame_flwr.transport.interface import Transport
from flame_flwr.transport.wait_for_replies import shortened

if TYPE_CHECKING:
    from flwr.serverapp import Grid

    from flame_flwr.data.kept_values import KeptValues
    from flame_flwr.results.checkpoint import AnalysisState
    from flame_flwr.results.run_record import RunRecord
    from flame_flwr.strategies.star_strategy import StarStrategy
    from flame_flwr.transport.greeting import Greeting

__all__ = ["settings_for", "start_run"]


def settings_for(
    strategy: StarStrategy, settings: RunSettings | None, timeout: float | None
) -> RunSettings:
    """Return the settings of a run, once the strategy has taken what they say of secure sums.

    Raises
    ------
    ConfigError
        They undo what the analysis declares.
    """
    settings = settings or RunSettings.from_config({})
    if strategy.secure is True and settings.secure is False:
        raise ConfigError(
            "the analysis declares secure=True, which `secure` in the run config cannot undo: "
            "hospitals may have approved it for that"
        )
    strategy.sum_securely(settings.secure)
    return settings if timeout is None else settings.with_round_timeout(timeout)


def start_run(
    strategy: StarStrategy,
    grid: Grid,
    settings: RunSettings,
    record: RunRecord | None,
    simple_analysis: bool,
    num_rounds: int | None,
    kept: AnalysisState | None,
) -> Run:
    """Greet the nodes and make the run.

    Raises
    ------
    NodesMissingError, NodeFailedError, ConfigError
        The nodes are not there, or cannot take part.
    """
    simple = strategy._is_simple(simple_analysis)
    strategy.summary()  # Flower's own `start` calls it first, in whatever runtime
    result = StarResult() if record is None else StarResult(record=record)
    record = result.record
    transport = _transport(strategy, grid, settings, record, kept)
    masked = strategy.secure is True  # `False`: the same sums, of parts that are not masked
    if masked and settings.on_failure == "skip":
        raise ConfigError(
            'on-failure = "skip" does not go with secure sums: without all parts there is no sum. '
            'Use "abort", or "wait", which waits for nodes that come back'
        )
    record.stage.masked = masked
    record.stage.enter("hello")
    greetings = transport.hello(reads_first=strategy.nodes_read_first, secure=masked)
    _note_nodes(record, greetings)
    record.stage.most = _most_rounds(strategy, simple, num_rounds)
    notify(record, "began", record, record.stage.most)
    keys = strategy.metric_keys()
    metrics = dict(keys) if isinstance(keys, Mapping) else dict.fromkeys(keys, "")
    check_names(metrics, f"{type(strategy).__name__}: metrics")
    # Only now: an aggregator's constructor may ask for the ids of all participants.
    nodes = tuple(record.nodes)
    identity = Identity(AGGREGATOR_ID, nodes, settings.analysis_id, settings.project_id)
    with noting_node(AGGREGATOR_ID, "its constructor"):
        kept_data = _kept_data(settings)
        flame = FlameHandle(identity, kept=kept_data)
        aggregation = as_aggregation(strategy.make_aggregation(flame, nodes, simple))
    if masked and strategy._run_sums is not None:
        strategy._run_sums.take(transport.session, greetings)
    if strategy.convergence is not None:
        public = record.public
        aggregation = EarlyStopping(
            aggregation, strategy.convergence, private=not public.exact, hides=public.hides
        )
    record.study |= _study(strategy)
    record.in_words |= _in_words(strategy)
    record.weighted_by |= {name: by for name, by in metrics.items() if by}
    return Run(
        transport,
        settings,
        result,
        aggregation,
        Bookkeeping(record, metrics),
        evaluates=_most_evaluate(greetings),
        allow_pickle=strategy.allow_pickle,
        kept_data=kept_data,
        sums=strategy._run_sums,
        in_turn=strategy.in_turn,
    )


def _transport(
    strategy: StarStrategy,
    grid: Grid,
    settings: RunSettings,
    record: RunRecord,
    kept: AnalysisState | None,
) -> Transport:
    """Return the transport; nodes in this process are one themselves."""
    if isinstance(grid, Transport):
        return grid
    return_freed_memory()
    # A new id for a new analysis: nodes keep its analyzers under it, and find no other's there.
    if kept is None:
        return GridTransport(grid, settings, secrets.token_hex(16), stage=record.stage)
    after = {node: kept.after.get(node, 0) for node in kept.nodes}
    return GridTransport(grid, settings, kept.session, after, stage=record.stage)


def _note_nodes(record: RunRecord, greetings: list[Greeting]) -> None:
    nodes = [greeting.name for greeting in greetings if greeting.failure is None]
    for greeting in greetings:
        record.note_data(greeting.name, greeting.frozen, None)
    record.nodes = nodes
    record.hospitals = {
        greeting.name: greeting.hospital for greeting in greetings if greeting.hospital
    }
    record.failures += [
        {"round": 0, "node": greeting.name, "why": str(greeting.failure)}
        for greeting in greetings
        if greeting.failure is not None
    ]
    logger.info("%s", ParticipantsLine(len(nodes), shortened(nodes)))


def _most_evaluate(greetings: list[Greeting]) -> bool:
    """Tell whether nodes have an ``evaluation_method``: they run one app, and most say so."""
    said = [greeting.evaluates for greeting in greetings if greeting.failure is None]
    return 2 * sum(said) > len(said)


def _most_rounds(strategy: StarStrategy, simple: bool, num_rounds: int | None) -> int | None:
    """Return how many rounds there are at most, where that is declared."""
    declared = None if strategy.convergence is None else strategy.convergence.most_rounds()
    known = [most for most in (1 if simple else None, num_rounds, declared) if most is not None]
    return min(known, default=None)


def _kept_data(settings: RunSettings) -> KeptValues | None:
    """Return where the aggregator keeps data; ``None`` for in this process."""
    if not settings.state_dir and runtime() == "process":
        return None
    return open_kept_values(
        settings.state_dir, settings.project_id, AGGREGATOR_ID, where="the run config"
    )


def _study(strategy: StarStrategy) -> dict[str, str]:
    """Return what there is to know of the server's side: for ``run.json`` and the report."""
    about = {"strategy": type(strategy).__name__}
    if strategy.aggregator is not None:
        about["aggregator"] = strategy.aggregator.__name__
    if strategy.aggregator_kwargs:
        about["aggregator arguments"] = shown_arguments(strategy.aggregator_kwargs)
    if strategy.convergence is not None:
        about["convergence"] = shown_settings(strategy.convergence)
    return about


def _in_words(strategy: StarStrategy) -> dict[str, str]:
    """Return the same for readers who write no Python, by the same names."""
    words = {**_study(strategy), "strategy": strategy.in_words()}
    if strategy.aggregator is not None:
        words["aggregator"] = name_in_words(strategy.aggregator.__name__)
    if strategy.aggregator_kwargs:
        words["aggregator arguments"] = arguments_in_words(strategy.aggregator_kwargs)
    if strategy.convergence is not None:
        words["convergence"] = f"stops {strategy.convergence.in_words()}"
    return words
