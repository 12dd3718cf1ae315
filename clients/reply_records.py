"""The records of a node's answers, in the names and the order that Flower's own client has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flwr.app import Array, ArrayRecord, ConfigRecord, MetricRecord

from flame_flwr.flower import EMPTY, NUMPY

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flame_flwr.failure.failure import Failure
    from flame_flwr.flower import FitRes

__all__ = ["OK", "failed_records", "is_plain", "records_of", "round_records"]

OK: dict[str, Any] = {"code": 0, "message": "Success"}
"""The status of every answer of a client's."""


def records_of(prefix: str, **records: Any) -> dict[str, Any]:
    """Return records under the names, and in the order, that Flower's own client gives them."""
    status = ConfigRecord(OK)
    return {f"{prefix}.{name}": each for name, each in {**records, "status": status}.items()}


def failed_records(kind: str, failure: Failure, hello: Mapping[str, Any]) -> dict[str, Any]:
    """Return the records of an answer that is a failure, as the client makes them.

    Parameters
    ----------
    kind : {'hello', 'round', 'evaluation'}
        What was asked.
    failure : Failure
        Why it failed, as it may leave.
    hello : mapping
        What hello says beside that.
    """
    said: dict[str, Any] = {"failure": failure.to_json()}
    if kind == "hello":
        return records_of("getpropertiesres", properties=ConfigRecord({**said, **hello}))
    if kind == "round":
        return _of_round([], 0, said)
    loss, examples = MetricRecord({"loss": 0.0}), MetricRecord({"num_examples": 0})
    return records_of("evaluateres", loss=loss, num_examples=examples, metrics=ConfigRecord(said))


def round_records(answer: FitRes) -> dict[str, Any]:
    """Return the records that Flower makes of an answer to a round."""
    return _of_round(answer.parameters.tensors, answer.num_examples, answer.metrics)


def _of_round(
    tensors: Sequence[bytes], examples: int, metrics: Mapping[str, Any]
) -> dict[str, Any]:
    arrays = ArrayRecord()  # of a dict it would make every Array once more
    for place, tensor in enumerate(tensors):
        arrays[str(place)] = Array("", (), NUMPY, tensor)
    if not tensors:
        arrays[EMPTY] = Array("", (), NUMPY, b"")
    return records_of(
        "fitres",
        metrics=ConfigRecord(dict(metrics)),
        num_examples=MetricRecord({"num_examples": examples}),
        parameters=arrays,
    )


def is_plain(answer: FitRes) -> bool:
    """Tell whether Flower's records would take an answer to a round as it is; no failure is."""
    said = answer.metrics
    return (
        type(answer.num_examples) is int
        and "failure" not in said
        and all(type(name) is str for name in said)
        # Flower's records look into texts and lists: these go the long way, for its own errors.
        and all(isinstance(value, int | float | bytes) for value in said.values())
    )
