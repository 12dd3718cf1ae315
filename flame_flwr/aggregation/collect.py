"""What takes one round's values of one key: sums, extremes, counts, and values that are kept.

The arithmetic of :mod:`flame_flwr.aggregation.reductions`. A node's value is read, not changed;
its arrays may be gone, or read-only, after ``add``.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from flame_flwr.aggregation.exact import ExactSum, exact_sum
from flame_flwr.aggregation.values import Form, Leaf, apart, own, together
from flame_flwr.errors import DataError, ModelError
from flame_flwr.log import logger

__all__ = ["Collector", "Counts", "Extremes", "Kept", "Place", "Totals"]
__all__ += ["choice"]

_INT64 = 2**63


@dataclass(frozen=True, slots=True)
class Place:
    """Where values are merged.

    Attributes
    ----------
    round : int
        From 1.
    key : str
        The key's name, with dots between where it is nested.
    nodes : tuple of str
        All nodes, in participant order.
    last : Any
        What the last aggregate has there; ``None`` where it has nothing.
    """

    round: int
    key: str
    nodes: tuple[str, ...]
    last: Any = None

    def error(self, text: str, *nodes: str) -> DataError:
        """Return an error that names round, key and nodes."""
        at = f", {', '.join(nodes)}" if nodes else ""
        return DataError(f"round {self.round}, key {self.key}{at}: {text}")

    def in_order(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return values by node, in participant order."""
        return {node: values[node] for node in self.nodes if node in values}

    def leave_out(self, text: str, nodes: Iterable[str]) -> None:
        """Say in the log who does not count."""
        names = ", ".join(nodes)
        logger.warning("round %d, key %s: without %s: %s", self.round, self.key, names, text)


class Collector(Protocol):
    """Takes one round's values of one key."""

    def add(self, node: str, value: Any, weight: float) -> None:
        """Take one node's value; the weight is 1 where none is declared."""

    def result(self) -> Any:
        """Return the merged value; called once. Without any value it is ``None``."""


class Kept:
    """Keeps the nodes' values, to be merged by a function of them when the round ends.

    Parameters
    ----------
    place : Place
        Where.
    merge : callable
        Gets a dict by node, in participant order.
    """

    def __init__(self, place: Place, merge: Callable[[dict[str, Any]], Any]) -> None:
        self._place = place
        self._merge = merge
        self._values: dict[str, Any] = {}

    def add(self, node: str, value: Any, weight: float) -> None:
        """Keep a copy."""
        self._values[node] = own(value)

    def result(self) -> Any:
        """Merge."""
        values, self._values = self._place.in_order(self._values), {}
        return self._merge(values) if values else None


class _Formed:
    """Takes numbers and arrays, for every form that nodes send apart.

    Which node's form is right cannot be known before all are there; usually there is one.
    """

    what = "merged"

    def __init__(self, place: Place, differing: str) -> None:
        self._place = place
        self._differing = differing
        self._forms: dict[Form, list[str]] = {}
        self._shown: dict[Form, tuple[int, Form]] = {}

    def _enter(self, node: str, value: Any) -> tuple[Form, list[Leaf]]:
        try:
            form, leaves = apart(value)
        except TypeError as error:
            raise self._place.error(
                f"what it sent {error}, which cannot be {self.what}: use PerNode(), Concat() or a "
                "function of the list for it",
                node,
            ) from None
        self._forms.setdefault(form, []).append(node)
        order = self._place.nodes.index(node)
        first = self._shown.get(form)
        if first is None or order < first[0]:
            self._shown[form] = order, form
        return form, leaves

    def _chosen(self) -> tuple[Form, Form] | None:
        """Return the form that counts, and the same with the first node's order of keys.

        Raises
        ------
        DataError
            Nodes' forms differ.
        """
        if not self._forms:
            return None
        ranked = sorted(self._forms, key=lambda f: (-len(self._forms[f]), self._shown[f][0]))
        if len(ranked) > 1:
            nodes = self._place.nodes
            others = sorted((n for f in ranked[1:] for n in self._forms[f]), key=nodes.index)
            groups = "; ".join(
                f"{', '.join(sorted(self._forms[form], key=nodes.index))} sent {form}"
                for form in ranked
            )
            if self._differing == "error":
                raise self._place.error(
                    f"the nodes' values differ: {groups}. Mend it on the nodes, or declare "
                    'differing="skip" to leave the fewer out'
                )
            self._place.leave_out("differs from the others", others)
        return ranked[0], self._shown[ranked[0]][1]


