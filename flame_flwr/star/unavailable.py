"""The calls of FLAME's SDK that a STAR analysis does not have, and what to do instead."""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

from flame_flwr.errors import UnavailableError

__all__ = ["unavailable"]

_INSTEAD = {
    **dict.fromkeys(
        (
            "send_message",
            "send_message_and_wait_for_responses",
            "send_intermediate_data",
        ),
        "return the value from analysis_method: the framework sends it to the aggregator",
    ),
    **dict.fromkeys(
        (
            "await_messages",
            "await_and_return_responses",
            "await_intermediate_data",
            "get_messages",
            "delete_messages",
            "clear_messages",
        ),
        "take what the framework hands over: aggregator_results in analysis_method, "
        "analysis_results in aggregation_method",
    ),
    **dict.fromkeys(
        ("set_checkpoint", "load_checkpoint"),
        "keep the state in attributes of self, which live as long as the analysis; for later "
        "analyses, save_intermediate_data(data, 'local', tag=...)",
    ),
    **dict.fromkeys(
        ("set_role", "partner_role_call", "full_role_call"),
        "nothing: roles are fixed, and get_participants has them",
    ),
    "submit_final_result": "return the result from aggregation_method (or final_method): "
    "the framework writes it",
    "analysis_finished": "return True from has_converged: the framework ends the analysis",
    "ready_check": "nothing: the framework has waited for every participant before the first round",
}


def unavailable(name: str) -> Callable[..., NoReturn] | None:
    """Return a function that raises when it is called; ``None`` for a name that is no such call."""
    if name not in _INSTEAD:
        return None

    def call(*args: object, **kwargs: object) -> NoReturn:
        raise UnavailableError(
            f"flame.{name} is not available in a STAR analysis. Instead: {_INSTEAD[name]}."
        )

    return call
