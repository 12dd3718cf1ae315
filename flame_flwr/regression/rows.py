"""A node's rows of a regression: the table, what all hospitals agree on, and the design."""

from __future__ import annotations

import io
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from flame_flwr.errors import DataError, FlameError, text_of
from flame_flwr.labels import label_key
from flame_flwr.log import logger
from flame_flwr.regression.packages import formulaic
from flame_flwr.regression.row_cells import ALL, level_cells, number_cells
from flame_flwr.regression.row_people import CellPeople
from flame_flwr.statistics import Moments, ScoreInformation, ValueCounts
from flame_flwr.statistics.people import people_in, rows_about
from flame_flwr.statistics.values import is_numeric, label_places, missing, numbers

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import pandas as pd

    from flame_flwr.labels import Label
    from flame_flwr.regression.formula import Design
    from flame_flwr.statistics.values import Numbers

__all__ = ["DesignMatrix", "agreed_levels", "agreement", "cell_counts", "check_table"]
__all__ += ["complete_rows", "design_matrix", "one_csv", "row_values"]

_MOST_LEVELS = 50
"""Numbers read as text, dates and names of people would be a column of the design for each."""


@dataclass(frozen=True)
class DesignMatrix:
    """The design of a node's complete rows.

    Parameters
    ----------
    table : ndarray, shape (n, p)
        The columns, as the formula has them.
    columns : tuple of str
        Their names, the same at every node.
    cells : dict of str to ndarray of bool
        Which rows there are, by level of each categorical term or levels of an interaction, and
        which rows a column of numbers is not 0 for: sums are of these.
    """

    table: Numbers
    columns: tuple[str, ...]
    cells: Mapping[str, Any]


def one_csv(data: Any) -> pd.DataFrame:
    """Return a node's one CSV file as a table; a DataFrame is taken as it is.

    Raises
    ------
    DataError
        There is none, or more than one.
    """
    import pandas as pd

    if isinstance(data, pd.DataFrame):
        return data
    sources = data if isinstance(data, list) else [data]
    found = [
        content
        for source in sources
        if isinstance(source, dict)
        for key, content in source.items()
        if isinstance(content, bytes) and str(key).lower().endswith(".csv")
    ]
    if len(found) != 1:
        raise DataError(
            f"a regression reads one CSV file, and this node has {len(found)}: give the study "
            "table=..., a function that makes a DataFrame of the node's data"
        )
    table: pd.DataFrame = pd.read_csv(io.BytesIO(found[0]))
    return table


def check_table(table: Any, columns: Sequence[str], what: str = "this node's table") -> None:
    """Refuse what is no table, or lacks a column.

    Raises
    ------
    DataError
        It is no DataFrame, or lacks a column, or has one twice.
    """
    import pandas as pd

    if not isinstance(table, pd.DataFrame):
        raise DataError(f"the table function must return a DataFrame, not {type(table).__name__}")
    if lacking := [name for name in columns if name not in table.columns]:
        raise DataError(f"{what} has no column {' or '.join(lacking)}")
    if twice := [name for name in columns if (table.columns == name).sum() > 1]:
        raise DataError(f"{what} has two columns of the name {' or '.join(twice)}")


@contextmanager
def complete_rows(table: Any, columns: Sequence[str]) -> Iterator[pd.DataFrame]:
    """Give a table's rows in which none of the columns is missing.

    Statistics that are made of them in the block know whom each row is about, where the table says.

    Raises
    ------
    DataError
        It is no table, or lacks a column.
    """
    check_table(table, columns)
    kept = ~np.any([missing(table[name]) for name in columns], axis=0)
    # formulaic puts columns side by side by the index, which may have one label twice
    rows: pd.DataFrame = table.loc[kept, list(columns)].reset_index(drop=True)
    if len(rows) < len(table):
        logger.info("%d of %d rows are complete; the others are left out", len(rows), len(table))
    people = people_in(table)
    with rows_about(None if people is None else people[kept]):
        yield rows


