"""What analyzers keep in themselves: saved with its code and restored, or refused by name."""

import random
import socket
import sys
import threading
from types import ModuleType

import numpy as np
import pytest
from forked_python import run_python
from node_messages import train
from sklearn.linear_model import SGDClassifier

from flame_flwr.clients import NodePlan
from flame_flwr.clients.local_grid import LocalGrid
from flame_flwr.errors import ModelError
from flame_flwr.identity import Identity
from flame_flwr.star import StarAnalyzer
from flame_flwr.star.handle import FlameHandle
from flame_flwr.star.saving import load, save


def in_rounds(cls, rounds=3):
    """Run an analyzer that is saved after every round and restored before the next."""
    results, saved = [], b""
    for _ in range(rounds):
        flame = FlameHandle(Identity("node-0", ("node-0",)))
        analyzer = load(saved, cls, flame) if saved else cls(flame)
        results.append(analyzer.analyze(None))
        saved = save(analyzer, flame)
    return results


def test_random_generators_go_on_where_they_were():
    class Draws(StarAnalyzer):
        def __init__(self, flame):
            super().__init__(flame)
            self.rng = np.random.default_rng(7)
            self.random = random.Random(7)

        def analysis_method(self, data, aggregator_results):
            return [self.rng.random(), self.random.random()]

    rng, rand = np.random.default_rng(7), random.Random(7)
    assert in_rounds(Draws) == [[rng.random(), rand.random()] for _ in range(3)]


def test_fitted_estimators_go_on_where_they_were():
    class Learns(StarAnalyzer):
        def __init__(self, flame):
            super().__init__(flame)
            self.model = SGDClassifier(random_state=0)
            self.model.coef_ = None

        def analysis_method(self, data, aggregator_results):
            features = np.arange(20.0).reshape(10, 2) + self.num_iterations
            self.model.partial_fit(features, np.arange(10) % 2, classes=[0, 1])
            return self.model.coef_.copy()

    got = in_rounds(Learns)
    model = SGDClassifier(random_state=0)
    for number, coefficients in enumerate(got):
        features = np.arange(20.0).reshape(10, 2) + number
        model.partial_fit(features, np.arange(10) % 2, classes=[0, 1])
        assert np.array_equal(coefficients, model.coef_)
    assert not np.array_equal(got[0], got[2])


def test_references_to_itself_and_its_handle_stay():
    class Tangled(StarAnalyzer):
        def __init__(self, flame):
            super().__init__(flame)
            self.me = self
            self.handle = flame
            self.log = flame.flame_log
            self.callbacks = {"step": self.step, "me": lambda: self}
            self.count = 0

        def step(self):
            self.count += 1

        def analysis_method(self, data, aggregator_results):
            self.callbacks["step"]()
            self.log("counted")
            before = self.flame.get_progress()
            self.flame.set_progress(before + 30)
            assert self.me is self is self.callbacks["me"]()
            assert self.handle is self.flame is self.log.__self__
            return [self.me.count, before]

    assert in_rounds(Tangled) == [[1, 0], [2, 30], [3, 60]]


def test_getstate_setstate_and_slots_are_kept():
    class Chooses(StarAnalyzer):
        __slots__ = ("count",)

        def __init__(self, flame):
            super().__init__(flame)
            self.count, self.cache = 0, "first"

        def __getstate__(self):
            state = {key: value for key, value in vars(self).items() if key != "cache"}
            return state, {"count": self.count}

        def __setstate__(self, state):
            self.__dict__.update(state[0])
            self.count, self.cache = state[1]["count"], "made anew"

        def analysis_method(self, data, aggregator_results):
            self.count += 1
            return [self.count, self.cache]

    assert in_rounds(Chooses) == [[1, "first"], [2, "made anew"], [3, "made anew"]]


# ---- code that an analyzer keeps ------------------------------------------------------------

FITS = '''
import math

from flame_flwr.star import StarAnalyzer


class Family:
    """A family as statistics packages have it: what its link does is in closures."""

    def __init__(self, scale):
        self.link = lambda mean: math.log(mean) * scale
        self.inverse = lambda value: math.exp(value / scale)


def regression():
    class Regression:  # a class that no import finds
        def __init__(self, family):
            self.family, self.steps = family, []

        def step(self, mean):
            same = self.family.inverse(self.family.link(mean))
            self.steps.append(lambda: round(same, 6))

    return Regression


class Fits(StarAnalyzer):
    """Keeps its model from round to round, as FLAME's own logistic regression does."""

    def __init__(self, flame):
        super().__init__(flame)
        self.model = regression()(Family(scale=2.0))
        self.square = lambda number: number**2

    def analysis_method(self, data, aggregator_results):
        self.model.step(self.square(data) + (aggregator_results or 0))
        return [step() for step in self.model.steps]
'''

