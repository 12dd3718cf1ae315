"""Convergence as objects: when a run stops, and one line that says why.

They are given to a model or to a strategy, and combined with ``|`` (one of them is enough) and
``&`` (all of them in the same round). They look at aggregates only, after every round, and the
run stops as soon as they say so.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable
from dataclasses import dataclass
from itertools import compress
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from flame_flwr.aggregation.accumulators import choice
from flame_flwr.aggregation.pytree import Key, flatten, key_text, look_up, names_of
from flame_flwr.buffers import is_counter
from flame_flwr.errors import DataError, ModelError
from flame_flwr.signatures import check_function, check_methods

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["Convergence", "DeltaNorm", "MaxRounds", "Plateau", "When"]
__all__ += ["as_convergence", "check_unmeasured", "delta_norm"]
__all__ += ["measured_by", "stop_reason"]

_BLOCK = 1 << 16


class Convergence:
    """Base of all; one of your own overrides :meth:`check`.

    Attributes that :meth:`check` changes are kept in a checkpoint. An object is copied for every
    run, so that runs share nothing.
    """

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
        declared = getattr(self, "__dataclass_fields__", {})
        return {
            key: value
            for key, value in vars(self).items()
            if key not in declared and not callable(value)
        }

    def restore(self, state: Any) -> None:
        """Go on as the object was that :meth:`state` was called on."""
        for key, value in state.items():
            object.__setattr__(self, key, value)

    def most_rounds(self) -> int | None:
        """Return after how many rounds it stops at the latest; ``None`` where it may never."""
        return None

    def __or__(self, other: Any) -> Convergence:
        """Stop when one of the two says so."""
        return _Any(_flat(_Any, self, other))

    def __ror__(self, other: Any) -> Convergence:
        """Stop when one of the two says so."""
        return _Any(_flat(_Any, other, self))

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
    """

    rounds: int

    def __post_init__(self) -> None:
        """Check what was declared."""
        if type(self.rounds) is not int or self.rounds < 1:
            raise ModelError(f"MaxRounds: rounds must be a whole number from 1, not {self.rounds}")

    def check(self, number: int, aggregate: Any, last: Any) -> str | None:
        """Count."""
        return f"{number} rounds are done" if number >= self.rounds else None

    def most_rounds(self) -> int | None:
        """Return the number itself."""
        return self.rounds


@dataclass(frozen=True)
class DeltaNorm(Convergence):
    """Stop when the aggregate, or a part of it, has changed by at most `tol`.

    Parameters
    ----------
    key : str, int, callable or None
        Which part: a key, keys with dots between, or a function of the aggregate; numbers,
        arrays, and lists and dicts of them. ``None``: all of it. Left out in a model is what
        BatchNorm counts, its ``num_batches_tracked``: that never settles.
    tol : float
        The largest norm of the change.
    ord : float
        Which norm of all the changes together, as one vector: 2, 1, ``inf`` or any other above 0.
        The default is the square root of the sum of squares.
    """

    key: Key
    tol: float
    ord: float = 2.0

    def __post_init__(self) -> None:
        """Check what was declared."""
        for name in ("tol", "ord"):
            value = getattr(self, name)
            if not isinstance(value, numbers.Real) or math.isnan(value) or value < 0:
                raise ModelError(f"DeltaNorm: {name} must be a number, 0 or more, not {value!r}")
        if self.ord == 0:
            raise ModelError("DeltaNorm: ord must be above 0")

    def check(self, number: int, aggregate: Any, last: Any) -> str | None:
        """Compare with the last round; the first has nothing to compare with."""
        self.restore({"_change": None})
        if last is None:
            return None
        now = _found(aggregate, self.key, self)
        try:
            before = look_up(last, self.key)
        except (LookupError, TypeError):  # as where the first round agrees on something else
            return None
        change = delta_norm(now, before, self.ord)
        self.restore({"_change": change})
        if change is None or not change <= self.tol:
            return None
        return f"{key_text(self.key)} changed by {change:.3g}, at most {self.tol:g}"

    def measured(self) -> float | None:
        """Return the norm; NaN where there is nothing to compare with."""
        change: float | None = vars(self).get("_change")
        return math.nan if change is None else change


