"""``StarModelTester``: run an analysis in this process, on data one has at hand."""

from __future__ import annotations

import logging
import os
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flame_flwr.analysis.declare import Arguments, declare, ignore
from flame_flwr.analysis.listeners import declaring, tester_may_run
from flame_flwr.analysis.local_run import run_declared
from flame_flwr.analysis.splits import check_splits, in_declared_order, warn_of_shapes
from flame_flwr.config import check_max_rounds
from flame_flwr.errors import ModelError
from flame_flwr.log import logger, printed, show, silent
from flame_flwr.results.callbacks import with_callbacks
from flame_flwr.results.extra_files import Extras
from flame_flwr.results.named_files import NamedFiles, refuse_run_json
from flame_flwr.results.printed_result import PrintedResult
from flame_flwr.results.progress_bar import bars
from flame_flwr.results.run_files import RunFiles
from flame_flwr.results.run_record import RunRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from matplotlib.figure import Figure

    from flame_flwr.aggregation import Convergence
    from flame_flwr.clients import StarClient
    from flame_flwr.clients.node import NodePlan
    from flame_flwr.data.expect import Expectation
    from flame_flwr.privacy import DisclosureRule, UpdateFilter
    from flame_flwr.results.run_tables import History
    from flame_flwr.star.nodes import StarAggregator, StarAnalyzer
    from flame_flwr.strategies import StarStrategy
    from flame_flwr.strategies.declaration import Declaration

__all__ = ["StarModelTester"]


