"""What takes one round's values of one key: sums, extremes, counts, and values that are kept.

The arithmetic of :mod:`flame_flwr.aggregation.reductions`. A node's value is read, not changed;
its arrays may be gone, or read-only, after ``add``.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from flame_flwr.aggregation.exact import ExactSum, exact_mean, exact_sum, product
from flame_flwr.aggregation.values import Form, Leaf, apart, own, plain_label, together
from flame_flwr.errors import AnswerError, DataError, ModelError
from flame_flwr.labels import label_key
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

    def error(self, text: str, *nodes: str, detail: str | None = None) -> DataError:
        """Return an error that names round, key and nodes."""
        at = f", {', '.join(nodes)}" if nodes else ""
        return DataError(f"round {self.round}, key {self.key}{at}: {text}", detail=detail)

    def refusal(
        self, text: str, node: str, *, detail: str | None = None, declared: bool = False
    ) -> AnswerError:
        """Return an error for an answer of which nothing is merged; `declared` is as there."""
        message = self.error(text, node).message
        return AnswerError(message, detail=detail, declared=declared)

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
                f"what it sent {error}, which cannot be {self.what}: send numbers or arrays, or "
                "declare PerNode(), Concat() or a function of the list for it in a ReduceStrategy",
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
                f"{', '.join(sorted(self._forms[form], key=nodes.index))} sent "
                f"{self._shown[form][1]}"
                for form in ranked
            )
            if len({str(self._shown[form][1]) for form in ranked}) < len(ranked):
                groups += "; their labels (index, columns, keys or name) are not the same"
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
        self._weightless: list[str] = []

    def add(self, node: str, value: Any, weight: float) -> None:
        """Add; a value of weight 0 is not looked at: NaN, as the mean of no patients, is fine."""
        if self._weighted and weight == 0:
            self._weightless.append(node)
            return
        form, leaves = self._enter(node, value)
        sums = self._sums.setdefault(form, [])
        if not sums:
            sums += [
                _ArraySum(leaf, self._place)
                if isinstance(leaf, np.ndarray)
                else _NumberSum(self._place)
                for leaf in leaves
            ]
        for total, leaf in zip(sums, leaves, strict=True):
            total.add(node, leaf, weight if self._weighted else None)
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
            return self._of_no_weight() if self._weightless else None
        form, shown = chosen
        divisor = exact_sum(self._weights[form]) if self._mean else None
        if divisor is not None and math.isinf(divisor):
            nodes = sorted(self._forms[form], key=self._place.nodes.index)
            raise self._place.error(
                "the weights of all nodes together are too large for a float: send smaller ones",
                *nodes,
            )
        sums, self._sums = self._sums[form], {}
        leaves = [sums.pop(0).result(divisor) for _ in range(len(sums))]
        return together(shown, self._finished(shown, leaves))

    def _finished(self, form: Form, leaves: list[Any]) -> list[Any]:
        """Return sums or means as they are put together: a subclass may change them."""
        return leaves

    def _of_no_weight(self) -> None:
        if not self._none_of_zero:
            raise self._place.error(
                "the weights of all nodes together are zero, so there is no weighted mean. Mend "
                'the weights, or declare zero_total="none" to have None',
                *sorted(self._weightless, key=self._place.nodes.index),
            )


class _LeafSum(Protocol):
    def add(self, node: str, leaf: Any, weight: float | None) -> None: ...

    def result(self, divisor: float | None) -> Any: ...


_TOO_LARGE = "a whole number it sent is too large for a float: send it in a larger unit"


class _NumberSum:
    """The sum of single numbers: they are few, and kept."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._values: dict[str, int | float | Fraction] = {}

    def add(self, node: str, leaf: Any, weight: float | None) -> None:
        self._values[node] = leaf if weight is None else product(self._float(node, leaf), weight)

    def result(self, divisor: float | None) -> int | float:
        values = self._values.values()
        if all(isinstance(value, int) for value in values):
            whole = sum(map(int, values))
            try:
                return whole if divisor is None else whole / divisor
            except OverflowError:
                pass
        floats = [
            value if isinstance(value, Fraction) else self._float(node, value)
            for node, value in self._values.items()
        ]
        return exact_mean(floats, divisor)

    def _float(self, node: str, value: int | float) -> float:
        try:
            return float(value)
        except OverflowError:
            raise self._place.error(_TOO_LARGE, node) from None


