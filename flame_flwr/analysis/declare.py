"""Checks all that ``StarModel`` and ``StarModelTester`` are given, and makes the declaration."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Collection, Mapping, Sequence, Set
from dataclasses import dataclass, fields
from functools import partial
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Self

from flame_flwr.analysis.users_class import check_class, check_kwargs
from flame_flwr.clients.node import NodePlan
from flame_flwr.errors import ModelError
from flame_flwr.log import logger
from flame_flwr.results.heading import Heading
from flame_flwr.star.nodes import StarAggregator, StarAnalyzer
from flame_flwr.strategies.declaration import Declaration

if TYPE_CHECKING:
    from flame_flwr.aggregation import Convergence
    from flame_flwr.data.expect import Expectation
    from flame_flwr.privacy import Laplace
    from flame_flwr.results.output_files import Outputs
    from flame_flwr.strategies import StarStrategy

__all__ = ["DATA_TYPES", "Arguments", "declare", "ignore"]

DATA_TYPES = ("s3", "fhir", "sql", "none")


@dataclass(frozen=True, slots=True, kw_only=True)
class Arguments:
    """The arguments of ``StarModel`` or ``StarModelTester``, not yet checked."""

    analyzer: Any
    aggregator: Any
    data_type: Any
    query: Any = None
    columns: Any = None
    simple_analysis: Any = True
    output_type: Any = "str"
    multiple_results: Any = False
    analyzer_kwargs: Any = None
    aggregator_kwargs: Any = None
    filename: Any = None
    epsilon: Any = None
    sensitivity: Any = None
    payload: Any = "safe"
    client: Any = None
    convergence: Any = None
    disclosure: Any = None
    filters: Any = None
    expects: Any = ()
    subject: Any = ""
    shown: Any = None
    secure: Any = None
    title: Any = ""
    description: Any = ""
    authors: Any = ()

    @classmethod
    def among(cls, named: Mapping[str, Any]) -> Self:
        """Return those among a constructor's variables: its signature lists them once."""
        own = {each.name for each in fields(cls)}
        return cls(**{name: value for name, value in named.items() if name in own})


def declare(given: Arguments, *, paths: bool = False) -> Declaration:
    """Check what a user declares.

    Parameters
    ----------
    given : Arguments
        As the user wrote it.
    paths : bool
        Whether a file's name may be a path (a local test).

    Raises
    ------
    ModelError
        It cannot be run as declared; the message says what is wrong and how to mend it.
    """
    analyzer = check_class(given.analyzer, StarAnalyzer, "analyzer", given.analyzer_kwargs)
    data_type = _data_type(given.data_type)
    query, columns = _query(given, data_type)
    pickled = _allow_pickle(given.payload)
    built, strategy = _strategy(given, pickled)
    arguments = check_kwargs(given.analyzer_kwargs, "analyzer_kwargs")
    if built is not None:
        built.check_analyzer(analyzer, arguments)
    plan = NodePlan(
        analyzer,
        arguments,
        data_type,
        query,
        pickled,
        disclosure=_disclosure(given.disclosure),
        filters=_filters(given.filters),
        expects=_expectations(given.expects, data_type),
        secure=_secure(given, built, strategy, analyzer),
        subject=_subject(given.subject),
        columns=columns,
    )
    outputs = _outputs(given, built, paths)
    return Declaration(
        plan,
        strategy,
        outputs,
        simple_analysis=bool(given.simple_analysis),
        privacy=_privacy(given, outputs),
        shown=_shown(given.shown),
        client=given.client,
        heading=Heading.declare(given.title, given.description, given.authors),
    )


# ---- the nodes' side -------------------------------------------------------------------------


def ignore(**arguments: object) -> None:
    """Say in one line which arguments of the reference have no effect here."""
    given = [name for name, value in arguments.items() if value is not None]
    if given:
        logger.info("ignored, without effect here: %s", ", ".join(given))


def _data_type(data_type: object) -> str:
    if data_type not in DATA_TYPES:
        raise ModelError(f"data_type must be one of {', '.join(DATA_TYPES)}, not {data_type!r}")
    return str(data_type)


def _query(
    given: Arguments, data_type: str
) -> tuple[str | list[str] | dict[str, Any] | None, tuple[str, ...]]:
    """Return what is asked of the data, and the columns of it."""
    query = given.query
    if data_type == "sql":
        from flame_flwr.data.table_query import TableQuery

        asked = TableQuery.declared(query, given.columns)
        return dict(asked.parameters) or list(asked.tables) or None, asked.columns
    if given.columns is not None:
        raise ModelError(f"columns are those of tables, of data_type 'sql', not {data_type!r}")
    if query is None or isinstance(query, str):
        return query, ()
    if not isinstance(query, Sequence) or not all(isinstance(part, str) for part in query):
        raise ModelError(f"query must be a string, a list of strings or None, not {query!r}")
    return list(query), ()


def _allow_pickle(payload: object) -> bool:
    if payload not in ("safe", "pickle"):
        raise ModelError(f"payload must be 'safe' or 'pickle', not {payload!r}")
    if payload == "pickle":
        logger.warning(
            "payload='pickle': values may travel as pickles. Whoever can send one, a node or the "
            "server, can run any code where it is read. Use it only where you trust them all."
        )
    return payload == "pickle"


def _disclosure(rules: Any) -> tuple[Any, ...]:
    if rules is None:
        return ()
    from flame_flwr.privacy.disclosure_rule import check_rules

    return check_rules(rules)


def _filters(filters: Any) -> tuple[Any, ...]:
    if filters is None:
        return ()
    from flame_flwr.privacy.update_filter import check_filters

    return check_filters(filters)


