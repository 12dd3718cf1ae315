"""``GridRound``: one round's answers added up on the grid, in the memory of one sum."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from flame_flwr.aggregation.accumulators import Where
from flame_flwr.aggregation.grid import OffGridError, add_in_place
from flame_flwr.aggregation.merged_statistics import sent_in_place_of
from flame_flwr.aggregation.model_buffers import rounded_as
from flame_flwr.aggregation.pytree import unflatten
from flame_flwr.errors import AnswerError, FlameError, ModelError, NodeFailedError
from flame_flwr.privacy.secure.fields import (
    Field,
    difference,
    fields_of,
    runs_of,
    size_of,
    views_of,
)
from flame_flwr.privacy.secure.forms import (
    BUFFER,
    is_whole,
    sorted_keys,
    spec_of,
    statistics_in,
)
from flame_flwr.privacy.secure.layout import Answer, lay_out
from flame_flwr.statistics.additive import joined
from flame_flwr.statistics.base import kind_named

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from flame_flwr.aggregation.grid import Words
    from flame_flwr.aggregation.reductions.tree import Tree
    from flame_flwr.privacy.secure.declaration import SecureDeclaration, SecureLeaf

__all__ = ["GridRound", "MasksNotCancelledError"]


class MasksNotCancelledError(NodeFailedError):
    """The masks of a round's answers do not cancel, so there is no sum."""


