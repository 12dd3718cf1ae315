"""The checks of what a model declares, shared by ``StarModel`` and ``StarModelTester``."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Collection, Mapping, Sequence, Set
from functools import partial
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from flame_flwr.clients.node import NodePlan
from flame_flwr.errors import ModelError
from flame_flwr.log import logger
from flame_flwr.results.formatting import shown_arguments, shown_settings
from flame_flwr.signatures import check_constructor, check_methods
from flame_flwr.star.nodes import StarAggregator, StarAnalyzer

if TYPE_CHECKING:
    from flame_flwr.aggregation import Convergence
    from flame_flwr.data.expect import Expectation
    from flame_flwr.privacy import DisclosureRule, Laplace, UpdateFilter
    from flame_flwr.results.outputs import Outputs
    from flame_flwr.strategies import StarStrategy

__all__ = [
    "DATA_TYPES",
    "about_plan",
    "ignore",
    "plan_node",
    "plan_outputs",
    "plan_privacy",
    "plan_shown",
    "plan_strategy",
]

DATA_TYPES = ("s3", "fhir", "none")


def about_plan(plan: NodePlan, shown: tuple[str, ...] | None = None) -> dict[str, str]:
    """Return what there is to know of the nodes' side, as text: for ``run.json`` and the report."""
    about: dict[str, Any] = {
        "analyzer": plan.analyzer.__name__,
        "analyzer arguments": shown_arguments(plan.analyzer_kwargs),
        "data": plan.data_type,
        "query": shown_settings(plan.query) if plan.query else "",
    }
    for name in ("filters", "disclosure", "expects"):
        about[name] = ", ".join(shown_settings(each) for each in getattr(plan, name))
    if shown is not None:
        about["shown"] = ", ".join(shown) or "no metrics and no scores"
    return {name: text for name, text in about.items() if text}


def plan_node(
    analyzer: object,
    kwargs: object,
    data_type: object,
    query: object,
    payload: object,
    *,
    filters: object = None,
    disclosure: object = None,
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
    return NodePlan(
        checked,
        _kwargs(kwargs, "analyzer_kwargs"),
        str(data_type),
        query,
        pickled,
        disclosure=_rules(disclosure),
        filters=_filters(filters),
        expects=_expectations(expects, str(data_type)),
    )


def plan_strategy(
    aggregator: object, kwargs: object, payload: object, convergence: object = None
) -> Callable[[], StarStrategy]:
    """Check the server's part of a model and return what gives its strategy for a run.

    A strategy's class is built here, so that what it declares is checked. A convergence is or-ed
    with what the aggregator or the strategy says.

    Raises
    ------
    ModelError
        It cannot be run as declared.
    """
    stops = None if convergence is None else _convergence(convergence)
    strategy = _as_strategy(aggregator, kwargs)
    if strategy is not None:
        if stops is not None:
            strategy = copy.copy(strategy)
            strategy.stop_also(stops)
        return partial(copy.copy, strategy)
    checked = _check_class(aggregator, StarAggregator, "aggregator", kwargs)
    pickled = _allow_pickle(payload)
    return partial(_strategy, checked, _kwargs(kwargs, "aggregator_kwargs"), pickled, stops)


def plan_outputs(
    strategy: Callable[[], StarStrategy],
    output_type: Any,
    filename: Any,
    multiple_results: bool,
    *,
    paths: bool = False,
) -> Outputs:
    """Check the files of a model and return them: a strategy's own, or those of the arguments.

    Parameters
    ----------
    strategy : callable
        What :func:`plan_strategy` returned.
    output_type, filename, multiple_results
        As in ``StarModel``. Where the strategy declares its files, `filename` may only be the
        folder they go to, in a local test.
    paths : bool
        Whether `filename` may be a path (a local test) and not only a name.

    Raises
    ------
    ModelError
        They cannot be written as declared.
    """
    from flame_flwr.results.outputs import Outputs, files_of

    made = strategy.args[0] if isinstance(strategy, partial) else None
    files = files_of(made)
    if files is None:
        return Outputs.declare(output_type, filename, multiple_results, paths=paths)
    folder = isinstance(filename, str | PurePath) and paths
    if output_type != "str" or multiple_results or not (filename is None or folder):
        raise ModelError(
            f"{type(made).__name__} declares its files itself: leave out output_type, "
            f"multiple_results and filename{' (or give a folder)' if paths else ''}"
        )
    if filename is None:
        return files
    names = [str(PurePath(filename) / name) for name in files.names or ()]
    return Outputs.declare(list(files.types), names, True, paths=True)


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


def plan_shown(shown: object) -> tuple[str, ...] | None:
    """Check which metrics and scores a model shows, and return their names.

    Parameters
    ----------
    shown : collection of str or None
        Names; none at all hides everything, and ``None`` hides nothing.

    Raises
    ------
    ModelError
        It is no collection of names.
    """
    if shown is None:
        return None
    if (
        not isinstance(shown, Collection)
        or isinstance(shown, str | bytes | Mapping)
        or not all(isinstance(name, str) for name in shown)
    ):
        raise ModelError(
            "shown must be a list of the names of metrics and scores that may be shown, such as "
            f"['auc'], [] for none, or None for all of them, not {shown!r}"
        )
    return tuple(sorted(shown) if isinstance(shown, Set) else dict.fromkeys(shown))


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
    aggregator: type[StarAggregator],
    kwargs: dict[str, Any],
    pickled: bool,
    convergence: Convergence | None,
) -> StarStrategy:
    from flame_flwr.strategies import StarStrategy

    return StarStrategy(
        aggregator, aggregator_kwargs=kwargs, allow_pickle=pickled, convergence=convergence
    )


