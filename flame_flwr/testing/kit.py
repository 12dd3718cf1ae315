"""``check_analysis`` and the check behind ``flame-flwr check``: ask for a check, get its findings.

Nothing of the analysis runs in the calling process. The check has processes and a folder of its
own; both are gone when it returns, whatever user code does.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flame_flwr.child_processes import tied
from flame_flwr.errors import FlameError, ModelError
from flame_flwr.run_reminder import ran
from flame_flwr.testing.findings import CHECKS, ConformanceError, ConformanceWarning, Finding
from flame_flwr.testing.spec import CheckSpec
from flame_flwr.testing.subjects import AppSource, ClassSource, ScriptSource, source_at
from flame_flwr.testing.worker import PROGRAM

if TYPE_CHECKING:
    from flame_flwr.aggregation import Convergence
    from flame_flwr.clients import StarClient
    from flame_flwr.star.nodes import StarAggregator, StarAnalyzer
    from flame_flwr.strategies import StarStrategy

__all__ = ["Report", "check_analysis", "check_path"]

_INSIDE = "FLAME_FLWR_CHECKING"
_GRACE = 15.0
"""Seconds for imports and for the end, beyond what a check has for its runs."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a check found, and on what.

    Attributes
    ----------
    findings : list of Finding
        Empty where all is well.
    about : dict
        ``analyzer``, ``server``, ``nodes``, ``rounds``, and ``messages`` where there was a single
        run, for Message methods or a client of the user's own; empty where nothing could be loaded.
    """

    findings: list[Finding] = field(default_factory=list)
    about: dict[str, Any] = field(default_factory=dict)

    @property
    def errors(self) -> list[Finding]:
        """The findings that are not only warnings."""
        return [finding for finding in self.findings if finding.severity == "error"]


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
        How long the check may take.
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
        Of what was found that need not break: its ``severity`` is ``'warning'``.

    Raises
    ------
    ConformanceError
        An ``AssertionError``: there are findings of severity ``'error'``, and `raises` is true.
    ModelError
        The check itself is asked for wrongly.

    Notes
    -----
    The analysis runs once in one process, a second time in a process started apart, once with a
    new process for every message to a node, and then with its nodes in other orders. A strategy
    with Message methods of its own, and a client of one's own, run once, in one process. These
    processes work in empty folders, import the classes from their files, and may not write into
    the working directory or beside the code. What libraries open in C is not seen.

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
    report = _check(source, folders, max_rounds, seconds, tolerance, skip)
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
    path = path.expanduser().resolve()
    source = source_at(path, [_absolute(location) for location in data], nodes)
    homes = [path, Path.cwd()] if path.is_dir() else [Path.cwd(), path.parent]
    return _check(source, homes, max_rounds, seconds, tolerance, skip)


def _check(
    source: ClassSource | ScriptSource | AppSource,
    homes: list[Path],
    max_rounds: int,
    seconds: float,
    tolerance: float,
    skip: Collection[str],
) -> Report:
    """Have a check done by a process of its own, and end whatever it has left."""
    ran()
    if _INSIDE in os.environ:
        raise ModelError(
            "check_analysis was called while a check imports the module: put the call into a test "
            'function, or under `if __name__ == "__main__":`'
        )
    skip = [skip] if isinstance(skip, str) else skip
    unknown = sorted(set(skip) - CHECKS.keys())
    if unknown:
        raise ModelError(f"skip: there is no check {unknown[0]!r}; there are {', '.join(CHECKS)}")
    if max_rounds < 2 or not seconds > 0:
        raise ModelError("max_rounds must be at least 2, and seconds above 0")
    kept = [str(home) for home in dict.fromkeys(homes)]
    spec = CheckSpec(source, kept, max_rounds, seconds, tolerance, frozenset(skip))
    with tempfile.TemporaryDirectory(prefix="flame-flwr-check-", ignore_cleanup_errors=True) as own:
        folder = Path(own).resolve()
        spec.write(folder / "spec")
        code = _work(folder, seconds + _GRACE)
        try:
            said = json.loads((folder / "findings.json").read_text())
        except FileNotFoundError:
            return Report([_unfinished(code, folder, seconds)])
    if said["error"]:
        raise FlameError(said["error"])
    findings = [Finding(**finding) for finding in said["findings"]]
    ranks = list(CHECKS)
    findings = [finding for finding in findings if finding.check not in skip]
    return Report(sorted(findings, key=lambda f: ranks.index(f.check)), said["about"])


def _work(folder: Path, seconds: float) -> int | None:
    """Run the check's process until it ends or its time is over; return its exit code."""
    path = [os.path.abspath(entry) for entry in sys.path]
    environment = {
        **os.environ,
        _INSIDE: "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "1",
        "MPLBACKEND": "Agg",
        "TMPDIR": str(folder),
    }
    environment.pop("PYTEST_CURRENT_TEST", None)
    with (folder / "log").open("wb") as log, tied(str(folder)) as mark:
        process = subprocess.Popen(  # noqa: S603  (this Python, our own program)
            [sys.executable, "-c", PROGRAM, json.dumps(path), str(folder)],
            cwd=folder,
            env={**environment, **mark},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            return process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            return None
        finally:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process and everything that it has started."""
    if hasattr(os, "killpg"):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.wait()


def _unfinished(code: int | None, folder: Path, seconds: float) -> Finding:
    """Say why there are no findings: the import hangs, or it ended the process."""
    lines = (folder / "log").read_text(errors="replace").strip().splitlines()
    last = f": {lines[-1][:300]}" if lines else ""
    if code is None:
        seen = f"its import had not come to its end after {seconds + _GRACE:g} s"
    else:
        seen = f"its import ended the process with code {code}{last}"
    mend = "Put what the module does when it is imported into the classes"
    return Finding("runs", "", "", seen, mend)


def _folders_of(*classes: Any) -> list[Path]:
    """Return the folders in which a user's classes are defined."""
    from flame_flwr.user_code import is_user_code

    files = (
        getattr(sys.modules.get(getattr(cls, "__module__", "")), "__file__", None)
        for cls in classes
    )
    return [
        Path(file).resolve().parent
        for file in files
        if file and os.path.isfile(file) and is_user_code(os.path.abspath(file))
    ]


def _absolute(location: str) -> str:
    """Make the paths in a location absolute: the check works in folders of its own."""
    from flame_flwr.script.locations import is_function

    return ";".join(
        part if "://" in part or is_function(part) else os.path.abspath(os.path.expanduser(part))
        for part in location.split(";")
    )
