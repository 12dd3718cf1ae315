"""A method that cannot be called as it will be is found when the model is built."""

import functools

import numpy as np
import pytest
from counting import Aggregator, Analyzer

from flame_flwr.aggregation import Convergence, Sum
from flame_flwr.errors import ModelError
from flame_flwr.star import StarAggregator, StarAnalyzer, StarModel, StarModelTester
from flame_flwr.strategies import ReduceStrategy
from flame_flwr.torch import TorchAnalyzer


def told(function):
    """Count a method's calls; ``functools.wraps`` lets it look like the method itself."""

    @functools.wraps(function)
    def counted(*args, **kwargs):
        return function(*args, **kwargs)

    return counted


def with_rate(function):
    """Hand one more argument over than the caller gives."""

    @functools.wraps(function)
    def called(self, data, aggregator_results):
        return function(self, data, aggregator_results, 0.5)

    return called


def model(**methods):
    """Return the arguments of a model whose classes have these methods."""
    of_node = ("analysis_method", "evaluation_method", "analyze")
    parts = {"analyzer": {}, "aggregator": {}}
    for name, method in methods.items():
        role, _, method_name = name.rpartition("__init__of_")
        if role or method_name != name:
            parts[method_name]["__init__"] = method
        else:
            parts["analyzer" if name in of_node else "aggregator"][name] = method
    analyzer = type("MyAnalyzer", (Analyzer,), parts["analyzer"])
    return analyzer, type("MyAggregator", (Aggregator,), parts["aggregator"]), "none"


