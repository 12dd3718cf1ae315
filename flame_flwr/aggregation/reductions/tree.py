"""``Tree``: declared reductions in the shape in which they were declared, checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from flame_flwr.aggregation.reductions.base import Mergeable, Reduction
from flame_flwr.aggregation.reductions.collecting import Function, Merge
from flame_flwr.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Tree", "as_reduction", "declare"]


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
    fixed : bool
        Whether a strategy of ours declares it: then no message advises to declare it otherwise.
    """

    path: tuple[Any, ...] = ()
    reduction: Reduction | None = None
    children: dict[Any, Tree] = field(default_factory=dict)
    container: type[Any] = dict
    fixed: bool = False

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


def declare(
    declared: Any,
    what: str = "reductions",
    path: tuple[Any, ...] = (),
    *,
    fixed: bool = False,
) -> Tree:
    """Check declared reductions; `fixed` as of :class:`Tree`.

    Raises
    ------
    ModelError
        Something in it is no reduction; the message names its key.
    """
    where = "".join(f"[{part!r}]" for part in path)
    if not isinstance(declared, Mapping | list | tuple):
        return Tree(path, as_reduction(declared, f"{what}{where}"), fixed=fixed)
    mapping = isinstance(declared, Mapping)
    pairs = dict(declared) if mapping else dict(enumerate(declared))
    if not pairs:
        raise ModelError(f"{what}{where} is empty: name at least one key")
    children = {
        name: declare(part, what, (*path, name), fixed=fixed) for name, part in pairs.items()
    }
    container = dict if mapping else list if isinstance(declared, list) else tuple
    return Tree(path, None, children, container)


def as_reduction(declared: Any, key: str) -> Reduction:
    """Return what was declared for a key as a reduction.

    Raises
    ------
    ModelError
        It is none.
    """
    if isinstance(declared, Reduction):
        return declared
    if isinstance(declared, type):  # before functions: a class can be called, too
        if issubclass(declared, Reduction):
            return declared()
        if issubclass(declared, Mergeable):
            return Merge(declared)
    if callable(declared) and not isinstance(declared, Mapping):
        return Function(declared)
    raise ModelError(
        f"{key}: {declared!r} is no reduction: declare Sum(), Mean(), WeightedMean(by=...), a "
        "statistic's class, a function of the list of values, or a dict of these"
    )
