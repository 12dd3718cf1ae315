"""What a strategy declares of its secure sums: for every key what is summed, and on which grid.

It is made of declared reductions when a strategy is built, which refuses what is no sum. It goes to
the nodes with every round, as they have no strategy, and a node's gate has not even the app.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self, TypeGuard, TypeVar

from flame_flwr.aggregation.grid import Grid
from flame_flwr.aggregation.reductions.collecting import Merge, MergeCounts
from flame_flwr.aggregation.reductions.numeric import Mean, Sum, WeightedMean
from flame_flwr.errors import ModelError, PayloadError
from flame_flwr.privacy.secure.forms import form_like
from flame_flwr.statistics.additive import is_additive

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flame_flwr.aggregation.reductions.base import Reduction
    from flame_flwr.aggregation.reductions.tree import Tree
    from flame_flwr.privacy.secure.forms import Form

__all__ = ["SecureDeclaration", "SecureLeaf"]

_R = TypeVar("_R")

_KINDS = ("sum", "mean", "weighted", "counts", "statistics")
_MOST_LEAVES = 10_000


@dataclass(frozen=True, slots=True)
class SecureLeaf:
    """What is summed of the value at one place of an answer.

    Parameters
    ----------
    path : tuple of str and int
        The keys and positions that lead there.
    kind : str
        ``sum``, ``mean``, ``weighted`` (a mean), ``counts`` (by label) or ``statistics``.
    grid : Grid, optional
        The declared one; by default one that fits the type.
    by : str or int
        The key of the weight.
    labels : tuple of str and int
        The names of counts.
    buffers : str or tuple of str
        Which arrays are buffers, as for ``Mean``.
    like : Form, optional
        The form that a node of weight 0 answers in where it has no value.
    """

    path: tuple[str | int, ...]
    kind: Literal["sum", "mean", "weighted", "counts", "statistics"]
    grid: Grid | None = None
    by: str | int = ""
    labels: tuple[str | int, ...] = ()
    buffers: str | tuple[str, ...] = ()
    like: Form | None = None

    @property
    def name(self) -> str:
        """The key as messages name it."""
        return self.key or "(the whole value)"

    @property
    def key(self) -> str:
        """The path as one text; no other path has the same."""
        return ".".join(part if _is_plain(part) else json.dumps(part) for part in self.path)

    @property
    def by_text(self) -> str:
        """The weight's key as the name of a sum ends with it; ``0`` is another than ``"0"``."""
        is_plain = isinstance(self.by, str) and not _NUMBER.fullmatch(self.by)
        return f" by {self.by if is_plain else json.dumps(self.by)}"

    def to_json(self) -> dict[str, Any]:
        """Return it as what JSON can hold."""
        return {
            "path": list(self.path),
            "kind": self.kind,
            "grid": None if self.grid is None else [self.grid.bits, self.grid.exponent],
            "by": self.by,
            "labels": list(self.labels),
            "buffers": self.buffers if isinstance(self.buffers, str) else list(self.buffers),
            "like": self.like,
        }

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> Self:
        """Read what another party has sent."""
        kind, grid, buffers = said["kind"], said["grid"], said["buffers"]
        if kind not in _KINDS:
            raise ValueError("an unknown kind of sum")
        return cls(
            _keys(said["path"]),
            kind,
            None if grid is None else Grid(*map(_whole, grid)),
            _keys([said["by"]])[0],
            _keys(said["labels"]),
            buffers if isinstance(buffers, str) else tuple(map(str, _listed(buffers))),
            said["like"],
        )


@dataclass(frozen=True, slots=True)
class SecureDeclaration:
    """All that is summed of an answer, in the order of its words.

    Parameters
    ----------
    leaves : tuple of SecureLeaf
        One for each declared reduction.

    Examples
    --------
    >>> from flame_flwr.aggregation import Sum, WeightedMean
    >>> from flame_flwr.aggregation.reductions.tree import declare
    >>> tree = declare({"coef": WeightedMean("n"), "n": Sum()})
    >>> declared = SecureDeclaration.of(tree)
    >>> [leaf.kind for leaf in declared.leaves]
    ['weighted', 'sum']
    >>> SecureDeclaration.from_text(declared.to_text()) == declared
    True
    """

    leaves: tuple[SecureLeaf, ...]

    @classmethod
    def of(cls, tree: Tree, finite: str = "error") -> Self:
        """Return what declared reductions sum.

        Parameters
        ----------
        tree : Tree
            The reductions.
        finite : str
            What the strategy says of NaN and infinity.

        Raises
        ------
        ModelError
            One is no sum, or leaves nodes out; the message names its key and the way out.
        """
        if finite != "error":
            raise ModelError(
                f'non_finite="{finite}" does not go with secure sums: NaN and infinity are '
                "errors there, as a node can be left out of none of its sums. Leave it out, and "
                "have nodes send finite numbers"
            )
        return cls(tuple(_leaf(leaf) for leaf in tree.leaves()))

    def to_text(self) -> str:
        """Return it as text, for a message."""
        return json.dumps([leaf.to_json() for leaf in self.leaves])

    @classmethod
    def from_text(cls, text: object) -> Self:
        """Read what a server has sent.

        Raises
        ------
        PayloadError
            It is no declaration.
        """
        try:
            listed = _listed(json.loads(text))  # type: ignore[arg-type]
            if not 0 < len(listed) <= _MOST_LEAVES:
                raise ValueError("no sums, or too many")
            return cls(tuple(map(SecureLeaf.from_json, listed)))
        except (TypeError, ValueError, KeyError, AttributeError, RecursionError) as error:
            raise PayloadError(
                "what the server declares of secure sums cannot be read: it runs another version "
                "of flame-flwr",
                detail=str(error),
            ) from error


