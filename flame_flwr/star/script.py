"""The components that an app of a FLAME script names, from :mod:`flame_flwr.script`.

``serverapp = "flame_flwr.star.script:server_app"`` and ``clientapp =
"flame_flwr.star.script:client_app"`` in the app's ``pyproject.toml`` run the script that its config
names, ``script = "analysis.py"``, on any runtime of Flower's.

Examples
--------
To look at what a script declares, without running its analysis:

>>> import tempfile
>>> from pathlib import Path
>>> from flame_flwr.star.script import load_script
>>> with tempfile.TemporaryDirectory() as folder:
...     script = Path(folder, "analysis.py")
...     _ = script.write_text('''
... from flame.star import StarAggregator, StarAnalyzer, StarModel
...
... class Count(StarAnalyzer):
...     def analysis_method(self, data, aggregator_results):
...         return len(data)
...
... class Total(StarAggregator):
...     def aggregation_method(self, analysis_results):
...         return sum(analysis_results)
...
...     def has_converged(self, result, last_result):
...         return True
...
... StarModel(Count, Total, "s3", filename="patients.txt")
... ''')
...     load_script(script).model.outputs.names
'patients.txt'
"""

from typing import TYPE_CHECKING

from flame_flwr.lazy_imports import lazy_exports

if TYPE_CHECKING:
    from flame_flwr.script.components import client_app as client_app
    from flame_flwr.script.components import server_app as server_app
    from flame_flwr.script.environment import ScriptError as ScriptError
    from flame_flwr.script.loader import LoadedScript as LoadedScript
    from flame_flwr.script.loader import load_script as load_script
    from flame_flwr.script.options import script_path as script_path
    from flame_flwr.script.runner import ScriptRun as ScriptRun
    from flame_flwr.script.runner import run_script as run_script

# Flower looks for the two apps in this list, in the text of this file, before it imports anything.
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

_, __dir__, __getattr__ = lazy_exports(
    __name__,
    {
        "flame_flwr.script.components": ["client_app", "server_app"],
        "flame_flwr.script.environment": ["ScriptError"],
        "flame_flwr.script.loader": ["LoadedScript", "load_script"],
        "flame_flwr.script.options": ["script_path"],
        "flame_flwr.script.runner": ["ScriptRun", "run_script"],
    },
)