WRONG = {
    "without the aggregate": (
        {"analysis_method": lambda self, data: 1},
        "analyzer: MyAnalyzer.analysis_method(self, data) cannot be called as "
        "analysis_method(data, aggregator_results): too many positional arguments. "
        "Write def analysis_method(self, data, aggregator_results)",
    ),
    "one too many": ({"analysis_method": lambda self, data, last, rate: 1}, "'rate'"),
    "without self": (
        {"analysis_method": lambda data, aggregator_results: 1},
        "MyAnalyzer.analysis_method(data, aggregator_results) cannot be called as "
        "analysis_method(data, aggregator_results): self is missing",
    ),
    "without anything": ({"analysis_method": lambda: 1}, "takes no argument, not even self"),
    "only by name": ({"analysis_method": lambda self, data, *, results: 1}, "positional"),
    "a static method": (
        {"analysis_method": staticmethod(lambda data: 1)},
        "MyAnalyzer.analysis_method(data) cannot",
    ),
    "a static method with self": (
        {"analysis_method": staticmethod(lambda self, data, results: 1)},
        "missing a required argument",
    ),
    "a class method": ({"analysis_method": classmethod(lambda cls, data: 1)}, "too many"),
    "a partial": ({"analysis_method": functools.partial(lambda data: 1)}, "too many"),
    "scores without the result": (
        {"evaluation_method": lambda self, data: {}},
        "cannot be called as evaluation_method(data, result)",
    ),
    "analyze without data": ({"analyze": lambda self: 1}, "cannot be called as analyze(data)"),
    "without results": (
        {"aggregation_method": lambda self: 1},
        "aggregator: MyAggregator.aggregation_method(self) cannot be called as "
        "aggregation_method(analysis_results)",
    ),
    "merging pairs": ({"aggregation_method": lambda self, one, two: 1}, "'two'"),
    "without the last": (
        {"has_converged": lambda self, result: True},
        "MyAggregator.has_converged(self, result) cannot be called as "
        "has_converged(result, last_result)",
    ),
    "final without evaluations": (
        {"final_method": lambda self, result: 1},
        "cannot be called as final_method(result, evaluations)",
    ),
    "aggregate without simple_analysis": (
        {"aggregate": lambda self, node_results: (1, True)},
        "cannot be called as aggregate(node_results, simple_analysis)",
    ),
    "a constructor without flame": (
        {"__init__of_analyzer": lambda self: None},
        "analyzer: MyAnalyzer() does not take `flame` as its first argument. "
        "Write def __init__(self, flame)",
    ),
    "a constructor with flame by name": (
        {"__init__of_aggregator": lambda self, *, flame: None},
        "aggregator: MyAggregator(*, flame) does not take `flame`",
    ),
    "a constructor without self": ({"__init__of_analyzer": lambda flame: None}, "`flame`"),
    "a constructor without anything": ({"__init__of_analyzer": lambda: None}, "`flame`"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_signature_is_refused(case):
    methods, text = WRONG[case]
    with pytest.raises(ModelError) as caught:
        StarModel(*model(**methods))
    assert text in str(caught.value)
    with pytest.raises(ModelError) as caught:
        StarModelTester([None], *model(**methods), quiet=True)
    assert text in str(caught.value)


def test_the_refused_methods_would_have_failed():
    """Else the check would be too strict: each of them, called as the framework calls it."""
    calls = {
        "analysis_method": (None, None),
        "evaluation_method": (None, None),
        "analyze": (None,),
        "aggregation_method": ([],),
        "has_converged": (1, None),
        "final_method": (1, []),
        "aggregate": ([], True),
    }
    tried = 0
    for methods, _ in WRONG.values():
        analyzer, aggregator, _ = model(**methods)
        for name in methods.keys() & calls.keys():
            cls = analyzer if name in vars(analyzer) else aggregator
            with pytest.raises(TypeError):
                getattr(object.__new__(cls), name)(*calls[name])
            tried += 1
    assert tried == len(WRONG) - 4


class Called:
    def __call__(self, data, aggregator_results):
        return 1


class Swapped(Analyzer):
    """Puts another function in the place of one that nobody could call."""

    def __init__(self, flame):
        super().__init__(flame)
        self.analysis_method = lambda data, last: 1

    def analysis_method(self):
        raise NotImplementedError


WORKS = {
    "other names": {"analysis_method": lambda me, x, y: 1, "has_converged": lambda s, a, b: True},
    "any": {"analysis_method": lambda *args: 1, "aggregation_method": lambda *args, **more: 1},
    "self and any": {"analysis_method": lambda self, *args: 1},
    "defaults": {
        "analysis_method": lambda self, data, last=None, rate=0.1, *, step=1: 1,
        "has_converged": lambda self, result=None, last_result=None, most=3: True,
    },
    "positional only": {"analysis_method": lambda self, data, last, /: 1},
    "static": {
        "analysis_method": staticmethod(lambda data, last: 1),
        "aggregation_method": staticmethod(lambda results: 1),
        "has_converged": staticmethod(lambda a, b: True),
        "evaluation_method": staticmethod(lambda data, result: {"n": 1}),
        "final_method": staticmethod(lambda result, evaluations: result),
    },
    "class": {"analysis_method": classmethod(lambda cls, data, last: 1)},
    "partial": {"analysis_method": functools.partial(lambda rate, data, last: 1, 0.1)},
    "partial method": {
        "analysis_method": functools.partialmethod(lambda self, rate, data, last: 1, 0.1)
    },
    "builtin": {"aggregation_method": staticmethod(sum)},
    "an object": {"analysis_method": Called()},
    "decorated": {"analysis_method": told(lambda self, data, last: 1)},
    "decorated with more": {"analysis_method": with_rate(lambda self, data, last, rate: 1)},
    "a property": {"analysis_method": property(lambda self: lambda data, last: 1)},
    "called otherwise": {
        "analyze": lambda self, data: self.analysis_method(data),
        "analysis_method": lambda self, data: 1,
    },
    "merged otherwise": {
        "aggregate": lambda self, results, simple=True: (self.aggregation_method(*results), True),
        "aggregation_method": lambda self, one: one,
        "has_converged": lambda self: True,
    },
    "no final": {"final_method": None},
    "any constructor": {
        "__init__of_analyzer": lambda self, *args, **kwargs: StarAnalyzer.__init__(self, *args)
    },
    "a decorated constructor": {
        "__init__of_aggregator": told(lambda self, flame: StarAggregator.__init__(self, flame))
    },
}


@pytest.mark.parametrize("case", WORKS)
def test_what_works_is_not_refused(case):
    methods = WORKS[case]
    StarModel(*model(**methods))
    assert StarModelTester([None], *model(**methods), quiet=True).result == 1


def test_a_method_may_be_set_by_the_constructor():
    assert StarModelTester([None], Swapped, Aggregator, "none", quiet=True).result == 1


def test_inherited_methods_are_checked():
    class Base(Analyzer):
        def analysis_method(self, data):
            return 1

    class Below(Base):
        pass

    with pytest.raises(ModelError, match=r"Below.analysis_method\(self, data\) cannot be called"):
        StarModel(Below, Aggregator, "none")


@pytest.mark.parametrize(
    ("name", "method", "call"),
    [
        ("dataset", lambda self: (), r"dataset\(data\)"),
        ("model", lambda self, layers: None, r"model\(\)"),
        ("loss", lambda self, outputs, labels: 0, r"loss\(batch\)"),
        ("loader", lambda self, dataset: None, r"loader\(dataset, generator\)"),
    ],
)
def test_what_a_torch_analyzer_writes_is_checked(name, method, call):
    methods = {
        "dataset": lambda self, data: (),
        "model": lambda self: None,
        "loss": lambda self, batch: 0,
    }
    StarModel(type("Net", (TorchAnalyzer,), methods), Aggregator, "none")
    with pytest.raises(ModelError, match=f"Net.{name}.* cannot be called as {call}"):
        StarModel(type("Net", (TorchAnalyzer,), methods | {name: method}), Aggregator, "none")


def test_what_a_strategy_writes_is_checked():
    class Updates(ReduceStrategy):
        def update(self, merged):
            return merged

    class Own(ReduceStrategy):
        def finalize(self, *whatever):
            return 1

    text = r"strategy: Updates.update\(self, merged\) cannot be called as update\(merged, last\)"
    with pytest.raises(ModelError, match=text):
        Updates(Sum())
    StarModel(Analyzer, Own(Sum()), "none")


def test_a_convergence_of_ones_own_is_checked():
    class Stops(Convergence):
        def check(self, aggregate, last):
            return None

    with pytest.raises(ModelError, match=r"as check\(number, aggregate, last\)"):
        StarModel(Analyzer, Aggregator, "none", convergence=Stops())


def test_a_convergence_function_takes_two_aggregates():
    with pytest.raises(ModelError, match=r"convergence: .* with \(aggregate, last\)"):
        StarModel(Analyzer, Aggregator, "none", convergence=lambda aggregate: True)
    StarModel(Analyzer, Aggregator, "none", convergence=lambda aggregate, last, least=1: True)


@pytest.mark.parametrize("function", [lambda: 1, lambda values, more: 1])
def test_a_merging_function_takes_a_list_of_values(function):
    with pytest.raises(ModelError, match=r"Function: <lambda>.* cannot be called with \(values\)"):
        ReduceStrategy({"n": function})


@pytest.mark.parametrize("function", [max, np.median, lambda values, more=1: 1])
def test_a_merging_function_may_take_more(function):
    ReduceStrategy({"n": function})