class _ArraySum:
    """The sum of arrays of one shape: whole numbers as such, others by :class:`ExactSum`."""

    def __init__(self, first: npt.NDArray[Any], place: Place) -> None:
        self._place = place
        self._complex = first.dtype.kind == "c"
        self._first = ""
        self._size = first.size * (2 if self._complex else 1)
        self._real: ExactSum | None = None
        self._whole: npt.NDArray[np.int64] | None = None
        self._bound = 0
        self._types: set[np.dtype[Any]] = set()

    def add(self, node: str, leaf: npt.NDArray[Any], weight: float | None) -> None:
        self._first = self._first or node
        if (leaf.dtype.kind == "c") != self._complex:
            pair = (self._first, node) if self._complex else (node, self._first)
            raise self._place.error(
                "some nodes sent complex numbers ({}) and some real ones ({}): send the same kind "
                "from all".format(*pair),
                node,
            )
        self._types.add(leaf.dtype)
        if self._complex:
            leaf = np.ascontiguousarray(leaf.astype(np.complex128, copy=False)).view(np.float64)
        if weight is None and leaf.dtype.kind in "biu":
            self._add_whole(node, leaf)
            return
        if self._real is None:
            self._real = ExactSum(self._size)
        self._real.add(leaf, weight)

    def _add_whole(self, node: str, leaf: npt.NDArray[Any]) -> None:
        if leaf.size:
            self._bound += max(abs(int(leaf.max())), abs(int(leaf.min())))
        if self._bound >= _INT64:
            raise self._place.error(
                "with what it sent, a sum of whole numbers can be too large for 64 bits: send "
                "floats",
                node,
            )
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
        total = self._real.total(divisor)
        self._real = None
        if self._complex:
            return total.view(np.complex128).astype(_common(self._types), copy=False)
        floats = [dtype if dtype.kind == "f" else np.dtype(float) for dtype in self._types]
        with np.errstate(over="ignore"):
            return total.astype(_common(floats), copy=False)


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
        self._smallest = smallest
        self._found: dict[Form, list[_LeafExtreme]] = {}

    def add(self, node: str, value: Any, weight: float) -> None:
        """Compare."""
        form, leaves = self._enter(node, value)
        if any(isinstance(leaf, np.ndarray) and leaf.dtype.kind == "c" for leaf in leaves):
            raise self._place.error("complex numbers cannot be compared", node)
        found = self._found.setdefault(form, [])
        if not found:
            found += [
                _ArrayExtreme(self._smallest)
                if isinstance(leaf, np.ndarray)
                else _NumberExtreme(self._smallest, self._place)
                for leaf in leaves
            ]
        for best, leaf in zip(found, leaves, strict=True):
            best.add(node, leaf)

    def result(self) -> Any:
        """Return the smallest or largest."""
        chosen = self._chosen()
        if chosen is None:
            return None
        form, shown = chosen
        return together(shown, [best.result() for best in self._found.pop(form)])


class _LeafExtreme(Protocol):
    def add(self, node: str, leaf: Any) -> None: ...

    def result(self) -> Any: ...


class _NumberExtreme:
    """The best of single numbers: they are few, and kept."""

    def __init__(self, smallest: bool, place: Place) -> None:
        self._best: Any = min if smallest else max
        self._place = place
        self._values: dict[str, int | float] = {}

    def add(self, node: str, leaf: Any) -> None:
        self._values[node] = leaf

    def result(self) -> int | float:
        if any(value != value for value in self._values.values()):
            return math.nan
        node = self._best(self._place.in_order(self._values), key=self._values.__getitem__)
        best = self._values[node]
        if all(isinstance(value, int) for value in self._values.values()):
            return best
        try:
            return float(best) + 0.0  # no negative zero
        except OverflowError:
            raise self._place.error(_TOO_LARGE, node) from None


class _ArrayExtreme:
    """The best of arrays, for every type apart: a common one is known when all are there."""

    def __init__(self, smallest: bool) -> None:
        self._better: Any = np.minimum if smallest else np.maximum
        self._found: dict[np.dtype[Any], npt.NDArray[Any]] = {}

    def add(self, node: str, leaf: npt.NDArray[Any]) -> None:
        plain = leaf.astype(_common([leaf.dtype])) + 0  # no negative zeros, no booleans
        kind = plain.dtype
        found = self._found.get(kind)
        self._found[kind] = plain if found is None else self._better(found, plain)

    def result(self) -> npt.NDArray[Any]:
        common = _common(self._found)
        best: Any = None
        for kind in sorted(self._found, key=str):
            one = self._found[kind].astype(common, copy=False)
            best = one if best is None else self._better(best, one)
        return np.asarray(best)


def _common(types: Iterable[np.dtype[Any]]) -> np.dtype[Any]:
    """Return the type that holds values of all, of this machine's byte order."""
    return np.result_type(*sorted({kind.newbyteorder("=") for kind in types}, key=str))


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
        self._first: dict[Any, tuple[int, int, Any]] = {}
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
            key = _count_key(name)
            self._counts[key] = self._counts.get(key, 0) + self._whole(node, count)
            if key not in self._first or (order, number) < self._first[key][:2]:
                self._first[key] = order, number, name

    def result(self) -> dict[Any, int] | None:
        """Return the sums, in the order of nodes and of their names."""
        if not self._any:
            return None
        names = sorted(self._counts, key=lambda key: self._first[key][:2])
        return {self._first[key][2]: self._counts[key] for key in names}

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


def _count_key(name: Any) -> Any:
    """Return what names of counts are told apart by: the text of a number is the number."""
    if isinstance(name, str):
        _, number = label_key(name)
        return name if isinstance(number, str | bool) else number
    return plain_label(name)


def choice(owner: object, name: str, *allowed: str | None) -> None:
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
