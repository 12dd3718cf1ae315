"""Execute a FLAME script, and keep what it builds without running it.

Who runs the analysis, :mod:`flame_flwr.script.runner`, is told of every model as it is built.
"""

from __future__ import annotations

import inspect
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flame_flwr.analysis.listeners import Listener, listening
from flame_flwr.errors import FlameError
from flame_flwr.failure.notes import add_hint
from flame_flwr.failure.scratch_folders import working_in
from flame_flwr.failure.tracebacks import place_of
from flame_flwr.log import logger
from flame_flwr.script.environment import ScriptEnvironment, ScriptError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from flame_flwr.analysis.model import StarModel
    from flame_flwr.strategies.declaration import Declaration

__all__ = [
    "BuiltModels",
    "LoadedScript",
    "execute",
    "load_script",
    "note_place",
    "second_model_text",
]

_GUARD = 'if __name__ == "__main__":'


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


def load_script(path: Path, arguments: Sequence[str] = ()) -> LoadedScript:
    """Execute a script without running its analysis: ``StarModel(...)`` is only kept.

    What fails after the model was built, such as reading results that are not there yet, does
    not matter.

    Parameters
    ----------
    path : Path
        The script, absolute.
    arguments : sequence of str
        For the script.

    Raises
    ------
    ScriptError
        It cannot be read, builds no model, or builds two.
    Exception
        What the script's code raises comes through as itself.
    """
    built = BuiltModels(path.name)
    environment = ScriptEnvironment(path, arguments)
    with working_in(os.curdir), environment.entered(), listening(built):
        try:
            execute(environment, built)
        except (Exception, SystemExit) as error:
            # Code behind the model reads results, which are not there before the run.
            if not built.models:
                note_place(error)
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


class BuiltModels(Listener):
    """Keeps what a script builds, and runs none of it.

    Parameters
    ----------
    name : str
        The script's.

    Attributes
    ----------
    models, imported : list of StarModel
        What the script itself builds, and what modules build when they are imported.
    testers : list
        Every ``StarModelTester``, as its declaration and its splits.
    refused : Exception or None
        Why the last model or tester that was declared wrongly is none.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.models: list[StarModel] = []
        self.imported: list[StarModel] = []
        self.testers: list[tuple[Declaration, Sequence[Any]]] = []
        self.refused: Exception | None = None

    def model_built(self, model: StarModel, *, importing: bool) -> None:
        """Keep the model."""
        (self.imported if importing else self.models).append(model)

    def tester_built(self, declaration: Declaration, splits: Sequence[Any]) -> bool:
        """Skip the tester: it has no place outside the process of its author."""
        self.testers.append((declaration, splits))
        return False

    def declared_wrongly(self, error: Exception) -> None:
        """Keep why: the script may catch the error."""
        self.refused = error

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
        # Native code builds its model on import; a script that has one of its own means that.
        models = self.models or self.imported
        if len(models) > 1:
            raise ScriptError(second_model_text(self.name))
        if models:
            return models[0]
        if self.refused is not None:
            raise ScriptError(
                f"{self.name} builds no model: what it declares is refused, and it went on. "
                f"{type(self.refused).__name__}: {self.refused}"
            ) from self.refused
        if self.testers:
            raise ScriptError(
                f"{self.name} has a StarModelTester only, which runs on splits of its own and in "
                "one process: run it without --simulate, or build a StarModel(...)"
            )
        raise ScriptError(
            f"{self.name} builds no model: call StarModel(...) or StarModelTester(...) under "
            f"`{_GUARD}`, or in a main() that is called there"
        )


def execute(environment: ScriptEnvironment, built: BuiltModels) -> None:
    """Execute the script, whose environment is entered; ``sys.exit()`` without a code is its end.

    Raises
    ------
    ScriptError
        It cannot be read.
    Exception
        What the script's code raises comes through as itself.
    """
    code = _compiled(environment.path)
    space = vars(environment.main)
    try:
        exec(code, space)  # noqa: S102  (the user's own script, as `python` would)
        main = space.get("main")
        # FLAME's own tutorials define a main() and leave the call to the platform.
        if main is not None and built.nothing() and _takes_nothing(main):
            logger.info("%s builds nothing but has a main(): calling it", built.name)
            main()
    except SystemExit as end:
        if end.code not in (None, 0):
            raise


def _compiled(path: Path) -> Any:
    try:
        return compile(path.read_bytes(), str(path), "exec", dont_inherit=True)
    except OSError as error:
        raise ScriptError(f"the script cannot be read: {error}") from error
    except (SyntaxError, ValueError) as error:
        if isinstance(error, SyntaxError) and error.filename:
            raise
        raise ScriptError(f"{path} is no Python source: {error}") from error


def _takes_nothing(main: object) -> bool:
    if not inspect.isfunction(main) or inspect.iscoroutinefunction(main):
        return False
    return all(
        parameter.default is not parameter.empty
        or parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        for parameter in inspect.signature(main).parameters.values()
    )


def second_model_text(name: str) -> str:
    """Return the text of the error for a second model."""
    return (
        f"{name} builds a second StarModel: a script is one analysis. Put the second into a "
        "script of its own, or try things out with StarModelTester, of which there may be several"
    )


def note_place(error: BaseException) -> None:
    """Add the place in user code to an error of the framework, which is shown without traceback."""
    place = place_of(error.__traceback__, anywhere=False)
    if isinstance(error, FlameError) and place:
        add_hint(error, f"at {place}")
    missing = getattr(error, "name", None) if isinstance(error, ImportError) else None
    if isinstance(missing, str) and missing.partition(".")[0] == "flame":
        from flame_flwr import star

        add_hint(error, f"flame-flwr has `flame.star` alone, with {', '.join(star.__all__)}")