def _is_plain(part: str | int) -> TypeGuard[str]:
    """Tell whether a key is text that nobody can take for another path, or for a number."""
    return isinstance(part, str) and not _ODD.search(part)


# Written as JSON instead: what is empty; what may be "(the whole value)"; a dot, as it joins paths;
# a quote, as JSON begins with it; " by ", as it precedes a weight's key; and "1", which is not 1.
_ODD = re.compile(r'^$|^\(|[."]| by |^-?[0-9]+$')
_NUMBER = re.compile("-?[0-9]+")


# ---- of reductions ---------------------------------------------------------------------------


def _leaf(leaf: Tree) -> SecureLeaf:
    reduction = leaf.reduction
    assert reduction is not None
    if not all(type(part) in (str, int) for part in leaf.path):
        raise _refused(leaf, "has a key that is neither text nor a whole number: rename it")
    _check_all_count(leaf, reduction)
    path = leaf.path
    if _is(reduction, WeightedMean):
        if not isinstance(reduction.by, str | int):
            raise _refused(leaf, "is weighted by a function, which a node's gate cannot call: name "
                           "the key of the weight, by=\"n\"")  # fmt: skip
        buffers, like = _buffers(reduction.buffers), reduction.like
        form = None if like is None else form_like(like)
        return SecureLeaf(path, "weighted", reduction.grid, reduction.by, (), buffers, form)
    if _is(reduction, Mean):
        return SecureLeaf(path, "mean", reduction.grid, buffers=_buffers(reduction.buffers))
    if _is(reduction, Sum):
        return SecureLeaf(path, "sum", reduction.grid)
    if _is(reduction, MergeCounts):
        return _counts(leaf, reduction)
    if _is(reduction, Merge):
        return _statistics(leaf, reduction)
    raise _refused(
        leaf,
        f"is merged by {type(reduction).__name__}, which is no sum: declare Sum(), Mean(), "
        "WeightedMean(by=...), MergeCounts(labels=[...]) or statistics that add up",
    )


def _is(reduction: Reduction, kind: type[_R]) -> TypeGuard[_R]:
    """Tell whether a reduction merges as its kind does: a user's subclass may merge otherwise."""
    own = type(reduction)
    return isinstance(reduction, kind) and all(
        getattr(own, name) is getattr(kind, name) for name in ("collector", "taken")
    )


def _check_all_count(leaf: Tree, reduction: Reduction) -> None:
    """See that no node may be left out: without all parts masks do not cancel."""
    # by name, as not every reduction has each of them
    for name in ("missing", "differing", "bad_weight", "non_finite"):
        word = getattr(reduction, name, None)
        if word not in (None, "error"):
            raise _refused(
                leaf,
                f'has {name}="{word}", and a node can be left out of none of its sums: leave it '
                "out, and have every node send the key, or weight 0",
            )


def _counts(leaf: Tree, reduction: MergeCounts) -> SecureLeaf:
    if reduction.labels is None:
        raise _refused(
            leaf,
            "is merged by MergeCounts() without labels: name them, MergeCounts(labels=[...]), as "
            "a name that is found in the data tells that somebody has it",
        )
    return SecureLeaf(leaf.path, "counts", labels=tuple(reduction.labels))


def _statistics(leaf: Tree, reduction: Merge) -> SecureLeaf:
    kind = reduction.kind
    if kind is not None and not is_additive(kind):
        raise _refused(
            leaf,
            f"is a {kind.__name__}, whose merge is not addition: use statistics that add up, such "
            "as Moments, Histogram, ValueCounts with labels or KaplanMeier",
        )
    return SecureLeaf(leaf.path, "statistics")


def _buffers(declared: Any) -> str | tuple[str, ...]:
    return declared if isinstance(declared, str) else tuple(declared)


def _refused(leaf: Tree, why: str) -> ModelError:
    return ModelError(f"secure sums: {leaf.name} {why}")


# ---- of another party ------------------------------------------------------------------------


def _listed(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError("no list")
    return value


def _keys(value: Any) -> tuple[str | int, ...]:
    if not all(type(part) in (str, int) for part in _listed(value)):
        raise ValueError("no keys")
    # Keys are hashed as UTF-8. Half a surrogate, which JSON can name, has none.
    "".join(map(str, value)).encode()
    return tuple(value)


def _whole(value: Any) -> int:
    if type(value) is not int:
        raise ValueError("no whole number")
    return value
