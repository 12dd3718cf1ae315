"""``ReduceAggregation`` merges every key as its reduction says, as replies arrive."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from flame_flwr.aggregation.accumulators import Accumulator, Where
from flame_flwr.aggregation.base import SIMPLE, Finished, Resumable
from flame_flwr.aggregation.non_finite import non_finite
from flame_flwr.aggregation.pytree import Key, key_text, look_up
from flame_flwr.aggregation.reduction_tree import Tree, declare
from flame_flwr.aggregation.reductions import Reduction, checked_weight
from flame_flwr.buffers import BUFFERS
from flame_flwr.errors import AnswerError, text_of
from flame_flwr.log import logger
from flame_flwr.metrics import TEST_ROWS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flame_flwr.star.handle import FlameHandle

__all__ = ["ReduceAggregation", "Tree", "declare"]

_ODD = (
    '. Mend it on the node, or declare non_finite="skip" to leave its whole answer out of the '
    'round, or "keep" to merge it as it is'
)


class _Part(NamedTuple):
    """What one reduction gets of an answer; `values` are its value and, before it, those around."""

    tree: Tree
    values: list[Any]
    weight: float


class ReduceAggregation:
    """Merges replies as they arrive; what is kept of them is what the reductions keep.

    Parameters
    ----------
    nodes : sequence of str
        All nodes, in participant order.
    tree : callable
        Gives the declared reductions of a round, by its number.
    update : callable
        Gets the merged values and the last aggregate, and returns the aggregate.
    finalize : callable
        Gets the last aggregate and the evaluations, and returns what is written.
    flame : FlameHandle
        The aggregator's handle.
    simple : bool
        One round and no more.
    finite : {'error', 'skip', 'keep'}
        What to do about NaN and infinity where a reduction that computes does not say.
    """

    reads_only = True
    """Values may be read-only views of what arrived: nothing of them is changed or kept."""

    def __init__(
        self,
        nodes: Sequence[str],
        tree: Callable[[int], Tree],
        update: Callable[[Any, Any], Any],
        finalize: Callable[[Any, Mapping[str, dict[str, float]]], Any],
        flame: FlameHandle,
        *,
        simple: bool,
        finite: str = "keep",
    ) -> None:
        self._nodes = tuple(nodes)
        self._tree = tree
        self._update = update
        self._finalize = finalize
        self._flame = flame
        self._simple = simple
        self._finite = finite
        self._last: Any = None
        self._number = 0
        self._current = Tree()
        self._fresh: dict[tuple[Any, ...], tuple[Reduction, Reduction]] = {}
        self._collectors: dict[tuple[Any, ...], Accumulator] = {}
        self._absent: dict[tuple[Any, ...], list[str]] = {}
        self._unused: set[str] = set()
        self._kept: dict[tuple[Any, ...], bytes] = {}

    def begin(self, number: int) -> None:
        """Make room for a round's values."""
        self._flame._enter_round(number)
        self._number = number
        self._current = self._tree(number)
        self._absent, self._collectors = {}, {}
        for leaf in self._current.leaves():
            place = Where(number, leaf.name, self._nodes, self._last_of(leaf))
            self._collectors[leaf.path] = self._for_run(leaf).collector(place)

    def add(self, node: str, value: Any) -> None:
        """Give every part of a node's value to its reduction.

        The whole of it is looked at first, so that an answer is merged with all of its parts or
        with none.

        Raises
        ------
        AnswerError
            A key is missing, a weight is not what it must be, or a number is NaN or infinite: node
            and key are named, and nothing of the answer is merged.
        DataError
            A value is of a kind that its reduction does not take.
        """
        parts: list[_Part] = []
        absent: list[Tree] = []
        self._take_apart(self._current, node, [value], parts, absent)
        self._check_finite(node, parts)
        for leaf in absent:
            self._absent.setdefault(leaf.path, []).append(node)
        for tree, values, weight in parts:
            assert tree.reduction is not None
            self._collectors[tree.path].add(node, tree.reduction.taken(values), weight)
        self._note_unused(value)

    def finish(self) -> Finished:
        """Merge what is left to merge, and hand it to the strategy."""
        for leaf in self._current.leaves():
            absent = self._absent.get(leaf.path)
            if absent:
                self._place(leaf).leave_out("the key is missing there", absent)
        merged = {path: self._collectors.pop(path).result() for path in list(self._collectors)}
        aggregate = self._update(self._current.build(merged), self._last)
        self._last = aggregate
        self._flame._flush()
        reason = SIMPLE if self._simple else ""
        return Finished(aggregate, self._simple, reason)

    def replace(self, aggregate: Any) -> None:
        """Take this as the last aggregate; its arrays may be others' and read-only."""
        self._last = aggregate

    def final(self, aggregate: Any, evaluations: Mapping[str, dict[str, float]]) -> Any:
        """Return what is written."""
        result = self._finalize(aggregate, evaluations)
        self._flame.set_progress(100)
        self._flame._flush()
        return result

    def save(self) -> bytes:
        """Return what reductions remember from round to round."""
        kept = {
            key: reduction.save()
            for key, (_, reduction) in self._fresh.items()
            if isinstance(reduction, Resumable)
        }
        return pickle.dumps((kept, self._flame.get_progress()))

    def load(self, data: bytes) -> None:
        """Go on as the aggregation was that :meth:`save` was called on."""
        self._kept, progress = pickle.loads(data)  # noqa: S301  (this user's own checkpoint)
        self._flame.set_progress(progress)

    def _for_run(self, leaf: Tree) -> Reduction:
        """Return a leaf's reduction for this run: the same in every round."""
        assert leaf.reduction is not None
        declared, made = self._fresh.get(leaf.path, (None, None))
        if made is None or declared is not leaf.reduction:
            made = leaf.reduction.for_run()
            self._fresh[leaf.path] = leaf.reduction, made
            if isinstance(made, Resumable) and leaf.path in self._kept:
                made.load(self._kept.pop(leaf.path))
        return made

    def _last_of(self, leaf: Tree) -> Any:
        value = self._last
        for part in leaf.path:
            try:
                value = look_up(value, part)
            except (LookupError, TypeError):
                return None
        return value

    def _place(self, leaf: Tree) -> Where:
        return Where(self._number, leaf.name, self._nodes)

    def _take_apart(
        self, tree: Tree, node: str, values: list[Any], parts: list[_Part], absent: list[Tree]
    ) -> None:
        """Find what every reduction gets of an answer, and which keys it has not."""
        value = values[-1]
        if tree.reduction is not None:
            weight = self._weight(tree, node, values)
            if weight is not None:
                parts.append(_Part(tree, values, weight))
            return
        for key, child in tree.children.items():
            try:
                if tree.container is not dict and len(value) != len(tree.children):
                    raise LookupError
                inner = value[key]
            except (LookupError, TypeError):
                for leaf in child.leaves():
                    if self._is_weightless(leaf, values):
                        parts.append(_Part(leaf, [*values, None], 0.0))
                    else:
                        absent.append(self._optional(leaf, node))
                continue
            self._take_apart(child, node, [*values, inner], parts, absent)

    def _optional(self, leaf: Tree, node: str) -> Tree:
        """Return a leaf whose key an answer has not, unless the answer must have it."""
        assert leaf.reduction is not None
        if leaf.reduction.missing != "skip":
            raise self._place(leaf).refusal(
                "what it sent has not this key. Mend it on the node, or declare "
                'missing="skip" to leave the node out of this key',
                node,
            )
        return leaf

    def _is_weightless(self, leaf: Tree, values: list[Any]) -> bool:
        """Tell whether a key may be missing because its node has weight 0, and does not count."""
        by = getattr(leaf.reduction, "by", None)
        try:
            return by is not None and checked_weight(_nearest([*values, None], by)) == 0.0
        except Exception:  # of a function, which may want the key itself
            return False

    def _check_finite(self, node: str, parts: list[_Part]) -> None:
        """Refuse an answer with NaN or infinity in what is computed with; weight 0 is no matter."""
        odd: dict[str, AnswerError] = {}
        for tree, values, weight in parts:
            word = getattr(tree.reduction, "non_finite", "keep") or self._finite
            where = None if word == "keep" or weight == 0 else non_finite(values[-1])
            if where is None:
                continue
            inner = Tree((*tree.path, where) if where else tree.path)
            skip = word == "skip"
            odd[word] = self._place(inner).refusal(
                "it sent NaN or infinity"
                + (": its whole answer is left out of the round" if skip else _ODD),
                node,
                declared=skip,
            )
        for word in ("error", "skip"):
            if word in odd:
                raise odd[word]

    def _weight(self, tree: Tree, node: str, values: list[Any]) -> float | None:
        """Return a node's weight; ``None`` leaves the node out."""
        reduction = tree.reduction
        by = getattr(reduction, "by", None)
        if by is None:
            return 1.0
        raised: Exception | None = None
        try:
            weight = checked_weight(_nearest(values, by))
        except Exception as error:  # of a function
            raised, weight = error, f"cannot be had: the function raised a {type(error).__name__}"
        if not isinstance(weight, str):
            return weight
        place = self._place(tree)
        text = f"its weight {key_text(by)} {weight}"
        if by == TEST_ROWS:
            text += ": it is how many rows the node has tested with, 0 for none"
        if getattr(reduction, "bad_weight", "error") != "skip":
            raise place.refusal(
                f'{text}. Mend it on the node, or declare bad_weight="skip" to leave it out',
                node,
                detail=None if raised is None else text_of(raised),
            ) from raised
        place.leave_out(text, [node])
        return None

    def _note_unused(self, value: Any) -> None:
        """Say once which keys no reduction takes: it may be a slip."""
        if not isinstance(value, Mapping) or self._current.container is not dict:
            return
        if self._current.reduction is not None:
            return
        weights = [getattr(leaf.reduction, "by", None) for leaf in self._current.leaves()]
        heads = [by.partition(".")[0] for by in weights if isinstance(by, str)]
        known = {*self._current.children, *weights, *heads, *self._unused, BUFFERS}
        unused = [str(key) for key in value if key not in known]
        if unused:
            self._unused.update(unused)
            logger.info("no reduction is declared for %s: not merged", ", ".join(sorted(unused)))


def _nearest(values: list[Any], by: Key) -> Any:
    """Return a weight from beside the value or further out; a function gets the outermost."""
    if callable(by):
        return by(values[0])
    for around in reversed(values[:-1] or values):
        try:
            return look_up(around, by)
        except (LookupError, TypeError):
            continue
    return None
