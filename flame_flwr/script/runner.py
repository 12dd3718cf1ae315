"""Run a FLAME script as it is, in this process: ``StarModel(...)`` runs when it is built.

``flame-flwr run`` calls :func:`run_script`. A Flower app whose ``pyproject.toml`` names
``flame_flwr.star.script:server_app`` and ``:client_app`` as its components, and the script in its
config (``script = "analysis.py"``), does the same on any runtime of Flower's. This module is not
for native code, whose models have apps of their own.
"""

from __future__ import annotations

import logging
import os
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from flame_flwr.analysis.listeners import listening
from flame_flwr.analysis.local_run import run_declared
from flame_flwr.errors import FlameError, NotConvergedError
from flame_flwr.failure.scratch_folders import working_in
from flame_flwr.log import logger, show
from flame_flwr.results.callbacks import with_callbacks
from flame_flwr.results.progress_bar import bars
from flame_flwr.results.run_files import RunFiles
from flame_flwr.results.run_record import RunRecord
from flame_flwr.results.text_form import final_line
from flame_flwr.script.environment import ScriptEnvironment, ScriptError
from flame_flwr.script.loader import BuiltModels, execute, note_place, second_model_text
from flame_flwr.script.locations import node_locations, open_sources
from flame_flwr.script.options import MAX_ROUNDS, ScriptOptions

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from flame_flwr.analysis.model import StarModel
    from flame_flwr.strategies.declaration import Declaration

__all__ = ["ScriptRun", "run_script"]


@dataclass(frozen=True, slots=True)
class ScriptRun:
    """The result of a script's run.

    Parameters
    ----------
    files : tuple of Path
        The result files of its ``StarModel``; none where it only has ``StarModelTester``.
    record : RunRecord
        What happened in the run of its ``StarModel``, where it ran in this process.
    """

    files: tuple[Path, ...] = ()
    record: RunRecord = field(default_factory=RunRecord)


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
    arguments: Sequence[str] = (),
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
    arguments : sequence of str
        For the script itself, in its ``sys.argv``.

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
    options = ScriptOptions.of(**locals())
    runner = _Runner(options)
    show(logging.DEBUG)
    environment = ScriptEnvironment(options.script, options.arguments)
    # within its own block, as the script may leave the working directory
    with working_in(os.curdir), environment.entered(), listening(runner):
        try:
            execute(environment, runner)
            runner.finish()
        except Exception as error:
            note_place(error)
            raise
    return runner.outcome


class _Runner(BuiltModels):
    """Runs what a script builds, in this process."""

    def __init__(self, options: ScriptOptions) -> None:
        super().__init__(options.script.name)
        self.options = options
        self.outcome = ScriptRun()
        self.failure: BaseException | None = None

    def model_built(self, model: StarModel, *, importing: bool) -> None:
        """Run the model, or keep it where a module builds it on import."""
        super().model_built(model, importing=importing)
        if not importing:
            self._run(model)

    def tester_built(self, declaration: Declaration, splits: Sequence[Any]) -> bool:
        """Let the tester run."""
        self.testers.append((declaration, ()))  # its splits stay its own: they may be large
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
        if self.options.given:
            logger.warning(
                "not used: %s. %s has a StarModelTester only, which has splits of its own, and "
                "writes where its result_filepath says",
                ", ".join(self.options.given),
                self.name,
            )

    def _run(self, model: StarModel) -> None:
        try:
            if len(self.models) > 1:
                raise ScriptError(
                    f"{second_model_text(self.name)}. The first one has run: its files are in "
                    f"{self.options.results}"
                )
            self.outcome = _run_model(model.declaration, self.options)
        except BaseException as error:
            # The script may catch it and go on, which must not look like a success.
            self.failure = error
            raise


def _run_model(declaration: Declaration, options: ScriptOptions) -> ScriptRun:
    """Run what a model declares in this process, and write its files.

    ``run.json`` and ``history.csv`` are written after a failure, too, once the data is there.
    """
    sources = open_sources(node_locations(declaration.plan.data_type, options.data, options.nodes))
    options.check_results()
    extras, record = options.extras(), declaration.new_record()
    record.heading = record.heading.completed(declaration.plan.analyzer)
    parameters = options.parameters(len(sources))
    files = RunFiles(options.results, report=extras.report)
    files.begin()
    with files.rescuing(record, parameters), _naming_options(options):
        looking = [*bars(), *extras.callbacks(files.path), *files.live()]
        with with_callbacks(record, *looking):
            config = {"max-rounds": options.max_rounds, "state-dir": str(options.state)}
            run_declared(declaration, sources, config, record)
        record.release(declaration.privacy)
        written = files.write_success(declaration.outputs, record, parameters)
    if not declaration.outputs.many and declaration.outputs.types == "str":
        logger.info("%s", final_line(record.result))
    for path in written:
        logger.info("Final result written to %s", path)
    return ScriptRun(tuple(written), record)


@contextmanager
def _naming_options(options: ScriptOptions) -> Iterator[None]:
    """Name the option of ``flame-flwr run`` that an error in the block is about."""
    try:
        yield
    except NotConvergedError as error:
        error.add_note("the limit of `flame-flwr run` is its option --max-rounds")
        raise
    except FlameError as error:
        about_state = ("`state-dir`", "the folder of what is kept")
        if any(what in error.message for what in about_state):
            error.add_note(f"it is {options.state}; --state names another folder")
        raise
