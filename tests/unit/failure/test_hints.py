"""The guide's mistakes, made on purpose: each message names the mistake and the mend.

The guide is FLAME's "Star Pattern Local Testing Guide": its common pitfalls and troubleshooting.
"""

import json

import numpy as np
import pandas as pd
import pytest
from flwr.app import ArrayRecord, ConfigRecord, Message, RecordDict

from flame_flwr.clients import NodePlan
from flame_flwr.clients.local_grid import LocalGrid
from flame_flwr.errors import ModelError, NotConvergedError
from flame_flwr.failure.failure import Failure
from flame_flwr.star import StarAggregator, StarAnalyzer, StarModel, StarModelTester


class MyAnalyzer(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
        return sum(data) / len(data)


class MyAggregator(StarAggregator):
    def aggregation_method(self, analysis_results):
        return sum(analysis_results) / len(analysis_results)

    def has_converged(self, result, last_result):
        return self.num_iterations >= 5


class Files(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
        return len(data)


SPLITS = [[1, 2, 3, 4], [5, 6, 7, 8]]
FILES = [[{"x.csv": b"a\n1\n"}], [{"x.csv": b"a\n2\n"}]]
BUNDLES = [[{"Patient": {"resourceType": "Bundle", "entry": []}}]]


def notes_of(splits=SPLITS, analysis=None, aggregation=None, converged=None, data_type="s3"):
    """Run an analysis with these methods, which fails, and return what the error is told of."""

    class Analyzer(MyAnalyzer):
        if analysis is not None:
            analysis_method = analysis

    class Aggregator(MyAggregator):
        if aggregation is not None:
            aggregation_method = aggregation
        if converged is not None:
            has_converged = converged

    with pytest.raises((TypeError, AttributeError, KeyError, IndexError)) as caught:
        StarModelTester(splits, Analyzer, Aggregator, data_type, simple_analysis=False)
    return caught.value.__notes__


# ---- an infinite loop -----------------------------------------------------------------------


def test_has_converged_that_is_never_true_ends_at_max_rounds():
    class Never(MyAggregator):
        def has_converged(self, result, last_result):
            return False

    with pytest.raises(NotConvergedError) as caught:
        StarModelTester(SPLITS, MyAnalyzer, Never, "s3", simple_analysis=False, max_rounds=20)
    assert "not converged after 20 rounds (max_rounds)" in str(caught.value)
    assert "does has_converged ever return True? Otherwise raise `max_rounds`" in str(caught.value)


# ---- a forgotten None -----------------------------------------------------------------------

IN_ROUND_1 = "in node-0, round 1"
FIRST_ROUND = (
    "aggregator_results is None in the first round, when there is no aggregate yet: begin with "
    "`if aggregator_results is None:`"
)


@pytest.mark.parametrize(
    "analysis",
    [
        lambda self, data, aggregator_results: (data[0] + aggregator_results) / 2,
        lambda self, data, aggregator_results: aggregator_results["coef"],
        lambda self, data, aggregator_results: aggregator_results.copy(),
        lambda self, data, aggregator_results: len(aggregator_results),
        lambda self, data, aggregator_results: np.asarray(data) - aggregator_results,
        lambda self, data, aggregator_results: self.latest_result * 2,
        lambda self, data, weights: weights.T @ np.ones(3),
        lambda self, data, model: pd.Series(data).map(lambda value: value * model["slope"]).sum(),
        lambda self, data, ä: "ü" and ä["ö"],
    ],
)
def test_arithmetic_with_the_aggregate_of_the_first_round(analysis):
    assert notes_of(analysis=analysis) == [FIRST_ROUND, IN_ROUND_1]


def unpacks(self, data, aggregator_results):
    slope, _ = aggregator_results
    return slope


def loops(self, data, aggregator_results):
    for value in aggregator_results:
        data.append(value)


def over_lines(self, data, aggregator_results):
    return sum(
        [
            data[0]
            + aggregator_results,
        ]
    )  # fmt: skip


def hands_on(self, data, aggregator_results):
    return improved(data, aggregator_results)


def improved(data, model):
    return [value * model["slope"] for value in data]


@pytest.mark.parametrize("analysis", [unpacks, loops, over_lines, hands_on])
def test_the_aggregate_of_the_first_round_in_longer_code(analysis):
    assert notes_of(analysis=analysis) == [FIRST_ROUND, IN_ROUND_1]


def no_model_yet(self, data, aggregator_results):
    self.model = None
    return self.model.predict(data) if aggregator_results is None else aggregator_results


def no_table(self, data, aggregator_results):
    table = None
    table["weights"] = aggregator_results


def takes_care(self, data, aggregator_results):
    if aggregator_results is None:
        aggregator_results = {"weights": None}
    return aggregator_results["weights"] * 2


def takes_care_elsewhere(self, data, aggregator_results):
    return careful(data, aggregator_results)


def careful(data, model):
    found = {}.get("weights")
    return found[0] if model is None else model


def empty_cell(self, data, aggregator_results):
    data = [{"age": None}]
    return sum(patient["age"] + 1 for patient in data)


@pytest.mark.parametrize(
    "analysis", [no_model_yet, no_table, takes_care, takes_care_elsewhere, empty_cell]
)
def test_another_none_in_the_first_round_gets_no_hint(analysis):
    assert notes_of(analysis=analysis) == [IN_ROUND_1]
    assert notes_of(FILES, analysis=analysis, data_type="none") == [IN_ROUND_1]


def test_another_none_of_the_aggregator_gets_no_hint():
    def converged(self, result, last):
        return {}.get("change") < 0.1 if last is None else result - last < 0.1

    def aggregation(self, analysis_results):
        return sum(analysis_results) / {}.get("patients")

    assert notes_of(converged=converged) == ["in aggregator, round 1"]
    assert notes_of(aggregation=aggregation) == ["in aggregator, round 1"]


def test_the_aggregator_s_latest_result_in_its_aggregation_method():
    def aggregation(self, analysis_results):
        return 0.5 * self.latest_result + sum(analysis_results)

    [hint, where] = notes_of(aggregation=aggregation)
    assert hint.startswith("last_result, and self.latest_result, are None in the first round")
    assert where == "in aggregator, round 1"


def test_the_aggregator_s_last_result_of_the_first_round():
    [hint, where] = notes_of(converged=lambda self, result, last: abs(result - last) < 0.1)
    assert hint.startswith("last_result, and self.latest_result, are None in the first round")
    assert hint.endswith("begin with `if last_result is None: return False`")
    assert where == "in aggregator, round 1"


def test_an_analysis_method_without_a_return():
    [hint, where] = notes_of(analysis=lambda self, data, aggregator_results: None)
    assert hint == "analysis_method returned None on node-0, node-1: has it a `return`?"
    assert where == "in aggregator, round 1"


def test_an_aggregation_method_without_a_return():
    def converged(self, result, last_result):
        return result["change"] < 1

    [hint, _] = notes_of(aggregation=lambda self, values: None, converged=converged)
    assert hint == "aggregation_method returned None: has it a `return`?"

    def analysis(self, data, aggregator_results):
        return 1 if self.num_iterations == 0 else aggregator_results + 1

    [hint, where] = notes_of(analysis=analysis, aggregation=lambda self, values: None)
    assert hint == "aggregation_method returned None: has it a `return`?"
    assert where == "in node-0, round 2"


@pytest.mark.parametrize("last", ["aggregation_method", "final_method"])
def test_a_simple_analysis_whose_result_is_none_is_warned_of_once(last, caplog):
    methods = {last: lambda self, *args: None, "has_converged": lambda self, *args: True}
    forgetful = type("Forgetful", (MyAggregator,), methods)
    with caplog.at_level("WARNING", logger="flame_flwr"):
        assert StarModelTester(FILES, Files, forgetful, "s3").result is None
    assert [record.getMessage() for record in caplog.records] == [
        f"{last} returned None, which is now the result: has it a `return`?"
    ]


def test_an_aggregate_that_is_none_is_not_warned_of_where_the_result_is_not(caplog):
    class Ends(MyAggregator):
        def aggregation_method(self, analysis_results):
            return None

        def has_converged(self, result, last_result):
            return True

        def final_method(self, result, evaluations):
            return 0

    with caplog.at_level("WARNING", logger="flame_flwr"):
        StarModelTester(FILES, Files, Ends, "s3")
    assert caplog.records == []


def test_other_errors_of_the_first_round_get_no_hint():
    def converged(self, result, last_result):
        return 1 if last_result is None else last_result + "x"

    def typo(self, data, aggregator_results):
        return {"age": 1}["aeg"]

    def wrong_text(self, data, aggregator_results):
        return data[0] + "x"

    assert notes_of(analysis=typo) == [IN_ROUND_1]
    assert notes_of(FILES, analysis=typo) == [IN_ROUND_1]
    assert notes_of(converged=converged) == ["in aggregator, round 2"]
    assert notes_of(FILES, analysis=wrong_text) == [IN_ROUND_1]


def test_on_flower_the_hint_travels_also_where_the_text_of_the_error_does_not():
    """As a SuperNode answers: a message, and a node that does not share its tracebacks."""

    class Analyzer(MyAnalyzer):
        def analysis_method(self, data, aggregator_results):
            return data[0] + aggregator_results

    plan = NodePlan(Analyzer, {}, "s3")
    with LocalGrid(plan, [[1]]) as grid:
        grid.contexts[1].node_config["share-tracebacks"] = False
        config = ConfigRecord({"round": 1, "analyzers": json.dumps(["node-0"])})
        content = RecordDict({"fitins.parameters": ArrayRecord(), "fitins.config": config})
        [reply] = grid.send_and_receive([Message(content, 1, "train")])
    failure = Failure.from_json(reply.content["fitres.metrics"]["failure"])
    assert failure.type == "TypeError"
    assert failure.text == FIRST_ROUND
    assert failure.traceback == ""
    assert "unsupported operand" not in str(failure)


# ---- a forgotten super().__init__() ---------------------------------------------------------


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
def test_a_forgotten_super_init(base, init):
    forgetful = type("Forgetful", (base,), {"__init__": init})
    classes = [forgetful if base is part else part for part in (MyAnalyzer, MyAggregator)]
    with pytest.raises(ModelError) as caught:
        StarModelTester(SPLITS, *classes, "s3")
    assert str(caught.value) == (
        "Forgetful.__init__ must call super().__init__(flame) before anything else"
    )


def test_another_attribute_error_in_a_constructor_is_itself():
    analyzer = type("Typo", (MyAnalyzer,), {"__init__": own_typo})
    with pytest.raises(AttributeError, match="flame has no 'get_name'"):
        StarModelTester(SPLITS, analyzer, MyAggregator, "s3")


def test_a_super_init_without_flame():
    class Empty(MyAnalyzer):
        def __init__(self, flame):
            super().__init__()

    with pytest.raises(ModelError, match=r"Empty was made without `flame`.*__init__\(flame\)"):
        StarModelTester(SPLITS, Empty, MyAggregator, "s3")


# ---- instances instead of classes -----------------------------------------------------------


@pytest.mark.parametrize("cls", [MyAnalyzer, MyAggregator])
def test_an_instance_cannot_even_be_made(cls):
    with pytest.raises(ModelError) as caught:
        cls()
    name = cls.__name__
    assert f"A model takes the class {name} itself, not an instance {name}()" in str(caught.value)


def test_an_instance_of_a_class_with_a_constructor_of_its_own_names_flame():
    class Own(MyAnalyzer):
        def __init__(self, flame):
            super().__init__(flame)

    with pytest.raises(TypeError, match=r"Own\.__init__\(\) missing 1 required .*'flame'"):
        Own()


def test_an_instance_that_was_made_all_the_same_is_refused():
    instance = object.__new__(MyAnalyzer)
    with pytest.raises(ModelError, match="analyzer must be the class MyAnalyzer itself, not an in"):
        StarModelTester(SPLITS, instance, MyAggregator, "s3")


# ---- a wrong data_type ----------------------------------------------------------------------


@pytest.mark.parametrize("data_type", ["csv", "S3", None])
def test_a_data_type_that_there_is_not(data_type):
    for build in (StarModel, lambda *args: StarModelTester(SPLITS, *args)):
        with pytest.raises(ModelError, match="data_type must be one of s3, fhir, none, not"):
            build(MyAnalyzer, MyAggregator, data_type)


def test_files_where_the_model_says_bundles():
    def analysis(self, data, aggregator_results):
        return [entry["resource"] for bundle in data[0].values() for entry in bundle["entry"]]

    [hint, _] = notes_of(FILES, analysis=analysis, data_type="fhir")
    assert hint == (
        "data_type is 'fhir', and the data holds files (bytes), not bundles (dicts): say "
        "data_type='s3'"
    )


def test_bundles_where_the_model_says_files():
    def analysis(self, data, aggregator_results):
        return next(iter(data[0].values())).decode()

    [hint, _] = notes_of(BUNDLES, analysis=analysis)
    assert hint == (
        "data_type is 's3', and the data holds FHIR bundles (dicts), not files (bytes): say "
        "data_type='fhir'"
    )


def test_no_data_where_the_analyzer_wants_some():
    def analysis(self, data, aggregator_results):
        if aggregator_results is None:
            return data[0]["x.csv"]
        return 1

    [hint, _] = notes_of(FILES, analysis=analysis, data_type="none")
    assert hint == "data is None because the model says data_type='none': say 's3' or 'fhir'"


# ---- a split of the wrong shape -------------------------------------------------------------


def reads_a_file(self, data, aggregator_results):
    return data[0]["x.csv"].decode()


@pytest.mark.parametrize(
    ("split", "kind"),
    [
        ([1, 2, 3], "a list of int"),
        (["a,b"], "a list of str"),
        ([b"a,b"], "a list of bytes"),
        ([[1, 2]], "a list of list"),
        ({"x.csv": b"a"}, "of type dict"),
        (b"a\n1\n", "of type bytes"),
        (pd.DataFrame({"a": [1]}), "of type DataFrame"),
    ],
)
def test_data_0_of_a_split_that_is_no_list_of_files(split, kind):
    [hint, where] = notes_of([split], analysis=reads_a_file)
    assert hint == (
        f"this split is {kind} and reaches analysis_method as it is; a node's data is "
        "[{key: content, ...}, ...], one dict per data source: write the split as "
        "[{'x.csv': b'...'}]"
    )
    assert where == IN_ROUND_1


def test_data_0_in_a_comprehension_is_seen_too():
    def analysis(self, data, aggregator_results):
        return [content for name, content in data[0].items() if name.endswith(".csv")]

    [hint, _] = notes_of([[1, 2]], analysis=analysis)
    assert hint.startswith("this split is a list of int and reaches analysis_method as it is")


def test_errors_of_plain_splits_that_have_another_reason_get_no_hint():
    def analysis(self, data, aggregator_results):
        return {"a": 1}[data[1]]

    def column(self, data, aggregator_results):
        return data["aeg"].mean()

    def own_error(self, data, aggregator_results):
        return data[0] + "x"

    assert notes_of([[1, 2]], analysis=own_error) == [IN_ROUND_1]
    frame = pd.DataFrame({"age": [1]})
    assert notes_of([[1, 2]], analysis=lambda self, data, r: {}["x"]) == [IN_ROUND_1]
    assert notes_of([frame], analysis=column) == [IN_ROUND_1]
