"""One round's answers, merged as is declared per key: each of them with all its parts or none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from flame_flwr.aggregation.accumulators import Where
from flame_flwr.aggregation.answer_groups import AnswerGroups, Taken
from flame_flwr.aggregation.nesting import MOST_LEVELS, is_nested_too_deeply
from flame_flwr.aggregation.non_finite import non_finite
from flame_flwr.aggregation.pytree import key_text, look_up
from flame_flwr.aggregation.reductions.tree import Tree, declare
from flame_flwr.aggregation.weights import checked_weight, nearest
from flame_flwr.errors import AnswerError, DataError, text_of
from flame_flwr.metrics import TEST_ROWS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from flame_flwr.aggregation.reductions.base import Reduction

__all__ = ["MergedRound", "merge_values"]

_ODD = (
    '. Mend it on the node, or declare non_finite="skip" to leave its whole answer out of the '
    'round, or "keep" to merge it as it is'
)


def merge_values(declared: Any, answers: Sequence[Any], *, last: Any = None) -> Any:
    """Return what declared reductions make of the nodes' answers of one round, to try them out.

    Parameters
    ----------
    declared : Reduction, dict, list or tuple
        As for :class:`~flame_flwr.strategies.ReduceStrategy`.
    answers : sequence
        What the nodes return, in participant order.
    last : Any, optional
        The last aggregate, which Flower's optimisers step from.

    Examples
    --------
    >>> from flame_flwr.aggregation import Sum, WeightedMean
    >>> declared = {"model": {"coef": WeightedMean(by="n")}, "n": Sum()}
    >>> answers = [{"model": {"coef": 1.0}, "n": 30}, {"model": {"coef": 5.0}, "n": 10}]
    >>> merge_values(declared, answers)
    {'model': {'coef': 2.0}, 'n': 40}
    """
    nodes = [f"node-{i}" for i in range(len(answers))]
    merged = MergedRound(1, nodes, declare(declared), last)
    for node, answer in zip(nodes, answers, strict=True):
        merged.add(node, answer)
    return merged.result()


class _Part(NamedTuple):
    """What one reduction gets of an answer: the value last, before it what is around it."""

    tree: Tree
    values: list[Any]
    weight: float


class MergedRound:
    """Takes a round's answers as they arrive; what is kept of them is what the reductions keep.

    Parameters
    ----------
    number : int
        The round, from 1.
    nodes : sequence of str
        All nodes, in participant order.
    tree : Tree
        The declared reductions.
    last : Any
        The last aggregate.
    finite : {'error', 'skip', 'keep'}
        What to do about NaN and infinity where a reduction that computes does not say.
    for_run : callable, optional
        Gives a leaf's reduction for the run; by default that itself.
    """

    def __init__(
        self,
        number: int,
        nodes: Sequence[str],
        tree: Tree,
        last: Any = None,
        *,
        finite: str = "keep",
        for_run: Callable[[Tree], Reduction] | None = None,
    ) -> None:
        self._number = number
        self._nodes = tuple(nodes)
        self._tree = tree
        self._finite = finite
        self._absent: dict[tuple[Any, ...], list[str]] = {}
        reductions, places = {}, {}
        for leaf in tree.leaves():
            assert leaf.reduction is not None
            reductions[leaf.path] = for_run(leaf) if for_run else leaf.reduction.for_run()
            places[leaf.path] = Where(
                number, leaf.name, self._nodes, _at(last, leaf.path), leaf.fixed
            )
        self._groups = AnswerGroups(
            self._nodes, places, lambda path, place: reductions[path].collector(place)
        )

    def add(self, node: str, value: Any) -> None:
        """Give every part of a node's value to its reduction.

        The whole of it is looked at first, so that an answer is merged with all of its parts or
        with none.

        Raises
        ------
        AnswerError
            A key is missing, a weight is not what it must be, a number is NaN or infinite, or it is
            nested too deeply: node and key are named, and nothing of the answer is merged.
        """
        if is_nested_too_deeply(value):  # before anything that walks through it
            raise self._place(Tree()).refusal(
                f"it is nested more than {MOST_LEVELS} levels deep: send lists and dicts of fewer",
                node,
            )
        parts: list[_Part] = []
        absent: list[Tree] = []
        self._find_parts(self._tree, node, [value], parts, absent)
        self._check_finite(node, parts)
        try:
            self._groups.add(node, [_taken(part) for part in parts])
        except AnswerError:
            raise
        except DataError as error:
            raise AnswerError(error.message, detail=error.detail) from None
        for leaf in absent:
            self._absent.setdefault(leaf.path, []).append(node)

    def odd_answers(self) -> dict[str, AnswerError]:
        """Return why answers cannot be merged with the others', by node in participant order.

        They are left out of the result. To be called when all answers are there.
        """
        return self._groups.settle()

    def result(self) -> Any:
        """Return the merged values, in the shape of the declared reductions; called once.

        Raises
        ------
        AnswerError
            An answer cannot be merged with the others', and :meth:`odd_answers` was not asked.
        """
        for error in () if self._groups.settled else self.odd_answers().values():
            raise error
        counted = self._groups.counted  # who is out altogether needs no line of its own for a key
        for leaf in self._tree.leaves():
            absent = [node for node in self._absent.get(leaf.path, ()) if node in counted]
            if absent:
                self._place(leaf).leave_out("the key is missing there", absent)
        # one by one, so that what has been merged does not wait in memory for the others
        paths = [leaf.path for leaf in self._tree.leaves()]
        return self._tree.build({path: self._groups.result(path) for path in paths})

    def _place(self, leaf: Tree) -> Where:
        return Where(self._number, leaf.name, self._nodes, fixed=leaf.fixed)

    def _find_parts(
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
                # a longer list would be merged without its end, and without a word
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
            self._find_parts(child, node, [*values, inner], parts, absent)

    def _optional(self, leaf: Tree, node: str) -> Tree:
        """Return a leaf whose key an answer has not, unless the answer must have it."""
        assert leaf.reduction is not None
        if leaf.reduction.missing != "skip":
            place = self._place(leaf)
            skip = place.advice(', or declare missing="skip" to leave the node out of this key')
            raise place.refusal(f"what it sent has not this key. Mend it on the node{skip}", node)
        return leaf

    def _is_weightless(self, leaf: Tree, values: list[Any]) -> bool:
        """Tell whether a key may be missing because its node has weight 0, and does not count."""
        by = getattr(leaf.reduction, "by", None)
        try:
            return by is not None and checked_weight(nearest([*values, None], by)) == 0.0
        except Exception:  # of a function, which may want the key itself
            return False

    def _check_finite(self, node: str, parts: list[_Part]) -> None:
        """Refuse an answer with NaN or infinity in what is computed with and has a weight."""
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
        # An error anywhere goes before a skip elsewhere: it is what `on-failure` decides about.
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
            weight = checked_weight(nearest(values, by))
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
                f"{text}. Mend it on the node"
                + place.advice(', or declare bad_weight="skip" to leave it out'),
                node,
                detail=None if raised is None else text_of(raised),
            ) from raised
        place.leave_out(text, [node])
        return None


def _taken(part: _Part) -> Taken:
    assert part.tree.reduction is not None
    return Taken(part.tree.path, part.tree.reduction.taken(part.values), part.weight)


def _at(value: Any, path: tuple[Any, ...]) -> Any:
    """Return what the last aggregate has on a path; ``None`` where it has nothing there."""
    for part in path:
        try:
            value = look_up(value, part)
        except (LookupError, TypeError):
            return None
    return value