class GridRound:
    """Adds up a round's answers as they arrive.

    Parameters
    ----------
    number : int
        The round, from 1.
    nodes : sequence of str
        All nodes, in participant order. Their number sets the largest value that fits.
    tree : Tree
        The declared reductions.
    declared : SecureDeclaration
        What of them is summed.
    known : list, optional
        The forms that answers have had before.
    masked : bool
        Whether answers are masked: one that is not, is refused.

    Examples
    --------
    >>> from flame_flwr.aggregation import Sum
    >>> from flame_flwr.aggregation.reductions.tree import declare
    >>> from flame_flwr.privacy.secure.declaration import SecureDeclaration
    >>> tree = declare({"loss": Sum()})
    >>> merged = GridRound(1, ["a", "b"], tree, SecureDeclaration.of(tree))
    >>> merged.add("b", {"loss": 0.5})
    >>> merged.add("a", {"loss": 1.25})
    >>> merged.result()
    {'loss': 1.75}
    """

    def __init__(
        self,
        number: int,
        nodes: Sequence[str],
        tree: Tree,
        declared: SecureDeclaration,
        known: list[Any] | None = None,
        *,
        masked: bool = False,
    ) -> None:
        self._masked = masked
        self._place = Where(number, "", tuple(nodes))
        self._nodes = tuple(nodes)
        self._tree = tree
        self._declared = declared
        self._known = known
        self._alike = known  # the form that all must have: without a known one, the first's
        self._total: NDArray[np.uint64] | None = None
        self._forms: tuple[int, list[Any]] | None = None
        self._added = 0

    def add(self, node: str, value: Any) -> None:
        """Add a node's answer, in clear or masked.

        Raises
        ------
        AnswerError
            It has not what is declared, another form than the others, or a number that has no
            place on its grid. Nothing of it was added.
        """
        if isinstance(value, Answer) != self._masked:
            raise self._refusal(
                node,
                "its answer is not masked"
                if self._masked
                else "its answer is masked, and nothing is to be",
            )
        try:
            if not isinstance(value, Answer):
                value = lay_out(self._declared, value, len(self._nodes), self._known)
            self._add(node, value)
        except AnswerError:
            raise
        except FlameError as error:
            raise self._refusal(node, error.message, error.detail) from error
        except OffGridError as error:
            raise self._refusal(node, str(error)) from error

    def odd_answers(self) -> dict[str, AnswerError]:
        """Return nothing: an answer that does not fit the others' is refused when it is added."""
        return {}

    def result(self) -> Any:
        """Return the merged values, in the shape of the declared reductions; called once.

        Raises
        ------
        MasksNotCancelledError
            The sum is none.
        DataError
            All weights together are zero, a sum is too large for its type, or none of such parts.
        """
        if self._total is None:
            return self._tree.build({leaf.path: None for leaf in self._tree.leaves()})
        fields = self.fields
        one, *views = views_of(fields, self._total)
        # Before any number is read: where masks are left, all of them are random. Masks of some
        # nodes alone never cancel, but their words could add up to the right 1s by chance.
        if int(one[0, 0]) != self._added or (self._masked and self._added < len(self._nodes)):
            raise MasksNotCancelledError(_NOT_CANCELLED)
        pairs: Iterator[tuple[Field, Words]] = zip(fields[1:], views, strict=True)
        forms = zip(self._declared.leaves, self.forms, self._tree.leaves(), strict=True)
        return self._tree.build(
            {leaf.path: self._merged(leaf, form, tree, pairs) for leaf, form, tree in forms}
        )

    @property
    def forms(self) -> list[Any]:
        """The forms of the answers, as the first node in participant order has them."""
        assert self._forms is not None
        return self._forms[1]

    @property
    def fields(self) -> tuple[Field, ...]:
        """What is summed."""
        return fields_of(self._declared, self.forms)

    def _add(self, node: str, answer: Answer) -> None:
        # Everything is checked before the first word is added: a refused answer leaves nothing
        # behind, and no memory is taken for words that a form only claims.
        fields = fields_of(self._declared, answer.forms)
        self._check_forms(node, answer.forms)
        if answer.words.dtype != np.uint64 or answer.words.shape != (size_of(fields),):
            raise self._refusal(node, "it has not as many words as its form says")
        if self._total is None:
            self._total = np.zeros(size_of(fields), np.uint64)
        pairs = zip(runs_of(fields, self._total), runs_of(fields, answer.words), strict=True)
        for total, words in pairs:
            add_in_place(total, words)
        self._added += 1
        if self._alike is None:
            self._alike = answer.forms
        # The order of a dict's keys is each node's own; the result's must not be that of arrival.
        order = self._nodes.index(node)
        if self._forms is None or order < self._forms[0]:
            self._forms = order, answer.forms

    def _check_forms(self, node: str, forms: list[Any]) -> None:
        alike = forms if self._alike is None else self._alike
        if odd := difference(self._declared, forms, alike):
            raise self._refusal(
                node,
                f"{odd} as of the others: have every node send the same keys, shapes and types",
            )
        for leaf, form in zip(self._tree.leaves(), forms, strict=True):
            if (wanted := getattr(leaf.reduction, "kind", None)) is not None:
                self._check_kinds(node, leaf.name, form, wanted)

    def _check_kinds(self, node: str, key: str, form: Any, wanted: type[Any]) -> None:
        for name in statistics_in(form):
            kind = kind_named(name)
            if kind is None or not issubclass(kind, wanted):
                raise self._refusal(node, f"key {key}: {sent_in_place_of(wanted, kind)}")

    def _refusal(self, node: str, text: str, detail: str | None = None) -> AnswerError:
        return AnswerError(f"round {self._place.round}, {node}: {text}", detail=detail)

    def _merged(
        self, leaf: SecureLeaf, form: Any, tree: Tree, pairs: Iterator[tuple[Field, Words]]
    ) -> Any:
        place = Where(self._place.round, tree.name, self._nodes, fixed=tree.fixed)
        if leaf.kind == "counts":
            counts = next(pairs)[1][:, 0].view(np.int64)
            # no sum of counts: masks hide who has sent something else
            if (counts < 0).any():
                raise place.error(_NO_PARTS)
            return dict(zip(leaf.labels, counts.tolist(), strict=True))
        if leaf.kind == "statistics":
            try:
                return _statistics(form, pairs)
            except ModelError as error:
                raise place.error(f"{_NO_PARTS} ({error.message})") from error
        divisor, inner = (float(self._added) if leaf.kind == "mean" else None), form
        if leaf.kind == "weighted":
            field, words = next(pairs)
            divisor, inner = float(field.grid.from_words(words)[0]), form[1]
            if divisor < 0:
                raise place.error(_NO_PARTS)
        spec, types = spec_of(inner)
        sums = [(*next(pairs), kind) for kind in types]  # also of no use: the next leaf's follow
        if divisor == 0:
            return _of_no_weight(tree, place)
        return unflatten(spec, [_number(*each, divisor, place) for each in sums])