class StarModelTester:
    """Runs when constructed: one node per split, and an aggregator.

    An exception of user code comes through as itself, with node and round added.

    Parameters
    ----------
    data_splits : sequence
        One entry per node, any object; it reaches the analyzer as it is.
    analyzer, aggregator, data_type, query, columns, simple_analysis, output_type, \
multiple_results, analyzer_kwargs, aggregator_kwargs
        As in ``StarModel``. Of a split of the form ``[{key: ...}, ...]`` an analyzer gets what
        `query` and `columns` ask for, as on a node; values for a hospital's parameters do nothing.
    node_roles : list of str, optional
        A parameter of FLAME's own class: ``'default'`` for every split. FLAME's guide prints the
        class without it; arguments that are given by their place may follow either.
    epsilon, sensitivity : float, optional
        Laplace noise on the final result, as in ``StarLocalDPModel``.
    result_filepath, filename : path or list of paths, optional
        Where the result goes, relative to the working directory; two spellings of one thing.
        Without one nothing is written, only printed. The folder, where a strategy names its files.
    stream_log_level
        A parameter of FLAME's own class; accepted, without effect. `quiet` says what is printed.
    max_rounds : int
        Give up after so many rounds.
    quiet : bool, optional
        Print warnings and errors only. ``None``: quiet under pytest, not elsewhere. ``False``
        prints also where logging is configured and would not show it.
    payload, client, convergence, disclosure, filters, expects, subject, shown, secure, title, \
description, authors
        As in ``StarModel``.
    report, tensorboard : {'auto', 'on', 'off'}
        ``report.html`` and events for TensorBoard beside the result's file; ``'auto'`` writes them
        where the extra is installed and it is not quiet.

    Attributes
    ----------
    result : Any
        The final result.
    rounds : int
        How many were run.
    converged : bool
        Whether the analysis ended because it said so.
    history : DataFrame
        A row per round: nodes, failed, seconds, bytes, change of the aggregate, a column per metric
        (its mean over the nodes), why it stopped. ``history[-1]`` is the last round's
        record, with seconds, bytes and metrics of each node, also what is not shown; saved with
        pickle, it is without that. ``record.history`` is the list of all.
    record : RunRecord
        All there is to know of the run.
    aggregate : Any
        The last aggregate: the result itself where the aggregator has no ``final_method``.
    evaluations : dict of str to dict
        What ``evaluation_method`` gave, per node.
    privacy : dict or None
        Mechanism and budget, where the result is private.
    filters : dict of str to dict
        Per node: the filters that its results went through, and the budget that they have spent.

    Raises
    ------
    ModelError
        Anything of the above is not what it must be.
    ConfigError
        `max_rounds` is no ``int`` above 0.
    NotConvergedError
        `max_rounds` were not enough. After this and any other failure the last aggregate is saved
        beside the result's file, as ``rescue.pkl``.
    ResultError
        The result does not fit what was declared; it is saved as ``rescue.pkl``.
    StoreError
        The result's file cannot be written: found before the run where its folder does not take
        files. After it, the result is saved in a folder for temporary files, which the error names.

    Notes
    -----
    Without a file's name nothing is written, so that tests and notebooks stay clean: the record of
    the run is in the attributes. Beside the first file stand ``history.csv`` and ``run.json``, of
    the last run into this folder, also after a failure or Ctrl-C: what an earlier run wrote beside
    its result is removed when a run begins. Where a file of such a name is there that no run wrote,
    it is left alone, and a warning says so. Only
    ``run.json`` of a private result is written all the same: its budget has to be found with it.

    Examples
    --------
    >>> from flame_flwr.star import StarAggregator, StarAnalyzer, StarModelTester
    >>> class Patients(StarAnalyzer):
    ...     def analysis_method(self, data, aggregator_results):
    ...         return len(data)
    >>> class Total(StarAggregator):
    ...     def aggregation_method(self, analysis_results):
    ...         return sum(analysis_results)
    ...     def has_converged(self, result, last_result):
    ...         return True
    >>> tester = StarModelTester([["a", "b"], ["c"]], Patients, Total, "s3", quiet=True)
    >>> tester.result, tester.rounds, tester.converged
    (3, 1, True)
    """

    result: Any
    rounds: int
    converged: bool
    record: RunRecord
    aggregate: Any
    evaluations: dict[str, dict[str, float]]
    privacy: dict[str, Any] | None
    filters: dict[str, dict[str, Any]]

    def __init__(
        self,
        data_splits: Sequence[Any],
        analyzer: type[StarAnalyzer],
        aggregator: type[StarAggregator] | type[StarStrategy] | StarStrategy,
        data_type: str,
        node_roles: Sequence[str] | None = None,
        query: str | Sequence[str] | Mapping[str, Any] | None = None,
        simple_analysis: bool = True,
        output_type: str | Sequence[str] = "str",
        multiple_results: bool = False,
        analyzer_kwargs: Mapping[str, Any] | None = None,
        aggregator_kwargs: Mapping[str, Any] | None = None,
        epsilon: float | None = None,
        sensitivity: float | None = None,
        result_filepath: str | Path | Sequence[str | Path] | None = None,
        filename: str | Path | Sequence[str | Path] | None = None,
        *,
        stream_log_level: object = None,
        max_rounds: int = 1000,
        quiet: bool | None = None,
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
        report: str = "auto",
        tensorboard: str = "auto",
    ) -> None:
        self._take(RunRecord())
        ignore(stream_log_level=stream_log_level)
        given = in_declared_order(locals())  # the parameters alone: no other variable is set yet
        names = _given_paths(given["result_filepath"], filename)
        option = "result_filepath" if filename is None else "filename"
        with declaring():
            check_max_rounds(max_rounds)
            splits = check_splits(data_splits, given["node_roles"])
            declaration = declare(Arguments.among(given | {"filename": names}), paths=True)
            if declaration.privacy is not None or declaration.plan.filters:
                refuse_run_json(declaration.outputs)
        if not tester_may_run(declaration, splits):
            return
        quiet, printing = _printing(quiet)
        extras = _extras(report, tensorboard, files=names is not None, quiet=quiet)
        files = _files(declaration, option, extras, named=names is not None)
        show(logging.DEBUG)
        with printing:
            _warn_of_data(declaration.plan, splits)
            record = _new_record(declaration, max_rounds)
            run = _Run(declaration, splits, max_rounds, record)
            written = run.written_to(files, extras, quiet=quiet)
            self._take(record)
            for path in written:
                logger.info("Final result written to %s", path)

    def _take(self, record: RunRecord) -> None:
        """Show what there is of a run."""
        self.record = record
        self.result = record.result
        self.rounds = len(record.history)
        self.converged = record.converged
        self.aggregate = record.aggregate
        self.evaluations = record.evaluations
        self.privacy = record.privacy
        self.filters = record.filters.to_json()

    @cached_property
    def history(self) -> History:
        """The rounds, as a DataFrame."""
        from flame_flwr.results.run_tables import history_frame

        return history_frame(
            self.record.to_json(), self.record.history, saved=self.record.public.history
        )

    def plot(self) -> Figure:
        """Return a figure of the run: the aggregate's change and every metric by round.

        A notebook shows it; ``tester.plot().savefig("run.png")`` writes it. ``pyplot`` is left
        alone. There are at most eight metrics, with a line per node; of many nodes, their mean
        and range.
        """
        from flame_flwr.results.plots import run_figure

        about = self.record.to_json()
        return run_figure(about["history"], about["nodes"])

    def __repr__(self) -> str:
        """Return the rounds as a table, with why the run stopped."""
        from flame_flwr.results.run_tables import run_text

        return run_text(self.record.to_json())

    def _repr_html_(self) -> str:
        """Return the same for a notebook, with the nodes and their scores."""
        from flame_flwr.results.run_tables import run_html

        return run_html(self.record.to_json())


