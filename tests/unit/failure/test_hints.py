"""The guide's mistakes, made on purpose: each message names the mistake and the mend.

The guide is FLAME's "Star Pattern Local Testing Guide": its common pitfalls and troubleshooting.
"""

import numpy as np
import pandas as pd
import pytest
from flwr.app import ArrayRecord
from node_messages import ask, train_content

from flame_flwr.clients import NodePlan
from flame_flwr.clients.local_grid import LocalGrid
from flame_flwr.failure.failure import Failure
from flame_flwr.star import StarAggregator, StarAnalyzer, StarModelTester


class MyAnalyzer(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
        return sum(data) / len(data)

    def rows(self, model, data):
        return data[0] if model is None else model


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
def test_using_the_first_rounds_aggregate_is_explained(analysis):
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
def test_longer_code_with_the_aggregate_is_explained(analysis):
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
def test_another_none_gets_no_hint(analysis):
    assert notes_of(analysis=analysis) == [IN_ROUND_1]
    assert notes_of(FILES, analysis=analysis, data_type="none") == [IN_ROUND_1]


def test_another_none_of_an_aggregator_gets_no_hint():
    def converged(self, result, last):
        return {}.get("change") < 0.1 if last is None else result - last < 0.1

    def aggregation(self, analysis_results):
        return sum(analysis_results) / {}.get("patients")

    assert notes_of(converged=converged) == ["in aggregator, round 1"]
    assert notes_of(aggregation=aggregation) == ["in aggregator, round 1"]


def test_the_first_rounds_latest_result_is_explained():
    def aggregation(self, analysis_results):
        return 0.5 * self.latest_result + sum(analysis_results)

    [hint, where] = notes_of(aggregation=aggregation)
    assert hint.startswith("last_result, and self.latest_result, are None in the first round")
    assert where == "in aggregator, round 1"


def test_the_first_rounds_last_result_is_explained():
    [hint, where] = notes_of(converged=lambda self, result, last: abs(result - last) < 0.1)
    assert hint.startswith("last_result, and self.latest_result, are None in the first round")
    assert hint.endswith("begin with `if last_result is None: return False`")
    assert where == "in aggregator, round 1"


def test_an_analysis_method_without_return_is_named():
    [hint, where] = notes_of(analysis=lambda self, data, aggregator_results: None)
    assert hint == "analysis_method returned None on node-0, node-1: has it a `return`?"
    assert where == "in aggregator, round 1"


def test_an_aggregation_method_without_return_is_named():
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
def test_a_result_of_none_is_warned_of_once(last, caplog):
    methods = {last: lambda self, *args: None, "has_converged": lambda self, *args: True}
    forgetful = type("Forgetful", (MyAggregator,), methods)
    with caplog.at_level("WARNING", logger="flame_flwr"):
        assert StarModelTester(FILES, Files, forgetful, "s3").result is None
    assert [record.getMessage() for record in caplog.records] == [
        f"{last} returned None, which is now the result: has it a `return`?"
    ]


def test_an_aggregate_of_none_alone_is_no_warning(caplog):
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


def test_a_hint_travels_without_the_errors_text():
    class Analyzer(MyAnalyzer):
        def analysis_method(self, data, aggregator_results):
            return data[0] + aggregator_results

    with LocalGrid(NodePlan(Analyzer, {}, "s3"), [[1]]) as grid:
        grid.contexts[1].node_config["share-tracebacks"] = False
        content = {**train_content(1), "fitins.parameters": ArrayRecord()}
        reply = ask(grid, "train", content)
    failure = Failure.from_json(reply.content["fitres.metrics"]["failure"])
    assert (failure.type, failure.text, failure.traceback) == ("TypeError", FIRST_ROUND, "")


# ---- a wrong data_type ----------------------------------------------------------------------


def test_files_in_place_of_bundles_are_named():
    def analysis(self, data, aggregator_results):
        return [entry["resource"] for bundle in data[0].values() for entry in bundle["entry"]]

    [hint, _] = notes_of(FILES, analysis=analysis, data_type="fhir")
    assert hint == (
        "data_type is 'fhir', and the data holds files (bytes), not bundles (dicts): say "
        "data_type='s3'"
    )


def test_bundles_in_place_of_files_are_named():
    def analysis(self, data, aggregator_results):
        return next(iter(data[0].values())).decode()

    [hint, _] = notes_of(BUNDLES, analysis=analysis)
    assert hint == (
        "data_type is 's3', and the data holds FHIR bundles (dicts), not files (bytes): say "
        "data_type='fhir'"
    )


NO_DATA = "data is None because the model says data_type='none': say 's3', 'fhir' or 'sql'"


def gives_a_function_both(self, data, aggregator_results):
    return improved(data, model=aggregator_results)


def gives_a_method_both(self, data, aggregator_results):
    return self.rows(aggregator_results, data)


@pytest.mark.parametrize(
    "analysis",
    [
        lambda self, data, aggregator_results: data[0]["x.csv"],
        lambda self, data, aggregator_results: (lambda rows: rows[0])(data),
        lambda self, data, aggregator_results: max([data], key=lambda rows: rows[0]),
        lambda self, data, aggregator_results: sum(1 for row in data),
        gives_a_function_both,
        gives_a_method_both,
    ],
)
def test_no_data_in_place_of_some_is_named(analysis):
    [hint, _] = notes_of(FILES, analysis=analysis, data_type="none")
    assert hint == NO_DATA


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
def test_a_split_without_files_is_named(split, kind):
    [hint, where] = notes_of([split], analysis=reads_a_file)
    assert hint == (
        f"this split is {kind} and reaches analysis_method as it is; a node's data is "
        "[{key: content, ...}, ...], one dict per data source: write the split as "
        "[{'x.csv': b'...'}]"
    )
    assert where == IN_ROUND_1


def test_such_a_split_in_a_comprehension_is_named():
    def analysis(self, data, aggregator_results):
        return [content for name, content in data[0].items() if name.endswith(".csv")]

    [hint, _] = notes_of([[1, 2]], analysis=analysis)
    assert hint.startswith("this split is a list of int and reaches analysis_method as it is")


OTHERS = {
    "a typo": (FILES, lambda self, data, last: {"age": 1}["aeg"]),
    "a typo with a plain split": ([[1, 2]], lambda self, data, last: {"a": 1}[data[1]]),
    "a wrong text": (FILES, lambda self, data, last: data[0] + "x"),
    "a wrong text with a plain split": ([[1, 2]], lambda self, data, last: data[0] + "x"),
    "no column": ([pd.DataFrame({"age": [1]})], lambda self, data, last: data["aeg"].mean()),
}


@pytest.mark.parametrize(("splits", "analysis"), OTHERS.values(), ids=OTHERS)
def test_errors_for_another_reason_get_no_hint(splits, analysis):
    assert notes_of(splits, analysis=analysis) == [IN_ROUND_1]
