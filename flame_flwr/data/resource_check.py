"""Looking at the answers to FHIR searches for the resources that an analysis expects."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from flame_flwr.data.fhir_bundles import read_entries
from flame_flwr.data.mismatch import Mismatch, outside
from flame_flwr.data.people import names_of_patients, people_or_entries
from flame_flwr.errors import DataError

if TYPE_CHECKING:
    from flame_flwr.data.expect import Resources

__all__ = ["look_at_bundles"]


def look_at_bundles(expected: Resources, data: Any) -> Iterator[Mismatch]:
    """Yield what is not as expected of a node's bundles, ``[{query: bundle, ...}, ...]``."""
    if not isinstance(data, list) or not all(isinstance(each, Mapping) for each in data):
        yield Mismatch("the data is not a list of bundles")
        return
    number, everything = 0, list[Mapping[str, Any]]()
    those, odd = list[Mapping[str, Any]](), dict[Mismatch, list[Mapping[str, Any]]]()
    for query, bundle in (pair for bundles in data for pair in bundles.items()):
        try:
            entries = read_entries([bundle]).entries
        except DataError:
            yield Mismatch("an answer to a search is not a Bundle")
            return
        found = [(entry, meant) for entry in entries if (meant := _meant(expected, entry))]
        # a search with _summary=count has no entries, but a total
        counted = len(found) if entries or expected.code else _total(expected, str(query), bundle)
        number += counted
        everything += entries
        those += [entry for entry, _ in found]
        for entry, meant in found:
            for each in (each for part in meant for each in _look_at(expected, part)):
                odd.setdefault(each, []).append(entry)
    known = names_of_patients(everything)  # also of searches whose own resources are not meant
    if number < expected.at_least:
        wanted = f"{expected.at_least} resources of the type {expected.called}"
        # none at all may be said; else it is of as many as there may be
        few = min(number, 1) * (expected.at_least - 1)
        if those and len(those) == number:
            few = min(few, people_or_entries(those, known))
        yield Mismatch(f"fewer than {wanted}", rows=few)
    for mismatch in sorted(odd, key=lambda mismatch: mismatch.text):
        yield replace(mismatch, rows=people_or_entries(odd[mismatch], known))


def _meant(expected: Resources, entry: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the parts of an entry's resource that are meant; none of another resource."""
    resource = entry.get("resource")
    if not isinstance(resource, Mapping) or resource.get("resourceType") != expected.type:
        return []
    return _parts(resource, expected.code)


def _total(expected: Resources, query: str, bundle: Mapping[str, Any]) -> int:
    total = bundle.get("total")
    return total if type(total) is int and query.partition("?")[0] == expected.type else 0


def _look_at(expected: Resources, part: Mapping[str, Any]) -> Iterator[Mismatch]:
    """Look at the value of a resource, or of a component."""
    called, low, high, unit = expected.called, expected.low, expected.high, expected.unit
    if not unit and low is None and high is None:
        return
    quantity = _quantity_of(part)
    if quantity is None:
        if not _says_why_absent(part):
            yield Mismatch(f"{called}: no valueQuantity in some of them", expected.stops)
        return
    value = _value_of(quantity)
    if value is None:
        yield Mismatch(f"{called}: values that are not numbers")
    elif (low is not None and value < low) or (high is not None and value > high):
        yield Mismatch(f"{called}: values {outside(low, high, unit)}", expected.stops)
    if unit and unit not in (quantity.get("code"), quantity.get("unit")):
        yield Mismatch(f"{called}: values in another unit than {unit}")


def _parts(resource: Mapping[str, Any], code: str) -> list[Mapping[str, Any]]:
    """Return the parts of a resource that a code means: any where it is empty.

    They are the resource itself where the code is its own, or its components where it has no value;
    else the components with this code. A blood pressure, for example, is one Observation with two
    components, each with a code and a quantity (https://hl7.org/fhir/R4/observation.html).
    """
    components = [each for each in _listed(resource.get("component")) if isinstance(each, Mapping)]
    if code and not _has_code(resource, code):
        return [each for each in components if _has_code(each, code)]
    return components if components and not _has_value(resource) else [resource]


def _has_code(part: Mapping[str, Any], code: str) -> bool:
    """Tell whether one of the codings of a resource, or of a component, has a code."""
    concept = part.get("code")
    codings = concept.get("coding") if isinstance(concept, Mapping) else None
    return any(
        isinstance(coding, Mapping) and coding.get("code") == code for coding in _listed(codings)
    )


def _quantity_of(part: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the ``valueQuantity``; ``None`` where there is none."""
    quantity = part.get("valueQuantity")
    return quantity if isinstance(quantity, Mapping) else None


def _value_of(quantity: Mapping[str, Any]) -> float | None:
    """Return a quantity's number; ``None`` where its value is something else."""
    value = quantity.get("value")
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    # an int of any size is finite, and too large a one would not become a float
    return value if isinstance(value, int) or math.isfinite(value) else None


def _says_why_absent(part: Mapping[str, Any]) -> bool:
    """Tell whether a resource, or a component, gives a reason for having no value."""
    return bool(part.get("dataAbsentReason")) and not _has_value(part)


def _has_value(part: Mapping[str, Any]) -> bool:
    return any(key.startswith("value") and value is not None for key, value in part.items())


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
