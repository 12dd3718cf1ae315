"""``check_analysis`` and the check behind ``flame-flwr check``: ask for a check, get its findings.

Nothing of the analysis runs in the calling process: :mod:`flame_flwr.testing.check_process`.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flame_flwr.testing.check_process import Report, check_in_a_process
from flame_flwr.testing.findings import ConformanceError, ConformanceWarning, Finding
from flame_flwr.testing.subjects import ClassSource, source_at

if TYPE_CHECKING:
    from flame_flwr.aggregation import Convergence
    from flame_flwr.clients import StarClient
    from flame_flwr.star.nodes import StarAggregator, StarAnalyzer
    from flame_flwr.strategies import StarStrategy

__all__ = ["Report", "check_analysis", "check_path"]


def check_analysis(
    analyzer: type[StarAnalyzer],
    aggregator: type[StarAggregator] | type[StarStrategy] | StarStrategy,
    data_splits: Sequence[Any],
    data_type: str = "s3",
    *,
    simple_analysis: bool = True,
    output_type: str | Sequence[str] = "str",
    multiple_results: bool = False,
    analyzer_kwargs: Mapping[str, Any] | None = None,
    aggregator_kwargs: Mapping[str, Any] | None = None,
    payload: str = "safe",
    client: type[StarClient] | None = None,
    convergence: Convergence | Callable[[Any, Any], Any] | None = None,
    max_rounds: int = 100,
    seconds: float = 60.0,
    tolerance: float = 1e-6,
    skip: Collection[str] = (),
    raises: bool = True,
) -> list[Finding]:
    """Run an analysis on a little data, several times over, and find what would break later.

    Parameters
    ----------
    analyzer, aggregator
        As for ``StarModelTester``.
    data_splits : sequence
        One entry per node: small, and at least two.
    data_type, simple_analysis, output_type, multiple_results, analyzer_kwargs, \
aggregator_kwargs, payload, client, convergence
        As for ``StarModel``.
    max_rounds : int
        ``has_converged`` is to say True within so many rounds; beyond them, it is a warning, and
        where a run on Flower fails by default (1000 rounds), an error.
    seconds : float
        How long the runs of the check may take, without what their processes take to start where
        they cannot be forked, as beside polars.
    tolerance : float
        How far numbers of two runs may be apart, relative to the larger one.
    skip : collection of str
        Checks to leave out; names of :data:`flame_flwr.testing.CHECKS`.
    raises : bool
        Whether errors are raised and warnings warned of. Otherwise they are returned only.

    Returns
    -------
    list of Finding
        What was found, in the order of the checks; empty where all is well.

    Warns
    -----
    ConformanceWarning
        Something was found that need not break; its ``severity`` is ``'warning'``.

    Raises
    ------
    ConformanceError
        An ``AssertionError``: there are findings of severity ``'error'``, and `raises` is true.
    ModelError
        The check itself is asked for wrongly.

    Notes
    -----
    The analysis runs once in one process, a second time in a process started apart, once with a
    new process for every message to a node, and then with its nodes in other orders, unless the
    strategy asks them one after another, as ``CyclicTraining`` does. Secure sums are added up
    on their grid in these runs, and once masked: for that it takes three nodes. A strategy with
    Message methods of its own, and a client of one's own, run once, in one process. These
    processes work in folders of their own, import the classes from their files, and may not
    write into the working directory or beside the code. Copies of the small files there stand
    in their folders. With a new process for every message they are empty, as on Flower, and so
    is the folder of a single run: a file that is read by a relative path is missing there. What
    libraries written in C open by an absolute path is not seen.

    Row-level data is known by its length, that of the node's data: in tables, arrays, lists, CSV,
    JSON, NumPy's files and pickles. Parquet and Excel files are not read, and rows that an analyzer
    has filtered are of another length.

    Examples
    --------
    >>> from flame_flwr.star import StarAggregator, StarAnalyzer
    >>> from flame_flwr.testing import check_analysis
    >>> class Count(StarAnalyzer):
    ...     def analysis_method(self, data, aggregator_results):
    ...         return len(data)
    >>> class Sum(StarAggregator):
    ...     def aggregation_method(self, analysis_results):
    ...         return sum(analysis_results)
    ...     def has_converged(self, result, last_result):
    ...         return True
    >>> check_analysis(Count, Sum, [[1, 2], [3]])
    []
    """
    arguments = {
        "data_type": data_type,
        "simple_analysis": simple_analysis,
        "output_type": output_type,
        "multiple_results": multiple_results,
        "analyzer_kwargs": analyzer_kwargs,
        "aggregator_kwargs": aggregator_kwargs,
        "payload": payload,
        "client": client,
        "convergence": convergence,
    }
    source = ClassSource(analyzer, aggregator, list(data_splits), arguments)
    folders = [Path.cwd(), *_folders_of(analyzer, aggregator, client)]
    report = check_in_a_process(source, folders, max_rounds, seconds, tolerance, skip)
    if raises:
        for finding in report.findings:
            if finding.severity == "warning":
                warnings.warn(str(finding), ConformanceWarning, stacklevel=2)
        errors = report.errors
        if errors:
            raise ConformanceError(errors)
    return report.findings


def check_path(
    path: Path,
    data: Sequence[str] = (),
    nodes: int | None = None,
    *,
    max_rounds: int = 100,
    seconds: float = 60.0,
    tolerance: float = 1e-6,
    skip: Collection[str] = (),
) -> Report:
    """Check a FLAME script, or the Flower app in a folder.

    Parameters
    ----------
    path : Path
        A script, or a folder with a ``pyproject.toml`` that names the app's components.
    data : sequence of str
        What each node reads, as for ``flame-flwr run``; an app may name it itself.
    nodes : int, optional
        How many nodes.
    max_rounds, seconds, tolerance, skip
        As for :func:`check_analysis`.

    Raises
    ------
    FlameError
        There is no such script or app, or its nodes have no data.
    """
    from flame_flwr.script.locations import absolute_locations

    path = path.expanduser().resolve()
    source = source_at(path, absolute_locations(data), nodes)
    homes = [path, Path.cwd()] if path.is_dir() else [Path.cwd(), path.parent]
    return check_in_a_process(source, homes, max_rounds, seconds, tolerance, skip)


def _folders_of(*classes: Any) -> list[Path]:
    """Return the folders in which a user's classes are defined."""
    from flame_flwr.user_code.paths import is_user_code

    files = (
        getattr(sys.modules.get(getattr(cls, "__module__", "")), "__file__", None)
        for cls in classes
    )
    return [
        Path(file).resolve().parent
        for file in files
        if file and os.path.isfile(file) and is_user_code(os.path.abspath(file))
    ]
