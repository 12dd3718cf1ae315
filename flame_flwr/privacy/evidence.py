"""What an analysis says of the data behind a result: numbers that the gate sees and never sends.

A rule may need to know more than the value: how many rows and people are behind it, how many
different values a column has. The analysis's process hands that over beside the result. It is the
analysis that says it, so what it helps against is accidents; approval of the code is for the rest.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from flame_flwr.errors import PayloadError
from flame_flwr.text.sizes import shown_size

if TYPE_CHECKING:
    from flame_flwr.statistics.column_facts import ColumnFacts
    from flame_flwr.statistics.people_sets import PeopleSets

__all__ = ["SIZED", "Evidence"]

# The limits hold for a stranger's text: far more than an analysis has, and little for a gate.
_MOST = 2**63
_MOST_COLUMNS = 1000
_MOST_LEVELS = 1000
_MOST_SIZES = 10_000
_MOST_FIGURES = 50_000
_MOST_SHOWN = 10
_LONGEST_NAME = 100
_WORD = re.compile(r"[\w<>|=\[\]]{1,60}")


@dataclass(frozen=True, slots=True)
class Evidence:
    """How much data there is behind a result.

    Parameters
    ----------
    files, nbytes, resources : int, optional
        How many files, bytes and FHIR resources the analysis was given, where its data is of these.
    kind : str
        The type of other data, such as ``DataFrame``.
    dtype : str
        The type of an array's elements.
    shape : tuple of int, optional
        Of an array or table; of a container its length, as ``(n,)``.
    rows, people : int, optional
        How many rows and people there are in the data that the result was made of.
    distinct : mapping of str to int
        How many different values a column has, by its name.
    levels : mapping of str to tuple of int
        How many rows there are of each of a column's values, which are not named.
    sizes : tuple of int
        How many people each statistic of the analysis's own classes is about, as it leaves.
    columns : tuple of tuples of ColumnFacts
        What is behind each statistic of the framework's, part by part.
    sets : PeopleSets, optional
        Which people are in which of these parts.
    unseen : int
        How many parts of the result no rule can look into. The gate counts them itself.

    Examples
    --------
    >>> Evidence(files=2, nbytes=14).words()
    '2 files, 14 B'
    >>> Evidence(files=2, nbytes=14, people=12).words(12)
    '2 files, 14 B; 12 people'
    >>> Evidence.from_json(Evidence(rows=31, people=12).to_json()).people
    12
    """

    files: int | None = None
    nbytes: int | None = None
    resources: int | None = None
    kind: str = ""
    dtype: str = ""
    shape: tuple[int, ...] | None = None
    rows: int | None = None
    people: int | None = None
    distinct: Mapping[str, int] = field(default_factory=dict)
    levels: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    sizes: tuple[int, ...] = ()
    columns: tuple[tuple[ColumnFacts, ...], ...] = ()
    sets: PeopleSets | None = None
    unseen: int = 0

    @property
    def together(self) -> int | None:
        """How many people the data is about; where nobody says, its rows; else ``None``."""
        return self.rows if self.people is None else self.people

    def of_people(self) -> str:
        """Return in words what is said of how many people there are: for the node's own log."""
        said = [_counted(size, "person", "people") for size in self.sizes[:_MOST_SHOWN]]
        if self.people is not None:
            said.append(f"{_counted(self.people, 'person', 'people')} in the data")
        elif self.rows is not None:
            said.append(f"{_counted(self.rows, 'row')} in the data")
        return ", ".join(said) or "nothing"

    def words(self, people: int | None = None) -> str:
        """Return how much data there is, in few words; '' where it is not known, as after round 1.

        Parameters
        ----------
        people : int, optional
            Of how many people, where that may be said.
        """
        amount = self._amount()
        if not amount or people is None:
            return amount
        return f"{amount}; {_counted(people, 'person', 'people')}"

    def _amount(self) -> str:
        if self.files is not None:
            return f"{_counted(self.files, 'file')}, {shown_size(self.nbytes or 0)}"
        if self.resources is not None:
            return _counted(self.resources, "resource")
        if self.shape is None:
            return self.kind
        if self.kind in SIZED and self.shape:
            return f"{self.kind} of {self.shape[0]}"
        return " ".join(part for part in (self.kind, self.dtype, str(self.shape)) if part)

    def to_json(self) -> dict[str, Any]:
        """Return what is known, for :meth:`from_json`."""
        known = {each.name: getattr(self, each.name) for each in fields(self)}
        del known["unseen"]  # no analysis says it
        known["sets"] = None if self.sets is None else self.sets.to_json()
        known["columns"] = tuple([facts.to_json() for facts in each] for each in self.columns)
        return {name: value for name, value in known.items() if value not in (None, "", {}, ())}

    @classmethod
    def from_json(cls, said: Any) -> Self:
        """Read what another process said.

        Raises
        ------
        PayloadError
            It is not of this form, or too much.
        """
        try:
            return cls(**{name: _read(name, value) for name, value in said.items()})
        except (TypeError, ValueError, AttributeError, KeyError, zlib.error) as error:
            raise PayloadError(
                "what the analysis says of its data cannot be read at this node's gate"
            ) from error


SIZED = frozenset({"bytearray", "bytes", "dict", "frozenset", "list", "range", "set", "tuple"})
"""Types of Python's own, of which the length is said."""


def _sets(value: Any) -> PeopleSets:
    from flame_flwr.statistics.people_sets import PeopleSets

    return PeopleSets.from_json(value)


def _columns(value: Any) -> tuple[tuple[ColumnFacts, ...], ...]:
    from flame_flwr.statistics.column_facts import ColumnFacts

    if not isinstance(value, list) or sum(1 + len(each) for each in value) > _MOST_FIGURES:
        raise ValueError("no list of columns")
    return tuple(tuple(map(ColumnFacts.from_json, each)) for each in value)


def _by_column(value: Any, read: Callable[[Any], Any]) -> dict[str, Any]:
    if len(value) > _MOST_COLUMNS:
        raise ValueError("too many columns")
    return {_name(key): read(each) for key, each in value.items()}


def _word(value: Any) -> str:
    if not isinstance(value, str) or not _WORD.fullmatch(value):
        raise ValueError("no name of a type")
    return value


def _name(value: Any) -> str:
    # printable: it stands in the node's log, which a terminal may show
    if not isinstance(value, str) or len(value) > _LONGEST_NAME or not value.isprintable():
        raise ValueError("no name")
    return value


def _numbers(values: Any, most: int) -> tuple[int, ...]:
    if not isinstance(values, list | tuple) or len(values) > most:
        raise ValueError("no list of numbers")
    return tuple(map(_number, values))


def _number(value: Any) -> int:
    if type(value) is not int or not 0 <= value < _MOST:  # True is an int, too
        raise ValueError("no number of things")
    return value


_READ: dict[str, Callable[[Any], Any]] = {
    "kind": _word,
    "dtype": _word,
    "shape": partial(_numbers, most=32),
    "sizes": partial(_numbers, most=_MOST_SIZES),
    "columns": _columns,
    "sets": _sets,
    "distinct": partial(_by_column, read=_number),
    "levels": partial(_by_column, read=partial(_numbers, most=_MOST_LEVELS)),
}
"""What reads each part of what an analysis says; all others are numbers."""


def _read(name: str, value: Any) -> Any:
    read: Callable[[Any], Any] = _READ.get(name, _number)
    return read(value)


def _counted(number: int, what: str, several: str = "") -> str:
    return f"{number:,} {what if number == 1 else several or f'{what}s'}"
