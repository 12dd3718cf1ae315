"""One node of an analysis: its data, its analyzer, one round at a time.

The same class runs under Flower (:class:`flame_flwr.clients.StarClient`) and in process
(:mod:`flame_flwr.transport.in_process`), so that user code meets the same rules everywhere.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from flame_flwr.clients.own_rules import (
    apply_own_rules,
    people_counted,
    read_columns,
    with_columns,
)
from flame_flwr.data.data_size import evidence_of
from flame_flwr.data.source import SplitData
from flame_flwr.data.table_query import TableQuery
from flame_flwr.errors import ModelError
from flame_flwr.failure.hints import hint_analyzer, hint_evaluation
from flame_flwr.metrics import check_numbers
from flame_flwr.payload import Payload, decode, encode
from flame_flwr.privacy.evidence import Evidence
from flame_flwr.star.handle import FlameHandle

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flame_flwr.data.expect import Expectation, Mismatch
    from flame_flwr.data.kept_values import KeptValues
    from flame_flwr.data.source import NodeData, Query
    from flame_flwr.identity import Identity
    from flame_flwr.privacy import Disclosure, DisclosureRule, UpdateFilter
    from flame_flwr.privacy.study_declaration import Study
    from flame_flwr.star.nodes import StarAnalyzer, StarNode
    from flame_flwr.statistics.read_columns import ReadColumns

__all__ = ["Node", "NodePlan", "build", "rules_of"]

_SET_BY_INIT = ("flame", "id", "role", "num_iterations", "latest_result", "partner_node_ids")


@dataclass(frozen=True, slots=True)
class NodePlan:
    """What every node needs to know of a model. It is pickled to simulated nodes.

    Parameters
    ----------
    analyzer : type of StarAnalyzer
        The user's class.
    analyzer_kwargs : dict
        For its constructor; every node gets a copy of its own.
    data_type : {'s3', 'fhir', 'sql', 'none'}
        Which data :meth:`Node.round` loads.
    query : str, list of str, dict or None
        What is asked of the data.
    allow_pickle : bool
        Whether a value that cannot travel otherwise is pickled.
    disclosure : tuple of DisclosureRule
        What the analyst declares of what may leave a node.
    filters : tuple of UpdateFilter
        What is done to a result before it leaves.
    expects : tuple of Table or Resources
        What the analysis expects of a node's data.
    secure : bool
        Whether results leave a node masked, and no other way.
    subject : str
        The column that says whom a row is about, for rules that count people.
    columns : tuple of str
        What is asked of tables.

    Examples
    --------
    >>> from flame_flwr.star import StarAnalyzer
    >>> class Count(StarAnalyzer):
    ...     def analysis_method(self, data, aggregator_results):
    ...         return 3
    >>> NodePlan(Count).evaluates
    False
    """

    analyzer: type[StarAnalyzer]
    analyzer_kwargs: dict[str, Any] = field(default_factory=dict)
    data_type: str = "none"
    query: str | list[str] | dict[str, Any] | None = None
    allow_pickle: bool = False
    disclosure: tuple[DisclosureRule, ...] = ()
    filters: tuple[UpdateFilter, ...] = ()
    expects: tuple[Expectation, ...] = ()
    secure: bool = False
    subject: str = ""
    columns: tuple[str, ...] = ()

    @property
    def asked(self) -> Query:
        """What a source is asked for, as texts."""
        if self.data_type == "sql":
            return TableQuery.declared(self.query, self.columns, self.subject).keys()
        return self.query  # type: ignore[return-value]

    @property
    def evaluates(self) -> bool:
        """Whether the analyzer has the optional ``evaluation_method``."""
        return callable(getattr(self.analyzer, "evaluation_method", None))


class Node:
    """One analyzer with its data.

    Parameters
    ----------
    plan : NodePlan
        The model's part for nodes.
    identity : Identity
        Who this node is, and who else takes part.
    data : NodeData, optional
        Where its data comes from; ``None`` for ``data_type='none'``.
    store : KeptValues, optional
        Where it keeps data across analyses; without one, in this process.
    node_rules : sequence of DisclosureRule
        The node's own. Its gate holds them; they are here for the analysis's own classes of
        statistics, into which the gate cannot look, and for errors that name the place.

    Attributes
    ----------
    metrics : dict of str to float
        What the analyzer reported of the last round.
    evidence : Evidence
        What the gate is told of the data behind the last result: where rules hold, how many rows
        and people it is of.

    Raises
    ------
    ConfigError
        The rules do not go with the analyzer.

    Examples
    --------
    >>> from flame_flwr.identity import Identity
    >>> from flame_flwr.star import StarAnalyzer
    >>> class Count(StarAnalyzer):
    ...     def analysis_method(self, data, aggregator_results):
    ...         return 3
    >>> node = Node(NodePlan(Count), Identity("node-0", ("node-0",)), data=None)
    >>> decode(node.round(1, aggregate=None))
    3
    """

    def __init__(
        self,
        plan: NodePlan,
        identity: Identity,
        data: NodeData | None,
        store: KeptValues | None = None,
        node_rules: Sequence[DisclosureRule] = (),
    ) -> None:
        self.plan = plan
        self.identity = identity
        self.handle = FlameHandle(identity, data, store)
        self.analyzer: StarAnalyzer | None = None
        self.source = data
        self._data: Any = None
        self._loaded = False
        self.metrics: dict[str, float] = {}
        self.evidence = Evidence()
        self._rules = rules_of(plan, node_rules)
        self._counted = False
        self._read: ReadColumns | None = None
        self._acted: list[dict[str, Any]] = []
        self._study: Study | None = None  # the same in every round, but for what filters say

    def round(self, number: int, aggregate: Payload | None) -> Payload:
        """Analyze this node's data once.

        Parameters
        ----------
        number : int
            The round, from 1.
        aggregate : Payload or None
            The last aggregate; ``None`` in the first round.

        Returns
        -------
        Payload
            The analyzer's result. Rules and filters of the analysis's own classes have acted on
            it; all others act in the node's gate, before it leaves.
        """
        self.handle._enter_round(number)
        analyzer = self._analyzer()
        analyzer.num_iterations = number - 1
        if aggregate is not None:
            analyzer.latest_result = decode(aggregate, allow_pickle=self.plan.allow_pickle)
        data = self.data()
        if (self._rules is not None or self.plan.subject) and not self._counted:
            self._count_people(data)  # before user code changes it
        if self._read is None:  # in the first round, for the same reason
            self._read = read_columns(self._rules, data)
        try:
            with people_counted(self._rules, self.plan.subject, data):
                result = analyzer.analyze(data)
        except Exception as error:
            kind, is_split = self.plan.data_type, isinstance(self.source, SplitData)
            hint_analyzer(error, analyzer, data, kind, is_split=is_split)
            raise
        if self.handle._held_back:
            self.handle._flush()
        self.metrics = self.handle._taken_metrics()
        # Rules before filters, as in the gate: they judge the numbers, and not the noise on them.
        if self._rules is not None:
            result, self.evidence = apply_own_rules(self._rules, self.evidence, result)
        if self.plan.filters:
            result = self._own_filters(result, number, aggregate)
        if self._rules is not None:
            self.evidence = with_columns(self.evidence, result, self._read)
            return self._rules.pack(result, allow_pickle=self.plan.allow_pickle)
        return encode(result, allow_pickle=self.plan.allow_pickle)

    def evaluate(self, aggregate: Payload, rounds: int) -> dict[str, float]:
        """Score the last aggregate on this node's data with ``evaluation_method``.

        Parameters
        ----------
        aggregate : Payload
            The last aggregate.
        rounds : int
            How many rounds were run: the analyzer's ``num_iterations``.
        """
        analyzer = self._analyzer()
        analyzer.num_iterations = rounds
        analyzer.latest_result = result = decode(aggregate, allow_pickle=self.plan.allow_pickle)
        data = self.data()
        try:
            scores = analyzer.evaluation_method(data, result)  # type: ignore[attr-defined]
        except Exception as error:
            hint_evaluation(error, data, self.plan.data_type)
            raise
        self.handle._flush()
        return check_numbers(scores, f"{type(analyzer).__name__}.evaluation_method")

    def data(self) -> Any:
        """Return the node's data, loaded at the first call."""
        if not self._loaded:
            plan = self.plan
            if self.source is not None and plan.data_type != "none":
                self._data = self.source.load(plan.data_type, plan.asked)  # type: ignore[arg-type]
            self._loaded = True
        return self._data

    def study(self) -> Study:
        """Return what the gate is told of the analysis: what it declares, and what it has done."""
        known = self._study
        if known is None or self._acted or known.evidence is not self.evidence:
            from flame_flwr.privacy import study_declaration as declared
            from flame_flwr.statistics.additive import own_sums

            plan = self.plan
            known = self._study = declared.Study(
                rules=declared.built_in_rules(plan.disclosure),
                filters=declared.split_filters(plan.filters)[1],
                acted=tuple(self._acted),
                own_rules=tuple(
                    type(rule).__name__ for rule in declared.own_rules(plan.disclosure)
                ),
                allow_pickle=plan.allow_pickle,
                secure=plan.secure,
                sums=own_sums(),
                evidence=self.evidence,
            )
        return known

    def weigh_data(self) -> None:
        """Count this node's data, for the gate to know how much is behind a result."""
        self.evidence, self._counted = evidence_of(self.data(), self.plan.data_type), False

    def findings(self) -> list[Mismatch]:
        """Return what is not as the analysis expects of this node's data."""
        from flame_flwr.data.expect import mismatches

        return mismatches(self.plan.expects, self.data(), self.plan.subject)

    def use_data(self, data: Any) -> None:
        """Take data that this process has loaded before, instead of loading it."""
        self._data, self._loaded = data, True

    def _count_people(self, data: Any) -> None:
        """Count how many rows and people the data is of, for rules and for the report."""
        from flame_flwr.data.people import counted

        self.evidence = counted(self.evidence, data, self.plan.expects, self.plan.subject)
        self._counted = True

    def _own_filters(self, result: Any, number: int, aggregate: Payload | None) -> Any:
        """Apply the filters up to the last one that only this analysis knows."""
        from flame_flwr.privacy.filter_chain import FilterChain
        from flame_flwr.privacy.study_declaration import split_filters

        chain = FilterChain.of(split_filters(self.plan.filters)[0], (), self.identity.id)
        if chain is None:
            return result
        received = aggregate and decode(aggregate, allow_pickle=self.plan.allow_pickle)
        result = chain.apply(result, received, number)
        self._acted = chain.report()
        return result

    def _analyzer(self) -> StarAnalyzer:
        if self.analyzer is None:
            self.analyzer = build(self.plan.analyzer, self.handle, self.plan.analyzer_kwargs)
        return self.analyzer


