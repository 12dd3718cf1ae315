"""Which of Flower's strategies merge here: the arithmetic of a mean, of each tried against it.

What a strategy does beside that arithmetic, such as clipping on the nodes, needs Flower's own
messages: it would be left out without a word, so it is refused.
"""

from __future__ import annotations

from typing import Any

from flame_flwr.errors import ModelError

__all__ = ["OPTIMIZERS", "ROBUST", "TRIED", "check_tried", "is_one"]

OPTIMIZERS = ("FedOpt", "FedAvgM", "FedProx")
"""Of these and their subclasses only the weighted mean of the replies counts."""

ROBUST = ("Bulyan", "FedMedian", "FedTrimmedAvg", "Krum", "MultiKrum")
"""They choose among the replies, so that what they give is, number by number, what nodes sent."""

TRIED = (*("FedAdagrad", "FedAdam", "FedAvg", "FedAvgM", "FedProx", "FedYogi"), *ROBUST)
"""Flower's strategies whose numbers were compared with their formulas."""

_PRIVACY = (
    "its clipping and noise are done by Flower's own messages and mods, and would be left out "
    "here. Declare a filter, which acts on every node before anything leaves it: "
    "StarModel(..., filters=[GaussianNoise(norm=1.0, noise_multiplier=2.0)]), or Clip(1.0); both "
    "are in flame_flwr.privacy. As `server` give the strategy that it wraps"
)
_TREES = (
    "it merges XGBoost's trees, which are bytes, and no arrays of numbers. Merge such models in a "
    "ReduceStrategy, with PerNode() or a function of the list of values"
)
_REFUSED = {
    "DifferentialPrivacyClientSideAdaptiveClipping": _PRIVACY,
    "DifferentialPrivacyClientSideFixedClipping": _PRIVACY,
    "DifferentialPrivacyServerSideAdaptiveClipping": _PRIVACY,
    "DifferentialPrivacyServerSideFixedClipping": _PRIVACY,
    "FedXgbBagging": _TREES,
    "FedXgbCyclic": _TREES,
    "QFedAvg": (
        "it needs every node's loss in Flower's own messages. Weigh nodes by their loss, or by "
        'another number that they send, with WeightedFedAvg(by="loss")'
    ),
}


def check_tried(strategy: Any) -> None:
    """Refuse a strategy that would do less here than it says.

    Taken are those of :data:`TRIED`, and subclasses of them that are not Flower's own.

    Raises
    ------
    ModelError
        It is none of these; the message says why and what to do.
    """
    name = type(strategy).__name__
    # The first class of Flower's on the way up: a user's own may be anything before it.
    for kind in type(strategy).__mro__:
        if kind.__module__.partition(".")[0] != "flwr":
            continue
        if kind.__name__ in (*TRIED, "FedOpt"):
            break
        if kind.__name__ in _REFUSED:
            raise ModelError(f"{name} cannot merge here: {_REFUSED[kind.__name__]}")
        raise ModelError(
            f"{name} has not been tried here: a strategy may do more than merge arrays, and what "
            f"it does beside would be left out. Tried are {', '.join(sorted(TRIED))}; one of your "
            "own merges here where it is a subclass of one of these, such as FedAvg"
        )


def is_one(strategy: Any, names: tuple[str, ...]) -> bool:
    """Tell whether a strategy is of one of these classes, or of a subclass."""
    return any(kind.__name__ in names for kind in type(strategy).__mro__)
