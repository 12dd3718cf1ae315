"""Whether nodes can train in the first round, or must agree first: said when a model is built.

What only a node can tell, such as what a constructor of the user's makes of its data, is said
there, in the first round. What works is never refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from flame_flwr.sklearn.agreement import is_agreed, is_asked
from flame_flwr.sklearn.checks import check_agrees_on_nothing, check_estimator
from flame_flwr.strategies.analyzer_checks import declared
from flame_flwr.user_code.signatures import is_ours, is_set_by_constructor

if TYPE_CHECKING:
    from flame_flwr.sklearn.analyzer import SklearnAnalyzer

__all__ = ["check_first_round"]


def check_first_round(
    analyzer: type[SklearnAnalyzer], initial: Any, arguments: Mapping[str, Any]
) -> None:
    """Refuse an analyzer whose nodes must agree first, where the strategy does not ask them.

    Parameters
    ----------
    analyzer : type of SklearnAnalyzer
        The class.
    initial : Any
        What the strategy sends in the first round.
    arguments : dict of str to Any
        For its constructor, beside ``flame``.

    Raises
    ------
    ModelError
        Its nodes must agree first, for certain.
    """
    if is_asked(initial) or is_agreed(initial):
        return
    if not is_ours(analyzer.analysis_method):  # it may have them agree in a way of its own
        return
    silent = declared(analyzer, arguments, "classes", None) is None
    scaling = declared(analyzer, arguments, "scaling", False)
    scales = isinstance(scaling, bool | np.bool_) and bool(scaling)  # not a property
    check_agrees_on_nothing(
        analyzer.__name__,
        classes=silent
        and not is_set_by_constructor(analyzer, "classes")
        and _classifies(analyzer, arguments),
        scaling=scales and not is_set_by_constructor(analyzer, "scaling"),
    )


def _classifies(analyzer: type[SklearnAnalyzer], arguments: Mapping[str, Any]) -> bool:
    """Tell whether its estimator is a classifier, as far as that can be seen without a node."""
    try:
        bare = object.__new__(analyzer)  # its constructor wants a node's handle
        vars(bare).update(arguments)
        estimator = bare.estimator()
    except Exception:  # whatever it needs of its constructor or its node: it is made there
        return False
    return check_estimator(estimator, analyzer).classifies
