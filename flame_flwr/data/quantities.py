"""The numbers of a FHIR resource: its ``valueQuantity``, and those of its components.

A blood pressure, for example, is one Observation with two components, each with a code and a
quantity of its own (https://hl7.org/fhir/R4/observation.html).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["has_code", "parts", "quantity_of", "says_why_absent", "value_of"]


def parts(resource: Mapping[str, Any], code: str) -> list[Mapping[str, Any]]:
    """Return the parts of a resource that a code means; none where it is another resource.

    Parameters
    ----------
    resource : dict
        Such as an Observation.
    code : str
        Such as LOINC's 29463-7; empty for any.

    Returns
    -------
    list of dict
        The resource itself where the code is its own, with its components where it has no value;
        else the components with this code.
    """
    components = [each for each in _listed(resource.get("component")) if isinstance(each, Mapping)]
    if code and not has_code(resource, code):
        return [each for each in components if has_code(each, code)]
    return components if components and not _has_value(resource) else [resource]


def has_code(part: Mapping[str, Any], code: str) -> bool:
    """Tell whether one of the codings of a resource, or of a component, has a code."""
    concept = part.get("code")
    codings = concept.get("coding") if isinstance(concept, Mapping) else None
    return any(
        isinstance(coding, Mapping) and coding.get("code") == code for coding in _listed(codings)
    )


def quantity_of(part: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the ``valueQuantity``; ``None`` where there is none."""
    quantity = part.get("valueQuantity")
    return quantity if isinstance(quantity, Mapping) else None


def value_of(quantity: Mapping[str, Any]) -> float | None:
    """Return a quantity's number; ``None`` where its value is something else."""
    value = quantity.get("value")
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if isinstance(value, int) or math.isfinite(value) else None


def says_why_absent(part: Mapping[str, Any]) -> bool:
    """Tell whether a resource, or a component, gives a reason for having no value."""
    return bool(part.get("dataAbsentReason")) and not _has_value(part)


def _has_value(part: Mapping[str, Any]) -> bool:
    return any(_values(part))


def _values(part: Mapping[str, Any]) -> Iterator[bool]:
    return (key.startswith("value") and value is not None for key, value in part.items())


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
