"""The strategy of an installed package that a run selects by its name."""

from __future__ import annotations

import copy
import inspect
from typing import TYPE_CHECKING, Any

from flame_flwr.errors import FlameError, ModelError
from flame_flwr.installed.entry_points import load
from flame_flwr.results.output_files import files_of
from flame_flwr.strategies.star_strategy import StarStrategy

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["check_strategy", "strategy"]


def strategy(
    name: str, instead_of: StarStrategy | None = None, run_config: Mapping[str, Any] | None = None
) -> StarStrategy:
    """Return a new strategy of a plug-in.

    Parameters
    ----------
    name : str
        The plug-in's.
    instead_of : StarStrategy, optional
        The model's own, or ``StarStrategy(YourAggregator)`` in one process: its aggregator and
        the rest of what it was made from go to the plug-in, as far as that takes arguments of
        these names. Its convergence ends the plug-in's runs too.
    run_config : dict, optional
        Likewise, as ``run_config``.

    Raises
    ------
    ConfigError
        No package offers the name, more than one does, or it cannot be loaded.
    ModelError
        It is no strategy, cannot be made, or has an attribute ``files`` of its own.
    """
    offered = load("strategy", name)
    # An instance stays in its package's module: a run must not change it for the next one.
    made = _made(name, offered, instead_of, run_config) if callable(offered) else copy.copy(offered)
    check_strategy(name, made)
    files_of(made)
    if instead_of is not None:
        made._stop_also(instead_of.convergence)
        made.sum_securely(instead_of.secure)
    return made


def check_strategy(name: str, thing: Any) -> None:
    """Refuse what a plug-in offers if it is no strategy.

    Raises
    ------
    ModelError
        It is neither a subclass of ``StarStrategy`` nor an instance of one.
    """
    made = thing if isinstance(thing, type) else type(thing)
    if not issubclass(made, StarStrategy):
        raise ModelError(
            f"the strategy plug-in `{name}` must be a subclass of StarStrategy, an instance of "
            f"one, or a function that returns one, not {made.__name__}"
        )


def _made(
    name: str,
    offered: Callable[..., StarStrategy],
    instead_of: StarStrategy | None,
    run_config: Mapping[str, Any] | None,
) -> StarStrategy:
    """Call a plug-in with those of the model's arguments that it takes."""
    # Only what it names: one that does not take `aggregator_kwargs` need not know of them.
    own = ("aggregator", "aggregator_kwargs", "simple_analysis", "allow_pickle")
    given = {key: getattr(instead_of, key) for key in own if hasattr(instead_of, key)}
    given["run_config"] = dict(run_config or {})
    taken = _parameters(offered)
    arguments = {key: value for key, value in given.items() if key in taken and value is not None}
    try:
        return offered(**arguments)
    except FlameError:
        raise
    except TypeError as error:
        raise ModelError(
            f"the strategy plug-in `{name}` cannot be made from what there is "
            f"({', '.join(arguments) or 'nothing'}): {error}. It may take aggregator, "
            "aggregator_kwargs, simple_analysis, allow_pickle and run_config, and nothing else"
            + (_IN_ONE_PROCESS.format(name) if instead_of is None else "")
        ) from error


_IN_ONE_PROCESS = (
    ". In one process these come from you: "
    "plugins.strategy({0!r}, StarStrategy(YourAggregator), {{...}}), with the run config's keys"
)


def _parameters(offered: Any) -> set[str]:
    """Return the names of what a class or function takes, with those it hands on by ``**``."""
    if not isinstance(offered, type):
        return set(inspect.signature(offered).parameters)
    names: set[str] = set()
    for base in offered.__mro__:
        # A constructor with `**kwargs` hands on to the next class's, and so takes what that takes.
        if "__init__" not in vars(base):
            continue
        parameters = inspect.signature(base.__init__).parameters.values()  # type: ignore[misc]
        names |= {p.name for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return names