IN_TWO_PROCESSES = """
import sys
from pathlib import Path
from fits import Fits
from flame_flwr.identity import Identity
from flame_flwr.star.handle import FlameHandle
from flame_flwr.star.saving import load, save

kept, flame = Path("kept"), FlameHandle(Identity("node-0", ("node-0",)))
analyzer = load(kept.read_bytes(), Fits, flame) if kept.exists() else Fits(flame)
analyzer.latest_result = None  # as a node does that waits for the aggregate
print(analyzer.analyze(len(sys.orig_argv)))
kept.write_bytes(save(analyzer, flame))
"""


def test_lambdas_closures_and_local_classes_survive_messages():
    module = {"__name__": "fits"}
    exec(FITS, module)
    with LocalGrid(NodePlan(module["Fits"], data_type="s3"), [1.0, 3.0]) as grid:
        for node, data in ((1, 1.0), (2, 3.0)):
            steps = []
            for number, aggregate in enumerate([None, 5.0, 10.0], start=1):
                steps.append(data**2 + (aggregate or 0))
                assert train(grid, number, aggregate, node) == steps


def test_lambdas_closures_and_local_classes_survive_processes(tmp_path):
    (tmp_path / "fits.py").write_text(FITS)
    (tmp_path / "round.py").write_text(IN_TWO_PROCESSES)
    said = [run_python("round.py", cwd=tmp_path).stdout for _ in range(2)]
    assert said == ["[4.0]\n", "[4.0, 4.0]\n"]


def test_a_scripts_classes_stay_the_scripts_own(monkeypatch):
    script = ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", script)
    text = "class Helper:\n    def method(self):\n        return 'a constant of its code'\n"
    exec(text, vars(script))

    class Keeps(StarAnalyzer):
        def analysis_method(self, data, aggregator_results):
            self.helper = getattr(self, "helper", None) or script.Helper()
            self.function = lambda: "a constant of a lambda"
            return isinstance(self.helper, script.Helper)

    assert in_rounds(Keeps) == [True, True, True]
    flame = FlameHandle(Identity("node-0", ("node-0",)))
    analyzer = Keeps(flame)
    analyzer.analyze(None)
    saved = save(analyzer, flame)
    assert b"a constant of a lambda" in saved
    assert b"a constant of its code" not in saved


# ---- what cannot be kept --------------------------------------------------------------------


def keeping(**attributes):
    """Make an analyzer that keeps these attributes, in this order."""

    class Keeps(StarAnalyzer):
        __slots__ = ("slot",)

        def __getstate__(self):
            state = {key: value for key, value in vars(self).items() if key != "left_out"}
            return state, {"slot": self.slot} if hasattr(self, "slot") else {}

        def analysis_method(self, data, aggregator_results):
            for name, make in attributes.items():
                setattr(self, name, make(self))

    return Keeps


def unsaved(analyzer):
    with pytest.raises(ModelError) as raised:
        in_rounds(analyzer, rounds=1)
    return raised.value


def generator(analyzer):
    return (i for i in range(3))


def open_file(analyzer):
    return open(__file__, encoding="utf-8")


def around_a_generator(analyzer):
    numbers = generator(analyzer)
    return lambda: next(numbers)


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda self: socket.socket(), "socket"),
        (generator, "generator"),
        (lambda self: {"deep": [generator(self)]}, "dict"),
        (lambda self: threading.Lock(), "lock"),
        (lambda self: sys._getframe(), "frame"),
        (open_file, "TextIOWrapper"),
        (around_a_generator, "function"),
    ],
    ids=["socket", "generator", "inside a dict", "lock", "frame", "open file", "inside a closure"],
)
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_what_cannot_be_kept_is_named(make, kind):
    error = unsaved(keeping(fine=lambda self: 3, special_thing=make))
    assert error.message == (
        f"the attribute 'special_thing' of Keeps ({kind}) cannot be saved for the next round; "
        "make it anew in analysis_method"
    )


def test_a_value_that_cannot_be_kept_stays_unsaid():
    class Refuses:
        def __reduce__(self):
            raise TypeError("Maria Muster")

    error = unsaved(keeping(thing=lambda self: Refuses()))
    assert "Maria" not in error.message
    assert "Maria" in error.detail


@pytest.mark.parametrize(
    ("blameless", "bad"), [("me", "bad"), ("step", "bad"), ("left_out", "bad"), ("me", "slot")]
)
def test_only_what_cannot_be_kept_is_blamed(blameless, bad):
    make = {
        "me": lambda self: self,
        "step": lambda self: self.analysis_method,
        "left_out": generator,  # by __getstate__
    }
    analyzer = keeping(**{blameless: make[blameless], bad: generator})
    assert f"the attribute '{bad}' of Keeps (generator)" in unsaved(analyzer).message


def test_a_getstate_that_raises_is_named():
    class Locked(StarAnalyzer):
        def analysis_method(self, data, aggregator_results):
            return 1

        def __getstate__(self):
            raise KeyError("no state")

    with pytest.raises(ModelError, match="Locked cannot be saved for the next round") as raised:
        in_rounds(Locked, 1)
    assert raised.value.detail == "KeyError: 'no state'"
