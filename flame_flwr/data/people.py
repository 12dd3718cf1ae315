"""How many rows and people a node's data is of: numbers for its gate, where rules hold."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from flame_flwr.data.fhir_bundles import read_entries
from flame_flwr.data.table_check import as_texts, subjects
from flame_flwr.errors import DataError

if TYPE_CHECKING:
    from flame_flwr.privacy.evidence import Evidence

__all__ = ["counted", "names_of_patients", "people_or_entries"]


def counted(known: Evidence, data: Any, expects: Iterable[Any] = (), subject: str = "") -> Evidence:
    r"""Return evidence with how many rows and people data is of, where that can be known.

    Parameters
    ----------
    known : Evidence
        What else is known.
    data : Any
        As the analyzer gets it.
    expects : iterable of Table or Resources
        What the analysis declares. Tables with a ``subject`` have as many people as there are
        values in that column. FHIR resources say whose they are; of a DataFrame the rows count,
        of several those of the shortest, as it may be the one with a row for each person.
    subject : str
        The column that says whom a row is about: where DataFrames and CSV files have it, people
        are those in there.

    Examples
    --------
    >>> from flame_flwr.data.expect import Table
    >>> from flame_flwr.privacy.evidence import Evidence
    >>> visits = Table("visits.csv", subject="patient")
    >>> found = counted(Evidence(), [{"visits.csv": b"patient\na\nb\na\n"}], [visits])
    >>> found.rows, found.people
    (3, 2)
    """
    tables = [table for table in expects if getattr(table, "subject", "")]
    if tables:
        found = [person for table in tables for person in subjects(table, data)]
        return _with_people(known, found) if found else known
    if subject and (found := _rows_by(subject, data)):
        return _with_people(known, found)
    if at_least := _people(_entries(data)):
        return replace(known, people=at_least)
    sizes = [len(frame) for frame in _frames(data) if len(frame)]
    return replace(known, rows=min(sizes)) if sizes else known


def _with_people(known: Evidence, found: list[Any]) -> Evidence:
    """Return evidence with whom rows are about; what is no text, an empty cell, is nobody."""
    people = {person for person in found if isinstance(person, str)}
    # rows are of somebody, whoever it is: of no people at all, rules let everything be said
    return replace(known, rows=len(found), people=max(1, len(people)))


def _rows_by(subject: str, data: Any) -> list[Any]:
    """Return whom each row is about, of all tables and CSV files that have the column."""
    found: list[Any] = []
    for source in data if isinstance(data, list) else [{"table": data}]:
        for key, value in source.items() if isinstance(source, Mapping) else ():
            if type(value).__name__ == "DataFrame" and subject in value:
                found += as_texts(value[subject])
            elif isinstance(value, bytes) and str(key).lower().endswith(".csv"):
                found += _column_of_file(value, subject)
    return found


def _column_of_file(content: bytes, name: str) -> list[Any]:
    import pandas as pd

    try:
        reading: dict[str, Any] = {"usecols": [name], "dtype": str, "encoding": "utf-8-sig"}
        return list(pd.read_csv(io.BytesIO(content), **reading)[name])
    except (ValueError, OverflowError):  # no such column, or no table
        return []


def _frames(data: Any) -> list[Any]:
    """Return the DataFrame that the data is, or those of a database's tables."""
    parts = [data]
    if isinstance(data, list):
        parts = [each for tables in data if isinstance(tables, dict) for each in tables.values()]
    return [each for each in parts if type(each).__name__ == "DataFrame"]


def _entries(data: Any) -> list[Mapping[str, Any]]:
    """Return the entries of a node's FHIR bundles, up to the first content that is none."""
    found: list[Mapping[str, Any]] = []
    # what is left out makes people too few, and so the rules stricter
    for source in data if isinstance(data, list) else []:
        for bundle in source.values() if isinstance(source, dict) else ():
            if not isinstance(bundle, dict):
                return found
            try:
                found += read_entries([bundle]).entries
            except DataError:
                return found
    return found