class Totals(_Formed):
    """Sums, means and weighted means.

    Parameters
    ----------
    place : Place
        Where.
    differing : {'error', 'skip'}
        What to do about values of another form than most have.
    mean : bool
        Whether to divide.
    weighted : bool
        Whether weights count.
    none_of_zero : bool
        Whether the value is ``None`` where the weights are zero together, and no error.
    """

    what = "added up"

    def __init__(
        self,
        place: Place,
        differing: str,
        *,
        mean: bool,
        weighted: bool = False,
        none_of_zero: bool = False,
    ) -> None:
        super().__init__(place, differing)
        self._mean = mean
        self._weighted = weighted
        self._none_of_zero = none_of_zero
        self._sums: dict[Form, list[_LeafSum]] = {}
        self._weights: dict[Form, list[float]] = {}

    def add(self, node: str, value: Any, weight: float) -> None:
        """Add."""
        form, leaves = self._enter(node, value)
        sums = self._sums.setdefault(form, [])
        if not sums:
            sums += [
                _ArraySum(leaf) if isinstance(leaf, np.ndarray) else _NumberSum() for leaf in leaves
            ]
        for total, leaf in zip(sums, leaves, strict=True):
            total.add(leaf, weight if self._weighted else None, self._place)
        self._weights.setdefault(form, []).append(weight)

    def result(self) -> Any:
        """Return the sum, or the mean.

        Raises
        ------
        DataError
            The weights are zero together, or nodes' forms differ.
        """
        chosen = self._chosen()
        if chosen is None:
            return None
        form, shown = chosen
        divisor = exact_sum(self._weights[form]) if self._mean else None
        if divisor == 0.0:
            if self._none_of_zero:
                return None
            nodes = sorted(self._forms[form], key=self._place.nodes.index)
            raise self._place.error(
                "the weights of all nodes together are zero, so there is no weighted mean. Mend "
                'the weights, or declare zero_total="none" to have None',
                *nodes,
            )
        sums, self._sums = self._sums[form], {}
        return together(shown, [sums.pop(0).result(divisor) for _ in range(len(sums))])


class _LeafSum(Protocol):
    def add(self, leaf: Any, weight: float | None, place: Place) -> None: ...

    def result(self, divisor: float | None) -> Any: ...


class _NumberSum:
    """The sum of single numbers: they are few, and kept."""

    def __init__(self) -> None:
        self._values: list[int | float] = []

    def add(self, leaf: Any, weight: float | None, place: Place) -> None:
        self._values.append(leaf if weight is None else float(leaf) * weight)

    def result(self, divisor: float | None) -> int | float:
        total: int | float
        if all(isinstance(value, int) for value in self._values):
            total = sum(self._values)
        else:
            total = exact_sum(self._values)
        return total if divisor is None else total / divisor


class _ArraySum:
    """The sum of arrays of one shape: whole numbers as such, others by :class:`ExactSum`."""

    def __init__(self, first: npt.NDArray[Any]) -> None:
        self._size = first.size
        self._real: ExactSum | None = None
        self._whole: npt.NDArray[np.int64] | None = None
        self._bound = 0
        self._types: set[np.dtype[Any]] = set()

    def add(self, leaf: npt.NDArray[Any], weight: float | None, place: Place) -> None:
        if leaf.dtype.kind == "c" and not self._types:
            self._size *= 2
        self._types.add(leaf.dtype)
        if len({dtype.kind == "c" for dtype in self._types}) > 1:
            raise place.error("some nodes sent complex numbers and some real ones")
        if leaf.dtype.kind == "c":
            leaf = np.ascontiguousarray(leaf.astype(np.complex128, copy=False)).view(np.float64)
        if weight is None and leaf.dtype.kind in "biu":
            self._add_whole(leaf, place)
            return
        if self._real is None:
            self._real = ExactSum(self._size)
        self._real.add(leaf, weight)

    def _add_whole(self, leaf: npt.NDArray[Any], place: Place) -> None:
        if leaf.size:
            self._bound += max(abs(int(leaf.max())), abs(int(leaf.min())))
        if self._bound >= _INT64:
            raise place.error("a sum of whole numbers can be too large for 64 bits: send floats")
        if self._whole is None:
            self._whole = np.zeros(self._size, np.int64)
        self._whole += leaf.ravel().astype(np.int64, copy=False)

    def result(self, divisor: float | None) -> npt.NDArray[Any]:
        if self._real is None:
            whole = np.zeros(0, np.int64) if self._whole is None else self._whole
            return whole if divisor is None else whole / divisor
        if self._whole is not None:  # some nodes sent whole numbers: both halves are exact
            self._real.add(self._whole >> 32, 2.0**32)
            self._real.add(self._whole & 0xFFFFFFFF)
            self._whole = None
        total = self._real.total()
        self._real = None
        if divisor is not None:
            total /= divisor
        if any(dtype.kind == "c" for dtype in self._types):
            return total.view(np.complex128).astype(np.result_type(*self._types), copy=False)
        floats = [dtype if dtype.kind == "f" else np.dtype(float) for dtype in self._types]
        with np.errstate(over="ignore"):
            return total.astype(np.result_type(*floats).newbyteorder("="), copy=False)


