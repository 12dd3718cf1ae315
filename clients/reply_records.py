"""The records of a node's answers, in the names and the order that Flower's own client has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flwr.app import Array, ArrayRecord, ConfigRecord, MetricRecord

from flame_flwr.clients.reply_values import OK
from flame_flwr.flower import EMPTY, NUMPY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flame_flwr.failure.failure import Failure

__all__ = ["failed_records", "records_of"]


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
    examples = MetricRecord({"num_examples": 0})
    if kind == "round":
        nothing = ArrayRecord({EMPTY: Array("", (), NUMPY, b"")})
        return records_of(
            "fitres", metrics=ConfigRecord(said), num_examples=examples, parameters=nothing
        )
    loss = MetricRecord({"loss": 0.0})
    return records_of("evaluateres", loss=loss, num_examples=examples, metrics=ConfigRecord(said))