def _subject(subject: object) -> str:
    if not isinstance(subject, str):
        raise ModelError(
            "subject must be the name of the column that says whom a row is about, such as "
            f"'person_id', not {subject!r}"
        )
    return subject


def _expectations(expects: object, data_type: str) -> tuple[Expectation, ...]:
    if not expects:
        return ()
    from flame_flwr.data.expect import Resources, Table

    listed = [expects] if isinstance(expects, Table | Resources) else expects
    if not isinstance(listed, Sequence) or isinstance(listed, str):
        raise ModelError(f"expects must be a list of Table or Resources, not {expects!r}")
    fitting = {"s3": Table, "sql": Table, "fhir": Resources}.get(data_type)
    for each in listed:
        if fitting is None or not isinstance(each, fitting):
            wanted = "nothing" if fitting is None else fitting.__name__
            raise ModelError(
                f"expects: with data_type {data_type!r} it may hold {wanted}, not {each!r}"
            )
    return tuple(listed)


# ---- the server's side -----------------------------------------------------------------------


def _strategy(
    given: Arguments, pickled: bool
) -> tuple[StarStrategy | None, Callable[[], StarStrategy]]:
    """Return the strategy, and what gives a run one; of an aggregator's class none is there yet."""
    stops = None
    if given.convergence is not None:
        from flame_flwr.aggregation.convergence import as_convergence

        stops = as_convergence(given.convergence)
    strategy = _as_strategy(given.aggregator, given.aggregator_kwargs)
    if strategy is not None:
        if stops is not None or given.secure is not None:
            # The user may give the same strategy to another model, without all this.
            strategy = copy.copy(strategy)
            strategy._stop_also(stops)
            strategy.sum_securely(given.secure)
        return strategy, partial(copy.copy, strategy)  # a run changes its strategy's attributes
    kwargs = given.aggregator_kwargs
    aggregator = check_class(given.aggregator, StarAggregator, "aggregator", kwargs)
    kwargs = check_kwargs(kwargs, "aggregator_kwargs")
    return None, partial(_star_strategy, aggregator, kwargs, pickled, stops)


def _secure(
    given: Arguments,
    built: StarStrategy | None,
    strategy: Callable[[], StarStrategy],
    analyzer: type[StarAnalyzer],
) -> bool:
    """Tell whether sums are masked, once they can be.

    Raises
    ------
    ModelError
        They cannot: the aggregator is written, or nobody says how scores are merged.
    """
    if built is None:
        if given.secure is not None:
            strategy().sum_securely(given.secure)
        return False
    evaluates = callable(getattr(analyzer, "evaluation_method", None))
    if built.secure is not None and evaluates and built.score_sums is None:
        raise ModelError(
            f"secure sums: the numbers of {analyzer.__name__}.evaluation_method would leave each "
            "node by themselves: declare how they are merged, score_sums={'auc': "
            "WeightedMean('n_test')}, in the strategy, or leave the method out"
        )
    return built.secure is True


def _star_strategy(
    aggregator: type[StarAggregator],
    kwargs: dict[str, Any],
    pickled: bool,
    convergence: Convergence | None,
) -> StarStrategy:
    from flame_flwr.strategies import StarStrategy

    return StarStrategy(
        aggregator, aggregator_kwargs=kwargs, allow_pickle=pickled, convergence=convergence
    )


def _as_strategy(value: object, kwargs: object) -> StarStrategy | None:
    """Return a strategy, built where its class was given; ``None`` for an aggregator's class."""
    # Importing the strategies costs a node's process time, which needs none of them.
    if isinstance(value, type) and issubclass(value, StarAggregator):
        return None
    from flame_flwr.strategies import StarStrategy

    if isinstance(value, StarStrategy):
        if kwargs:
            raise ModelError("aggregator_kwargs belong to a class, not to a strategy that is built")
        return value
    if not isinstance(value, type) or not issubclass(value, StarStrategy):
        return None
    arguments = check_kwargs(kwargs, "aggregator_kwargs")
    # before the call: a TypeError from within the constructor has another reason
    try:
        inspect.signature(value).bind(**arguments)
    except TypeError as error:
        raise ModelError(
            f"aggregator: {value.__name__} does not fit aggregator_kwargs: {error}"
        ) from error
    return value(**arguments)


# ---- what is written and shown ---------------------------------------------------------------


def _outputs(given: Arguments, built: StarStrategy | None, paths: bool) -> Outputs:
    """Return the final files: the strategy's own, or those of the arguments.

    Where the strategy declares its files, `filename` may only be the folder they go to, in a
    local test.
    """
    from flame_flwr.results.output_files import Outputs, files_of

    output_type, filename, many = given.output_type, given.filename, given.multiple_results
    files = files_of(built)
    if files is None:
        return Outputs.declare(output_type, filename, many, paths=paths)
    folder = isinstance(filename, str | PurePath) and paths
    if output_type != "str" or many or not (filename is None or folder):
        raise ModelError(
            f"{type(built).__name__} declares its files itself: leave out output_type, "
            f"multiple_results and filename{' (or give a folder)' if paths else ''}"
        )
    if filename is None:
        return files
    names = [str(PurePath(filename) / name) for name in files.names or ()]
    return Outputs.declare(list(files.types), names, True, paths=True)


def _privacy(given: Arguments, outputs: Outputs) -> Laplace | None:
    if given.epsilon is None and given.sensitivity is None:
        return None
    from flame_flwr.privacy import Laplace

    if set(outputs.types if isinstance(outputs.types, tuple) else [outputs.types]) != {"str"}:
        raise ModelError("a differentially private result is written as text: output_type='str'")
    return Laplace.declare(given.epsilon, given.sensitivity)


def _shown(shown: object) -> tuple[str, ...] | None:
    """Return the names of the metrics and scores that are shown; ``None``: all of them."""
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
