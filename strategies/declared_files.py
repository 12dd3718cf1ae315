"""The files that a strategy declares: ``(filename, type, function)`` each, checked when built."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from flame_flwr.errors import ModelError
from flame_flwr.results.output_files import Outputs

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["checked_outputs"]


def checked_outputs(owner: str, outputs: Any) -> Outputs | None:
    """Check declared files.

    Raises
    ------
    ModelError
        An entry is no triple, a type is unknown, a name is none, or a function takes no argument.
    """
    if not isinstance(outputs, list | tuple):
        raise ModelError(f"{owner}: outputs must be a list of (filename, type, function)")
    if not outputs:
        return None
    for entry in outputs:
        fits = isinstance(entry, list | tuple) and len(entry) == 3 and isinstance(entry[0], str)
        if not fits or not callable(entry[2]):
            raise ModelError(f"{owner}: outputs: {entry!r} is not (filename, type, function)")
        if not _takes_one(entry[2]):
            raise ModelError(
                f"{owner}: outputs: the function of {entry[0]!r} must take one argument, the "
                "final aggregate"
            )
    names, types, _ = zip(*outputs, strict=True)
    return Outputs.declare(list(types), list(names), True)


def _takes_one(function: Callable[..., Any]) -> bool:
    try:
        inspect.signature(function).bind(None)
    except TypeError:
        return False
    except ValueError:  # a builtin that does not say
        return True
    return True
