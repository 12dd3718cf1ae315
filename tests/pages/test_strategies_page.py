"""The page on strategies: its tables name what there is, and what each costs."""

import re
from pathlib import Path

import numpy as np
import pytest
from flwr.serverapp.strategy import FedAdam
from sklearn.linear_model import SGDClassifier

from flame_flwr.aggregation import MaxRounds
from flame_flwr.cross_site import CrossSiteFedAvg
from flame_flwr.payload import encode, to_record
from flame_flwr.privacy import TopFraction
from flame_flwr.sklearn import Ditto, SklearnAnalyzer, SklearnFedAvg
from flame_flwr.star import StarAnalyzer, StarModelTester
from flame_flwr.strategies import CyclicTraining, FedNova, Scaffold, WeightedFedAvg

PAGE = Path(__file__).parents[2] / "docs" / "strategies.md"


def test_the_tables_name_what_there_is():
    from flame_flwr import aggregation, cross_site, privacy, sklearn, strategies

    names = set(re.findall(r"`([A-Z][A-Za-z]+)\(", PAGE.read_text()))
    rooms = (aggregation, cross_site, privacy, sklearn, strategies)
    assert names - {"StarModel"} <= {name for room in rooms for name in room.__all__}


# ---- what each costs --------------------------------------------------------------------------


class Wide(SklearnAnalyzer):
    """A linear model of 1,000 weights."""

    classes = (0, 1)

    def estimator(self):
        return SGDClassifier(loss="log_loss", learning_rate="constant", eta0=0.01, random_state=0)

    def dataset(self, data):
        x = np.random.default_rng(data).normal(size=(20, 999))
        return x, np.arange(20) % 2

    def test_dataset(self, data):
        return self.dataset(data)

    def score(self, estimator, x, y):
        return {}


class Personal(Ditto, Wide):
    pass


class Scaled(Wide):
    scaling = True


class Steps(StarAnalyzer):
    """Sends what `algorithm` wants, for a model of 1,000 weights."""

    def analysis_method(self, data, aggregator_results):
        x = np.zeros(1000) if aggregator_results is None else aggregator_results["model"]["x"]
        said = {"model": {"x": x + 1}, "local_n_samples": 10}
        if self.algorithm == "scaffold":
            return {**said, "control_change": {"x": x + 1}}
        begun = {"start": {"x": x}} if aggregator_results is None else {}
        return {**said, **begun, "local_steps": 2, "rows_per_step": 5.0, "buffer_values": {}}


class Corrected(Steps):
    algorithm = "scaffold"


class Normalized(Steps):
    algorithm = "fednova"


STOP = {"convergence": MaxRounds(3)}
SPARSE = {"filters": [TopFraction(0.25, sparse=True, keys="model")]}
COSTS = {
    "`WeightedFedAvg()`": (WeightedFedAvg(**STOP), Wide, {}),
    "`WeightedFedAvg(by=...)`": (WeightedFedAvg(by=lambda answer: 1.0, **STOP), Wide, {}),
    "`WeightedFedAvg(server=": (WeightedFedAvg(server=FedAdam(eta=0.1), **STOP), Wide, {}),
    "`fedprox_mu`": (WeightedFedAvg(**STOP), Wide, {"analyzer_kwargs": {"fedprox_mu": 0.1}}),
    "`Scaffold()`": (Scaffold(**STOP), Corrected, {}),
    "`FedNova()`": (FedNova(**STOP), Normalized, {}),
    "`CyclicTraining(": (CyclicTraining(rounds=3), Wide, {}),
    "`Ditto`": (WeightedFedAvg(**STOP), Personal, {}),
    "`SklearnFedAvg()` |": (SklearnFedAvg(**STOP), Wide, {}),
    "`SklearnFedAvg()` with": (SklearnFedAvg(**STOP), Scaled, {}),
    "`CrossSiteFedAvg()`": (CrossSiteFedAvg(**STOP), Wide, {}),
    "`TopFraction(": (WeightedFedAvg(**STOP), Wide, SPARSE),
}


def rows_of_costs():
    section = PAGE.read_text().partition("### Which to take, and what it costs")[2]
    return [line for line in section.splitlines() if line.startswith("| `")]


def test_every_row_of_the_table_is_measured():
    begins = [[name for name in COSTS if line.startswith(f"| {name}")] for line in rows_of_costs()]
    assert begins == [[name] for name in COSTS]


@pytest.mark.parametrize("name", COSTS)
def test_a_row_says_what_goes_over_the_wire(name):
    strategy, analyzer, more = COSTS[name]
    tester = StarModelTester([1, 2], analyzer, strategy, "s3", quiet=True, **more)
    down = sum(len(each.data) for each in to_record(encode(tester.record.aggregate)).values())
    first, later, *_, last = [entry.node_bytes["node-0"] for entry in tester.record.history]
    [line] = [line for line in rows_of_costs() if line.startswith(f"| {name}")]
    said_in, said_out = line.split("|")[-3:-1]
    assert f"{down / 1000:.0f} kB" in said_in
    expected = {"": later}
    if "after the first round" in said_out:
        expected = {"": first, "after the first round ": later}
    elif "in the first round" in said_out:
        expected |= {"in the first round ": first}
    elif "in the last round" in said_out:
        expected |= {"in the last round ": last / len(tester.result["cross_site"].models)}
    said = dict(re.findall(r"(?:^|, )([a-z ]*)([\d.]+) kB", said_out.strip()))
    assert {when: float(size) for when, size in said.items()} == {
        when: pytest.approx(size / 1000, abs=0.05 if size < 1000 else 0.5, rel=0.03)
        for when, size in expected.items()
    }
