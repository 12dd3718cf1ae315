"""The Long COVID study for tests of real runtimes: its app, the run in process, the plain loop."""

import shutil
import sys
from contextlib import contextmanager
from pathlib import Path

from flame_flwr.star import StarModelTester

EXAMPLE = Path(__file__).parents[2] / "examples" / "halta"

WATCHED = """
from flame_flwr.star import StarModel
from halta.analysis import RESULT_FILENAMES, HaltaAggregator, HaltaAnalyzer


class Watched(HaltaAggregator):
    '''Also hands over the last aggregate, which the study's four files show in part only.'''

    def final_method(self, result, evaluations):
        return [*super().final_method(result, evaluations), {"last": result, "tests": evaluations}]


model = StarModel(
    analyzer=HaltaAnalyzer,
    aggregator=Watched,
    data_type="s3",
    multiple_results=True,
    simple_analysis=False,
    output_type=["bytes", "str", "bytes", "bytes", "pickle"],
    filename=[*RESULT_FILENAMES, "last.pkl"],
    aggregator_kwargs={KWARGS},
)
client_app = model.client_app
server_app = model.server_app
"""


@contextmanager
def modules():
    """Have the example's modules on the path: its analysis, its data, and the plain loop."""
    sys.path[:0] = [str(EXAMPLE), str(EXAMPLE / "tests")]
    try:
        from halta import analysis, synthetic
        from halta_reference import reference_run

        yield analysis, synthetic, reference_run
    finally:
        del sys.path[:2]


def write_app(folder, **aggregator_kwargs):
    """Write the study as an app whose aggregator also hands over its last aggregate."""
    ignored = shutil.ignore_patterns("tests", "pictures", "__pycache__")
    shutil.copytree(EXAMPLE, folder, ignore=ignored)
    text = WATCHED.replace("{KWARGS}", repr(aggregator_kwargs))
    (folder / "halta" / "watched.py").write_text(text)
    pyproject = (folder / "pyproject.toml").read_text()
    (folder / "pyproject.toml").write_text(pyproject.replace("halta.app:", "halta.watched:"))
    return folder


def write_summed_app(folder):
    """Write the study of sums alone as an app."""
    pyproject = write_app(folder) / "pyproject.toml"
    pyproject.write_text(pyproject.read_text().replace("halta.watched:", "halta.summed:"))
    return folder


def summed_in_process(halta):
    """Run the study of sums alone in this process; return its files by name."""
    from halta import summed

    splits = [[dict(halta[1].hospital_files(place))] for place in range(3)]
    tester = StarModelTester(splits, summed.SummedAnalyzer, summed.SummedStrategy, "s3", quiet=True)
    named = zip(halta[0].RESULT_FILENAMES, tester.result, strict=True)
    return {name: x.encode() if isinstance(x, str) else x for name, x in named}


def in_process(halta, nodes, **aggregator_kwargs):
    """Run the study in this process over the first hospitals."""
    analysis, synthetic, _ = halta
    return StarModelTester(
        [[dict(synthetic.hospital_files(i))] for i in range(nodes)],
        analysis.HaltaAnalyzer,
        analysis.HaltaAggregator,
        "s3",
        simple_analysis=False,
        multiple_results=True,
        output_type=["bytes", "str", "bytes", "bytes"],
        aggregator_kwargs=aggregator_kwargs,
    )


def plain_loop(halta, nodes, rounds=10):
    """Compute features, coefficients, intercept and hits without the framework."""
    _, synthetic, reference_run = halta
    files = [synthetic.hospital_files(i)["hospital_labeled.csv"] for i in range(nodes)]
    return reference_run(files, rounds)
