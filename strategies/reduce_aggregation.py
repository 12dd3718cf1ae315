"""``ReduceAggregation`` merges every key as its reduction says, as replies arrive."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from flame_flwr.aggregation.base import SIMPLE, Aggregation, Finished
from flame_flwr.aggregation.merged_round import MergedRound
from flame_flwr.aggregation.reductions.tree import Tree
from flame_flwr.buffer_names import BUFFERS
from flame_flwr.log import logger
from flame_flwr.privacy.secure.grid_round import GridRound
from flame_flwr.text.shown_text import one_line
from flame_flwr.transport.wait_for_replies import shortened

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flame_flwr.aggregation.reductions.base import Reduction
    from flame_flwr.errors import AnswerError
    from flame_flwr.strategies.reduce_strategy import ReduceStrategy
    from flame_flwr.strategies.run_sums import RunSums

__all__ = ["ReduceAggregation"]

_MOST_UNUSED, _LONGEST_KEY = 1000, 100
"""How many keys, and characters of each, are told that no reduction takes."""


class ReduceAggregation(Aggregation):
    """Merges replies as they arrive; what is kept of them is what the reductions keep.

    Parameters
    ----------
    strategy : ReduceStrategy
        What is declared, and what is made of it; with the handle of the run.
    nodes : sequence of str
        All nodes, in participant order.
    simple : bool
        One round and no more.
    sums : RunSums, optional
        Where secure sums are declared: all is added up on their grid.
    """

    reads_only = True
    """Values may be read-only views of what arrived: nothing of them is changed or kept."""

    def __init__(
        self,
        strategy: ReduceStrategy,
        nodes: Sequence[str],
        *,
        simple: bool,
        sums: RunSums | None = None,
    ) -> None:
        self._strategy = strategy
        self._flame = strategy.flame
        self._sums = sums
        self._nodes = tuple(nodes)
        self._simple = simple
        self._last: Any = None
        self._current = Tree()
        self._number = 0
        self._round: MergedRound | GridRound = MergedRound(0, self._nodes, self._current)
        self._fresh: dict[tuple[Any, ...], tuple[Reduction, Reduction]] = {}
        self._unused: set[str] = set()
        self._kept: dict[tuple[Any, ...], bytes] = {}

    def begin(self, number: int) -> None:
        """Make room for a round's values."""
        self._flame._enter_round(number)
        self._number, self._current = number, self._strategy._round_tree(number)
        if self._sums is not None:
            self._round = self._sums.begin(number, self._current)
            return
        self._round = MergedRound(
            number,
            self._nodes,
            self._current,
            self._last,
            finite=self._strategy.non_finite,
            for_run=self._for_run,
        )

    def add(self, node: str, value: Any) -> None:
        """Merge one node's answer; errors as of :meth:`MergedRound.add`."""
        self._round.add(node, value)
        self._note_unused(value)

    def odd_answers(self) -> dict[str, AnswerError]:
        """Return whose answers do not fit the others'; as :meth:`MergedRound.odd_answers`."""
        return self._round.odd_answers()

    def finish(self) -> Finished:
        """Merge what is left to merge, and hand it to the strategy."""
        merged = self._merged()
        if self._sums is not None:
            assert isinstance(self._round, GridRound)
            self._sums.close(self._number, self._round)
        aggregate = self._strategy.update(merged, self._last)
        self._last = aggregate
        self._flame._flush()
        reason = SIMPLE if self._simple else ""
        return Finished(aggregate, self._simple, reason)

    def replace(self, aggregate: Any) -> None:
        """Take this as the last aggregate; its arrays may be others' and read-only."""
        self._last = aggregate

    def final(self, aggregate: Any, evaluations: Mapping[str, dict[str, float]]) -> Any:
        """Return what is written."""
        result = self._strategy._written(aggregate, evaluations)
        self._flame.set_progress(100)
        self._flame._flush()
        return result

    def save(self) -> bytes:
        """Return what reductions remember from round to round."""
        saved = {key: reduction.save() for key, (_, reduction) in self._fresh.items()}
        kept = {key: data for key, data in saved.items() if data is not None}
        sums = () if self._sums is None else (self._sums.save(),)
        return pickle.dumps((kept, self._flame.get_progress(), *sums))

    def load(self, data: bytes) -> None:
        """Continue from the state that :meth:`save` returned."""
        self._kept, progress, *sums = pickle.loads(data)  # noqa: S301  (the user's own checkpoint)
        if self._sums is not None:
            self._sums.load(*sums)
        self._flame.set_progress(progress)

    def _merged(self) -> Any:
        return self._round.result()

    def _for_run(self, leaf: Tree) -> Reduction:
        """Return a leaf's reduction for this run: the same in every round."""
        assert leaf.reduction is not None
        # One instance for all rounds, as server optimisers have a momentum; a strategy with phases
        # may declare another reduction at the same place, which begins anew.
        declared, made = self._fresh.get(leaf.path, (None, None))
        if made is None or declared is not leaf.reduction:
            made = leaf.reduction.for_run()
            self._fresh[leaf.path] = leaf.reduction, made
            if leaf.path in self._kept:
                made.load(self._kept.pop(leaf.path))
        return made

    def _note_unused(self, value: Any) -> None:
        """Say once which keys no reduction takes: it may be a slip."""
        if not isinstance(value, Mapping) or self._current.container is not dict:
            return
        if self._current.reduction is not None:
            return
        # What weighs a mean, and what names buffers, is used and not merged.
        weights = [getattr(leaf.reduction, "by", None) for leaf in self._current.leaves()]
        heads = [by.partition(".")[0] for by in weights if isinstance(by, str)]
        known = {*self._current.children, *weights, *heads, *self._unused, BUFFERS}
        unused = [key for key in value if key not in known]
        if unused and len(self._unused) < _MOST_UNUSED:
            self._unused.update(unused)
            names = sorted(one_line(key, _LONGEST_KEY) for key in unused)
            logger.info("no reduction is declared for %s: not merged", shortened(names))
