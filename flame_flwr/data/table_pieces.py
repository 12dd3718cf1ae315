"""Tables in pieces: a few thousand rows each, column by column, as they come and as they travel.

A node reads a table piece by piece and writes each down; the analysis's process makes one DataFrame
of them, a column at a time. What a column becomes is said once, in :func:`merged`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import msgpack
import numpy as np
from numpy.typing import NDArray

from flame_flwr.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "DTYPES",
    "Cells",
    "Kind",
    "Piece",
    "as_frame",
    "cells_of",
    "merged",
    "pack",
    "rows_of",
    "unpack",
]

Kind = Literal["empty", "bool", "whole", "number", "text", "time", "utc"]
"""What cells are. All ``empty``: all NULL, of an unknown type. ``utc``: times of a time zone."""

DTYPES: Mapping[str, str] = {
    "bool": "bool",
    "whole": "int64",
    "number": "float64",
    "time": "datetime64[us]",
    "utc": "datetime64[us]",
}
_OF_PYTHON: Mapping[type, Kind] = {bool: "bool", int: "whole", float: "number", str: "text"}


@dataclass(slots=True)
class Cells:
    """Some cells of a column.

    Parameters
    ----------
    kind : str
        One of :data:`Kind`.
    values : ndarray or list
        An array of the kind's dtype, ``datetime64[us]`` for times; a list of texts and ``None``, or
        of bools and ``None``.
    """

    kind: Kind
    values: NDArray[Any] | list[Any]

    @property
    def nbytes(self) -> int:
        """Their size as it counts against a limit."""
        if isinstance(self.values, np.ndarray):
            return int(self.values.nbytes)
        texts = filter(None, self.values) if self.kind == "text" else ()
        return len(self.values) + sum(map(len, texts))


Piece = dict[str, Cells]
"""Columns of as many rows, by name."""


def cells_of(values: Sequence[Any], kind: Kind | None = None) -> Cells:
    """Return cells as a driver has given them.

    Parameters
    ----------
    values : sequence
        Of Python's own types, and no times; ``None`` for NULL.
    kind : str, optional
        What the database says that they are; else they say it themselves.

    Raises
    ------
    TypeError
        They are of more than one type, or of a type that pandas does not have.

    Examples
    --------
    >>> cells_of([1, None])
    Cells(kind='number', values=array([ 1., nan]))
    """
    if kind is None:
        kind = _kind_of(values)
    if kind in ("empty", "text"):
        return Cells(kind, list(values))
    if kind in ("bool", "whole") and None in values:
        return Cells("bool", list(values)) if kind == "bool" else cells_of(values, "number")
    return Cells(kind, np.array(values, dtype=DTYPES[kind]))


def merged(kinds: Iterable[Kind]) -> Kind:
    """Return the kind of a column whose pieces are of these kinds.

    Raises
    ------
    TypeError
        They do not go together, as numbers and texts.

    Examples
    --------
    >>> merged(["whole", "empty", "number"])
    'number'
    """
    found = set(kinds)
    if len(found) > 1:
        found.discard("empty")
    if found == {"whole", "number"}:
        return "number"
    if len(found) > 1:
        raise TypeError("more than one type")
    return next(iter(found), "empty")


def pack(piece: Piece) -> bytes:
    """Return a piece as bytes, for :func:`unpack`."""
    parts = []
    for name, cells in piece.items():
        values = cells.values
        parts.append(
            [name, cells.kind, values.tobytes() if isinstance(values, np.ndarray) else values]
        )
    packed: bytes = msgpack.packb(parts)
    return packed


def unpack(content: bytes) -> Piece:
    """Return the piece that bytes hold.

    Examples
    --------
    >>> unpack(pack({"age": cells_of([54, 61])}))
    {'age': Cells(kind='whole', values=array([54, 61]))}
    """
    # arrays are not copied here: :func:`as_frame` copies them into a column
    return {
        name: Cells(
            kind, values if isinstance(values, list) else np.frombuffer(values, DTYPES[kind])
        )
        for name, kind, values in msgpack.unpackb(content)
    }


def rows_of(piece: Piece) -> int:
    """Return how many rows a piece has.

    Examples
    --------
    >>> rows_of({"age": cells_of([54, 61])})
    2
    """
    return max((len(cells.values) for cells in piece.values()), default=0)


def as_frame(pieces: list[Piece]) -> pd.DataFrame:
    """Return one DataFrame of all pieces. They are emptied, so that no column exists twice.

    Raises
    ------
    DataError
        There are no pieces, so nothing is known of the columns.

    Examples
    --------
    >>> as_frame([{"age": cells_of([54])}, {"age": cells_of([None, 61])}])["age"].tolist()
    [54.0, nan, 61.0]
    """
    import pandas as pd

    if not pieces:
        raise DataError("a table without any piece")
    columns = {name: _column([piece.pop(name) for piece in pieces]) for name in list(pieces[0])}
    return pd.DataFrame(columns, copy=False)


def _column(parts: list[Cells]) -> Any:
    """Return a column; the list of its parts is emptied, for the same reason."""
    import pandas as pd

    kind = merged(part.kind for part in parts if len(part.values) or len(parts) == 1)
    lists = [part for part in parts if isinstance(part.values, list)]
    if kind == "text" or (kind == "bool" and lists):
        values = [value for part in parts for value in part.values]
        return pd.Series(values, dtype=_text_dtype() if kind == "text" else object)
    # from the end, where a list lets go of a part without moving the others
    array = np.empty(sum(len(part.values) for part in parts), DTYPES.get(kind, "float64"))
    end = len(array)
    while parts:
        cells = parts.pop().values
        # of a piece that is all NULL, they are a list
        array[end - len(cells) : end] = _nothing(kind) if isinstance(cells, list) else cells
        end -= len(cells)
    series: pd.Series[Any] = pd.Series(array, copy=False)
    return series.dt.tz_localize("UTC") if kind == "utc" else series


def _nothing(kind: Kind) -> Any:
    return np.datetime64("NaT") if kind in ("time", "utc") else np.nan


def _text_dtype() -> Any:
    """Return what pandas gives texts: its own type from pandas 3 on."""
    import pandas as pd

    return pd.Series(["a"]).dtype


def _kind_of(values: Sequence[Any]) -> Kind:
    """Return the kind of values, by their own types."""
    types = set(map(type, values)) - {type(None)}
    if not types <= _OF_PYTHON.keys():
        raise TypeError("a type that pandas has not")
    return merged({_OF_PYTHON[each] for each in types})
