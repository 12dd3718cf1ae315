"""``Reducing``: the aggregation that merges every key as its reduction says, as replies arrive."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from flame_flwr.aggregation.base import SIMPLE, Finished, Resumable
from flame_flwr.aggregation.collect import Collector, Place
from flame_flwr.aggregation.reductions import Reduction, as_reduction, checked_weight
from flame_flwr.aggregation.values import Key, key_text, look_up
from flame_flwr.errors import ModelError, text_of
from flame_flwr.log import logger
from flame_flwr.metrics import TEST_ROWS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from flame_flwr.star.handle import FlameHandle

__all__ = ["Reducing", "Tree", "declare"]


@dataclass(slots=True)
class Tree:
    """Declared reductions: one, or a dict, list or tuple of trees.

    Attributes
    ----------
    path : tuple
        The keys and positions on the way to it; empty outermost.
    reduction : Reduction or None
        At a leaf.
    children : dict
        By key, or by position.
    container : type
        ``dict``, ``list`` or ``tuple``.
    """

    path: tuple[Any, ...] = ()
    reduction: Reduction | None = None
    children: dict[Any, Tree] = field(default_factory=dict)
    container: type[Any] = dict

    @property
    def name(self) -> str:
        """The key as messages name it."""
        return f"`{'.'.join(map(str, self.path))}`" if self.path else "(the whole value)"

    def leaves(self) -> Iterator[Tree]:
        """Yield every leaf, in order."""
        if self.reduction is not None:
            yield self
        for child in self.children.values():
            yield from child.leaves()

    def build(self, values: dict[tuple[Any, ...], Any]) -> Any:
        """Return the merged values, by the leaves' paths, in this shape."""
        if self.reduction is not None:
            return values[self.path]
        built = {key: child.build(values) for key, child in self.children.items()}
        return built if self.container is dict else self.container(built.values())


def declare(declared: Any, what: str = "reductions", path: tuple[Any, ...] = ()) -> Tree:
    """Check declared reductions.

    Raises
    ------
    ModelError
        Something in it is no reduction; the message names its key.
    """
    where = "".join(f"[{part!r}]" for part in path)
    if not isinstance(declared, Mapping | list | tuple):
        return Tree(path, as_reduction(declared, f"{what}{where}"))
    mapping = isinstance(declared, Mapping)
    pairs = dict(declared) if mapping else dict(enumerate(declared))
    if not pairs:
        raise ModelError(f"{what}{where} is empty: name at least one key")
    children = {name: declare(part, what, (*path, name)) for name, part in pairs.items()}
    container = dict if mapping else list if isinstance(declared, list) else tuple
    return Tree(path, None, children, container)


class Reducing:
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
    ) -> None:
        self._nodes = tuple(nodes)
        self._tree = tree
        self._update = update
        self._finalize = finalize
        self._flame = flame
        self._simple = simple
        self._last: Any = None
        self._number = 0
        self._current = Tree()
        self._fresh: dict[tuple[Any, ...], tuple[Reduction, Reduction]] = {}
        self._collectors: dict[tuple[Any, ...], Collector] = {}
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
            place = Place(number, leaf.name, self._nodes, self._last_of(leaf))
            self._collectors[leaf.path] = self._for_run(leaf).collector(place)

    def add(self, node: str, value: Any) -> None:
        """Give every part of a node's value to its reduction.

        Raises
        ------
        DataError
            A key is missing, or a value or weight is not what it must be: node and key are named.
        """
        self._give(self._current, node, [value])
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

    def _place(self, leaf: Tree) -> Place:
        return Place(self._number, leaf.name, self._nodes)

    def _give(self, tree: Tree, node: str, values: list[Any]) -> None:
        """Give a value to a tree; `values` are the value and, outermost first, those around it."""
        value = values[-1]
        if tree.reduction is not None:
            weight = self._weight(tree, node, values)
            if weight is not None:
                self._collectors[tree.path].add(node, value, weight)
            return
        for key, child in tree.children.items():
            try:
                if tree.container is not dict and len(value) != len(tree.children):
                    raise LookupError
                inner = value[key]
            except (LookupError, TypeError):
                self._miss(child, node, values)
                continue
            self._give(child, node, [*values, inner])

    def _weighs_nothing(self, leaf: Tree, values: list[Any]) -> bool:
        """Tell whether a node does not count for a key, so that it need not have it."""
        by = getattr(leaf.reduction, "by", None)
        try:
            return by is not None and checked_weight(_nearest([*values, None], by)) == 0.0
        except Exception:  # of a function, which may want the key itself
            return False

    def _miss(self, tree: Tree, node: str, values: list[Any]) -> None:
        for leaf in tree.leaves():
            assert leaf.reduction is not None
            if self._weighs_nothing(leaf, values):
                self._collectors[leaf.path].add(node, None, 0.0)
                continue
            if leaf.reduction.missing != "skip":
                raise self._place(leaf).error(
                    "what it sent has not this key. Mend it on the node, or declare "
                    'missing="skip" to leave the node out of this key',
                    node,
                )
            self._absent.setdefault(leaf.path, []).append(node)

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
            raise place.error(
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
        known = {*self._current.children, *weights, *heads, *self._unused}
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