@dataclass(frozen=True)
class Plateau(Convergence):
    """Stop when a number has not become better for `patience` rounds.

    Parameters
    ----------
    metric : str, int or callable
        The number's key in the aggregate, or a function of the aggregate.
    patience : int
        Rounds without a better one, at least 1.
    mode : {'min', 'max'}
        Whether smaller or larger is better.
    min_delta : float
        By how much more than this it must be better.
    """

    metric: Key
    patience: int
    mode: Literal["min", "max"] = "min"
    min_delta: float = 0.0

    def __post_init__(self) -> None:
        """Check what was declared."""
        choice(self, "mode", "min", "max")
        if type(self.patience) is not int or self.patience < 1:
            raise ModelError(
                f"Plateau: patience must be a whole number from 1, not {self.patience!r}"
            )
        if not isinstance(self.min_delta, numbers.Real) or not self.min_delta >= 0:
            raise ModelError(f"Plateau: min_delta must be 0 or more, not {self.min_delta!r}")
        self.restore({"_best": math.inf, "_waited": 0})

    def check(self, number: int, aggregate: Any, last: Any) -> str | None:
        """Compare with the best so far. NaN is never better."""
        value = _found(aggregate, self.metric, self)
        if not isinstance(value, numbers.Real):
            raise DataError(
                f"Plateau: {key_text(self.metric)} of the aggregate must be a number, not "
                f"{type(value).__name__}"
            )
        best: float = vars(self)["_best"]
        waited: int = vars(self)["_waited"]
        signed = float(value) if self.mode == "min" else -float(value)
        if signed < best - (self.min_delta if math.isfinite(best) else 0.0):
            self.restore({"_best": signed, "_waited": 0})
            return None
        self.restore({"_waited": waited + 1})
        if waited + 1 < self.patience:
            return None
        return f"{key_text(self.metric)} has not become better for {waited + 1} rounds"


@dataclass(frozen=True)
class When(Convergence):
    """Stop when a function of the aggregate and the last one returns something true.

    Parameters
    ----------
    function : callable
        Gets ``(aggregate, last)``, as ``has_converged`` does; ``last`` is ``None`` in the first
        round. A string that it returns is the reason.
    """

    function: Callable[[Any, Any], Any]

    def check(self, number: int, aggregate: Any, last: Any) -> str | None:
        """Ask the function."""
        answer = self.function(aggregate, last)
        if isinstance(answer, str):
            return " ".join(answer.split()) or None
        if not bool(answer):
            return None
        return f"{getattr(self.function, '__name__', 'the function')} returned True"


class _Group(Convergence):
    word = ""

    def __init__(self, parts: list[Convergence]) -> None:
        self.parts = parts

    def __repr__(self) -> str:
        """Return it as it was written."""
        return f" {self.word} ".join(
            f"({part!r})" if isinstance(part, _Group) else repr(part) for part in self.parts
        )

    def state(self) -> Any:
        """Return the parts' states."""
        return [part.state() for part in self.parts]

    def restore(self, state: Any) -> None:
        """Take the parts' states."""
        for part, own in zip(self.parts, state, strict=True):
            part.restore(own)

    def measured(self) -> float | None:
        """Return what the first of the parts measured, that measures."""
        return _first_known([part.measured() for part in self.parts])

    def _limits(self) -> list[int]:
        found = [part.most_rounds() for part in self.parts]
        return [most for most in found if most is not None]

    def check(self, number: int, aggregate: Any, last: Any) -> str | None:
        """Ask every part, always: some count rounds."""
        return self.joined([stop_reason(part, number, aggregate, last) for part in self.parts])

    def joined(self, answers: list[str | None]) -> str | None:
        """Return what the parts' answers, one each, come to."""
        raise NotImplementedError


class _Any(_Group):
    word = "|"

    def joined(self, answers: list[str | None]) -> str | None:
        return "; ".join(filter(None, answers)) or None

    def most_rounds(self) -> int | None:
        return min(self._limits(), default=None)


class _All(_Group):
    word = "&"

    def joined(self, answers: list[str | None]) -> str | None:
        return " and ".join(map(str, answers)) if all(answers) else None

    def most_rounds(self) -> int | None:
        limits = self._limits()
        return max(limits) if len(limits) == len(self.parts) else None


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
    if callable(declared) and not isinstance(declared, type):
        check_function(declared, "convergence", ("aggregate", "last"))
        return When(declared)
    raise ModelError(
        f"convergence must be MaxRounds(...), DeltaNorm(...), Plateau(...), some of them with | "
        f"or & between, or a function of (aggregate, last), not {declared!r}"
    )


