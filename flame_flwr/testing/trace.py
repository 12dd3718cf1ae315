"""The trace of a run, for the comparison with another run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from flame_flwr.errors import NodeFailedError, text_of
from flame_flwr.failure.missing import LISTED
from flame_flwr.failure.notes import Hint, LocationNote, NodeOnlyNote, notes_of
from flame_flwr.failure.tracebacks import place_of
from flame_flwr.payload import Payload, decode, encode
from flame_flwr.testing.compare import difference

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flame_flwr.testing.findings import Finding
    from flame_flwr.testing.observer import At, Observer

__all__ = ["KEPT", "Difference", "Trace", "Trouble", "first_difference", "packed"]

KEPT = 10
"""Rounds whose values are kept for comparison."""


@dataclass(slots=True)
class Trouble:
    """Why a run did not come to its end.

    Attributes
    ----------
    kind : {'raised', 'unsaved', 'hung', 'died'}
        An exception; the analyzer's state cannot be saved; no end within the time; the process
        ended by itself.
    type, text, place, hint : str
        The exception's class, text and line in user code, and what explains it.
    at : At or None
        The user's method that failed, or the last one called.
    missing : str
        The file below the working directory that was not found, where that is why.
    """

    kind: str
    type: str = ""
    text: str = ""
    place: str = ""
    hint: str = ""
    at: At | None = None
    missing: str = ""

    @classmethod
    def of(cls, error: BaseException, observer: Observer) -> Trouble:
        """Describe an exception."""
        notes, text = notes_of(error), text_of(error)
        if isinstance(error.__cause__, SystemExit):  # the runtime has put its own error around it
            error = error.__cause__
        return cls(
            "raised",
            type(error).__name__,
            # what a node answered has its traceback behind it
            text.partition("\n")[0] if isinstance(error, NodeFailedError) else text,
            place_of(error.__traceback__, anywhere=False),
            "; ".join(_hints(notes)),
            # a client of the user's own may fail where no method is under way
            observer.failed
            if isinstance(error, NodeFailedError)
            else observer.failed or observer.last,
            observer.missing,
        )


def _hints(notes: list[str]) -> list[str]:
    """Return what explains an exception: the data is the user's own, so what it has, too."""
    return [
        note.removesuffix(f": {LISTED}")
        for note in notes
        if isinstance(note, Hint | NodeOnlyNote) and not isinstance(note, LocationNote)
    ]


@dataclass(slots=True)
class Trace:
    """A run: what nodes returned, the aggregates, the end. Values are encoded, so it can travel.

    Attributes
    ----------
    results : dict of (int, str) to Payload
        By round and node, of the first :data:`KEPT` rounds.
    aggregates : dict of int to Payload
        By round, likewise.
    evaluations : dict of str to dict
        What ``evaluation_method`` gave.
    final : Payload or None
        The final result, where it can be encoded.
    rounds : int
        How many were run.
    converged : bool
        Whether the run ended because the analysis said so.
    trouble : Trouble or None
        Why there is no end.
    unwritable : str
        Why the final result does not fit ``output_type``.
    findings : list of Finding
        What was seen under way.
    changed : list of str
        What user code changed outside of ``self``.
    """

    results: dict[tuple[int, str], Payload] = field(default_factory=dict)
    aggregates: dict[int, Payload] = field(default_factory=dict)
    evaluations: dict[str, dict[str, float]] = field(default_factory=dict)
    final: Payload | None = None
    rounds: int = 0
    converged: bool = False
    trouble: Trouble | None = None
    unwritable: str = ""
    findings: list[Finding] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Difference:
    """The first place where two runs differ.

    Attributes
    ----------
    method : str
        Whose value it is.
    what : str
        Which value, in words.
    text : str
        The path in it, and both sides.
    """

    method: str
    what: str
    text: str


def packed(value: Any) -> Payload | None:
    """Encode a value for a trace; ``None`` where it cannot be, and so cannot be compared."""
    try:
        return encode(value)
    except Exception:
        return None


def first_difference(
    first: Trace, second: Trace, tolerance: float, order: Sequence[int] | None = None
) -> Difference | None:
    """Return where two runs differ first, in the order in which things happen.

    Parameters
    ----------
    first, second : Trace
        The runs.
    tolerance : float
        As for :func:`flame_flwr.testing.compare.difference`.
    order : sequence of int, optional
        In which order `second` had the nodes.
    """

    def compare(a: Payload, b: Payload, method: str, what: str) -> Difference | None:
        # the user's own values, which this user's code has made: pickles among them are no risk
        one, other = (decode(payload, allow_pickle=True) for payload in (a, b))
        try:
            text = difference(one, other, tolerance, order)
        except RecursionError:  # the value contains itself
            text = ""
        return Difference(method, what, text) if text else None

    for number in sorted(first.aggregates.keys() & second.aggregates.keys()):
        for (round_, node), payload in first.results.items():
            if round_ == number and (number, node) in second.results:
                what = f"what {node} returned in round {number}"
                found = compare(payload, second.results[number, node], "analysis_method", what)
                if found:
                    return found
        what = f"the aggregate of round {number}"
        pair = first.aggregates[number], second.aggregates[number]
        found = compare(*pair, "aggregation_method", what)
        if found:
            return found
    if not (first.converged and second.converged):
        return None
    if first.rounds != second.rounds:
        text = f"{first.rounds} and {second.rounds}"
        return Difference("has_converged", "the number of rounds", text)
    text = difference(first.evaluations, second.evaluations, tolerance, order)
    if text:
        return Difference("evaluation_method", "the evaluation", text)
    if first.final is None or second.final is None:
        return None
    return compare(first.final, second.final, "final_method", "the final result")
