"""The components that an app of a FLAME script names, from :mod:`flame_flwr.script`.

``serverapp = "flame_flwr.star.script:server_app"`` and ``clientapp =
"flame_flwr.star.script:client_app"`` in the app's ``pyproject.toml`` run the script that its config
names, ``script = "analysis.py"``, on any runtime of Flower's.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flame_flwr.script.components import client_app, server_app
    from flame_flwr.script.environment import ScriptError
    from flame_flwr.script.loader import LoadedScript, load_script
    from flame_flwr.script.options import script_path
    from flame_flwr.script.runner import ScriptRun, run_script

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

_HOMES = {
    "LoadedScript": "loader",
    "ScriptError": "environment",
    "ScriptRun": "runner",
    "client_app": "components",
    "load_script": "loader",
    "run_script": "runner",
    "script_path": "options",
    "server_app": "components",
}


def __getattr__(name: str) -> Any:
    """Import lazily: this package runs nothing, and what runs scripts stands above it."""
    if name in _HOMES:
        return getattr(import_module(f"flame_flwr.script.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
