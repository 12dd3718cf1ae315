"""Forms of the nodes' values, and whose value is odd: of another form than those of the others.

Whose it is does not depend on the order of arrival: the form counts that most nodes sent; of as
many, the last aggregate's, and then that of the first node.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from flame_flwr.aggregation.pytree import copy_arrays
from flame_flwr.errors import AnswerError, DataError
from flame_flwr.text.shown_text import one_line

if TYPE_CHECKING:
    from flame_flwr.aggregation.accumulators import Where

__all__ = ["Kinds", "Misfit", "PartPath", "find_odd", "said_of"]

PartPath = tuple[tuple[Any, ...], tuple[Any, ...]]
"""A reduction's path, and the path within the value that it merges."""

_MEND = "Mend it on the nodes"
_MOST, _LONGEST = 8, 200
"""How many forms are told, and characters of each."""


@dataclass(frozen=True, eq=False, slots=True)
class _Kind:
    """Values of which any two fit each other; one of them stands for all."""

    value: Any
    fit: Callable[[dict[str, Any]], Any]

    def differs(self, node: str, other: _Kind, owner: str) -> DataError | None:
        """Return why a node's value does not fit that of another kind's owner."""
        try:
            # copies, as the merge of a class of a user's own may change what it gets
            self.fit(copy_arrays({owner: other.value, node: self.value}))
        except DataError as error:
            return error
        return None


class Kinds:
    """Tells apart kinds of values that do not fit each other; keeps one value of each.

    Parameters
    ----------
    fit : callable
        Gets values by node, and raises a DataError that names a node whose does not fit.
    """

    def __init__(self, fit: Callable[[dict[str, Any]], Any]) -> None:
        self._fit = fit
        self._known: list[_Kind] = []

    def of(self, node: str, value: Any) -> Hashable:
        """Return the kind of a node's value.

        Raises
        ------
        DataError
            It is one that fits none, not even itself.
        """
        self._fit({node: value})  # by itself first, so that nobody is blamed for what it is alone
        found = _Kind(copy_arrays(value), self._fit)
        for kind in self._known:
            if found.differs(node, kind, "") is None:
                return kind
        self._known.append(found)
        return found


class Misfit(NamedTuple):
    """Where nodes' values differ.

    Attributes
    ----------
    place : PartPath
        The key.
    groups : list of tuple
        The forms and who sent them, that which counts first.
    """

    place: PartPath
    groups: list[tuple[Hashable, list[str]]]


def find_odd(
    nodes: Sequence[str],
    forms: Mapping[str, Mapping[PartPath, Hashable]],
    is_last: Callable[[PartPath, Hashable], bool],
) -> dict[str, Misfit]:
    """Return the nodes whose answers cannot be merged with the others', in participant order.

    Parameters
    ----------
    nodes : sequence of str
        All nodes, in participant order.
    forms : dict of str to dict
        By node, the forms that all must have.
    is_last : callable
        Tells whether the last aggregate has a form, at a place.
    """
    odd: dict[str, Misfit] = {}
    for place in dict.fromkeys(place for node in nodes for place in forms.get(node, ())):
        senders: dict[Hashable, list[str]] = {}
        for node in nodes:
            # who is odd elsewhere has no say here
            if node not in odd and place in forms.get(node, ()):
                senders.setdefault(forms[node][place], []).append(node)
        # the sort is stable: of as many, the first node's
        ranked = sorted(senders, key=lambda form: (-len(senders[form]), not is_last(place, form)))
        misfit = Misfit(place, [(form, senders[form]) for form in ranked])
        for form in ranked[1:]:
            odd |= dict.fromkeys(senders[form], misfit)
    return {node: odd[node] for node in nodes if node in odd}


def said_of(misfit: Misfit, node: str, place: Where, mend: str = _MEND) -> AnswerError:
    """Return the error that refuses a node's answer, with all that the nodes sent.

    Parameters
    ----------
    misfit : Misfit
        Where it differs.
    node : str
        The node.
    place : Where
        The reduction's.
    mend : str
        What to do.
    """
    chosen, others = misfit.groups[0]
    form = next(form for form, nodes in misfit.groups if node in nodes)
    if isinstance(form, _Kind) and isinstance(chosen, _Kind):
        error = form.differs(node, chosen, others[0])
        if error is not None:
            return AnswerError(error.message, detail=error.detail)
    texts = [one_line(form, _LONGEST) for form, _ in misfit.groups[:_MOST]]
    groups = "; ".join(
        f"{', '.join(nodes)} sent {text}"
        for text, (_, nodes) in zip(texts, misfit.groups, strict=False)
    )
    if len(set(texts)) < len(texts):
        groups += "; their labels (index, columns, keys or name) are not the same"
    return place.refusal(f"the nodes' values differ: {groups}. {mend}", node)
