"""The record of a run: filled by the loop, read by the user's own code.

All of it, also what a study does not show: what is printed or written is made of
:attr:`RunRecord.public`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from flame_flwr.aggregation.pytree import own_arrays
from flame_flwr.log import logger
from flame_flwr.results.aggregate_change import Change
from flame_flwr.results.egress_log import EgressLog
from flame_flwr.results.filter_record import FilterRecord
from flame_flwr.results.heading import Heading
from flame_flwr.results.metric_means import metric_names
from flame_flwr.results.public_record import PublicRecord
from flame_flwr.results.run_stage import RunStage

if TYPE_CHECKING:
    from flame_flwr.privacy import Laplace
    from flame_flwr.results.callbacks import Callback

__all__ = ["ALL_NODES", "RoundRecord", "RunRecord"]

ALL_NODES = "all nodes"
"""Whose scores the merged ones are, where sums are secure."""

_MOST_RULES = 100
"""Names of rules that are noted of a node: there are few, and it says them with every answer."""

_KEPT = (
    "history",
    "failures",
    "aggregate",
    "filters",
    "left",
    "sizes",
    "disclosure",
    "frozen",
    "data_changed",
    "weighted_by",
)
"""What a run that goes on takes over of the one before."""


@dataclass(slots=True)
class RoundRecord:
    """One round.

    Attributes
    ----------
    round : int
        From 1.
    seconds : float
        How long the whole round took, measured at the server.
    node_seconds : dict of str to float
        Seconds of analysis per node that answered, in participant order.
    node_bytes : dict of str to int
        Size of each answer's payload.
    failed : dict of str to str
        Nodes that gave no result, and why, in a few words: :attr:`RunRecord.failures` has all.
    aggregate : str
        The aggregate's structure, without its values.
    converged : bool
        Whether this was the last round because the analysis said so.
    reason : str
        Why it stopped here; empty where it went on.
    node_metrics : dict of str to dict
        What each node reported of the round: ``report_metrics``, and of a result the keys that a
        strategy declares to be metrics.
    metrics : dict of str to float
        Metrics' means over the nodes that are weighted, by :attr:`RunRecord.weighted_by`. Of others
        there is the plain mean only.
    change : float or None
        The aggregate's change, as the strategy or its convergence measures it (the norm of
        ``DeltaNorm``); without one, the Euclidean norm over all its arrays of floats, if there are
        any and they are not too large. Always finite.
    table : str
        The size of the largest table that left a node in this round, such as ``300 rows x 13
        columns``; only in the first round in which one did.
    order : list of str
        Through whom the model went, one after another, where nodes are asked in turn.
    """

    round: int
    seconds: float = 0.0
    node_seconds: dict[str, float] = field(default_factory=dict)
    node_bytes: dict[str, int] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    aggregate: str = ""
    converged: bool = False
    reason: str = ""
    node_metrics: dict[str, dict[str, float]] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    change: float | None = None
    table: str = ""
    order: list[str] = field(default_factory=list)


@dataclass(slots=True)
class RunRecord:
    """A run so far; after a failure, up to where it failed.

    Attributes
    ----------
    nodes : list of str
        The analyzer nodes, in participant order.
    history : list of RoundRecord
        Finished rounds.
    aggregate : Any
        The last aggregate.
    evaluations : dict of str to dict
        What ``evaluation_method`` gave, per node.
    result : Any
        What is written: the last aggregate, or what ``final_method`` made of it.
    converged : bool
        Whether the analysis ended because it said so.
    failures : list of dict
        Every node that gave no result: ``round``, ``node``, ``why``; also in the round that ended
        the run. Round 0 is hello.
    secure : dict or None
        What there is to know of secure sums: whether masked, roster, grids, what was in clear.
    privacy : dict or None
        Mechanism and budget, where the result is differentially private: then nothing exact
        may be written.
    shown : tuple of str or None
        The metrics and scores that may be shown, by name; ``None`` where all of them may.
    resumed_after : int
        The round after which the run went on with a checkpoint's analysis; 0 for a new one.
    app : str
        Flower's id and version of the app, such as ``me/ages 1.0.0``; empty in process.
    filters : FilterRecord
        What nodes did to their results before they left, and the budget that they have spent.
    left : EgressLog
        What left each node: types, shapes, bytes.
    hospitals : dict of str to str
        The hospitals' real names, of those that let it be known.
    sizes : dict of str to str
        How much data each node has, of those that let it be known.
    disclosure : dict of str to list of str
        The disclosure rules that each node's answers went through, as the node says.
    study : dict of str to str
        What is run: analyzer, strategy and what else the model declares.
    in_words : dict of str to str
        The same, by the same names, for readers who write no Python.
    heading : Heading
        Title, question and authors of the study.
    frozen : dict of str to list of str
        The digests (HMAC-SHA-256) of the frozen data that each node's answers are made of.
    data_changed : dict of str to list of int
        The rounds before which a node's data changed.
    weighted_by : dict of str to str
        What the mean of a metric is weighted by: the key that nodes send it under.
    metric_names : set of str
        What the strategy declares to be metrics and what nodes have reported in rounds, by name.
    callbacks : list of Callback
        What follows the run, such as a progress bar.
    stage : RunStage
        What the run does at this moment.

    Examples
    --------
    >>> record = RunRecord(nodes=["hospital-a", "hospital-b"])
    >>> record.history.append(RoundRecord(1, failed={"hospital-b": "timeout"}))
    >>> record.history[-1].failed
    {'hospital-b': 'timeout'}
    """

    nodes: list[str] = field(default_factory=list)
    history: list[RoundRecord] = field(default_factory=list)
    aggregate: Any = None
    evaluations: dict[str, dict[str, float]] = field(default_factory=dict)
    result: Any = None
    converged: bool = False
    failures: list[dict[str, Any]] = field(default_factory=list)
    privacy: dict[str, Any] | None = None
    secure: dict[str, Any] | None = None
    shown: tuple[str, ...] | None = None
    resumed_after: int = 0
    app: str = ""
    filters: FilterRecord = field(default_factory=FilterRecord)
    left: EgressLog = field(default_factory=EgressLog)
    hospitals: dict[str, str] = field(default_factory=dict)
    sizes: dict[str, str] = field(default_factory=dict)
    study: dict[str, str] = field(default_factory=dict)
    in_words: dict[str, str] = field(default_factory=dict)
    heading: Heading = field(default_factory=Heading)
    disclosure: dict[str, list[str]] = field(default_factory=dict)
    frozen: dict[str, list[str]] = field(default_factory=dict)
    data_changed: dict[str, list[int]] = field(default_factory=dict)
    weighted_by: dict[str, str] = field(default_factory=dict)
    metric_names: set[str] = field(default_factory=set)
    callbacks: list[Callback] = field(default_factory=list, repr=False, compare=False)
    stage: RunStage = field(default_factory=RunStage, repr=False, compare=False)
    _change: Change = field(default_factory=Change, repr=False, compare=False)

    @property
    def public(self) -> PublicRecord:
        """The run as it may be shown: what lines, files, events and the report are made of."""
        return PublicRecord(self)

    def note_change(self, measured: float | None = None) -> None:
        """Say in the last round's record by how much the aggregate has changed.

        Parameters
        ----------
        measured : float or None
            What the strategy or its convergence measured; ``None``: take all arrays of floats, but
            for metrics that the study does not show. NaN: none is known.
        """
        found = (
            self._change.measure(self.aggregate, self.public.hides)
            if measured is None
            else measured
        )
        self.history[-1].change = found if found is not None and math.isfinite(found) else None
        # Of a private run not even that the aggregate holds NaN may be said.
        if found is None or math.isfinite(found) or not self.public.exact:
            return
        # A strategy that measures NaN has said by it that there is nothing to measure.
        if measured is None or math.isinf(measured):
            self._change.warn(self.history[-1].round)

    def progress(self) -> dict[str, Any]:
        """Return what a checkpoint keeps of the record."""
        return {name: getattr(self, name) for name in _KEPT}

    def go_on(self, progress: dict[str, Any]) -> None:
        """Take over the record of the run before this one."""
        # What this run declares is there before its first round, and is not to be lost.
        weighted_by = self.weighted_by | progress["weighted_by"]
        for name, value in progress.items():
            setattr(self, name, value)
        self.weighted_by = weighted_by
        self.aggregate = own_arrays(self.aggregate)  # a user's aggregator may write into them
        self.filters.go_on()
        self.metric_names.update(metric_names(entry.node_metrics for entry in self.history))
        self._change.measure(self.aggregate, self.public.hides)
        self.resumed_after = self.stage.closed = len(self.history)

    def note_disclosure(self, node: str, rules: list[str]) -> None:
        """Note the disclosure rules that a node's answer went through."""
        # A node says them with every answer; a change of its config during a run adds to them.
        if rules:
            known = dict.fromkeys([*self.disclosure.get(node, ()), *rules])
            self.disclosure[node] = list(known)[:_MOST_RULES]

    def note_data(self, node: str, frozen: list[str], changed: int | None) -> None:
        """Note what a node says of its data: what is frozen, and before which round it changed."""
        if frozen:
            known = dict.fromkeys([*self.frozen.get(node, ()), *frozen])
            self.frozen[node] = list(known)[:_MOST_RULES]
        if changed is not None:
            self.data_changed.setdefault(node, []).append(changed)
            logger.warning("%s: the data changed between rounds, before round %d", node, changed)

    def release(self, mechanism: Laplace | None) -> None:
        """Noise the result where the model says so, and say what it cost."""
        if mechanism is not None:
            self.result = mechanism.release(self.result)
            self.privacy = mechanism.about()
            logger.info(
                "differential privacy: Laplace noise on the result, epsilon %g, sensitivity %g",
                mechanism.epsilon,
                mechanism.sensitivity,
            )

    def to_json(self) -> dict[str, Any]:
        """Return what may be shown of it, as ``run.json`` has it."""
        return self.public.to_json()
