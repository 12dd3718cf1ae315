"""Apps of a few lines, and what came of their runs in Flower's simulation."""

import json
import textwrap
from dataclasses import dataclass
from pathlib import Path

from flame_flwr.cli.submit import submit

PYPROJECT = """
[project]
name = "app"
version = "1.0.0"
description = "An app of the tests."
license = "Apache-2.0"
dependencies = []

[tool.flwr.app]
publisher = "tests"

[tool.flwr.app.components]
serverapp = "{package}.app:server_app"
clientapp = "{package}.app:client_app"

[tool.flwr.app.config]
{config}
"""

HEAD = """
from flame_flwr.star import StarAggregator, StarAnalyzer, StarModel


def node_data(context):
    return float(context.node_config["partition-id"] + 1)


class Analyzer(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
        return data


class Aggregator(StarAggregator):
    def aggregation_method(self, analysis_results):
        return analysis_results

    def has_converged(self, result, last_result):
        return self.num_iterations >= 1
"""

TAIL = """
server_app = model.server_app
client_app = model.client_app
"""

MODEL = "StarModel(Analyzer, Aggregator, 's3', simple_analysis=False)"


@dataclass
class Done:
    """A run that has ended: what it printed, and its folder."""

    succeeded: bool
    details: str
    log: str
    folder: Path

    @property
    def run(self):
        return json.loads((self.folder / "run.json").read_text())


def run_app(federation, where, source, model=MODEL, **config):
    """Write an app into a folder, run it in Flower's simulation, and return what came of it."""
    number = len(list(where.glob("app*")))
    package = f"pkg{abs(hash((str(where), number))):x}"
    app = where / f"app{number}" / package
    app.mkdir(parents=True)
    (app / "__init__.py").touch()
    code = HEAD + textwrap.dedent(source) + f"\nmodel = {model}\n" + TAIL
    (app / "app.py").write_text(code)
    results = where / f"results{number}"
    everything = {"data": f"{package}.app:node_data", "results": str(results)}
    everything |= {key.replace("_", "-"): value for key, value in config.items()}
    lines = "\n".join(f"{key} = {json.dumps(value)}" for key, value in everything.items())
    (app.parent / "pyproject.toml").write_text(PYPROJECT.format(package=package, config=lines))
    log = []
    ended = submit(app.parent, federation, on_line=log.append)
    folders = list(results.glob("*"))
    return Done(
        ended.succeeded,
        ended.details,
        "\n".join(log),
        folders[0] if folders else results,
    )
