"""Run a FLAME script as it is: in this process, or inside a Flower app.

``flame-flwr run`` calls :func:`run_script`. A Flower app whose ``pyproject.toml`` names
``flame_flwr.star.script:server_app`` and ``:client_app`` as its components, and the script in its
config (``script = "analysis.py"``), does the same on any runtime of Flower's. This module is not
for native code, whose models have apps of their own.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flame_flwr.config import RunSettings
from flame_flwr.engine.failure import place_of
from flame_flwr.engine.workdir import working_in
from flame_flwr.errors import FlameError, ResultError
from flame_flwr.log import logger, show
from flame_flwr.results.folder import rescue, write_outputs
from flame_flwr.results.record import RunRecord
from flame_flwr.star.alias import ScriptError, ScriptWorld, listening
from flame_flwr.star.script_data import node_locations, open_sources

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flwr.clientapp import ClientApp
    from flwr.serverapp import ServerApp

    from flame_flwr.star.model import StarModel

    client_app: ClientApp
    server_app: ServerApp

__all__ = [
    "LoadedScript",
    "ScriptError",
    "ScriptRun",
    "client_app",
    "load_script",
    "run_script",
    "script_path",
    "server_app",
]

_GUARD = 'if __name__ == "__main__":'


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
    world : ScriptWorld
        To be entered whenever code of the script runs.
    model : StarModel
        What the script built.
    """

    world: ScriptWorld
    model: StarModel


