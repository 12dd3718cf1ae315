"""``ReduceStrategy``: an analysis whose server side is declared, and not written.

For each key of what nodes return a reduction; when it stops; what it writes. ``WeightedFedAvg``
and ``MergeStatistics`` are named declarations of it. What is declared is checked when the strategy
is built.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, get_args

from flame_flwr.aggregation.accumulators import check_choice
from flame_flwr.aggregation.convergence import as_convergence
from flame_flwr.aggregation.pytree import copy_arrays
from flame_flwr.aggregation.reductions.base import NonFinite
from flame_flwr.aggregation.reductions.numeric import Numeric
from flame_flwr.aggregation.reductions.tree import Tree, declare
from flame_flwr.errors import ModelError
from flame_flwr.flower import runtime
from flame_flwr.log import logger
from flame_flwr.payload import encode, to_record
from flame_flwr.strategies.analyzer_checks import check_proximal
from flame_flwr.strategies.declared_files import checked_outputs
from flame_flwr.strategies.reduce_aggregation import ReduceAggregation
from flame_flwr.strategies.star_strategy import StarStrategy
from flame_flwr.user_code.signatures import check_methods

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from flwr.app import ArrayRecord
    from flwr.serverapp import Grid

    from flame_flwr.aggregation import Aggregation, Convergence
    from flame_flwr.privacy.secure.declaration import SecureDeclaration
    from flame_flwr.star.handle import FlameHandle
    from flame_flwr.star.nodes import StarAnalyzer
    from flame_flwr.strategies.star_strategy import StarResult

__all__ = ["NOT_GIVEN", "ReduceStrategy"]

NOT_GIVEN: Any = object()
"""In place of a parameter that was left out, so that a class attribute counts."""


class ReduceStrategy(StarStrategy):
    """Merge what nodes return, key by key, until it has converged, and write declared files.

    Each parameter may be a class attribute of a subclass instead.

    Parameters
    ----------
    reductions : Reduction, dict, list or tuple
        What is done with nodes' values: a reduction for all of it, or one per key or position,
        also nested. In place of a reduction there may be its class, a statistic's class, or a
        function of the list of values. Keys that are not named are not merged.
    first : same, optional
        In the first round, where nodes return something else then.
    convergence : Convergence or callable, optional
        When to stop. Without one there is a single round.
    outputs : sequence of tuples, optional
        Files: ``(filename, type, function)``. The function gets the final aggregate, as
        :meth:`finalize` returns it; the type is ``'str'``, ``'bytes'`` or ``'pickle'``.
    initial : Any, optional
        The aggregate that nodes get in the first round.
    non_finite : {'error', 'skip', 'keep'}
        What to do about a node that sends NaN or infinity where a reduction computes with it, and
        says nothing of its own: take it for a failure of that node, so that ``on-failure``
        decides; leave its whole answer out of the round; or merge it as it is.
    secure : bool, optional
        ``True``: the nodes' parts leave them masked, and the server learns their sums alone.
        ``False``: the same sums, to the bit, of parts that are not. ``None``: sums without a grid.
    score_sums : Reduction or dict, optional
        How the numbers of ``evaluation_method`` are merged, where sums are secure.
    simple_analysis, allow_pickle
        As for :class:`StarStrategy`.

    Attributes
    ----------
    flame : FlameHandle
        While a run is under way: log, progress, ids, as an aggregator has it.

    Raises
    ------
    ModelError
        Something is declared wrongly; the message names it.

    Notes
    -----
    A subclass may override :meth:`update` and :meth:`finalize`. Attributes that these set are kept
    in a checkpoint. Results do not depend on the order in which nodes answer.

    Examples
    --------
    >>> from flame_flwr.aggregation import Max, Sum
    >>> from flame_flwr.star import StarAnalyzer, StarModelTester
    >>> class Visits(StarAnalyzer):
    ...     def analysis_method(self, data, aggregator_results):
    ...         return {"visits": sum(data), "busiest": max(data)}
    >>> class Busy(ReduceStrategy):
    ...     reductions = {"visits": Sum(), "busiest": Max()}
    ...     outputs = [("visits.txt", "str", lambda final: f"{final['visits']} visits")]
    >>> StarModelTester([[3, 8], [5]], Visits, Busy, "s3").result
    ['16 visits']
    """

    reductions: Any = None
    first: Any = None
    convergence: Any = None
    outputs: Any = ()
    initial: Any = None
    non_finite: Any = "error"

    flame: FlameHandle

    _aggregates: ClassVar[type[ReduceAggregation]] = ReduceAggregation
    _fixed: ClassVar[frozenset[str]] = frozenset()
    """Which of `reductions` and `first` a class of ours declares, so that no user can."""

    _DECLARED = frozenset({"flame", "files", "_trees", "_declared_sums", "_scores"})

    def __init__(
        self,
        reductions: Any = NOT_GIVEN,
        *,
        first: Any = NOT_GIVEN,
        convergence: Convergence | Callable[[Any, Any], Any] | None = NOT_GIVEN,
        outputs: Sequence[tuple[str, str, Callable[[Any], Any]]] = NOT_GIVEN,
        initial: Any = NOT_GIVEN,
        non_finite: str = NOT_GIVEN,
        secure: bool | None = NOT_GIVEN,
        score_sums: Any = NOT_GIVEN,
        simple_analysis: bool | None = None,
        allow_pickle: bool = False,
    ) -> None:
        super().__init__(
            None,
            simple_analysis=simple_analysis,
            allow_pickle=allow_pickle,
            convergence=as_convergence(self._declared("convergence", convergence)),
        )
        self._declare(
            reductions=reductions,
            first=first,
            outputs=outputs,
            initial=initial,
            non_finite=non_finite,
            secure=secure,
            score_sums=score_sums,
        )
        check_choice(self, "non_finite", *get_args(NonFinite))
        name = type(self).__name__
        check_methods(type(self), "strategy", _WRITTEN, "make_aggregation")
        if self.reductions is None:
            raise ModelError(
                f"{name}: declare its reductions: {name}({{'coef': Mean()}}), or a class attribute "
                "`reductions`"
            )
        every = declare(self.reductions, fixed="reductions" in self._fixed)
        first = every
        if self.first is not None:
            first = declare(self.first, "first", fixed="first" in self._fixed)
        self._trees: dict[bool, Tree] = {False: every, True: first}
        # A class attribute of this name would be hidden by the one set below, and nobody told.
        if inspect.getattr_static(type(self), "files", None) is not None:
            raise ModelError(f"{name}: files are declared as `outputs`, and not as `files`")
        self.files = checked_outputs(name, self.outputs)
        self._declared_sums: dict[bool, SecureDeclaration] = {}
        self._scores: tuple[Tree, SecureDeclaration] | None = None
        self.sum_securely(self.secure)

    # ---- to override -------------------------------------------------------------------

    def update(self, merged: Any, last: Any) -> Any:
        """Make the aggregate from what was merged; by default it is just that.

        Parameters
        ----------
        merged : Any
            In the shape of the declared reductions.
        last : Any
            The last aggregate, ``None`` in the first round unless there is an ``initial`` one.
            Its arrays may be read-only.

        Returns
        -------
        Any
            What nodes get in the next round.
        """
        return merged

    def finalize(self, aggregate: Any, evaluations: Mapping[str, dict[str, float]]) -> Any:
        """Turn the last aggregate into what the files are made from; by default it stays as it is.

        Parameters
        ----------
        aggregate : Any
            The last one.
        evaluations : dict of str to dict
            What ``evaluation_method`` gave, by node, in participant order; empty without one.
        """
        return aggregate

    def make_aggregation(
        self, flame: FlameHandle, nodes: tuple[str, ...], simple_analysis: bool
    ) -> Aggregation:
        """Return what merges as declared."""
        # Here, and not when it is built: the model may declare a single round.
        if not simple_analysis:
            _need_convergence(self)
        self.flame = flame
        self._run_sums = None
        if self.secure is not None:
            from flame_flwr.strategies.run_sums import RunSums

            self._run_sums = RunSums(
                nodes, self.secure, lambda number: self._declared_sums[number == 1], self._scores
            )
        return self._aggregates(self, nodes, simple=simple_analysis, sums=self._run_sums)

    def check_analyzer(self, analyzer: type[StarAnalyzer], arguments: Mapping[str, Any]) -> None:
        """Check that an analyzer trains in the way that the declared reductions need.

        Raises
        ------
        ModelError
            It does not; the message says what to set.
        """
        for tree in self._trees.values():
            check_proximal(tree, analyzer, arguments)
        analyzer._check_strategy(self, arguments)

    def sum_securely(self, secure: bool | None) -> None:
        """Take what a model or a run config says of secure sums.

        Raises
        ------
        ModelError
            A declared reduction is no sum; the message names its key and the way out.
        """
        if secure is None:
            return
        if not isinstance(secure, bool):
            raise ModelError(f"{type(self).__name__}: secure is True, False or None, not {secure}")
        from flame_flwr.privacy.secure.declaration import SecureDeclaration

        of = SecureDeclaration.of
        self._declared_sums = {key: of(t, self.non_finite) for key, t in self._trees.items()}
        if self.score_sums is not None:
            tree = declare(self.score_sums, "score_sums")
            self._scores = tree, of(tree)
        self.secure = secure

    def summary(self) -> None:
        """Log what is run, except in this process."""
        if runtime() != "process":
            leaves = self._tree(2).leaves()
            reductions = "; ".join(f"{leaf.name} {leaf.reduction}" for leaf in leaves)
            logger.info("%s with %s", type(self).__name__, reductions)

    def about(self) -> dict[str, str]:
        """Return what must be the same in a run that goes on with a checkpoint."""
        keys = [
            f"{leaf.name}: {type(leaf.reduction).__name__}"
            for number in (1, 2)
            for leaf in self._tree(number).leaves()
        ]
        sums = {} if self.secure is None else {"secure": str(self.secure)}
        kinds = ", ".join(dict.fromkeys(keys))
        return {"strategy": type(self).__qualname__, "reductions": kinds, **sums}

    def in_words(self) -> str:
        """Return how each key is merged, for readers who write no Python."""
        merged = [
            f"{leaf.name.strip('`()')} by {leaf.reduction.in_words()}"
            for leaf in self._tree(2).leaves()
            if leaf.reduction is not None
        ]
        more = [f"and {len(merged) - _MOST_SAID} more"] if len(merged) > _MOST_SAID else []
        said = "; ".join([*merged[:_MOST_SAID], *more])
        return said if type(self) is ReduceStrategy else f"{super().in_words()}: {said}"

    def start(
        self, grid: Grid, initial_arrays: ArrayRecord | None = None, *arguments: Any, **more: Any
    ) -> StarResult:
        """Run the analysis; nodes begin with the declared ``initial`` aggregate."""
        if initial_arrays is None and self.initial is not None:
            initial = encode(copy_arrays(self.initial), allow_pickle=self.allow_pickle)
            initial_arrays = to_record(initial)
        return super().start(grid, initial_arrays, *arguments, **more)

    # ---- helpers -----------------------------------------------------------------------

    def _declare(self, **given: Any) -> None:
        """Set what is declared as attributes."""
        self._given |= given.keys()
        for name, value in given.items():
            setattr(self, name, self._declared(name, value))

    def _declared(self, name: str, given: Any) -> Any:
        """Return what is declared: an argument, else a class attribute, functions unbound."""
        if given is not NOT_GIVEN:
            return given
        # `getattr` would bind a function that is declared, such as one that reduces, to `self`.
        value = inspect.getattr_static(type(self), name)
        return value.__func__ if isinstance(value, staticmethod) else value

    def _round_tree(self, number: int) -> Tree:
        """Return what is declared for a round under way; a subclass may have phases."""
        return self._tree(number)

    def _tree(self, number: int) -> Tree:
        return self._trees[number == 1]

    def _written(self, aggregate: Any, evaluations: Mapping[str, dict[str, float]]) -> Any:
        """Return the result: what :meth:`finalize` says, or the files' contents."""
        final = self.finalize(aggregate, evaluations)
        if self.files is None:
            return final
        return [function(final) for _, _, function in self.outputs]


_MOST_SAID = 20

_WRITTEN = {"update": ("merged", "last"), "finalize": ("aggregate", "evaluations")}


def _need_convergence(strategy: ReduceStrategy) -> None:
    if strategy.convergence is None:
        # what is numbers again when it is merged, so that its change can be measured
        computed = [x for x in strategy._tree(2).leaves() if isinstance(x.reduction, Numeric)]
        names = (".".join(map(str, leaf.path)) for leaf in computed)
        norm = next((f" | DeltaNorm({name or None!r}, 1e-4)" for name in names), "")
        raise ModelError(
            f"{type(strategy).__name__} has more than one round and no convergence: give it one, "
            f"such as convergence=MaxRounds(10){norm}"
        )