def agreement(design: Design, rows: pd.DataFrame, *, secure: bool) -> dict[str, Any]:
    """Return statistics from which all hospitals agree on what a design needs.

    Parameters
    ----------
    design : Design
        The formula.
    rows : DataFrame
        Complete rows.
    secure : bool
        Whether sums are secure: then levels that are found may not leave.

    Raises
    ------
    DataError
        A column does not hold what the formula needs.
    """
    bare = [name for name in design.numbers if name in design.columns]
    texts = {name for name in bare if len(rows) and not _holds_numbers(rows[name])}
    if secure and (texts or set(design.categories) - design.levels.keys()):
        names = sorted(texts | (set(design.categories) - design.levels.keys()))
        raise DataError(
            "with secure sums the levels of categories must be declared: "
            + ", ".join(f"levels={{{name!r}: [...]}}" for name in names)
        )
    for name in sorted(texts - design.levels.keys()):
        if rows[name].nunique() > _MOST_LEVELS:
            raise DataError(
                f"the column {name} holds text, and more than {_MOST_LEVELS} different ones: make "
                f"numbers of it in the table function (pandas.to_numeric), join its levels, or "
                f"declare them, levels={{{name!r}: [...]}}"
            )
    found: dict[str, Any] = {"numbers": {}, "labels": {}, "moments": {}}
    cells = {ALL: np.ones(len(rows), dtype=bool)}
    for name in design.numbers:
        values = np.zeros(0) if name in texts or not len(rows) else row_values(name, rows)
        found["numbers"][name] = Moments.from_data(values)
        # text is no number yet: its cells are those of levels, which come with the design
        column = (values if len(values) else np.zeros(len(rows)))[:, None]
        cells |= number_cells([name], column, design.numbers)
    sizes = {name: (int(cell.sum()), 0) for name, cell in cells.items()}
    found["rows"] = ScoreInformation.from_data((), len(rows), (), (), {}, cells=sizes)
    if (people := CellPeople.of(cells, np.zeros(len(rows), dtype=bool), rows)) is not None:
        people.known_to(found["rows"])
    for call, inner in design.moments.items():
        found["moments"][call] = Moments.from_data(row_values(inner, rows))
    if not secure:
        for name in dict.fromkeys([*bare, *design.categories]):
            counted = name in texts or name in design.categories
            levels = design.levels.get(name)
            # of numbers none are counted: another hospital may have labels in this column
            counts = ValueCounts.from_data(rows[name], levels) if counted else None
            found["labels"][name] = counts or ValueCounts.zero(levels)
    return found


def design_matrix(
    design: Design,
    rows: pd.DataFrame,
    levels: Mapping[str, Sequence[Label]],
    moments: Mapping[str, tuple[float, float]],
) -> DesignMatrix:
    """Return the design of complete rows, with what all hospitals agreed on.

    Parameters
    ----------
    design : Design
        The formula.
    rows : DataFrame
        Complete rows.
    levels : dict of str to sequence of labels
        Of every column of labels.
    moments : dict of str to (mean, deviation)
        Of what ``center`` and ``scale`` have.

    Raises
    ------
    DataError
        A column does not hold what it holds at the other hospitals, or a level is unknown.
    """
    import pandas as pd

    check_table(rows, design.columns, "the table")
    ready: dict[str, Any] = {}
    for name in design.columns:
        if name in levels:
            if name in design.numbers and len(rows) and _holds_numbers(rows[name]):
                raise DataError(
                    f"the column {name} holds labels at other hospitals, and numbers here"
                )
            ready[name] = _categories(name, rows[name], levels[name])
        elif len(rows) and not _holds_numbers(rows[name]):
            if name not in design.numbers:  # within a call, such as I(sex == 'm')
                ready[name] = rows[name]
                for call in set(design.numbers).difference(design.columns):
                    row_values(call, rows)  # refuses a column for each label
                continue
            raise DataError(f"the column {name} holds numbers at other hospitals, and text here")
        else:
            ready[name] = pd.Series(numbers(rows[name]))
    # formulaic keeps what `center` and `scale` have learnt by the text of the call: here from all
    states = {
        call: {"ddof": 1, "center": mean, "scale": deviation if call[:5] == "scale" else None}
        for call, (mean, deviation) in moments.items()
    }
    spec = formulaic().ModelSpec.from_spec(design.terms, transform_state=states)
    try:
        with np.errstate(all="ignore"):
            frame = pd.DataFrame(ready, index=range(len(rows)))  # also of no column
            # "ignore": it would drop rows without a word, and their number is known already
            matrix = spec.get_model_matrix(frame, na_action="ignore", output="numpy")
    except FlameError:
        raise
    except Exception as error:  # of whatever kind: formulaic's text may hold a value
        raise DataError(
            f"the formula {design.text} cannot be computed on this node's table: does every value "
            "lie within the bounds of its splines?",
            detail=text_of(error),
        ) from error
    table = np.ascontiguousarray(matrix, dtype=np.float64)
    columns = tuple(map(str, matrix.model_spec.column_names))
    for name, finite in zip(columns, np.all(np.isfinite(table), axis=0).tolist(), strict=True):
        _check_finite(name, finite)
    cells = {ALL: np.ones(len(rows), dtype=bool), **dict(level_cells(design, ready))}
    return DesignMatrix(table, columns, cells | number_cells(columns, table, design.numbers))


