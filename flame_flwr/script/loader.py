"""Execute a FLAME script and hear what it builds.

This module runs no analysis: who does, :mod:`flame_flwr.script.runner`, is told of every model.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any

from flame_flwr.log import logger
from flame_flwr.script.environment import ScriptError
from flame_flwr.script.second_model import second_model

if TYPE_CHECKING:
    from pathlib import Path

    from flame_flwr.analysis.model import StarModel
    from flame_flwr.script.environment import ScriptEnvironment

__all__ = ["BuiltModels", "execute", "two_models"]

_GUARD = 'if __name__ == "__main__":'


class BuiltModels:
    """Keeps what a script builds, and runs none of it.

    Parameters
    ----------
    name : str
        The script's.

    Attributes
    ----------
    models, imported : list of StarModel
        What the script itself builds, and what modules build when they are imported.
    testers : int
        How many ``StarModelTester`` there were.
    refused : Exception or None
        Why the last model or tester that was declared wrongly is none.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.models: list[StarModel] = []
        self.imported: list[StarModel] = []
        self.testers = 0
        self.refused: Exception | None = None

    def model_built(self, model: StarModel, *, importing: bool) -> None:
        """Keep the model."""
        (self.imported if importing else self.models).append(model)

    def tester_built(self) -> bool:
        """Skip the tester: it has no place outside the process of its author."""
        self.testers += 1
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
        models = self.models or self.imported
        if len(models) > 1:
            raise ScriptError(two_models(self.name))
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
        It cannot be read, or is bound to build two models: then none of it is executed.
    Exception
        What the script's code raises comes through as itself.
    """
    code = _compiled(environment.path)
    space = vars(environment.main)
    try:
        exec(code, space)  # noqa: S102  (the user's own script, as `python` would)
        main = space.get("main")
        if main is not None and built.nothing() and _takes_nothing(main):
            logger.info("%s builds nothing but has a main(): calling it", built.name)
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
        tree = ast.parse(source, str(path))
        code = compile(tree, str(path), "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        if isinstance(error, SyntaxError) and error.filename:
            raise
        raise ScriptError(f"{path} is no Python source: {error}") from error
    line = second_model(tree)
    if line:
        raise ScriptError(f"{two_models(path.name, line)}. Nothing was run")
    return code


def _takes_nothing(main: object) -> bool:
    import inspect

    if not inspect.isfunction(main) or inspect.iscoroutinefunction(main):
        return False
    return all(
        parameter.default is not parameter.empty
        or parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        for parameter in inspect.signature(main).parameters.values()
    )


def two_models(name: str, line: int = 0) -> str:
    """Return the text of the error for a second model, at the line where it is known."""
    at = f" (line {line})" if line else ""
    return (
        f"{name} builds a second StarModel{at}: a script is one analysis. Put the second into a "
        "script of its own, or try things out with StarModelTester, of which there may be several"
    )
