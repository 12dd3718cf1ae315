"""What tables a database in OMOP's Common Data Model holds, by its version: columns and kinds.

After https://ohdsi.github.io/CommonDataModel/, of the tables that analyses read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from flame_flwr.data.expect import Column, Kind, Table
from flame_flwr.errors import ModelError

__all__ = ["VERSIONS", "advice_for", "tables"]

VERSIONS = ("5.3", "5.4")
"""The versions of the model that are known."""

_TAG = "omop-"
_PERSON = "person_id"

_BOTH = {
    "person": "person_id! gender_concept_id! year_of_birth! month_of_birth day_of_birth "
    "birth_datetime race_concept_id! ethnicity_concept_id! location_id provider_id care_site_id "
    "person_source_value gender_source_value gender_source_concept_id race_source_value "
    "race_source_concept_id ethnicity_source_value ethnicity_source_concept_id",
    "observation_period": "observation_period_id! person_id! observation_period_start_date! "
    "observation_period_end_date! period_type_concept_id!",
    "visit_occurrence": "visit_occurrence_id! person_id! visit_concept_id! visit_start_date! "
    "visit_start_datetime visit_end_date! visit_end_datetime visit_type_concept_id! provider_id "
    "care_site_id visit_source_value visit_source_concept_id preceding_visit_occurrence_id",
    "condition_occurrence": "condition_occurrence_id! person_id! condition_concept_id! "
    "condition_start_date! condition_start_datetime condition_end_date condition_end_datetime "
    "condition_type_concept_id! condition_status_concept_id stop_reason provider_id "
    "visit_occurrence_id visit_detail_id condition_source_value condition_source_concept_id "
    "condition_status_source_value",
    "drug_exposure": "drug_exposure_id! person_id! drug_concept_id! drug_exposure_start_date! "
    "drug_exposure_start_datetime drug_exposure_end_date! drug_exposure_end_datetime "
    "verbatim_end_date drug_type_concept_id! stop_reason refills quantity days_supply sig "
    "route_concept_id lot_number provider_id visit_occurrence_id visit_detail_id drug_source_value "
    "drug_source_concept_id route_source_value dose_unit_source_value",
    "procedure_occurrence": "procedure_occurrence_id! person_id! procedure_concept_id! "
    "procedure_date! procedure_datetime procedure_type_concept_id! modifier_concept_id quantity "
    "provider_id visit_occurrence_id visit_detail_id procedure_source_value "
    "procedure_source_concept_id modifier_source_value",
    "measurement": "measurement_id! person_id! measurement_concept_id! measurement_date! "
    "measurement_datetime measurement_time measurement_type_concept_id! operator_concept_id "
    "value_as_number value_as_concept_id unit_concept_id range_low range_high provider_id "
    "visit_occurrence_id visit_detail_id measurement_source_value measurement_source_concept_id "
    "unit_source_value value_source_value",
    "observation": "observation_id! person_id! observation_concept_id! observation_date! "
    "observation_datetime observation_type_concept_id! value_as_number value_as_string "
    "value_as_concept_id qualifier_concept_id unit_concept_id provider_id visit_occurrence_id "
    "visit_detail_id observation_source_value observation_source_concept_id unit_source_value "
    "qualifier_source_value",
    "death": "person_id! death_date! death_datetime death_type_concept_id cause_concept_id "
    "cause_source_value cause_source_concept_id",
    "condition_era": "condition_era_id! person_id! condition_concept_id! "
    "condition_era_start_date! condition_era_end_date! condition_occurrence_count",
    "drug_era": "drug_era_id! person_id! drug_concept_id! drug_era_start_date! "
    "drug_era_end_date! drug_exposure_count gap_days",
    "concept": "concept_id! concept_name! domain_id! vocabulary_id! concept_class_id! "
    "standard_concept concept_code! valid_start_date! valid_end_date! invalid_reason",
    "concept_ancestor": "ancestor_concept_id! descendant_concept_id! "
    "min_levels_of_separation! max_levels_of_separation!",
}
"""The columns of both versions; those with a mark have a value in every row."""

_MORE = {
    ("5.3", "visit_occurrence"): "admitting_source_concept_id admitting_source_value "
    "discharge_to_concept_id discharge_to_source_value",
    ("5.4", "visit_occurrence"): "admitted_from_concept_id admitted_from_source_value "
    "discharged_to_concept_id discharged_to_source_value",
    ("5.4", "procedure_occurrence"): "procedure_end_date procedure_end_datetime",
    ("5.4", "measurement"): "unit_source_concept_id measurement_event_id "
    "meas_event_field_concept_id",
    ("5.4", "observation"): "value_source_value observation_event_id obs_event_field_concept_id",
}
"""The columns that only one version has."""

_NUMBERS = ("value_as_number", "range_low", "range_high", "quantity")
_TEXT_IDS = ("domain_id", "vocabulary_id", "concept_class_id")
_COUNTS = ("_of_birth", "_count", "_of_separation", "refills", "days_supply", "gap_days")


def tables(version: str, which: Sequence[str] | Mapping[str, Sequence[str]]) -> list[Table]:
    """Return what an analysis may expect of tables in the Common Data Model, for its ``expects``.

    Parameters
    ----------
    version : {'5.3', '5.4'}
        The model's.
    which : sequence of str, or mapping of str to sequence of str
        The tables; then every column that must have a value is expected. Or the columns of each
        that the analysis reads.

    Returns
    -------
    list of Table
        With the kind of each column, and ``person_id`` as whom a row is about.

    Raises
    ------
    ModelError
        The version, a table or a column is none that is known.

    Examples
    --------
    >>> from flame_flwr.data.omop import tables
    >>> [person] = tables("5.4", {"person": ["person_id", "year_of_birth"]})
    >>> person.columns["year_of_birth"].kind, person.subject
    ('whole', 'person_id')
    >>> tables("5.4", {"visit_occurrence": ["admitting_source_value"]})
    Traceback (most recent call last):
    flame_flwr.errors.ModelError: omop: visit_occurrence of CDM 5.4 has no 'admitting_source_value'
    """
    if version not in VERSIONS:
        raise ModelError(f"omop: a version is one of {', '.join(VERSIONS)}, not {version!r:.100}")
    if isinstance(which, str) or not isinstance(which, Sequence | Mapping) or not which:
        raise ModelError(f"omop: tables must be a list of them, not {which!r:.100}")
    return [_table(version, name, which) for name in which]


def advice_for(tags: Sequence[str], allowed: Mapping[str, Sequence[str]]) -> str:
    """Return what does not go together of a dataset's tag ``omop-5.4`` and its tables; '' for all.

    Parameters
    ----------
    tags : sequence of str
        The dataset's.
    allowed : mapping of str to sequence of str
        The columns that may be read, by table.

    Examples
    --------
    >>> advice_for(["omop-5.4"], {"visit_occurrence": ["person_id", "discharge_to_concept_id"]})
    'visit_occurrence of OMOP CDM 5.4 has no discharge_to_concept_id: is it of 5.3?'
    """
    for tag in tags:
        version = tag.removeprefix(_TAG)
        if not tag.startswith(_TAG):
            continue
        if version not in VERSIONS:
            return f"the tag {tag} names no known version: {', '.join(map(_TAG.__add__, VERSIONS))}"
        for table, columns in allowed.items():
            lacking = [name for name in columns if name not in _columns(version, table)]
            if table in _BOTH and lacking:
                others = [each for each in VERSIONS if set(lacking) <= _columns(each, table).keys()]
                asked = f": is it of {others[0]}?" if others else ""
                return f"{table} of OMOP CDM {version} has no {', '.join(lacking)}{asked}"
    return ""


def _table(version: str, name: str, which: Sequence[str] | Mapping[str, Sequence[str]]) -> Table:
    if name not in _BOTH:
        raise ModelError(f"omop: a table is one of {', '.join(_BOTH)}, not {name!r:.100}")
    known = _columns(version, name)
    asked = which[name] if isinstance(which, Mapping) else [each for each in known if known[each]]
    for column in asked:
        if column not in known:
            raise ModelError(f"omop: {name} of CDM {version} has no {column!r:.100}")
    columns = {
        column: Column(_kind(column), most_missing=0 if known[column] else 1) for column in asked
    }
    return Table(name, columns, subject=_PERSON if _PERSON in asked else "")


def _columns(version: str, table: str) -> dict[str, bool]:
    """Return a table's columns, and whether each has a value in every row."""
    text = f"{_BOTH.get(table, '')} {_MORE.get((version, table), '')}"
    return {name.rstrip("!"): name.endswith("!") for name in text.split()}


def _kind(column: str) -> Kind:
    if column.endswith(("_date", "_datetime")):
        return "date"
    if column in _NUMBERS:
        return "number"
    is_whole = column.endswith(("_id", "_concept_id", *_COUNTS)) and column not in _TEXT_IDS
    return "whole" if is_whole else "text"
