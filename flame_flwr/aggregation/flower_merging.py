"""Asking one of Flower's strategies to merge arrays, as if they were replies to its messages."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from flame_flwr.aggregation.flower_supported import ROBUST, is_one
from flame_flwr.errors import FlameError, text_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flame_flwr.aggregation.accumulators import TooLargeError, Where

__all__ = ["merged_by", "start_from"]


def start_from(strategy: Any, place: Where, last: list[Any]) -> None:
    """Tell the strategy the model that the nodes started from, through its own method.

    With a share of 0 it samples no node and makes no message, and needs no Grid.
    """
    from flwr.app import ConfigRecord

    if not hasattr(strategy, "fraction_train"):
        return
    strategy.fraction_train = 0.0
    strategy.configure_train(place.round, _record(last), ConfigRecord(), None)


def merged_by(
    strategy: Any, place: Where, replies: dict[str, tuple[list[Any], float]]
) -> list[Any]:
    """Return what the strategy makes of the nodes' numbers and arrays, and their weights.

    Raises
    ------
    TooLargeError
        Numbers are too large for its arithmetic.
    DataError
        It raises an error of its own.
    """
    from flwr.app import MetricRecord, RecordDict

    from flame_flwr.flower import reply_of

    key = getattr(strategy, "weighted_by_key", "num-examples")
    messages = [
        reply_of(
            RecordDict({"arrays": _record(arrays), "metrics": MetricRecord({key: float(weight)})}),
            number,
        )
        for number, (arrays, weight) in enumerate(replies.values(), start=1)
    ]
    try:
        # A robust one compares answers, and an infinite distance is only far.
        robust = is_one(strategy, ROBUST)
        with _quiet(), np.errstate(over="ignore" if robust else "raise"):
            record, _ = strategy.aggregate_train(place.round, messages)
    except FlameError:
        raise
    except FloatingPointError:  # in an optimiser's second moment it would stay for good
        raise _too_large(strategy, place) from None
    except Exception as error:
        raise place.error(
            f"{type(strategy).__name__} cannot merge the replies "
            f"({type(error).__name__}: {text_of(error)})"
        ) from error
    if record is None:  # as of Bulyan, which wants four answers for each that may be malicious
        raise place.error(
            f"{type(strategy).__name__} gave no aggregate of {len(replies)} answers. It may need "
            "more, as its own line in the log says: let more nodes take part, or build it for fewer"
        )
    sent = next(iter(replies.values()))[0]
    merged = [_like(record[str(i)].numpy(), leaf) for i, leaf in enumerate(sent)]
    _check_finite(strategy, place, replies, merged)
    return merged


def _check_finite(
    strategy: Any, place: Where, replies: dict[str, tuple[list[Any], float]], merged: list[Any]
) -> None:
    for i, value in enumerate(merged):
        # what a node sent that is not finite was declared to be kept: it is no overflow
        if not np.isfinite(value).all() and all(
            np.isfinite(arrays[i]).all() for arrays, _ in replies.values()
        ):
            raise _too_large(strategy, place)


def _too_large(strategy: Any, place: Where) -> TooLargeError:
    return place.too_large(
        f"what {type(strategy).__name__} made of finite numbers is not finite: take smaller steps, "
        "or send float64"
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Leave out Flower's lines on how many replies it got: here these need not be the nodes'."""
    log = logging.getLogger("flwr")
    before = log.level
    log.setLevel(logging.WARNING)
    try:
        yield
    finally:
        log.setLevel(before)


def _record(leaves: list[Any]) -> Any:
    from flwr.app import Array, ArrayRecord

    return ArrayRecord(
        {str(i): Array(np.asarray(leaf, order="C")) for i, leaf in enumerate(leaves)}
    )


def _like(array: Any, leaf: Any) -> Any:
    """Return merged numbers in the precision in which nodes sent them; of whole ones as floats."""
    if not isinstance(leaf, np.ndarray):
        return array.item()
    with np.errstate(over="ignore"):
        return array.astype(leaf.dtype, copy=False) if leaf.dtype.kind in "fc" else array
