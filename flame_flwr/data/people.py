"""How many rows and people a node's data is of: numbers for its gate, where rules hold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from flame_flwr.data.fhir_bundles import read_entries
from flame_flwr.data.table_check import subjects
from flame_flwr.errors import DataError

if TYPE_CHECKING:
    from flame_flwr.privacy.evidence import Evidence

__all__ = ["counted"]


def counted(known: Evidence, data: Any, expects: Iterable[Any] = ()) -> Evidence:
    r"""Return evidence with how many rows and people data is of, where that can be known.

    Parameters
    ----------
    known : Evidence
        What else is known.
    data : Any
        As the analyzer gets it.
    expects : iterable of Table or Resources
        What the analysis declares. Tables with a ``subject`` have as many people as there are
        values in that column. FHIR resources say whose they are; of a DataFrame the rows count.

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
        people = {person for person in found if isinstance(person, str)}  # and no empty cell
        return replace(known, rows=len(found), people=len(people)) if found else known
    if patients := {*_patients(data)}:
        return replace(known, people=len(patients))
    is_frame = type(data).__name__ == "DataFrame" and len(getattr(data, "shape", ())) == 2
    return replace(known, rows=int(data.shape[0])) if is_frame else known


def _patients(data: Any) -> Iterator[str]:
    """Yield whose each resource of a node's FHIR bundles is, such as ``Patient/1``."""
    sources = data if isinstance(data, list) else []
    for bundle in (
        each for source in sources if isinstance(source, dict) for each in source.values()
    ):
        if not isinstance(bundle, dict):
            return
        try:
            resources = [entry.get("resource") for entry in read_entries([bundle]).entries]
        except DataError:
            return
        yield from filter(None, map(_patient, resources))


def _patient(resource: Any) -> str:
    """Return whose a resource is, without the server's address; ``''`` where it does not say."""
    if not isinstance(resource, Mapping):
        return ""
    if resource.get("resourceType") == "Patient":
        return f"Patient/{resource.get('id', '')}"
    of = resource.get("subject") or resource.get("patient")
    reference = of.get("reference") if isinstance(of, Mapping) else None
    return "/".join(reference.rsplit("/", 2)[-2:]) if isinstance(reference, str) else ""
