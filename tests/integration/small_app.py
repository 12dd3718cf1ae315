"""Apps of a few lines, and what came of their runs in Flower's simulation."""

import json
import textwrap
from dataclasses import dataclass
from pathlib import Path

from flower_app import write_package

from flame_flwr.cli.submit import submit

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
    results = where / f"results{number}"
    config = {key.replace("_", "-"): value for key, value in config.items()}
    app = write_package(
        where / f"app{number}",
        package,
        HEAD + textwrap.dedent(source) + f"\nmodel = {model}\n" + TAIL,
        {"data": f"{package}.app:node_data", "results": str(results), **config},
    )
    log = []
    ended = submit(app, federation, on_line=log.append)
    folders = list(results.glob("*"))
    return Done(
        ended.succeeded,
        ended.details,
        "\n".join(log),
        folders[0] if folders else results,
    )
