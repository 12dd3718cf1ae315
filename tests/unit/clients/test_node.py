"""How a node makes its analyzer: constructors that forget something are named with the mend."""

import pytest

from flame_flwr.errors import ModelError
from flame_flwr.star import StarAggregator, StarAnalyzer, StarModelTester

SPLITS = [[1, 2], [3, 4]]


class MyAnalyzer(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
        return 1


class MyAggregator(StarAggregator):
    def aggregation_method(self, analysis_results):
        return 1

    def has_converged(self, result, last_result):
        return True


def forgets_all(self, flame):
    self.history = []


def uses_it_before(self, flame):
    self.flame.flame_log("ready")


def asks_for_its_id(self, flame):
    self.name = self.id


def own_typo(self, flame):
    super(MyAnalyzer, self).__init__(flame)
    self.name = self.flame.get_name()


@pytest.mark.parametrize("init", [forgets_all, uses_it_before, asks_for_its_id])
@pytest.mark.parametrize("base", [MyAnalyzer, MyAggregator])
def test_a_forgotten_super_init_is_named(base, init):
    forgetful = type("Forgetful", (base,), {"__init__": init})
    classes = [forgetful if base is part else part for part in (MyAnalyzer, MyAggregator)]
    with pytest.raises(ModelError) as caught:
        StarModelTester(SPLITS, *classes, "s3")
    assert str(caught.value) == (
        "Forgetful.__init__ must call super().__init__(flame) before anything else"
    )


def test_another_error_in_a_constructor_is_itself():
    analyzer = type("Typo", (MyAnalyzer,), {"__init__": own_typo})
    with pytest.raises(AttributeError, match="flame has no 'get_name'"):
        StarModelTester(SPLITS, analyzer, MyAggregator, "s3")


def test_a_super_init_without_flame_is_named():
    class Empty(MyAnalyzer):
        def __init__(self, flame):
            super().__init__()

    with pytest.raises(ModelError, match=r"Empty was made without `flame`.*__init__\(flame\)"):
        StarModelTester(SPLITS, Empty, MyAggregator, "s3")


@pytest.mark.parametrize("cls", [MyAnalyzer, MyAggregator])
def test_an_instance_cannot_be_made(cls):
    with pytest.raises(ModelError) as caught:
        cls()
    name = cls.__name__
    assert f"A model takes the class {name} itself, not an instance {name}()" in str(caught.value)