def run_script(
    script: str | Path,
    data: str | Sequence[str] = (),
    *,
    nodes: int | None = None,
    results: str | Path = "results",
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
    results : path
        The folder for the model's files, named as the model says.

    Returns
    -------
    ScriptRun
        The files and the record of the run.

    Raises
    ------
    ScriptError
        There is no such script, it builds no model, or it builds two.
    ConfigError, DataError
        `data` and `nodes` do not fit, or a source is missing or empty.
    Exception
        What the script's code raises comes through as itself.

    Notes
    -----
    A script is one analysis: a second ``StarModel`` is an error. Models that a module builds when
    it is imported (native code for Flower does) count only where the script builds none itself.
    Where the script builds nothing and has a function ``main`` without arguments, it is called.
    """
    path = script_path(script)
    locations = [data] if isinstance(data, str) else list(data)
    runner = _Runner(path.name, locations, nodes, Path(results).expanduser().absolute())
    show()
    world = ScriptWorld(path)
    with working_in(os.curdir), world.entered(), listening(runner):
        try:
            _execute(world, runner)
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
    heard = _Heard(path.name)
    world = ScriptWorld(path)
    with working_in(os.curdir), world.entered(), listening(heard):
        try:
            _execute(world, heard)
        except (Exception, SystemExit) as error:
            if not heard.models:
                _say_where(error)
                raise
            logger.warning(
                "%s failed after its StarModel(...), which does not matter here: %s: %s",
                path.name,
                type(error).__name__,
                error,
            )
    return LoadedScript(world, heard.only())


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
        raise ScriptError(f"there is no script {script} (looked for {path})")
    return path


# ---- what a script builds -------------------------------------------------------------------


class _Heard:
    """Keeps what a script builds, and runs none of it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.models: list[StarModel] = []
        self.imported: list[StarModel] = []
        self.testers = 0

    def model_built(self, model: StarModel, *, importing: bool) -> None:
        """Keep the model."""
        (self.imported if importing else self.models).append(model)

    def tester_built(self) -> bool:
        """Skip the tester: it has no place outside the process of its author."""
        self.testers += 1
        logger.info("%s: StarModelTester is skipped here, StarModel is what is run", self.name)
        return False

    def nothing(self) -> bool:
        """Tell whether the script has built nothing."""
        return not (self.models or self.imported or self.testers)

    def only(self) -> StarModel:
        """Return the one model.

        Raises
        ------
        ScriptError
            There is none, or more than one.
        """
        models = self.models or self.imported
        if len(models) > 1:
            raise ScriptError(_two(self.name))
        if models:
            return models[0]
        if self.testers:
            raise ScriptError(
                f"{self.name} has a StarModelTester only, which runs on splits of its own and in "
                "one process: run it without --simulate, or build a StarModel(...)"
            )
        raise ScriptError(_none(self.name))


class _Runner(_Heard):
    """Runs what a script builds, in this process."""

    def __init__(self, name: str, data: list[str], nodes: int | None, results: Path) -> None:
        super().__init__(name)
        self.data = data
        self.nodes = nodes
        self.results = results
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
        elif not self.models and (self.data or self.nodes):
            logger.warning(
                "--data and --nodes are not used: %s has a StarModelTester only, which has splits "
                "of its own",
                self.name,
            )

    def _run(self, model: StarModel) -> None:
        try:
            if len(self.models) > 1:
                raise ScriptError(_two(self.name))
            self.outcome = _run_model(model, self.data, self.nodes, self.results)
        except BaseException as error:
            self.failure = error
            raise


def _run_model(
    model: StarModel, data: Sequence[str], nodes: int | None, results: Path
) -> ScriptRun:
    """Run a model in this process on the data of every node, and write its files."""
    from flame_flwr.engine.local import run_local

    sources = open_sources(node_locations(model.plan.data_type, data, nodes))
    record = RunRecord(privacy=None if model.privacy is None else model.privacy.about())
    settings = RunSettings.from_config({})
    try:
        run_local(
            model.strategy(),
            model.plan,
            sources,
            settings,
            record,
            model.simple_analysis,
            client=model.client,
        )
        record.release(model.privacy)
        files = write_outputs(results, model.outputs, record.result)
    except BaseException as error:
        if record.history and model.privacy is None and not isinstance(error, ResultError):
            _rescue(results, record)
        raise
    if not model.outputs.many and model.outputs.types == "str":
        logger.info("Final result: %s", record.result)
    for file in files:
        logger.info("Final result written to %s", file)
    return ScriptRun(tuple(files), record)


def _rescue(results: Path, record: RunRecord) -> None:
    try:
        saved = rescue(results, record.aggregate)
    except OSError as reason:
        logger.error("the last aggregate could not be saved: %s", reason)
    else:
        logger.error("the aggregate of round %d is in %s", len(record.history), saved)


def _execute(world: ScriptWorld, heard: _Heard) -> None:
    """Execute the script, whose world is entered; ``sys.exit()`` without a code is its end."""
    code = _compiled(world.path)
    space = vars(world.main)
    try:
        exec(code, space)  # noqa: S102  (the user's own script, as `python` would)
        main = space.get("main")
        if main is not None and heard.nothing() and _takes_nothing(main):
            logger.info("%s builds nothing but has a main(): calling it", heard.name)
            main()
    except SystemExit as end:
        if end.code not in (None, 0):
            raise


def _compiled(path: Path) -> Any:
    try:
        source = path.read_bytes()
    except OSError as error:
        raise ScriptError(f"the script cannot be read: {error}") from error
    try:
        return compile(source, str(path), "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        if isinstance(error, SyntaxError) and error.filename:
            raise
        raise ScriptError(f"{path} is no Python source: {error}") from error


def _takes_nothing(main: object) -> bool:
    import inspect

    if not inspect.isfunction(main) or inspect.iscoroutinefunction(main):
        return False
    return all(
        parameter.default is not parameter.empty
        or parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        for parameter in inspect.signature(main).parameters.values()
    )


def _none(name: str) -> str:
    return (
        f"{name} builds no model: call StarModel(...) or StarModelTester(...) under `{_GUARD}`, or "
        "in a main() that is called there"
    )


def _two(name: str) -> str:
    return (
        f"{name} builds a second StarModel: a script is one analysis. Put the second into a script "
        "of its own, or try things out with StarModelTester, of which there may be several"
    )


def _say_where(error: BaseException) -> None:
    """Add the place in user code to an error of the framework, which is shown without traceback."""
    place = place_of(error.__traceback__, anywhere=False)
    if isinstance(error, FlameError) and place:
        error.add_note(f"at {place}")
    missing = getattr(error, "name", None) if isinstance(error, ImportError) else None
    if isinstance(missing, str) and missing.partition(".")[0] == "flame":
        from flame_flwr import star

        error.add_note(f"flame-flwr has `flame.star` alone, with {', '.join(star.__all__)}")


def __getattr__(name: str) -> Any:
    """Make the Flower components when they are asked for: only Flower's processes need them."""
    if name not in ("client_app", "server_app"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from flame_flwr.star import script_flower

    app: Any = (
        script_flower.ScriptClientApp() if name == "client_app" else script_flower.make_server()
    )
    return globals().setdefault(name, app)
