"""Analyses for the kit's tests: one good one, and mistakes made on purpose.

A module of its own, because every check imports it anew: it is light, and knows no pytest.
"""

import os
import threading
import time
from pathlib import Path

import numpy as np

from flame_flwr.aggregation import Finished
from flame_flwr.star import StarAggregator, StarAnalyzer
from flame_flwr.strategies import StarStrategy

SPLITS = [[{"x.csv": b"a\n1\n"}], [{"x.csv": b"a\n5\n"}]]


def number(data):
    return int(data[0]["x.csv"].split()[1])


class Numbers(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
        return number(data)


class Total(StarAggregator):
    def aggregation_method(self, analysis_results):
        return sum(analysis_results)

    def has_converged(self, result, last_result):
        return self.num_iterations >= 2


# ---- good -----------------------------------------------------------------------------------


class Careful(StarAnalyzer):
    """Keeps everything on itself, seeds, copies, and prints."""

    def __init__(self, flame, seed):
        super().__init__(flame)
        self.random = np.random.default_rng(seed)
        self.history = []

    def analysis_method(self, data, aggregator_results):
        print("a print is fine")
        self.history.append(float(self.random.normal()))
        self.flame.save_intermediate_data(len(self.history), "local", tag="rounds")
        files = dict(data[0])
        files["more"] = b""
        return {
            "id": self.id,
            "value": number(data),
            "names": sorted({"one", "two", "three"}),
            "history": np.array(self.history),
            "kept": self.flame.get_intermediate_data("local", tag="rounds"),
        }

    def evaluation_method(self, data, result):
        return {"missing": result["total"] - number(data)}


class Thorough(StarAggregator):
    """Its results hold one entry per node in several forms, which is no dependence on order."""

    def aggregation_method(self, analysis_results):
        Path("plots").mkdir(exist_ok=True)
        Path("plots", "figure.txt").write_text("drawn")
        return {
            "total": sum(result["value"] for result in analysis_results),
            "by node": {result["id"]: result["history"] for result in analysis_results},
            "listed": [result["value"] for result in analysis_results],
            "array": np.array([result["value"] for result in analysis_results]),
            "text": "\n".join(f"{r['id']}: {r['value']}" for r in analysis_results),
            "mean": np.mean([result["history"] for result in analysis_results], axis=0),
        }

    def has_converged(self, result, last_result):
        return np.bool_(self.num_iterations >= 2)

    def final_method(self, result, evaluations):
        return [Path("plots", "figure.txt").read_text(), result["text"].encode(), evaluations]


# ---- mistakes -------------------------------------------------------------------------------

SEEN = []


class Unsaved(Numbers):
    def analysis_method(self, data, aggregator_results):
        self.lock = threading.Lock()
        return 1


class Remembers(StarAnalyzer):
    history = []  # the mistake

    def analysis_method(self, data, aggregator_results):
        SEEN.append(number(data))
        self.history.append(1)
        return len(self.history) + sum(SEEN)


class Tells(Numbers):
    """Tells the aggregator something by a global."""

    def analysis_method(self, data, aggregator_results):
        SEEN.append(1)
        return 1


class Listens(Total):
    def aggregation_method(self, analysis_results):
        return SEEN[0]


class SetOrder(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
        return list({f"column {i}" for i in range(20)})


class KeepsLists(Total):
    def aggregation_method(self, analysis_results):
        return analysis_results


class TakesTheFirst(Total):
    def aggregation_method(self, analysis_results):
        return analysis_results[0] * 10 + sum(analysis_results)


class FirstCome:
    """An aggregation for which the first answer is the base of the others."""

    def begin(self, number):
        self.base, self.total = None, 0

    def add(self, node, value):
        self.base = value if self.base is None else self.base
        self.total += value - self.base

    def finish(self):
        return Finished(self.total, True, "one round")

    def final(self, aggregate, evaluations):
        return aggregate


class Arrival(StarStrategy):
    def make_aggregation(self, flame, nodes, simple_analysis):
        return FirstCome()


class Careless(StarAnalyzer):
    """Changes its data, and reads and writes files where it happens to be."""

    def analysis_method(self, data, aggregator_results):
        data[0]["parsed"] = number(data)
        return Path("settings.ini").read_text()

    def evaluation_method(self, data, result):
        with open("scores.txt", "w") as file:
            file.write("1")
        return {"files": 1}


class Lists(Numbers):
    """Takes what files there are where it happens to be."""

    def analysis_method(self, data, aggregator_results):
        return len(os.listdir("."))


class Reads(Lists):
    """Reads a file where it happens to be."""

    def analysis_method(self, data, aggregator_results):
        return len(Path("settings.ini").read_text())


class Vague(StarAggregator):
    """Has an array for an answer, reads a path of this machine, and a result that does not fit."""

    def __init__(self, flame, home):
        super().__init__(flame)
        self.home = Path(home)

    def aggregation_method(self, analysis_results):
        (self.home / "codes.csv").read_text()
        return np.array([1.0, 2.0])

    def has_converged(self, result, last_result):
        return result == last_result

    def final_method(self, result, evaluations):
        return "text"


class Leaks(Total):
    """Keeps what it has seen on the class: only a second run in one process finds it."""

    seen = []  # the mistake

    def aggregation_method(self, analysis_results):
        self.seen.append(1)
        return len(self.seen)


class Moves(Numbers):
    """Goes to another folder, and finds a file there that it has written before."""

    def analysis_method(self, data, aggregator_results):
        Path("deep").mkdir(exist_ok=True)
        os.chdir("deep")
        Path("notes.txt").write_text("here")
        return len(Path("notes.txt").read_text())


class Both(Leaks):
    def has_converged(self, result, last_result):
        return None if self.num_iterations < 2 else True


class Dies(Numbers):
    def analysis_method(self, data, aggregator_results):
        os._exit(7)


class Hangs(Numbers):
    def analysis_method(self, data, aggregator_results):
        while True:
            time.sleep(0.01)
