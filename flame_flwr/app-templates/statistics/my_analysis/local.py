"""The analysis in this process, open to a debugger: ``python -m my_analysis.local``."""

from flame_flwr.star import StarModelTester

from .analysis import Aggregator, Analyzer
from .app import DECLARED, FILES, HOSPITALS
from .sample import files


def run(hospitals=3, splits=None, **arguments):
    """Run the analysis over the sample's first hospitals; more arguments go to the tester."""
    splits = splits or [[files(number)] for number in range(hospitals)]
    arguments = {**DECLARED, **HOSPITALS, **arguments}
    return StarModelTester(splits, Analyzer, Aggregator, **arguments)


if __name__ == "__main__":
    run(filename=[f"results/{name}" for name in FILES])
