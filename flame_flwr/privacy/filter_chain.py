"""Applying filters to a result, one after another, and what a run's record says of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from flame_flwr.aggregation.nesting import MOST_LEVELS, is_nested_too_deeply
from flame_flwr.errors import ModelError
from flame_flwr.privacy.model_change import Changes
from flame_flwr.privacy.noise import Noise
from flame_flwr.privacy.update_filter import UpdateFilter

__all__ = ["FilterChain", "apply_filters"]

Owner = Literal["analysis", "node"]


def apply_filters(
    filters: Sequence[UpdateFilter],
    result: Any,
    aggregate: Any,
    number: int,
    node: str,
    first: int = 0,
    *,
    sparse: bool = False,
) -> tuple[Any, list[bool]]:
    """Return what may leave of a result, and which of the filters have acted.

    Parameters
    ----------
    filters : sequence of UpdateFilter
        In their order.
    result : Any
        What the analyzer returned, decoded; it is not changed.
    aggregate : Any
        What the node was sent; ``None`` in a first round. Where it has no array of the same key,
        the change is counted from zero.
    number : int
        The round, from 1.
    node : str
        The node's id; with the round and the filter's place it tells noise of one seed apart.
    first : int
        The place of the first of them among all that act on the result.
    sparse : bool
        Whether an array may be a :class:`~flame_flwr.payload.sparse_change.SparseChange`, where a
        filter says so and that is shorter.

    Raises
    ------
    ModelError
        There is nothing to filter, it is not finite or nested too deeply, or the aggregate's array
        has another shape. Nothing leaves then.

    Examples
    --------
    >>> import numpy as np
    >>> from flame_flwr.privacy import Clip, TopFraction
    >>> result = {"coef": np.array([4.0, 3.0, 0.5]), "n": 42}
    >>> apply_filters([TopFraction(1 / 3), Clip(2.0)], result, None, 1, "node-0")
    ({'coef': array([2., 0., 0.]), 'n': 42}, [True, True])
    """
    if is_nested_too_deeply(result):  # before arrays are looked for in it, level by level
        raise ModelError(
            f"filters: the result is nested more than {MOST_LEVELS} levels deep: return dicts and "
            "lists of fewer"
        )
    changes = Changes(result, aggregate, number)
    applied = [
        # With one seed, too, none share noise: the difference of two answers would take it off.
        changes.filter(each, Noise(_seed(each), f"{node}|{number}|{position}"))
        for position, each in enumerate(filters, first)
    ]
    return changes.replaced(sparse=sparse), applied


@dataclass(slots=True)
class FilterChain:
    """The filters of one node, the analysis's first and the node's own last.

    Parameters
    ----------
    filters : list of (owner, UpdateFilter)
        In their order.
    node : str
        The node's id.
    first : int
        How many filters have acted elsewhere before these.

    Attributes
    ----------
    applied : list of bool
        Which of them have acted in the last round.
    """

    filters: list[tuple[Owner, UpdateFilter]]
    node: str
    first: int = 0
    applied: list[bool] = dataclasses.field(default_factory=list)

    @classmethod
    def of(
        cls,
        analysis: Iterable[UpdateFilter],
        own: Iterable[UpdateFilter],
        node: str,
        first: int = 0,
    ) -> FilterChain | None:
        """Return the chain of a node; ``None`` where there is no filter."""
        chain: list[tuple[Owner, UpdateFilter]] = [("analysis", each) for each in analysis]
        chain += [("node", each) for each in own]
        return cls(chain, node, first) if chain else None

    def apply(self, result: Any, aggregate: Any, number: int, *, sparse: bool = False) -> Any:
        """Return what may leave of a result, as :func:`apply_filters` says."""
        filters = [each for _, each in self.filters]
        allowed, self.applied = apply_filters(
            filters, result, aggregate, number, self.node, self.first, sparse=sparse
        )
        return allowed

    def report(self) -> list[dict[str, Any]]:
        """Return, for the run's record, each filter, whose it is, and whether it has acted."""
        report = []
        for (owner, each), applied in zip(self.filters, self.applied, strict=True):
            mechanism = each.mechanism()
            cost = None if mechanism is None else mechanism.to_json()
            seeded = {"seeded": True} if _seed(each) is not None else {}
            report.append(
                {**each.about(), **seeded, "by": owner, "applied": applied, "mechanism": cost}
            )
        return report


def _seed(each: UpdateFilter) -> int | None:
    seed: int | None = getattr(each, "seed", None)
    return seed