@dataclass(frozen=True, slots=True)
class _Run:
    """A tester's run: what is declared, on which data, and the record that it fills."""

    declaration: Declaration
    splits: Sequence[Any]
    max_rounds: int
    record: RunRecord

    def written_to(self, files: RunFiles, extras: Extras, *, quiet: bool) -> list[Path]:
        """Run the analysis and write its files; return those of the final result."""
        record, privacy = self.record, self.declaration.privacy
        looking = [] if quiet else list(bars())
        if files.record_is_kept:
            record.heading = record.heading.completed(self.declaration.plan.analyzer)
            looking += extras.callbacks(files.path)
        files.begin()
        live = [] if quiet else files.live()
        # What shows the run to others goes on until its files are written, after a failure, too;
        # bars and events end with the rounds.
        with with_callbacks(record, *live), files.rescuing(record, {}):
            with with_callbacks(record, *looking):
                config = {"max-rounds": self.max_rounds}
                run_declared(self.declaration, self.splits, config, record)
            record.release(privacy)
            return files.write_success(self.declaration.outputs, record, {})


def _warn_of_data(plan: NodePlan, splits: list[Any]) -> None:
    """Warn of splits that have not the shape of a node's data, where the analyzer looks at it."""
    takes_tables = getattr(plan.analyzer, "takes_tables", False)
    if plan.data_type != "none" and not takes_tables:
        warn_of_shapes(splits, plan.data_type)


def _new_record(declaration: Declaration, max_rounds: int) -> RunRecord:
    """Return an empty record, which knows the one setting that a tester has of a run config."""
    record = declaration.new_record()
    record.study["max_rounds"] = record.in_words["max_rounds"] = str(max_rounds)
    return record


def _printing(quiet: bool | None) -> tuple[bool, AbstractContextManager[None]]:
    """Return whether it is quiet, and the block in which the log says so much and no more."""
    if quiet is None:
        under_pytest = "PYTEST_CURRENT_TEST" in os.environ
        return under_pytest, silent() if under_pytest else nullcontext()
    return quiet, silent() if quiet else printed()


def _extras(report: str, tensorboard: str, *, files: bool, quiet: bool) -> Extras:
    """Return what is written beside the result: of itself only where it is not quiet."""
    asked = Extras.of(report, tensorboard, "{}")
    if not files:
        return Extras()
    return Extras(
        asked.report and not (quiet and report == "auto"),
        asked.tensorboard and not (quiet and tensorboard == "auto"),
    )


def _files(declaration: Declaration, option: str, extras: Extras, *, named: bool) -> RunFiles:
    """Return what writes the result; one without a name is only printed."""
    if not named:
        return PrintedResult()
    return NamedFiles(declaration.outputs, option, report=extras.report)


def _given_paths(result_filepath: Any, filename: Any) -> Any:
    if result_filepath is not None and filename is not None:
        raise ModelError("result_filepath and filename are one thing: give one of them")
    paths = filename if result_filepath is None else result_filepath
    # A home folder is written `~`, as at a terminal; Python itself takes it for a name.
    if isinstance(paths, list | tuple):
        return [_expand_home(path) for path in paths]
    return _expand_home(paths)


def _expand_home(path: Any) -> Any:
    """Replace ``~`` with the home folder, as a terminal does."""
    return os.path.expanduser(path) if isinstance(path, str | Path) else path