def _people(entries: list[Mapping[str, Any]]) -> int:
    """Return how many people FHIR resources are of at least; 0 where none says whose it is.

    One person may have names of several kinds: the server's, one by each system of identifiers, one
    within a transaction. So names of one kind are counted, and the kind with most of them counts.
    """
    known = names_of_patients(entries)
    return _most_of_a_kind(_patient(entry, known) for entry in entries)


def people_or_entries(entries: Sequence[Mapping[str, Any]], known: Mapping[str, _Name]) -> int:
    """Return of how many people entries are; how many there are where one does not say whose it is.

    Parameters
    ----------
    entries : sequence of dict
        One for each value; one may be there more than once.
    known : dict
        Of :func:`names_of_patients`.
    """
    names = [_patient(entry, known) for entry in entries]
    return len(names) if None in names else _most_of_a_kind(names)


def names_of_patients(entries: Iterable[Mapping[str, Any]]) -> dict[str, _Name]:
    """Return what the patients among entries call themselves, by their addresses there."""
    return {
        _folded(url): name
        for each in entries
        if _type(each.get("resource")) == "Patient"
        and isinstance(url := each.get("fullUrl"), str)
        and (name := _own_name(each["resource"]))
    }


def _most_of_a_kind(names: Iterable[_Name | None]) -> int:
    kinds: dict[str, set[str]] = {}  # counted together, two names of one person would be two people
    for name in names:
        if name is not None:
            kinds.setdefault(name[0], set()).add(name[1])
    return max(map(len, kinds.values()), default=0)


_Name = tuple[str, str]
"""A kind of names, and one of them."""

_PATIENT = re.compile(r"(?:.*/)?Patient/([^/?#]+)(?:/_history/[^/?#]*)?/?(?:[?#].*)?", re.DOTALL)
"""A reference to a patient, with or without the server's address and the version."""

_OTHER_TYPE = re.compile(r"(?:.*/)?[A-Z][A-Za-z]+/[^/?#]+(?:/_history/[^/?#]*)?/?", re.DOTALL)
"""A reference to what is no patient, such as ``Group/1`` or ``Device/1``."""

_UNNAMED = "within a resource", ""


def _patient(entry: Mapping[str, Any], known: Mapping[str, _Name]) -> _Name | None:
    """Return whose an entry's resource is; ``None`` where it does not say."""
    resource = entry.get("resource")
    if not isinstance(resource, Mapping):
        return None
    if _type(resource) == "Patient":
        url = entry.get("fullUrl")
        return _own_name(resource) or (_by_url(url, known) if isinstance(url, str) else _UNNAMED)
    of = resource.get("subject") or resource.get("patient")
    if not isinstance(of, Mapping):
        return None
    if isinstance(reference := of.get("reference"), str) and reference:
        return _by_url(reference, known)
    return _by_identifier(of.get("identifier")) if of.get("type", "Patient") == "Patient" else None


def _by_url(url: str, known: Mapping[str, _Name]) -> _Name | None:
    if (name := known.get(_folded(url))) is not None:
        return name
    if found := _PATIENT.fullmatch(url):
        return "a server's", found[1]
    if _OTHER_TYPE.fullmatch(url):
        return None
    return _UNNAMED if url.startswith("#") else ("an address", _folded(url))


def _own_name(patient: Mapping[str, Any]) -> _Name | None:
    own = patient.get("id")
    return ("a server's", own) if isinstance(own, str) and own else None


def _by_identifier(identifier: Any) -> _Name | None:
    if not isinstance(identifier, Mapping):
        return None
    value = identifier.get("value")
    kind = f"an identifier of {identifier.get('system')}"
    return (kind, value) if isinstance(value, str) and value else None


def _folded(url: str) -> str:
    # a UUID may be written in capitals (RFC 9562); a server's paths tell case apart
    return url.lower() if url.lower().startswith("urn:uuid:") else url


def _type(resource: Any) -> Any:
    return resource.get("resourceType") if isinstance(resource, Mapping) else None