class Extremes(_Formed):
    """The smallest or the largest of every number.

    Parameters
    ----------
    place : Place
        Where.
    differing : {'error', 'skip'}
        What to do about values of another form than most have.
    smallest : bool
        Which of the two.
    """

    what = "compared"

    def __init__(self, place: Place, differing: str, *, smallest: bool) -> None:
        super().__init__(place, differing)
        self._better: Any = np.minimum if smallest else np.maximum
        self._found: dict[Form, list[Any]] = {}

    def add(self, node: str, value: Any, weight: float) -> None:
        """Compare."""
        form, leaves = self._enter(node, value)
        if any(isinstance(leaf, np.ndarray) and leaf.dtype.kind == "c" for leaf in leaves):
            raise self._place.error("complex numbers cannot be compared", node)
        found = self._found.get(form)
        if found is None:
            self._found[form] = [np.array(leaf) + 0 for leaf in leaves]
            return
        for i, leaf in enumerate(leaves):
            found[i] = self._better(found[i], np.asarray(leaf) + 0)  # + 0: no negative zeros

    def result(self) -> Any:
        """Return the smallest or largest."""
        chosen = self._chosen()
        if chosen is None:
            return None
        form, shown = chosen
        leaves = zip(form.kinds(), self._found.pop(form), strict=True)
        return together(shown, [leaf.item() if kind == "number" else leaf for kind, leaf in leaves])


class Counts:
    """Counts by name.

    Parameters
    ----------
    place : Place
        Where.
    """

    def __init__(self, place: Place) -> None:
        self._place = place
        self._counts: dict[Any, int] = {}
        self._first: dict[Any, tuple[int, int]] = {}
        self._any = False

    def add(self, node: str, value: Any, weight: float) -> None:
        """Count."""
        items = getattr(value, "items", None)
        if items is None:
            raise self._place.error(
                f"counts must be a dict or a Series, not {type(value).__name__}", node
            )
        self._any = True
        order = self._place.nodes.index(node)
        for number, (name, count) in enumerate(items()):
            whole = self._whole(node, count)
            self._counts[name] = self._counts.get(name, 0) + whole
            self._first[name] = min(self._first.get(name, (order, number)), (order, number))

    def result(self) -> dict[Any, int] | None:
        """Return the sums, in the order of nodes and of their names."""
        if not self._any:
            return None
        return {name: self._counts[name] for name in sorted(self._counts, key=self._first.get)}  # type: ignore[arg-type]

    def _whole(self, node: str, count: Any) -> int:
        try:
            whole = operator.index(count)
        except TypeError:
            raise self._place.error(
                f"counts must be whole numbers, not {type(count).__name__}", node
            ) from None
        if whole < 0 or isinstance(count, bool | np.bool_):
            raise self._place.error("counts must be whole numbers, 0 or more", node)
        return whole


def choice(owner: object, name: str, *allowed: str) -> None:
    """Check one of a declaration's words.

    Raises
    ------
    ModelError
        It is none of those allowed.
    """
    value = getattr(owner, name)
    if value not in allowed:
        raise ModelError(
            f"{type(owner).__name__}: {name} must be one of {', '.join(map(repr, allowed))}, "
            f"not {value!r}"
        )
