"""Run a FLAME script as it is: in this process, or inside a Flower app.

``flame-flwr run`` calls :func:`run_script`. A Flower app whose ``pyproject.toml`` names
``flame_flwr.star.script:server_app`` and ``:client_app`` as its components, and the script in its
config (``script = "analysis.py"``), does the same on any runtime of Flower's. This module is not
for native code, whose models have apps of their own.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from flame_flwr.analysis.listeners import listening
from flame_flwr.config import check_max_rounds
from flame_flwr.errors import FlameError
from flame_flwr.failure.notes import add_hint
from flame_flwr.failure.scratch_folders import working_in
from flame_flwr.failure.tracebacks import place_of
from flame_flwr.log import logger, show
from flame_flwr.results.extras import Extras
from flame_flwr.results.record import RunRecord
from flame_flwr.script.environment import ScriptEnvironment, ScriptError
from flame_flwr.script.loader import BuiltModels, execute, two_models
from flame_flwr.script.locations import as_given
from flame_flwr.script.model_run import MAX_ROUNDS, LocalRun, results_folder, state_folder
from flame_flwr.suggestions import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flame_flwr.analysis.model import StarModel

__all__ = [
    "LoadedScript",
    "ScriptError",
    "ScriptRun",
    "load_script",
    "run_script",
    "script_path",
]


@dataclass(frozen=True, slots=True)
class ScriptRun:
    """What came of a script.

    Parameters
    ----------
    files : tuple of Path
        The result files of its ``StarModel``; none where it only has ``StarModelTester``.
    record : RunRecord
        What happened in the run of its ``StarModel``, where it ran in this process.
    """

    files: tuple[Path, ...] = ()
    record: RunRecord = field(default_factory=RunRecord)


@dataclass(frozen=True, slots=True)
class LoadedScript:
    """A script that was executed without running its analysis.

    Parameters
    ----------
    environment : ScriptEnvironment
        To be entered whenever code of the script runs.
    model : StarModel
        What the script built.
    """

    environment: ScriptEnvironment
    model: StarModel


def run_script(
    script: str | Path,
    data: str | Sequence[str] = (),
    *,
    nodes: int | None = None,
    results: str | Path | None = None,
    state: str | Path | None = None,
    max_rounds: int = MAX_ROUNDS,
    report: str = "auto",
    tensorboard: str = "auto",
) -> ScriptRun:
    """Run a FLAME script in this process: ``StarModel(...)`` runs the analysis when it is built.

    Parameters
    ----------
    script : path
        The script. Its relative paths are relative to the working directory, as with ``python``.
    data : str or list of str
        What each node reads, in the order of ``node-0``, ``node-1``, ...: a folder, or
        ``module:function`` with the module beside the script; several sources of one node with
        ``;`` between. A ``StarModelTester`` has its own splits and needs none.
    nodes : int, optional
        How many nodes, where `data` is a single one with ``{partition-id}`` or a function, or the
        model's ``data_type`` is ``'none'``.
    results : path, optional
        The folder for the model's files, named as the model says, with ``run.json`` and
        ``history.csv`` beside them, and after a failure ``rescue.pkl``: ``results`` where it is
        not given. Files that are there are replaced.
    state : path, optional
        The folder for what nodes and aggregator keep with ``save_intermediate_data``, across
        runs: ``.flame-flwr`` beside `results` where it is not given. It is made when something
        is kept.
    max_rounds : int
        The run fails when it has not converged after so many rounds.
    report, tensorboard : {'auto', 'on', 'off'}
        ``report.html`` and events for TensorBoard beside the results; ``'auto'`` writes them where
        the extra is installed.

    Returns
    -------
    ScriptRun
        The files and the record of the run.

    Raises
    ------
    ScriptError
        There is no such script, it builds no model, or it builds two.
    ConfigError, DataError
        `data` and `nodes` do not fit, a source is missing or empty, or `max_rounds` is not above 0.
    Exception
        What the script's code raises comes through as itself.

    Notes
    -----
    A script is one analysis: a second ``StarModel`` is an error. Models that a module builds when
    it is imported (native code for Flower does) count only where the script builds none itself.
    Where the script builds nothing and has a function ``main`` without arguments, it is called.
    """
    path = script_path(script)
    check_max_rounds(max_rounds)
    locations = as_given(data)
    target = results_folder(results)
    Extras.of(report, tensorboard, "--{}")
    kept = state_folder(state, target)
    wanted = LocalRun(path, locations, nodes, target, kept, max_rounds, report, tensorboard)
    runner = _Runner(
        path.name, wanted, results_given=results is not None, state_given=state is not None
    )
    show(logging.DEBUG)
    environment = ScriptEnvironment(path)
    with working_in(os.curdir), environment.entered(), listening(runner):
        try:
            execute(environment, runner)
            runner.finish()
        except Exception as error:
            _say_where(error)
            raise
    return runner.outcome


def load_script(path: Path) -> LoadedScript:
    """Execute a script without running its analysis: ``StarModel(...)`` is only kept.

    What fails after the model was built, such as reading results that are not there yet, does
    not matter.

    Parameters
    ----------
    path : Path
        The script, absolute.

    Raises
    ------
    ScriptError
        It cannot be read, builds no model, or builds two.
    Exception
        What the script's code raises comes through as itself.
    """
    built = BuiltModels(path.name)
    environment = ScriptEnvironment(path)
    with working_in(os.curdir), environment.entered(), listening(built):
        try:
            execute(environment, built)
        except (Exception, SystemExit) as error:
            if not built.models:
                _say_where(error)
                raise
            logger.warning(
                "%s failed after its StarModel(...), which does not matter here: %s: %s",
                path.name,
                type(error).__name__,
                error,
            )
    model = built.only()
    if built.testers:
        logger.info("%s: StarModelTester is skipped here, StarModel is what is run", path.name)
    return LoadedScript(environment, model)


def script_path(script: str | Path) -> Path:
    """Return a script's absolute path.

    Raises
    ------
    ScriptError
        There is no such file.
    """
    path = Path(os.path.abspath(Path(script).expanduser()))
    if path.is_dir():
        raise ScriptError(
            f"{script} is a folder: name the script in it; a Flower app's folder goes to "
            "`flame-flwr submit`"
        )
    if not path.is_file():
        beside = [each.name for each in path.parent.glob("*.py")]
        question = did_you_mean(beside, path.name)
        missing = f"there is no script {script} (looked for {path})"
        raise ScriptError(f"{missing}; {question}" if question else missing)
    return path


# ---- running what a script builds ------------------------------------------------------------


class _Runner(BuiltModels):
    """Runs what a script builds, in this process."""

    def __init__(
        self, name: str, wanted: LocalRun, *, results_given: bool, state_given: bool
    ) -> None:
        super().__init__(name)
        self.wanted = wanted
        self.results_given, self.state_given = results_given, state_given
        self.outcome = ScriptRun()
        self.failure: BaseException | None = None

    def model_built(self, model: StarModel, *, importing: bool) -> None:
        """Run the model, or keep it where a module builds it on import."""
        super().model_built(model, importing=importing)
        if not importing:
            self._run(model)

    def tester_built(self) -> bool:
        """Let the tester run."""
        self.testers += 1
        return True

    def finish(self) -> None:
        """Run the model of an imported module where there is no other, and see that all is well.

        Raises
        ------
        ScriptError
            The script built nothing, or went on after its analysis had failed.
        """
        if self.failure is not None:
            raise ScriptError(
                f"the analysis failed, and {self.name} went on: {type(self.failure).__name__}: "
                f"{self.failure}"
            ) from self.failure
        if not self.models and not self.testers:
            self._run(self.only())
        elif self.refused is not None:
            logger.warning(
                "what %s declares was refused, and it went on: %s: %s",
                self.name,
                type(self.refused).__name__,
                self.refused,
            )
        elif not self.models:
            self._warn_of_unused()

    def _warn_of_unused(self) -> None:
        """Name the options that were given and that a tester has no use for."""
        given = {
            "--data": self.wanted.data,
            "--nodes": self.wanted.nodes,
            "--results": self.results_given,
            "--state": self.state_given,
        }
        unused = [option for option, value in given.items() if value]
        if unused:
            logger.warning(
                "not used: %s. %s has a StarModelTester only, which has splits of its own, and "
                "writes where its result_filepath says",
                ", ".join(unused),
                self.name,
            )

    def _run(self, model: StarModel) -> None:
        try:
            if len(self.models) > 1:
                raise ScriptError(
                    f"{two_models(self.name)}. The first one has run: its files are in "
                    f"{self.wanted.results}"
                )
            self.outcome = ScriptRun(*self.wanted.run(model))
        except BaseException as error:
            self.failure = error
            raise


def _say_where(error: BaseException) -> None:
    """Add the place in user code to an error of the framework, which is shown without traceback."""
    place = place_of(error.__traceback__, anywhere=False)
    if isinstance(error, FlameError) and place:
        add_hint(error, f"at {place}")
    missing = getattr(error, "name", None) if isinstance(error, ImportError) else None
    if isinstance(missing, str) and missing.partition(".")[0] == "flame":
        from flame_flwr import star

        add_hint(error, f"flame-flwr has `flame.star` alone, with {', '.join(star.__all__)}")
