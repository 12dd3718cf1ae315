"""The checks of what a model declares, shared by ``StarModel`` and ``StarModelTester``."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from flame_flwr.clients.node import NodePlan
from flame_flwr.errors import ModelError
from flame_flwr.log import logger
from flame_flwr.star.nodes import StarAggregator, StarAnalyzer

if TYPE_CHECKING:
    from flame_flwr.data.expect import Expectation
    from flame_flwr.privacy import Laplace
    from flame_flwr.results.outputs import Outputs
    from flame_flwr.strategies import StarStrategy

__all__ = ["DATA_TYPES", "ignore", "plan_node", "plan_privacy", "plan_strategy"]

DATA_TYPES = ("s3", "fhir", "none")


def plan_node(
    analyzer: object,
    kwargs: object,
    data_type: object,
    query: object,
    payload: object,
    expects: object = (),
) -> NodePlan:
    """Check the node's part of a model and return it.

    Raises
    ------
    ModelError
        It cannot be run as declared.
    """
    checked = _check_class(analyzer, StarAnalyzer, "analyzer", kwargs)
    if data_type not in DATA_TYPES:
        raise ModelError(f"data_type must be one of {', '.join(DATA_TYPES)}, not {data_type!r}")
    if query is not None and not isinstance(query, str):
        if not isinstance(query, Sequence) or not all(isinstance(part, str) for part in query):
            raise ModelError(f"query must be a string, a list of strings or None, not {query!r}")
        query = list(query)
    pickled = _allow_pickle(payload)
    given = _kwargs(kwargs, "analyzer_kwargs")
    expected = _expectations(expects, str(data_type))
    return NodePlan(checked, given, str(data_type), query, pickled, expected)


def plan_strategy(
    aggregator: object, kwargs: object, payload: object
) -> Callable[[], StarStrategy]:
    """Check the server's part of a model and return what gives its strategy for a run.

    Raises
    ------
    ModelError
        It cannot be run as declared.
    """
    strategy = _as_strategy(aggregator)
    if strategy is not None:
        if kwargs:
            raise ModelError("aggregator_kwargs belong to an aggregator class, not to a strategy")
        return partial(copy.copy, strategy)
    checked = _check_class(aggregator, StarAggregator, "aggregator", kwargs)
    return partial(_strategy, checked, _kwargs(kwargs, "aggregator_kwargs"), _allow_pickle(payload))


def plan_privacy(
    epsilon: float | None, sensitivity: float | None, outputs: Outputs
) -> Laplace | None:
    """Check the privacy that a model declares and return its mechanism, if any.

    Raises
    ------
    ModelError
        A number is missing or not above 0, the result is not written as text, or OpenDP is not
        installed.
    """
    if epsilon is None and sensitivity is None:
        return None
    from flame_flwr.privacy import Laplace

    if set(outputs.types if isinstance(outputs.types, tuple) else [outputs.types]) != {"str"}:
        raise ModelError("a differentially private result is written as text: output_type='str'")
    return Laplace.declare(epsilon, sensitivity)


def ignore(**arguments: object) -> None:
    """Say in one line which arguments of the reference have no effect here."""
    given = [name for name, value in arguments.items() if value is not None]
    if given:
        logger.info("ignored, without effect here: %s", ", ".join(given))


def _expectations(expects: object, data_type: str) -> tuple[Expectation, ...]:
    if not expects:
        return ()
    from flame_flwr.data.expect import Resources, Table

    listed = [expects] if isinstance(expects, Table | Resources) else expects
    if not isinstance(listed, Sequence) or isinstance(listed, str):
        raise ModelError(f"expects must be a list of Table or Resources, not {expects!r}")
    fitting = {"s3": Table, "fhir": Resources}.get(data_type)
    for each in listed:
        if fitting is None or not isinstance(each, fitting):
            wanted = "nothing" if fitting is None else fitting.__name__
            raise ModelError(
                f"expects: with data_type {data_type!r} it may hold {wanted}, not {each!r}"
            )
    return tuple(listed)


def _strategy(
    aggregator: type[StarAggregator], kwargs: dict[str, Any], pickled: bool
) -> StarStrategy:
    from flame_flwr.strategies import StarStrategy

    return StarStrategy(aggregator, aggregator_kwargs=kwargs, allow_pickle=pickled)


def _as_strategy(value: object) -> StarStrategy | None:
    if isinstance(value, type):
        return None
    from flame_flwr.strategies import StarStrategy

    return value if isinstance(value, StarStrategy) else None


def _check_class(cls: object, base: type[Any], role: str, kwargs: object) -> Any:
    if isinstance(cls, base):
        name = type(cls).__name__
        raise ModelError(
            f"{role} must be the class {name} itself, not an instance: {name}, not {name}(...)"
        )
    if not isinstance(cls, type):
        raise ModelError(f"{role} must be a subclass of {base.__name__}, not {cls!r}")
    if not issubclass(cls, base):
        raise ModelError(f"{role}: {cls.__name__} must be a subclass of {base.__name__}")
    missing = sorted(getattr(cls, "__abstractmethods__", ()))
    if missing:
        raise ModelError(f"{role}: {cls.__name__} has no method {' and '.join(missing)}: write it")
    for name in ("analysis_method", "aggregation_method", "has_converged", "evaluation_method"):
        if not callable(getattr(cls, name, _check_class)):
            raise ModelError(f"{role}: {cls.__name__}.{name} must be a method")
    _check_constructor(cls, role, kwargs)
    return cls


def _check_constructor(cls: type[Any], role: str, kwargs: object) -> None:
    """Find keyword arguments that the constructor does not take, before anything runs."""
    try:
        signature = inspect.signature(cls)
    except (TypeError, ValueError):
        return
    try:
        signature.bind(object(), **_kwargs(kwargs, f"{role}_kwargs"))
    except TypeError as error:
        raise ModelError(
            f"{role}: {cls.__name__}{signature} does not fit {role}_kwargs: {error}"
        ) from error


def _kwargs(kwargs: object, name: str) -> dict[str, Any]:
    if kwargs is None:
        return {}
    if not isinstance(kwargs, Mapping) or not all(isinstance(key, str) for key in kwargs):
        raise ModelError(f"{name} must be a dict of keyword arguments, not {kwargs!r}")
    return dict(kwargs)


def _allow_pickle(payload: object) -> bool:
    if payload not in ("safe", "pickle"):
        raise ModelError(f"payload must be 'safe' or 'pickle', not {payload!r}")
    if payload == "pickle":
        logger.warning(
            "payload='pickle': values may travel as pickles. Whoever can send one, a node or the "
            "server, can run any code where it is read. Use it only where you trust them all."
        )
    return payload == "pickle"
