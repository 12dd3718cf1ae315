"""The Flower components that run a FLAME script: its ServerApp and its ClientApp.

The app's folder is on ``sys.path`` in all of Flower's processes, which is how the script is found
there. Loading it runs nothing; its analysis runs in the script's environment.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import sys
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from flwr.clientapp import ClientApp

from flame_flwr.clients import StarClient, make_client_app
from flame_flwr.clients.app import NodeClientApp, UnableClient, answered
from flame_flwr.config import RunSettings
from flame_flwr.errors import ConfigError, NodeFailedError
from flame_flwr.failure.scratch_folders import temporary_folder, working_in
from flame_flwr.flower import await_simulation
from flame_flwr.log import show
from flame_flwr.script.loader import load_script

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flwr.app import Context, Message
    from flwr.serverapp import Grid, ServerApp

    from flame_flwr.flower import Client
    from flame_flwr.script.environment import ScriptEnvironment
    from flame_flwr.strategies import StarStrategy
    from flame_flwr.strategies.declaration import Declaration

    server_app: ServerApp

__all__ = ["ScriptClientApp", "client_app", "make_server", "server_app"]

_LOADED: dict[tuple[int, str, str, str], tuple[ScriptEnvironment, ClientApp]] = {}
"""The script of this process's run, by run, path, content and arguments: one at a time."""


class ScriptClientApp(NodeClientApp):
    """The ClientApp of whatever script the run config names."""

    def __call__(self, message: Message, context: Context) -> Message:
        """Answer a message with the script's model; a script that cannot be loaded, too."""
        try:
            environment, app = _loaded_app(context)
        except (Exception, SystemExit) as error:
            return answered(ClientApp(partial(_client_of_failed_load, error)), message, context)
        with environment.entered():
            return app(message, context)

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel by name: a simulation sends the app with every message."""
        return (_client_app, ())


def make_server() -> ServerApp:
    """Return the ServerApp of whatever script the run config names."""
    from flwr.serverapp import ServerApp

    from flame_flwr.strategies import make_server_app

    app = ServerApp()

    @app.main()
    def main(grid: Grid, context: Context) -> None:
        show()
        await_simulation(grid)
        # The folder stays until the end: a simulation starts Ray meanwhile, from another thread of
        # this process, and Ray cannot do without its working directory.
        with temporary_folder() as folder:
            environment, declaration = _load(context.run_config, folder)
            with environment.entered():
                make_server_app(declaration)(grid=grid, context=context)

    return app


def _client_of_failed_load(error: BaseException, context: Context) -> Client:
    """Answer every message with why the script could not be loaded on this node."""
    if isinstance(error, SystemExit):
        left = NodeFailedError("the script called sys.exit while it was loaded")
        left.__cause__ = error
        return UnableClient(left, context).to_client()
    return UnableClient(error, context).to_client()


client_app = ScriptClientApp()


def _client_app() -> ClientApp:
    return client_app


def __getattr__(name: str) -> Any:
    """Make the ServerApp when it is asked for: a node's process has no use for it."""
    if name != "server_app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return globals().setdefault(name, make_server())


def _loaded_app(context: Context) -> tuple[ScriptEnvironment, ClientApp]:
    path = _script_in_app(context.run_config)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    # A simulation's workers outlive a run, and an edited script keeps its path.
    arguments = RunSettings.from_config(context.run_config).script_arguments
    key = (context.run_id, str(path), digest, arguments)
    if key not in _LOADED:
        show()
        with temporary_folder() as folder:
            environment, declaration = _load(context.run_config, folder)
        client = declaration.client or StarClient
        _LOADED.clear()  # the classes of an earlier run, and all that they hold
        _LOADED[key] = environment, make_client_app(declaration.plan, client)
    return _LOADED[key]


def _load(run_config: Mapping[str, Any], folder: str) -> tuple[ScriptEnvironment, Declaration]:
    """Load a script in an empty folder, and let what it makes there go along.

    Scripts make their folders for plots at the top, and user code runs in scratch folders that
    are empty at first.
    """
    path = _script_in_app(run_config)
    with working_in(folder):
        script = load_script(path, _arguments(run_config))
    declaration, made = script.model.declaration, _Made.below(Path(folder))
    if made.folders or made.files:
        declaration = replace(
            declaration,
            strategy=partial(_strategy_with, made, declaration.strategy),
            client=_client_with(made, declaration.client or StarClient),
        )
    return script.environment, declaration


def _arguments(run_config: Mapping[str, Any]) -> list[str]:
    text = RunSettings.from_config(run_config).script_arguments
    try:
        return shlex.split(text)
    except ValueError as error:
        raise ConfigError(
            f"`script-arguments` in the run config cannot be taken apart: {error}", detail=text
        ) from error


@dataclass(frozen=True, slots=True)
class _Made:
    """The folders and files that a script made when it was loaded."""

    folders: list[str]
    files: dict[str, bytes]

    @classmethod
    def below(cls, folder: Path) -> _Made:
        paths = [(path.relative_to(folder).as_posix(), path) for path in folder.rglob("*")]
        return cls(
            [name for name, path in paths if path.is_dir()],
            {name: path.read_bytes() for name, path in paths if path.is_file()},
        )

    def make(self) -> None:
        """Make them in the working directory, but for files that are there."""
        for folder in self.folders:
            Path(folder).mkdir(parents=True, exist_ok=True)
        for name, content in self.files.items():
            # User code may have written to it since, in an earlier round of the same process.
            if not Path(name).exists():
                Path(name).write_bytes(content)


def _strategy_with(made: _Made, strategy: Callable[[], StarStrategy]) -> StarStrategy:
    made.make()
    return strategy()


def _client_with(made: _Made, base: type[StarClient]) -> type[StarClient]:
    class ClientWithFiles(base):  # type: ignore[misc, valid-type]
        def fit(self, *message: Any) -> Any:
            made.make()
            return super().fit(*message)

        def evaluate(self, *message: Any) -> Any:
            made.make()
            return super().evaluate(*message)

    return ClientWithFiles


def _script_in_app(run_config: Mapping[str, Any]) -> Path:
    """Return the script that the run config names, from the app's folder.

    Raises
    ------
    ConfigError
        It is not named, not a path within the app, or not there.
    """
    name = RunSettings.from_config(run_config).script
    if not name:
        raise ConfigError(
            'the run config has no `script`: name the script there, such as script = "analysis.py"'
        )
    if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
        raise ConfigError(
            "`script` in the run config must be relative to the app's folder and within it",
            detail=name,
        )
    for folder in (Path(entry or os.curdir).absolute() for entry in sys.path):
        if (folder / name).is_file() and (folder / "pyproject.toml").is_file():
            return folder / name
    raise ConfigError(
        "the app has no file of the name in `script`. Flower takes no test_*.py and no *_test.py "
        "into an app",
        detail=name,
    )
