"""``StarModel``: declare an analysis; get the apps that run it on Flower.

Everything that can be checked is checked here, when the model is built, and not in round 7.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from flame_flwr.analysis.declare import Arguments, declare, ignore
from flame_flwr.analysis.listeners import announce, declaring
from flame_flwr.log import logger

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from flwr.clientapp import ClientApp
    from flwr.serverapp import ServerApp

    from flame_flwr.aggregation import Convergence
    from flame_flwr.clients import NodePlan, StarClient
    from flame_flwr.data.expect import Expectation
    from flame_flwr.privacy import DisclosureRule, UpdateFilter
    from flame_flwr.results import Outputs
    from flame_flwr.star.nodes import StarAggregator, StarAnalyzer
    from flame_flwr.strategies import StarStrategy
    from flame_flwr.strategies.declaration import Declaration

__all__ = ["StarLocalDPModel", "StarModel"]


class StarModel:
    """An analysis: an analyzer, an aggregator, its data and its files.

    Building a model runs nothing: its apps are what a Flower app's ``pyproject.toml`` names. Only
    in a script that is run as it is (:mod:`flame_flwr.script.runner`) it is run when it is built.

    Parameters
    ----------
    analyzer : type of StarAnalyzer
        Runs on every node.
    aggregator : type of StarAggregator, or StarStrategy
        Runs on the server; a strategy in its place, built or its class, merges values its own
        way, such as :class:`~flame_flwr.strategies.ReduceStrategy`.
    data_type : {'s3', 'fhir', 'sql', 'none'}
        What an analyzer gets: files, FHIR bundles, tables as DataFrames, or ``None``.
    query : str, list of str or dict, optional
        Which files or tables (none: all), or which FHIR searches; of a hospital's own SQL, values
        by the names of its parameters.
    simple_analysis : bool
        One round and no more; otherwise at least two, until ``has_converged`` says so.
    output_type : {'str', 'bytes', 'pickle'} or a list of them
        How the result is written; a list with one per file.
    multiple_results : bool
        The result is a list or tuple, and every element is a file of its own.
    analyzer_kwargs, aggregator_kwargs : dict, optional
        For the constructors, behind ``flame``.
    filename : str or list of str, optional
        Names, without folders. A single one is numbered where there are many results.
    test_mode, test_kwargs, stream_log_level
        Parameters of FLAME's own class; accepted and ignored.
    payload : {'safe', 'pickle'}
        ``'pickle'`` also lets values travel that need pickle: whoever can send the server such
        a value can run code there.
    client : type of StarClient, optional
        A subclass of your own.
    convergence : Convergence or callable, optional
        Ends the analysis too, beside ``has_converged`` or what the strategy says; see
        :mod:`flame_flwr.aggregation.convergence`. With one, `simple_analysis` has no effect.
    disclosure : sequence of DisclosureRule, optional
        What may leave a node: :class:`~flame_flwr.privacy.MinCount`,
        :class:`~flame_flwr.privacy.NoisyMinMax`, :class:`~flame_flwr.privacy.MaxBins`,
        :class:`~flame_flwr.privacy.MaxRows`, :class:`~flame_flwr.privacy.Strict`. A node has rules
        of its own in its config; of two of a kind the stricter holds.
    filters : sequence of UpdateFilter, optional
        What every node does to its result before it leaves, one after another:
        :class:`~flame_flwr.privacy.Clip`, :class:`~flame_flwr.privacy.TopFraction`,
        :class:`~flame_flwr.privacy.SparseVector`, :class:`~flame_flwr.privacy.GaussianNoise`, or
        your own. Those of a node's config come after them.
    expects : list of Table or Resources, optional
        What the data must be (:mod:`flame_flwr.data.expect`): every node looks before round 1.
    subject : str
        The column, or level of an index, that says whom a row is about, such as ``"person_id"``:
        disclosure rules count people by it, and not rows.
    columns : list of str, optional
        Which columns of tables, ``"age"`` or ``"person.age"``; without it, all that may be read.
    shown : collection of str, optional
        Names of the metrics and scores (``report_metrics``, ``evaluation_method``) that log, files
        and report may show; ``[]``: none. The others are for the aggregator alone. ``None``: all.
    secure : bool, optional
        ``True``: what nodes return leaves them masked, and the server learns the sums over all
        nodes alone; see docs/secure-sums.md. ``False``: the same sums, to the bit, of parts that
        are not masked. ``None``: what the strategy says, by default neither.
    title, description : str
        What the study is called, and what it asks: the top of its report. Without them, the app's
        ``pyproject.toml`` says it.
    authors : str or list of str
        Who asks, by name, for the report.

    Raises
    ------
    ModelError
        Anything of the above is not what it must be; the message says what and how to mend it.

    Examples
    --------
    >>> from flame_flwr.star import StarAggregator, StarAnalyzer, StarModel
    >>> class Patients(StarAnalyzer):
    ...     def analysis_method(self, data, aggregator_results):
    ...         return len(data)
    >>> class Total(StarAggregator):
    ...     def aggregation_method(self, analysis_results):
    ...         return sum(analysis_results)
    ...     def has_converged(self, result, last_result):
    ...         return True
    >>> model = StarModel(Patients, Total, "s3", filename="patients.txt")
    >>> client_app, server_app = model.client_app, model.server_app  # for pyproject.toml
    >>> model.outputs.names
    'patients.txt'
    """

    _budget: tuple[float | None, float | None] = (None, None)

    def __init__(
        self,
        analyzer: type[StarAnalyzer],
        aggregator: type[StarAggregator] | type[StarStrategy] | StarStrategy,
        data_type: str,
        query: str | Sequence[str] | Mapping[str, Any] | None = None,
        simple_analysis: bool = True,
        output_type: str | Sequence[str] = "str",
        multiple_results: bool = False,
        analyzer_kwargs: Mapping[str, Any] | None = None,
        aggregator_kwargs: Mapping[str, Any] | None = None,
        filename: str | Sequence[str] | None = None,
        *,
        test_mode: bool | None = None,
        test_kwargs: object = None,
        stream_log_level: object = None,
        payload: str = "safe",
        client: type[StarClient] | None = None,
        convergence: Convergence | Callable[[Any, Any], Any] | None = None,
        disclosure: Sequence[DisclosureRule] | None = None,
        filters: Sequence[UpdateFilter] | None = None,
        expects: Sequence[Expectation] = (),
        subject: str = "",
        columns: Sequence[str] | None = None,
        shown: Collection[str] | None = None,
        secure: bool | None = None,
        title: str = "",
        description: str = "",
        authors: str | Sequence[str] = (),
    ) -> None:
        ignore(test_mode=test_mode, test_kwargs=test_kwargs, stream_log_level=stream_log_level)
        epsilon, sensitivity = self._budget
        with declaring():
            self.declaration: Declaration = declare(Arguments.among(locals()))
        announce(self)

    @cached_property
    def client_app(self) -> ClientApp:
        """The app that runs the analyzer on a node, for ``[tool.flwr.app.components]``."""
        from flame_flwr.clients import StarClient, make_client_app

        return make_client_app(self.plan, self.declaration.client or StarClient)

    @cached_property
    def server_app(self) -> ServerApp:
        """The app that runs the aggregator on the server, for ``[tool.flwr.app.components]``."""
        from flame_flwr.strategies import make_server_app

        return make_server_app(self.declaration)

    @property
    def plan(self) -> NodePlan:
        """The part of the declaration that nodes need."""
        return self.declaration.plan

    @property
    def strategy(self) -> Callable[[], StarStrategy]:
        """Gives a new strategy for a run."""
        return self.declaration.strategy

    @property
    def outputs(self) -> Outputs:
        """The final files."""
        return self.declaration.outputs

    @property
    def shown(self) -> tuple[str, ...] | None:
        """The metrics and scores that are shown, by name; ``None``: all of them."""
        return self.declaration.shown


class StarLocalDPModel(StarModel):
    """A ``StarModel`` whose final result gets Laplace noise before it is written, as text.

    Parameters
    ----------
    *args, **kwargs
        As for :class:`StarModel`; ``output_type`` is ``'str'``.
    epsilon : float, optional
        The privacy budget, above 0.
    sensitivity : float, optional
        The L1 sensitivity of the whole result, above 0.

    Raises
    ------
    ModelError
        Also: only one of the two numbers, or OpenDP is not installed.

    Notes
    -----
    With neither number it is a plain ``StarModel``, as in the reference. What nodes send to the
    aggregator is not noised.

    Examples
    --------
    >>> from flame_flwr.star import StarAggregator, StarAnalyzer, StarLocalDPModel
    >>> class Patients(StarAnalyzer):
    ...     def analysis_method(self, data, aggregator_results):
    ...         return len(data)
    >>> class Total(StarAggregator):
    ...     def aggregation_method(self, analysis_results):
    ...         return sum(analysis_results)
    ...     def has_converged(self, result, last_result):
    ...         return True
    >>> model = StarLocalDPModel(Patients, Total, "s3", epsilon=0.5, sensitivity=1.0)
    >>> model.declaration.privacy.about()["epsilon"]
    0.5
    """

    def __init__(
        self,
        *args: Any,
        epsilon: float | None = None,
        sensitivity: float | None = None,
        **kwargs: Any,
    ) -> None:
        self._budget = (epsilon, sensitivity)
        if epsilon is None and sensitivity is None:
            logger.warning(
                "StarLocalDPModel without epsilon and sensitivity adds no noise: the exact result "
                "is released"
            )
        super().__init__(*args, **kwargs)