def _number(field: Field, words: Words, kind: str, divisor: float | None, place: Where) -> Any:
    """Return a sum, or a mean where there is a divisor, in the type it has without secure sums."""
    base = kind.removesuffix(BUFFER)
    if divisor is None and is_whole(base):
        whole = _whole(field, words, place)
        return int(whole[0]) if base == "int" else whole.reshape(field.shape)
    found = np.asarray(field.grid.from_words(words), dtype=np.float64)
    wide = (found if divisor is None else found / divisor).reshape(field.shape)
    if kind.endswith(BUFFER) and is_whole(base):
        return round(float(wide)) if base == "int" else rounded_as(wide, np.dtype(base))
    if base == "float":
        return float(wide)
    narrow = np.dtype(np.float64 if is_whole(base) else base)
    with np.errstate(over="ignore"):  # said below, with the key
        result = wide.astype(narrow, copy=False)
    if np.isinf(result).any():
        raise place.error(f"the sum of what the nodes sent is too large for {narrow}: send float64")
    return result


def _whole(field: Field, words: Words, place: Where) -> NDArray[Any]:
    """Return sums of whole numbers: of arrays in 64 bits, of numbers of any size."""
    # a copy, as a view would keep the words of all fields in memory with it
    if field.grid.words_each == 1 and not field.grid.exponent:
        return words[:, 0].view(np.int64).copy()
    whole = [each >> field.grid.exponent for each in field.grid.steps(words)]
    if field.type == "int":
        return np.array(whole, dtype=object)
    try:
        return np.array(whole, dtype=np.int64)
    except OverflowError:
        raise place.error("a sum of whole numbers is too large for 64 bits: send floats") from None


def _of_no_weight(tree: Tree, place: Where) -> None:
    if getattr(tree.reduction, "zero_total", "error") != "none":
        raise place.error(
            "the weights of all nodes together are zero, so there is no weighted mean. Mend the "
            "weights" + place.advice(', or declare zero_total="none" to have None')
        )


def _statistics(form: Any, pairs: Iterator[tuple[Field, Words]]) -> Any:
    kind, *rest = form
    if kind == "statistic":
        clear, runs = rest
        numbers: list[Any] = []
        for _ in runs:
            field, words = next(pairs)
            step = 2**field.grid.exponent
            steps = field.grid.steps(words)
            numbers += [Fraction(each, step) if step > 1 else each for each in steps]
        return joined(clear, iter(numbers))
    if kind != "dict":
        parts = [_statistics(part, pairs) for part in rest[0]]
        return parts if kind == "list" else tuple(parts)
    parts_of = zip(sorted_keys(rest[0]), rest[1], strict=True)
    found = {key: _statistics(part, pairs) for key, part in parts_of}
    return {key: found[key] for key in rest[0]}


_NO_PARTS = (
    "what the nodes sent does not add up to what it can be: one of them has sent something else "
    "than its part, which nobody can tell of masked answers. Have the hospitals look at their logs"
)

_NOT_CANCELLED = (
    "the masks of this round's answers do not cancel, so there is no result: the nodes were told "
    "different things, such as other settings, another app or another aggregate. Start the "
    "analysis again; if it happens again, have the hospitals compare what their logs say of it"
)
