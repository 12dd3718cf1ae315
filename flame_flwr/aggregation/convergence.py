"""Convergence as objects: when a run stops, and one line that says why.

They are given to a model or to a strategy, and combined with ``|`` (one of them is enough) and
``&`` (all of them in the same round). They look at aggregates only, after every round, and the
run stops as soon as they say so. :mod:`.delta_norm` and :mod:`.plateau` have two more.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from flame_flwr.aggregation.pytree import Key, key_text, look_up
from flame_flwr.errors import DataError, ModelError
from flame_flwr.parameters import WHOLE_FROM_1, check_parameters, parameter
from flame_flwr.text.words import settings_in_words, value_in_words
from flame_flwr.user_code.signatures import check_function, check_methods

__all__ = ["Combined", "Convergence", "MaxRounds", "When"]
__all__ += ["as_convergence", "first_known", "is_missing", "stop_reason", "value_at"]


class Convergence:
    """When a run stops; one of your own overrides :meth:`check`.

    Attributes that :meth:`check` changes are kept in a checkpoint. An object is copied for every
    run, so that runs share nothing.

    Examples
    --------
    >>> class Twice(Convergence):
    ...     def __init__(self):
    ...         self.seen = 0
    ...
    ...     def check(self, number, aggregate, last):
    ...         self.seen += aggregate["loss"] < 0.1
    ...         return "the loss was small twice" if self.seen == 2 else None
    >>> either = Twice() | MaxRounds(9)
    >>> [either.check(number, {"loss": 0.05}, None) for number in (1, 2)]
    [None, 'the loss was small twice']
    """

    words: ClassVar[str] = ""
    """What a report says of when it stops, with its attributes in braces."""

    def in_words(self) -> str:
        """Return when it stops, for readers who write no Python."""
        return settings_in_words(self, self.words)

    def check(self, number: int, aggregate: Any, last: Any) -> str | None:
        """Return in one line why to stop, or ``None`` to go on; a bool will do.

        Parameters
        ----------
        number : int
            The round, from 1.
        aggregate, last : Any
            This round's aggregate and the one before, ``None`` in the first round; not to be
            changed.
        """
        raise NotImplementedError(f"{type(self).__name__} has no check(self, number, ...)")

    def measured(self) -> float | None:
        """Return by how much the aggregate had changed at the last :meth:`check`.

        That is shown as the round's change. NaN: none could be measured; ``None``: this convergence
        never measures one, as by default.
        """
        return None

    def state(self) -> Any:
        """Return what later rounds need; for :meth:`restore` in another process."""
        # What is declared is made anew when a run goes on: a longer limit must hold then. Functions
        # are of the class or declared, and may not be pickled.
        declared = getattr(self, "__dataclass_fields__", {})
        return {
            key: value
            for key, value in vars(self).items()
            if key not in declared and not callable(value)
        }

    def restore(self, state: Any) -> None:
        """Continue from what :meth:`state` returned."""
        vars(self).update(state)

    def most_rounds(self) -> int | None:
        """Return after how many rounds it stops at the latest; ``None`` where it may never."""
        return None

    def __or__(self, other: Any) -> Convergence:
        """Stop when one of the two says so."""
        return _Any(_flat(_Any, self, other))

    def __ror__(self, other: Any) -> Convergence:
        """Stop when one of the two says so."""
        return _Any(_flat(_Any, other, self))  # a plain function may stand first

    def __and__(self, other: Any) -> Convergence:
        """Stop when both say so in the same round."""
        return _All(_flat(_All, self, other))

    def __rand__(self, other: Any) -> Convergence:
        """Stop when both say so in the same round."""
        return _All(_flat(_All, other, self))


@dataclass(frozen=True)
class MaxRounds(Convergence):
    """Stop after so many rounds.

    Parameters
    ----------
    rounds : int
        At least 1; the first one counts.

    Examples
    --------
    >>> MaxRounds(10).check(10, {"coef": 0.5}, None)
    '10 rounds are done'
    """

    words = "after {rounds} rounds"

    rounds: int = parameter(WHOLE_FROM_1)

    def __post_init__(self) -> None:
        """Check what was declared."""
        check_parameters(self)

    def check(self, number: int, aggregate: Any, last: Any) -> str | None:
        """Say so once there have been as many rounds."""
        return f"{number} rounds are done" if number >= self.rounds else None

    def most_rounds(self) -> int | None:
        """Return the number itself."""
        return self.rounds


@dataclass(frozen=True)
class When(Convergence):
    """Stop when a function of the aggregate and the last one returns something true.

    Parameters
    ----------
    function : callable
        Gets ``(aggregate, last)``, as ``has_converged`` does; ``last`` is ``None`` in the first
        round. A string that it returns is the reason.

    Examples
    --------
    >>> settled = When(lambda now, last: last is not None and now["n"] == last["n"])
    >>> settled.check(2, {"n": 7}, {"n": 7})
    '<lambda> returned True'
    """

    function: Callable[[Any, Any], Any]

    def in_words(self) -> str:
        """Name the function."""
        return f"when {value_in_words(self.function)} says so"

    def check(self, number: int, aggregate: Any, last: Any) -> str | None:
        """Say why to stop, if the function returns something true."""
        answer = self.function(aggregate, last)
        if isinstance(answer, str):
            return " ".join(answer.split()) or None
        if not bool(answer):
            return None
        return f"{getattr(self.function, '__name__', 'the function')} returned True"


def as_convergence(declared: Any) -> Convergence | None:
    """Return what was declared as a convergence; ``None`` stays ``None``.

    Raises
    ------
    ModelError
        It is neither a convergence nor a function.
    """
    if isinstance(declared, Convergence):
        check_methods(type(declared), "convergence", {"check": ("number", "aggregate", "last")}, "")
    if declared is None or isinstance(declared, Convergence):
        return declared
    if callable(declared) and not isinstance(declared, type):  # MaxRounds without its (10)
        check_function(declared, "convergence", ("aggregate", "last"))
        return When(declared)
    raise ModelError(
        f"convergence must be MaxRounds(...), DeltaNorm(...), Plateau(...), some of them with | "
        f"or & between, or a function of (aggregate, last), not {declared!r}"
    )


def stop_reason(convergence: Convergence, number: int, aggregate: Any, last: Any) -> str | None:
    """Return in one line why a convergence stops the run; ``None`` to go on.

    Raises
    ------
    ModelError
        Its ``check`` returned neither a string nor ``None``, ``True`` or ``False``.
    """
    answer: Any = convergence.check(number, aggregate, last)
    name = type(convergence).__name__
    if answer is None or isinstance(answer, bool | np.bool_):
        return f"{name} returned True" if answer else None
    if not isinstance(answer, str):
        raise ModelError(
            f"{name}: check must return in one line why to stop, or None to go on, not "
            f"{type(answer).__name__}"
        )
    return " ".join(answer.split()) or None


def value_at(aggregate: Any, key: Key, owner: Convergence) -> Any:
    """Return what an aggregate has at the key that a convergence looks at.

    Raises
    ------
    DataError
        It has no such key.
    """
    try:
        return look_up(aggregate, key)
    except (LookupError, TypeError):
        raise DataError(
            f"{type(owner).__name__}: the aggregate has no {key_text(key)}: name one of its keys"
        ) from None


def is_missing(aggregate: Any, key: Key) -> bool:
    """Tell whether an aggregate has nothing at a key, as where a first round agrees on something.

    Examples
    --------
    >>> is_missing({"agreed": {"classes": [0, 1]}}, "model.coef")
    True
    """
    try:
        look_up(aggregate, key)
    except (LookupError, TypeError):
        return True
    return False


class Combined(Convergence):
    """Several of them, asked together: what ``|`` and ``&`` make."""

    word = ""

    def __init__(self, parts: list[Convergence]) -> None:
        self.parts = parts

    def __repr__(self) -> str:
        """Return it as it was written."""
        return f" {self.word} ".join(
            f"({part!r})" if isinstance(part, Combined) else repr(part) for part in self.parts
        )

    def in_words(self) -> str:
        """Return the parts' words with "or" or "and" between."""
        word = {"|": "or", "&": "and"}.get(self.word, "with")
        return f", {word} ".join(part.in_words() for part in self.parts)

    def state(self) -> Any:
        """Return the parts' states."""
        return [part.state() for part in self.parts]

    def restore(self, state: Any) -> None:
        """Take the parts' states."""
        for part, own in zip(self.parts, state, strict=True):
            part.restore(own)

    def measured(self) -> float | None:
        """Return the change that the first part measured of those that measure one."""
        return first_known([part.measured() for part in self.parts])

    def _limits(self) -> list[int]:
        found = [part.most_rounds() for part in self.parts]
        return [most for most in found if most is not None]

    def check(self, number: int, aggregate: Any, last: Any) -> str | None:
        """Ask every part, also where the first has decided: some count rounds."""
        return self.joined([stop_reason(part, number, aggregate, last) for part in self.parts])

    def joined(self, answers: list[str | None]) -> str | None:
        """Return why to stop, of the parts' answers; ``None`` to go on."""
        raise NotImplementedError


class _Any(Combined):
    """One of them is enough."""

    word = "|"

    def joined(self, answers: list[str | None]) -> str | None:
        return "; ".join(filter(None, answers)) or None

    def most_rounds(self) -> int | None:
        return min(self._limits(), default=None)


class _All(Combined):
    """All of them, in the same round."""

    word = "&"

    def joined(self, answers: list[str | None]) -> str | None:
        return " and ".join(map(str, answers)) if all(answers) else None

    def most_rounds(self) -> int | None:
        limits = self._limits()  # of all of them, or one may never say so
        return max(limits) if len(limits) == len(self.parts) else None


def first_known(measured: list[float | None]) -> float | None:
    """Return the first that is a number; NaN where some measure, and none could in this round."""
    known = [change for change in measured if change is not None]
    return next((each for each in known if not math.isnan(each)), known[0] if known else None)


def _flat(kind: type[Combined], *parts: Any) -> list[Convergence]:
    found: list[Convergence] = []
    for part in parts:
        made = as_convergence(part)
        if made is None:
            raise ModelError("None is no convergence: leave it out")
        found += made.parts if type(made) is kind else [made]  # a | b | c is one of three
    return found
