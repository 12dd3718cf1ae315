"""Scripts for tests, written into the working directory, and the command that runs them.

Those in ``tests/scripts`` are of FLAME's own tutorials, word for word.
"""

import sys
import textwrap
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from flame_flwr.cli import commands

SCRIPTS = Path(__file__).parents[2] / "scripts"


HEAD = """
from flame.star import *


class Analyzer(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
        return data


class Aggregator(StarAggregator):
    def aggregation_method(self, analysis_results):
        return analysis_results

    def has_converged(self, result, last_result):
        return True

"""


MODEL = """
if __name__ == "__main__":
    StarModel(Analyzer, Aggregator, "none", output_type="pickle")
"""

READS = """
if __name__ == "__main__":
    StarModel(Analyzer, Aggregator, {!r}, query={!r})
"""


def script(text, name="analysis.py"):
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(text))
    return path


def analysis(text, name="analysis.py", head=HEAD):
    return script(head + textwrap.dedent(text), name)


def hospitals(number=2, name="labeled.csv"):
    """Write folders of invented patients and return their names."""
    random = np.random.default_rng(7)
    for i in range(number):
        Path(f"hospital-{i}").mkdir()
        rows = random.normal(size=(30 + 10 * i, 4))
        table = pd.DataFrame(rows, columns=["age", "b", "c", "d"])
        table["age"] = 50 + 10 * table["age"]
        table["label"] = (rows[:, 1] + rows[:, 2] > 0).astype(int)
        table.to_csv(f"hospital-{i}/{name}", index=False)
    return [f"hospital-{i}" for i in range(number)]


def command(*arguments):
    """Run the command in this process and return its exit code."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["flame-flwr", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            commands.main()
    return ended.value.code or 0
