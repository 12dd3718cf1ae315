"""The analysis in this process, open to a debugger: ``python -m my_analysis.local``."""

from .analysis import STUDY
from .app import HOSPITALS
from .sample import files


def run(hospitals=3, splits=None, **arguments):
    """Run the analysis over the sample's first hospitals; more arguments go to the tester."""
    splits = splits or [[files(number)] for number in range(hospitals)]
    return STUDY.test(splits, **{**HOSPITALS, **arguments})


if __name__ == "__main__":
    run()
