"""The check of a user's analyzer or aggregator: its base, its methods, its constructor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flame_flwr.errors import ModelError
from flame_flwr.star.nodes import StarAggregator, StarAnalyzer
from flame_flwr.user_code.signatures import check_constructor, check_methods

__all__ = ["check_class", "check_kwargs"]

_METHODS = ("analysis_method", "aggregation_method", "has_converged", "evaluation_method")


def check_class(cls: object, base: type[Any], role: str, kwargs: object) -> Any:
    """Return a user's class, if the framework can call all that it will call.

    Parameters
    ----------
    cls : type
        The class.
    base : type
        ``StarAnalyzer`` or ``StarAggregator``.
    role : {'analyzer', 'aggregator'}
        What it is given as, for messages.
    kwargs : dict or None
        For its constructor.

    Raises
    ------
    ModelError
        It is no class of this base, a method is missing or cannot be called, or the constructor
        does not take `kwargs`.
    """
    if isinstance(cls, base):
        name = type(cls).__name__
        raise ModelError(
            f"{role} must be the class {name} itself, not an instance: {name}, not {name}(...)"
        )
    if not isinstance(cls, type):
        raise ModelError(f"{role} must be a subclass of {base.__name__}, not {cls!r}")
    if not issubclass(cls, base):
        swapped = issubclass(cls, (StarAnalyzer, StarAggregator))
        hint = ": the analyzer comes first, then the aggregator" if swapped else ""
        raise ModelError(f"{role}: {cls.__name__} must be a subclass of {base.__name__}{hint}")
    if issubclass(cls, StarAnalyzer):
        cls._check_bases()
    missing = sorted(getattr(cls, "__abstractmethods__", ()))
    if missing:
        raise ModelError(f"{role}: {cls.__name__} has no method {' and '.join(missing)}: write it")
    checked: Any = cls
    optional = {name for methods in checked._framework_calls.values() for name in methods}
    for name in [*_METHODS, *sorted(optional.difference(_METHODS))]:
        method = getattr(cls, name, check_class)
        is_left_out = method is None and name not in _METHODS
        if not is_left_out and not callable(method) and not hasattr(method, "__get__"):
            raise ModelError(f"{role}: {cls.__name__}.{name} must be a method")
    for caller, methods in checked._framework_calls.items():
        check_methods(checked, role, methods, caller, getattr(checked, "_older_calls", None))
    check_constructor(checked, role, check_kwargs(kwargs, f"{role}_kwargs"))
    return checked


def check_kwargs(kwargs: object, name: str) -> dict[str, Any]:
    """Return keyword arguments of a constructor; of none, an empty dict.

    Raises
    ------
    ModelError
        They are no dict with strings as keys.
    """
    if kwargs is None:
        return {}
    if not isinstance(kwargs, Mapping) or not all(isinstance(key, str) for key in kwargs):
        raise ModelError(f"{name} must be a dict of keyword arguments, not {kwargs!r}")
    return dict(kwargs)
