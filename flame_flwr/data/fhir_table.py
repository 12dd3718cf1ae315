"""``fhir_to_csv``: a FHIR search result as a table.

The call is that of FLAME's SDK (``flamesdk`` 0.6.0), whose tables it gives wherever those are
right. It differs where they are not: rows keep counting over pages, the ``csv`` module quotes,
a missing value is an empty cell and not the word ``None``, both filters count where both are
given, and what cannot be placed is left out with a warning.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from io import StringIO
from typing import Any

from flame_flwr.data.fhir_bundles import is_bundle, read_entries
from flame_flwr.errors import DataError, ModelError
from flame_flwr.log import logger

__all__ = ["fhir_to_csv"]

_RESOURCES = ("Observation", "QuestionnaireResponse")


def fhir_to_csv(
    fhir_data: Mapping[str, Any] | Sequence[Mapping[str, Any]],
    col_key_seq: str,
    value_key_seq: str,
    input_resource: str,
    row_key_seq: str | None = None,
    row_id_filters: Sequence[str] | None = None,
    col_id_filters: Sequence[str] | None = None,
    row_col_name: str = "",
    separator: str = ",",
    output_type: str = "file",
) -> StringIO | dict[Any, dict[Any, Any]]:
    """Make a table of a bundle: one cell per Observation, or per item of a questionnaire.

    Parameters
    ----------
    fhir_data : dict, or list of dict
        A bundle, also one that holds bundles; or the pages of one search in order. Entries of
        another resource type than `input_resource` are passed over.
    col_key_seq, value_key_seq : str
        Where column and value stand in an entry, with dots: ``resource.code.coding.code``. In a
        list the first element that has the rest counts. The last key also finds FHIR's choice
        types: ``value`` finds ``valueDecimal``. For a QuestionnaireResponse both begin with
        ``resource.item``, or ``resource.item.item`` for the items of groups.
    input_resource : {'Observation', 'QuestionnaireResponse'}
        What an entry is. The rows of a QuestionnaireResponse are numbered ``'0'``, ``'1'``, ...
    row_key_seq : str, optional
        Where the row stands; an Observation needs it, a QuestionnaireResponse has no use for it.
    row_id_filters, col_id_filters : list of str, optional
        Keep only rows (of Observations) and columns whose id contains one of these.
    row_col_name : str
        The header over the row ids.
    separator : str
        One character.
    output_type : {'file', 'dict'}
        The table as CSV text, or as nested dicts.

    Returns
    -------
    StringIO or dict
        CSV with a line per row, in the order of the entries, one line break between two; or
        ``{column: {row: value}}``. A missing value is an empty cell, ``None`` in the dict. A value
        that is itself an object or a list is JSON text in the CSV. Of several values for one cell
        the last one is kept.

    Raises
    ------
    ModelError
        An argument is not what it must be.
    DataError
        `fhir_data` is no bundle, or links to a next page that is not there.

    Examples
    --------
    >>> from flame_flwr.data import fhir_to_csv
    >>> weight = {
    ...     "resourceType": "Observation",
    ...     "subject": {"reference": "Patient/1"},
    ...     "code": {"coding": [{"code": "weight"}]},
    ...     "valueQuantity": {"value": 70.5},
    ... }
    >>> table = fhir_to_csv(
    ...     {"resourceType": "Bundle", "entry": [{"resource": weight}]},
    ...     col_key_seq="resource.code.coding.code",
    ...     value_key_seq="resource.valueQuantity.value",
    ...     input_resource="Observation",
    ...     row_key_seq="resource.subject.reference",
    ...     row_col_name="patient",
    ... )
    >>> print(table.read())
    patient,weight
    Patient/1,70.5
    """
    _check(input_resource, row_key_seq, separator, output_type)
    columns, values = _keys(col_key_seq, "col_key_seq"), _keys(value_key_seq, "value_key_seq")
    entries = [entry for entry in _entries(fhir_data) if _is_a(entry, input_resource)]
    if input_resource == "Observation":
        rows = _keys(row_key_seq, "row_key_seq")
        cells = _of_observations(entries, rows, columns, values)
    else:
        if row_key_seq or row_id_filters:
            logger.warning(
                "fhir_to_csv: the rows of a QuestionnaireResponse are numbers; "
                "row_key_seq and row_id_filters have no effect"
            )
            row_id_filters = None
        cells = _of_questionnaires(entries, columns, values)
    table = _Table(_filters(row_id_filters), _filters(col_id_filters))
    for row, column, value in cells:
        table.put(row, column, value)
    table.report()
    return table.columns if output_type == "dict" else table.to_csv(row_col_name, separator)


class _Table:
    """Cells by column and row, in the order in which they came up."""

    def __init__(self, row_filters: list[str], column_filters: list[str]) -> None:
        self.columns: dict[Any, dict[Any, Any]] = {}
        self.rows: dict[Any, None] = {}
        self._row_filters = row_filters
        self._column_filters = column_filters
        self._misplaced = 0
        self._repeated = 0

    def put(self, row: Any, column: Any, value: Any) -> None:
        if row is None or column is None:
            self._misplaced += 1
            return
        row, column = _hashable(row), _hashable(column)
        if not (_passes(row, self._row_filters) and _passes(column, self._column_filters)):
            return
        self.rows.setdefault(row)
        cells = self.columns.setdefault(column, {})
        if cells.get(row) is not None:
            self._repeated += 1
            # what is there does not give way to a later gap
            value = cells[row] if value is None else value
        cells[row] = value

    def report(self) -> None:
        if self._misplaced:
            logger.warning(
                "fhir_to_csv: %d values without row or column are left out", self._misplaced
            )
        if self._repeated:
            logger.warning(
                "fhir_to_csv: %d values had a cell that was taken; the last one counts",
                self._repeated,
            )

    def to_csv(self, corner: str, separator: str) -> StringIO:
        text = StringIO()
        plain = csv.writer(text, delimiter=separator, lineterminator="\n")
        quoted = csv.writer(text, delimiter=separator, lineterminator="\n", quoting=csv.QUOTE_ALL)
        lines = [[corner, *self.columns]]
        lines += [[row, *(cells.get(row) for cells in self.columns.values())] for row in self.rows]
        for line in lines:
            written = [_text(cell) for cell in line]
            # Python before 3.13 leaves a lone carriage return bare, which readers take as the end.
            (quoted if any("\r" in cell for cell in written) else plain).writerow(written)
        return StringIO(text.getvalue().removesuffix("\n"))


Cells = Iterator[tuple[Any, Any, Any]]


def _of_observations(
    entries: list[Mapping[str, Any]], rows: list[str], columns: list[str], values: list[str]
) -> Cells:
    for entry in entries:
        yield _find(entry, rows), _find(entry, columns), _find(entry, values)


def _of_questionnaires(
    entries: list[Mapping[str, Any]], columns: list[str], values: list[str]
) -> Cells:
    depth = 2
    if columns[:2] != ["resource", "item"] or values[:2] != columns[:2]:
        raise ModelError(
            "for a QuestionnaireResponse col_key_seq and value_key_seq begin with 'resource.item', "
            "as in 'resource.item.linkId' and 'resource.item.answer.value'"
        )
    # groups of items hold items: as deep as both ways go together, each is a cell's own
    while columns[depth:][:1] == values[depth:][:1] == ["item"]:
        depth += 1
    for number, entry in enumerate(entries):
        for item in _every(entry, columns[:depth]):
            yield str(number), _find(item, columns[depth:]), _find(item, values[depth:])


def _find(value: Any, keys: list[str]) -> Any:
    """Follow keys into an object; in a list, into the first element that has them all."""
    if not keys:
        return value
    if isinstance(value, list):
        found = (_find(part, keys) for part in value)
        return next((part for part in found if part is not None), None)
    if not isinstance(value, Mapping):
        return None
    key = keys[0]
    if key not in value and len(keys) == 1:
        key = next((name for name in value if _is_choice(name, key)), key)
    return _find(value.get(key), keys[1:])


def _every(value: Any, keys: list[str]) -> Iterator[Any]:
    """Follow keys into every element of every list on the way."""
    if isinstance(value, list):
        for part in value:
            yield from _every(part, keys)
    elif not keys:
        yield value
    elif isinstance(value, Mapping) and keys[0] in value:
        yield from _every(value[keys[0]], keys[1:])


def _is_choice(name: str, key: str) -> bool:
    """Tell whether ``name`` is ``key[x]`` (https://hl7.org/fhir/formats.html#choice)."""
    return name.startswith(key) and name[len(key) : len(key) + 1].isupper()


def _entries(fhir_data: Any) -> list[Mapping[str, Any]]:
    pages = fhir_data if isinstance(fhir_data, list | tuple) else [fhir_data]
    if not all(map(is_bundle, pages)):
        raise DataError(
            "fhir_data must be a bundle: of get_fhir_data's answer, or of `data` in "
            "analysis_method, that is data[0][query]"
        )
    entries, incomplete = read_entries(pages)
    if incomplete:
        raise DataError(
            "fhir_data is not the whole search result: its last page links to a next one. Hand "
            "over all pages in a list; or delete the link if these entries are all that is meant"
        )
    return entries


def _is_a(entry: Mapping[str, Any], resource_type: str) -> bool:
    resource = entry.get("resource")
    found = resource.get("resourceType") if isinstance(resource, Mapping) else None
    return found is None or bool(found == resource_type)


def _check(input_resource: str, row_key_seq: Any, separator: str, output_type: str) -> None:
    if input_resource not in _RESOURCES:
        raise ModelError(
            f"input_resource is one of {', '.join(_RESOURCES)}", detail=repr(input_resource)
        )
    if input_resource == "Observation" and not row_key_seq:
        raise ModelError("an Observation needs row_key_seq, such as 'resource.subject.reference'")
    if not isinstance(separator, str) or len(separator) != 1 or separator in '"\r\n':
        raise ModelError(
            "separator is one character, no quote and no line break", detail=repr(separator)
        )
    if output_type not in ("file", "dict"):
        raise ModelError("output_type is 'file' or 'dict'", detail=repr(output_type))


def _keys(sequence: Any, name: str) -> list[str]:
    keys = sequence.split(".") if isinstance(sequence, str) else [""]
    if not all(keys):
        raise ModelError(f"{name} is keys with dots between, as in 'resource.code.coding.code'")
    return keys


def _filters(filters: Sequence[str] | None) -> list[str]:
    return [filters] if isinstance(filters, str) else list(filters or ())


def _passes(name: Any, filters: list[str]) -> bool:
    return not filters or any(part in str(name) for part in filters)


def _hashable(name: Any) -> Any:
    return _text(name) if isinstance(name, Mapping | list) else name


def _text(cell: Any) -> str:
    if cell is None:
        return ""
    if isinstance(cell, Mapping | list):
        return json.dumps(cell, ensure_ascii=False)
    return str(cell)