def check_unmeasured(
    convergence: Convergence,
    number: int,
    aggregate: Any,
    last: Any,
    closed: Callable[[Convergence], bool] = lambda part: True,
) -> str | None:
    """Check, and give as reason what is declared and nothing measured: for what may not be shown.

    Parameters
    ----------
    convergence : Convergence
        Of one of a user's own only the class is named: what it says may hold exact figures.
    number, aggregate, last
        As for :meth:`Convergence.check`.
    closed : callable
        Tells of which parts nothing measured may be said; by default of all, as in a private run.
    """
    if isinstance(convergence, _Group):
        parts = convergence.parts
        return convergence.joined(
            [check_unmeasured(part, number, aggregate, last, closed) for part in parts]
        )
    reason = stop_reason(convergence, number, aggregate, last)
    if not reason or not closed(convergence):
        return reason
    kind = type(convergence).__name__
    if isinstance(convergence, When):
        return f"{kind}({getattr(convergence.function, '__name__', 'a function')}) said so"
    if type(convergence) not in (MaxRounds, DeltaNorm, Plateau):
        return f"{kind} said so"
    names = getattr(convergence, "__dataclass_fields__", {})
    declared = [(name, getattr(convergence, name)) for name in names]
    said = ", ".join(
        f"{name}={key_text(value) if callable(value) else repr(value)}" for name, value in declared
    )
    return f"{kind}({said}) said so"


def measured_by(convergence: Convergence, closed: Callable[[Convergence], bool]) -> float | None:
    """Return what :meth:`Convergence.measured` does, and NaN for what may not be shown.

    Parameters
    ----------
    convergence : Convergence
        What measures.
    closed : callable
        Tells of which parts nothing measured may be shown.
    """
    if isinstance(convergence, _Group):
        return _first_known([measured_by(part, closed) for part in convergence.parts])
    change = convergence.measured()
    return math.nan if change is not None and closed(convergence) else change


def delta_norm(new: Any, old: Any, order: float = 2.0) -> float | None:
    """Return the norm of the change of all numbers; ``None`` where the form has changed.

    Parameters
    ----------
    new, old : Any
        Numbers, arrays, and lists and dicts of them; BatchNorm's ``num_batches_tracked`` does not
        count.
    order : float
        Of the norm, above 0.

    Raises
    ------
    DataError
        Something in it is no number.
    """
    try:
        form, numbers_now = flatten(new)
        before, numbers_before = flatten(old)
    except TypeError as error:
        raise DataError(f"a part of the aggregate {error}, so it has no norm: name a key") from None
    if form != before:
        return None
    counts = [not is_counter(name) for name in names_of(form)]
    pairs = compress(zip(numbers_now, numbers_before, strict=True), counts)
    norms = [float(np.linalg.norm(block, order)) for block in _changes(pairs)]
    return float(np.linalg.norm(norms, order)) if norms else 0.0


def _first_known(measured: list[float | None]) -> float | None:
    """Return the first that is a number; NaN where some measure, and none could in this round."""
    known = [change for change in measured if change is not None]
    return next((each for each in known if not math.isnan(each)), known[0] if known else None)


def _changes(pairs: Iterable[tuple[Any, Any]]) -> Iterator[npt.NDArray[Any]]:
    for now, then in pairs:
        a, b = np.ravel(now), np.ravel(then)
        for start in range(0, a.size, _BLOCK):
            at = slice(start, start + _BLOCK)
            wide = np.complex128 if "c" in (a.dtype.kind, b.dtype.kind) else np.float64
            yield a[at].astype(wide) - b[at].astype(wide)


def _found(aggregate: Any, key: Key, owner: Convergence) -> Any:
    try:
        return look_up(aggregate, key)
    except (LookupError, TypeError):
        raise DataError(
            f"{type(owner).__name__}: the aggregate has no {key_text(key)}: name one of its keys"
        ) from None


def _flat(kind: type[_Group], *parts: Any) -> list[Convergence]:
    found: list[Convergence] = []
    for part in parts:
        made = as_convergence(part)
        if made is None:
            raise ModelError("None is no convergence: leave it out")
        found += made.parts if type(made) is kind else [made]
    return found