def rules_of(plan: NodePlan, node_rules: Sequence[DisclosureRule]) -> Disclosure | None:
    """Return the disclosure rules that hold at a node; ``None`` where there are none.

    Raises
    ------
    ConfigError
        They do not go with the analyzer.
    """
    if not plan.disclosure and not node_rules:
        return None
    from flame_flwr.privacy import Disclosure

    rules = Disclosure.of(node_rules, plan.disclosure)
    rules.check_evaluation(plan.evaluates)
    return rules


def build(cls: type[Any], flame: FlameHandle, kwargs: dict[str, Any]) -> Any:
    """Construct a user's analyzer or aggregator, with a copy of its keyword arguments.

    Raises
    ------
    ModelError
        Its ``__init__`` does not call ``super().__init__(flame)``.
    """
    forgotten = f"{cls.__name__}.__init__ must call super().__init__(flame) before anything else"
    try:
        # A copy: nodes of one process would share, and change, the lists among the arguments.
        instance: StarNode = cls(flame, **copy.deepcopy(kwargs))
    except AttributeError as error:
        # Only what the base class would have set: else it is the user's own mistake, to be shown.
        if type(error.obj) is cls and error.name in _SET_BY_INIT and not hasattr(error.obj, "id"):
            raise ModelError(forgotten) from error
        raise
    if getattr(instance, "flame", None) is not flame or not hasattr(instance, "num_iterations"):
        raise ModelError(forgotten)
    return instance
