"""A table of people out of an OMOP Common Data Model, as SQL that a hospital reads and then allows.

The SQL names tables and columns that CDM 5.3 and 5.4 both have, and is PostgreSQL's and DuckDB's.
It is no source: the hospital saves it as the file of a dataset's `query`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from flame_flwr.data.omop_tables import VERSIONS, tables
from flame_flwr.errors import ModelError

__all__ = ["VERSIONS", "cohort", "tables"]

_NAME = re.compile(r"[a-z][a-z0-9_]{0,59}")
_TAKEN = ("person_id", "index_date", "age", "sex")


def cohort(
    index: Sequence[int],
    *,
    conditions: Mapping[str, Sequence[int]] | None = None,
    drugs: Mapping[str, Sequence[int]] | None = None,
    measurements: Mapping[str, Sequence[int]] | None = None,
    schema: str = "",
) -> str:
    """Return SQL that gives a row for each person with a condition of a concept set.

    Parameters
    ----------
    index : sequence of int
        Concepts. The first condition of one of them, or of what descends from it, gives the index
        date.
    conditions, drugs : dict of str to sequence of int, optional
        A column of 0 and 1 by name: whether there was one of these concepts, or of what descends
        from them, up to the index date, that day included.
    measurements : dict of str to sequence of int, optional
        A column by name: the last value up to the index date, that day included.
    schema : str
        Where the tables are, such as ``cdm``.

    Returns
    -------
    str
        A ``SELECT`` with ``person_id``, ``index_date``, ``age`` in years of the calendar, ``sex``
        (``f``, ``m`` or NULL), and the columns above.

    Raises
    ------
    ModelError
        A concept is no whole number above 0, a name cannot be that of a column, or a set is empty.

    Examples
    --------
    >>> from flame_flwr.data.omop import cohort
    >>> print(cohort([201826], drugs={"metformin": [1503297]}, schema="cdm").splitlines()[0])
    WITH entry AS (
    """
    if schema:
        _check_name(schema, ())
    at = f"{schema}." if schema else ""
    names: list[str] = list(_TAKEN)
    columns: list[str] = []
    for table, kind, form, sets in (
        ("condition_occurrence", "condition", _FLAG, conditions),
        ("drug_exposure", "drug_exposure", _FLAG, drugs),
        ("measurement", "measurement", _LAST_VALUE, measurements),
    ):
        for name, concepts in (sets or {}).items():
            _check_name(name, names)
            names.append(name)
            given = {"concepts": _descendants(concepts, at), "concept": kind.partition("_")[0]}
            columns.append(form.format(table=at + table, kind=kind, name=name, **given))
    return _SELECT.format(at=at, index=_descendants(index, at), more="".join(columns))


_SELECT = """\
WITH entry AS (
    SELECT person_id, MIN(condition_start_date) AS index_date
    FROM {at}condition_occurrence
    WHERE condition_concept_id IN ({index})
    GROUP BY person_id
)
SELECT
    p.person_id,
    e.index_date,
    CAST(EXTRACT(YEAR FROM e.index_date) AS INTEGER) - p.year_of_birth AS age,
    CASE p.gender_concept_id WHEN 8532 THEN 'f' WHEN 8507 THEN 'm' END AS sex{more}
FROM {at}person p JOIN entry e ON e.person_id = p.person_id
"""
"""The concepts are OMOP's for female and male."""

_FLAG = """,
    CASE WHEN EXISTS (
        SELECT 1 FROM {table} t
        WHERE t.person_id = p.person_id AND t.{kind}_start_date <= e.index_date
        AND t.{concept}_concept_id IN ({concepts})
    ) THEN 1 ELSE 0 END AS {name}"""

_LAST_VALUE = """,
    (
        SELECT t.value_as_number FROM {table} t
        WHERE t.person_id = p.person_id AND t.{kind}_date <= e.index_date
        AND t.value_as_number IS NOT NULL AND t.{concept}_concept_id IN ({concepts})
        ORDER BY t.{kind}_date DESC, t.{kind}_id DESC LIMIT 1
    ) AS {name}"""
"""Of two values of one day, the one that was recorded last."""

_DESCENDANTS = (
    "SELECT descendant_concept_id FROM {at}concept_ancestor "
    "WHERE ancestor_concept_id IN ({listed}) "
    "UNION SELECT concept_id FROM {at}concept WHERE concept_id IN ({listed})"
)


def _descendants(concepts: Sequence[int], at: str) -> str:
    """Return SQL for concepts and what descends from them; a concept descends from itself."""
    if not isinstance(concepts, Sequence) or isinstance(concepts, str) or not concepts:
        raise ModelError(f"omop: concepts must be a list of them, not {concepts!r:.100}")
    for concept in concepts:
        if type(concept) is not int or concept < 1:
            raise ModelError(f"omop: a concept is a whole number above 0, not {concept!r:.100}")
    return _DESCENDANTS.format(at=at, listed=", ".join(map(str, concepts)))


def _check_name(name: object, taken: Sequence[str]) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name) or name in taken:
        raise ModelError(
            "omop: a name must be of lower-case letters, digits and _, and each another, not "
            f"{name!r:.100}"
        )