def _convergence(declared: object) -> Convergence | None:
    from flame_flwr.aggregation.convergence import as_convergence

    return as_convergence(declared)


def _as_strategy(value: object, kwargs: object) -> StarStrategy | None:
    """Return a strategy, built where its class was given; ``None`` for an aggregator's class."""
    if isinstance(value, type) and issubclass(value, StarAggregator):
        return None
    from flame_flwr.strategies import StarStrategy

    if isinstance(value, StarStrategy):
        if kwargs:
            raise ModelError("aggregator_kwargs belong to a class, not to a strategy that is built")
        return value
    if not isinstance(value, type) or not issubclass(value, StarStrategy):
        return None
    arguments = _kwargs(kwargs, "aggregator_kwargs")
    try:
        inspect.signature(value).bind(**arguments)
    except TypeError as error:
        raise ModelError(
            f"aggregator: {value.__name__} does not fit aggregator_kwargs: {error}"
        ) from error
    return value(**arguments)


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
        method = getattr(cls, name, _check_class)
        if not callable(method) and not hasattr(method, "__get__"):
            raise ModelError(f"{role}: {cls.__name__}.{name} must be a method")
    checked: Any = cls
    for caller, methods in checked._framework_calls.items():
        check_methods(checked, role, methods, caller)
    check_constructor(checked, role, _kwargs(kwargs, f"{role}_kwargs"))
    return checked


def _kwargs(kwargs: object, name: str) -> dict[str, Any]:
    if kwargs is None:
        return {}
    if not isinstance(kwargs, Mapping) or not all(isinstance(key, str) for key in kwargs):
        raise ModelError(f"{name} must be a dict of keyword arguments, not {kwargs!r}")
    return dict(kwargs)


def _rules(disclosure: object) -> tuple[DisclosureRule, ...]:
    if disclosure is None:
        return ()
    from flame_flwr.privacy.disclosure_rule import check_rules

    return check_rules(disclosure)


def _filters(filters: object) -> tuple[UpdateFilter, ...]:
    if filters is None:
        return ()
    from flame_flwr.privacy.update_filter import check_filters

    return check_filters(filters)


def _allow_pickle(payload: object) -> bool:
    if payload not in ("safe", "pickle"):
        raise ModelError(f"payload must be 'safe' or 'pickle', not {payload!r}")
    if payload == "pickle":
        logger.warning(
            "payload='pickle': values may travel as pickles. Whoever can send one, a node or the "
            "server, can run any code where it is read. Use it only where you trust them all."
        )
    return payload == "pickle"
