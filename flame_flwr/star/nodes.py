"""The two classes users write: a subclass of ``StarAnalyzer`` and one of ``StarAggregator``.

When a method is called, what it receives and which counter has which value is as in ``flame.star``
0.6.4, so that its users' classes run here unchanged.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from flame_flwr.errors import ModelError
from flame_flwr.user_code.signatures import needs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flame_flwr.identity import Role
    from flame_flwr.star.handle import FlameHandle

__all__ = ["StarAggregator", "StarAnalyzer", "StarNode"]

_NOT_GIVEN: Any = None
"""Who writes ``Mine()`` in place of ``Mine`` gets an error that says so; Python's would not."""


class StarNode(ABC):
    """The common base of analyzers and aggregators.

    Parameters
    ----------
    flame : FlameHandle
        The handle; a subclass passes it on with ``super().__init__(flame)``.

    Attributes
    ----------
    flame : FlameHandle
        Log, progress, ids, data.
    id : str
        This node's id, the same in every round.
    role : str
        ``'default'`` on an analyzer, ``'aggregator'`` on the aggregator.
    num_iterations : int
        Finished rounds: 0 during the whole first round.
    latest_result : Any
        On an analyzer its own result right after ``analyze``, then the aggregate it receives;
        on the aggregator its previous aggregate. ``None`` at first.
    partner_node_ids : list of str
        Every other participant.
    finished : bool
        Whether :meth:`node_finished` was called.
    """

    id: str
    role: Role

    def __init__(self, flame: FlameHandle = _NOT_GIVEN) -> None:
        if flame is _NOT_GIVEN:
            name = type(self).__name__
            raise ModelError(
                f"{name} was made without `flame`. A model takes the class {name} itself, not an "
                f"instance {name}(), and {name}.__init__ hands it on: super().__init__(flame)"
            )
        self.flame = flame
        self.id = flame.get_id()
        self.role = flame.get_role()  # type: ignore[assignment]
        self.finished = False
        self.latest_result: Any = None
        self.partner_node_ids = flame.get_participant_ids()
        self.num_iterations = 0

    def node_finished(self) -> None:
        """Mark this node as finished. On the aggregator, the current round becomes the last."""
        self.finished = True


class StarAnalyzer(StarNode):
    """Runs on every node, on that node's data. Subclasses write :meth:`analysis_method`.

    A subclass may also have ``evaluation_method(self, data, result) -> dict[str, number]``.
    It scores the last aggregate, ``result``, on the node's data; it is called once, after the
    last round, and never where it is absent.

    Examples
    --------
    >>> class MeanAge(StarAnalyzer):
    ...     def analysis_method(self, data, aggregator_results):
    ...         return {"sum": sum(data), "n": len(data)}
    """

    _framework_calls: ClassVar[dict[str, dict[str, tuple[str, ...]]]] = {
        "": {"analyze": ("data",), "evaluation_method": ("data", "result")},
        "analyze": {"analysis_method": ("data", "aggregator_results")},
    }
    """What a subclass writes, with its parameters, by the method that calls it, if any does."""

    @abstractmethod
    def analysis_method(self, data: Any, aggregator_results: Any) -> Any:
        """Analyze the node's data and return what goes to the aggregator.

        Parameters
        ----------
        data : Any
            ``[{key: bytes, ...}, ...]`` for ``'s3'``, ``[{query: bundle}, ...]`` for ``'fhir'``,
            ``None`` for ``'none'``; in a local test the split itself.
        aggregator_results : Any
            The last aggregate, a copy; ``None`` in the first round.
        """

    @classmethod
    def _check_bases(cls) -> None:
        """Raise a ModelError if it needs another base class beside this one, and lacks it."""

    @classmethod
    def _check_strategy(cls, strategy: Any, arguments: Mapping[str, Any]) -> None:
        """Raise a ModelError if it is certain that it cannot work with a strategy.

        It is called when a model is built, with the arguments of the constructor beside ``flame``.
        """

    def analyze(self, data: Any) -> Any:
        """Run one round: call :meth:`analysis_method` and count it. The framework calls this."""
        result = self.analysis_method(data, self.latest_result)
        self.latest_result = result
        self.num_iterations += 1
        return result


class StarAggregator(StarNode):
    """Runs once, on the server. Subclasses write ``aggregation_method`` and ``has_converged``.

    A subclass may also have ``final_method(self, result, evaluations)``: it turns the last
    aggregate into what is written; ``evaluations`` are the analyzers' ``evaluation_method``
    answers, parallel to ``answered_node_ids``. It is never called where it is absent.

    Attributes
    ----------
    answered_node_ids : list of str
        The nodes whose results ``aggregation_method`` was given, in the same order.
    delta_criteria : bool
        What ``has_converged`` said last.

    Examples
    --------
    >>> class Mean(StarAggregator):
    ...     def aggregation_method(self, analysis_results):
    ...         people = sum(result["n"] for result in analysis_results)
    ...         return sum(result["sum"] for result in analysis_results) / people
    ...
    ...     def has_converged(self, result, last_result):
    ...         return True
    """

    delta_criteria: bool = False

    def __init__(self, flame: FlameHandle = _NOT_GIVEN) -> None:
        super().__init__(flame)
        self.answered_node_ids: list[str] = []

    _framework_calls: ClassVar[dict[str, dict[str, tuple[str, ...]]]] = {
        "": {
            "aggregate": ("node_results", "simple_analysis"),
            "final_method": ("result", "evaluations"),
        },
        "aggregate": {
            "aggregation_method": ("analysis_results",),
            "has_converged": ("result", "last_result"),
        },
    }

    _older_calls: ClassVar[dict[str, tuple[str, ...]]] = {"has_converged": ("num_iterations",)}
    """What else older versions of FLAME give a method, which may need it."""

    @abstractmethod
    def aggregation_method(self, analysis_results: list[Any]) -> Any:
        """Merge the nodes' results, which come in participant order, into one aggregate."""

    @abstractmethod
    def has_converged(self, result: Any, last_result: Any) -> bool:
        """Say whether to stop. Called exactly once a round; ``last_result`` is ``None`` at first.

        One that needs a third parameter, as in older scripts of FLAME, gets `num_iterations`. In a
        multi-round analysis the answer of the first round does not count.
        """

    def aggregate(self, node_results: list[Any], simple_analysis: bool = True) -> tuple[Any, bool]:
        """Run one round: aggregate, ask for convergence, count. The framework calls this.

        Parameters
        ----------
        node_results : list
            One result per node that answered, in participant order.
        simple_analysis : bool
            One round and no more. Otherwise at least two are run.

        Returns
        -------
        tuple of (Any, bool)
            The aggregate, and whether it is the last one.
        """
        result = self.aggregation_method(node_results)
        # Once a round, also where the answer does not count: some users' methods flip a state.
        older = (self.num_iterations,) if needs(self.has_converged, 3) else ()
        self.delta_criteria = bool(self.has_converged(result, self.latest_result, *older))
        # `latest_result` was None in the first round, so nothing has been compared yet.
        converged = simple_analysis or (self.delta_criteria and self.num_iterations > 0)
        self.latest_result = result
        self.num_iterations += 1
        return result, converged