def cell_counts(
    matrix: DesignMatrix, events: Any, people: pd.Series | None = None
) -> dict[str, tuple[int, int]]:
    """Return how many rows are in each cell, and how many with an event; or how many people."""
    if people is None:
        return {n: (int(c.sum()), int((c & events).sum())) for n, c in matrix.cells.items()}
    return {
        name: (people[cell].nunique(), people[cell & events].nunique())
        for name, cell in matrix.cells.items()
    }


def row_values(expression: str, rows: pd.DataFrame) -> Numbers:
    """Return an expression's value for every row.

    Raises
    ------
    DataError
        It is not a number in every row.
    """
    labels = False
    if expression in rows.columns:
        values = rows[expression]
    else:
        spec = formulaic().ModelSpec.from_spec(f"0 + {{{expression}}}")
        try:
            with np.errstate(all="ignore"):
                matrix = spec.get_model_matrix(rows, na_action="ignore")
        except Exception as error:
            raise DataError(
                f"{expression} cannot be computed on this node's table", detail=text_of(error)
            ) from error
        values = matrix.iloc[:, 0]
        labels = str(matrix.columns[0]).endswith("]")  # it has a column for each
    if len(rows) and (labels or not _holds_numbers(values)):
        raise DataError(
            f"{expression} must be numbers, and is something else at this node: make it 0 and 1, "
            "or numbers, in the table function"
        )
    found = numbers(values)
    _check_finite(expression, bool(np.isfinite(found).all()))
    return found


def _check_finite(name: str, finite: bool) -> None:
    if not finite:
        raise DataError(
            f"{name} is no finite number in some rows of this node: leave them out in the table "
            "function"
        )


def _holds_numbers(values: Any) -> bool:
    return is_numeric(values) or values.dtype.kind == "b"


def _categories(name: str, values: Any, levels: Sequence[Label]) -> Any:
    import pandas as pd

    places = label_places(name, values, levels)
    if (places >= len(levels)).any():
        raise DataError(
            f"the column {name} has a level here that not all hospitals agreed on: it is too rare "
            "to be named, or not declared. Join it with another, or declare the levels"
        )
    return pd.Categorical.from_codes(places, categories=pd.Index(list(levels)))


def agreed_levels(counts: Mapping[str, Any], declared: Mapping[str, Sequence[Label]]) -> Any:
    """Return the levels of every column of labels: those that are declared, else those found."""
    found = {}
    for name, counted in counts.items():
        labels = counted.result()["labels"]
        if name in declared:
            found[name] = list(declared[name])
        elif labels:
            found[name] = sorted(labels, key=label_key)
    return found
