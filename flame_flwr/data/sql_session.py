"""What all databases share: rendering statements, stopping them, and cutting rows into pieces."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

from flame_flwr.data.sql_errors import words_for
from flame_flwr.data.sql_parameters import Bound
from flame_flwr.data.table_pieces import Cells, Kind, Piece
from flame_flwr.errors import ConfigError, DataError
from flame_flwr.processes.threads import call_later

if TYPE_CHECKING:
    import sqlalchemy

__all__ = [
    "AsCells",
    "Database",
    "Read",
    "driver",
    "kinds_of",
    "next_size",
    "no_type_for",
    "pieces_of",
    "rendered",
    "stopped_after",
]

_FEW, _MANY = 100, 10_000
"""Rows of the first piece, and at most."""

_PIECE = 4_000_000
"""Bytes that a piece has, about: rows may be long, and a node holds one piece at a time."""

Read = Callable[["sqlalchemy.Select[Any]", Mapping[str, Bound]], Iterator[Piece]]
"""Runs a statement with values; the first piece is there also where there are no rows."""


AsCells = Callable[[Sequence[Any]], Cells]
"""Makes cells of a column's values, as a driver gives them."""


class Database(Protocol):
    """One database."""

    @property
    def where(self) -> str:
        """Which one, without credentials: for the detail of errors."""

    def session(self, seconds: float) -> AbstractContextManager[Read]:
        """Give a way to read for so many seconds; whatever is read is of the same moment.

        Raises
        ------
        DataError
            The database cannot be reached, or what is read in the session fails.
        """

    def advice(self) -> str:
        """Return what the hospital had better change, in words; '' for nothing."""


def driver(module: str, name: str) -> Any:
    """Return a database's driver.

    Raises
    ------
    ConfigError
        It is not installed.
    """
    try:
        return import_module(module)
    except ImportError:
        raise ConfigError(
            f"{name}: its database needs {module}, which is not installed at this node: "
            "pip install 'flame-flwr[sql]'"
        ) from None


def rendered(
    statement: sqlalchemy.Select[Any], values: Mapping[str, Bound], dialect: sqlalchemy.Dialect
) -> tuple[str, Any]:
    """Return a statement as a driver takes it, and what the driver binds."""
    compiled = statement.compile(dialect=dialect)
    bound = {**compiled.params, **values}
    if compiled.positiontup is not None:  # a dialect that binds by place, as DuckDB's "$1"
        return compiled.string, [bound[name] for name in compiled.positiontup]
    return compiled.string, {name: bound[name] for name in compiled.params}


@contextmanager
def stopped_after(
    seconds: float, stop: Callable[[], object], name: str, where: str
) -> Iterator[Callable[[], None]]:
    """Have a connection stopped after a time; give a check that raises once that is over.

    A statement that is stopped raises an error of its driver, but between two statements nothing
    would: there the check does.
    """
    over = []

    def end() -> None:
        over.append(True)
        stop()

    def check() -> None:
        if over:
            raise words_for("timeout", name, where, f"{seconds:g} s are over")

    timer = call_later(end, seconds)
    try:
        yield check
    finally:
        timer.cancel()


def pieces_of(
    cursor: Any, columns: Mapping[str, AsCells], name: str, check: Callable[[], None]
) -> Iterator[Piece]:
    """Yield a cursor's rows in pieces; `columns` has what makes cells of each column's values."""
    size = _FEW  # the first few tell how long the rows are
    while True:
        rows = cursor.fetchmany(size)
        check()
        piece = _piece(columns, rows, name)
        yield piece
        if len(rows) < size:  # fewer than were asked for come at the end only (PEP 249)
            return
        size = next_size(size, piece, _MANY)


def next_size(size: int, piece: Piece, most: int) -> int:
    """Return how large the next piece is to be, after one of this size."""
    each = sum(cells.nbytes for cells in piece.values()) / size
    return max(1, min(most, 4 * size, int(_PIECE / (each + 1))))


def _piece(columns: Mapping[str, AsCells], rows: Sequence[Sequence[Any]], name: str) -> Piece:
    # of no rows, zip would give no columns
    by_column = list(zip(*rows, strict=True)) if rows else [()] * len(columns)
    piece = {}
    for number, (column, as_cells) in enumerate(columns.items(), start=1):
        try:
            piece[column] = as_cells(by_column[number - 1])
        except (TypeError, ValueError, OverflowError):
            raise no_type_for(name, number, column) from None
    return piece


def kinds_of(
    described: Sequence[tuple[str, Any]], kind_of: Callable[[Any], Kind | None], name: str
) -> dict[str, Kind | None]:
    """Return the kinds of a result's columns by name.

    Parameters
    ----------
    described : sequence of (str, object)
        Each column's name, and what the driver says of its type.
    kind_of : callable
        Returns the kind of such a type; ``None`` where it is not known here.
    name : str
        How messages call the source.

    Raises
    ------
    DataError
        A type is not known, or two columns have one name.
    """
    columns: dict[str, Kind | None] = {}
    for number, (column, kind) in enumerate(described, start=1):
        if column in columns:
            raise DataError(f"{name}: two columns of what is read have one name", detail=column)
        columns[column] = kind_of(kind)
        if columns[column] is None:
            raise no_type_for(name, number, column)
    return columns


def no_type_for(name: str, number: int, column: str) -> DataError:
    """Return the error for a column that pandas cannot hold; its name is the hospital's own."""
    return DataError(
        f"{name}: column {number} of what is read has a type that pandas has not, or more than "
        "one, or a date beyond all calendars: cast it in the query, such as to text",
        detail=column,
    )
