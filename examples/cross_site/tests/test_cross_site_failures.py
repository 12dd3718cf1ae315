"""A hospital whose data does not fit is named, with what to do, and nothing of its data is said."""

import pytest

from cross_site.analysis import CrossSiteAnalyzer
from cross_site.table import TEST, TRAIN
from flame_flwr.errors import DataError, NodeFailedError

HEAD = "radius,area,label\n"
ROWS = "".join(f"{14 + k % 7}.25,{600 + k * k % 90}.5,{k % 2}\n" for k in range(20))
GOOD = {TRAIN: (HEAD + ROWS).encode(), TEST: (HEAD + ROWS).encode()}
SECRET = "4711.8151"


def csv(rows, head=HEAD):
    return (head + rows).encode()


@pytest.fixture
def refused(run):
    """Run three hospitals of which the second is as given; return the message of the error."""

    def refused_with(files, error=NodeFailedError, columns=("radius", "area"), **more):
        splits = [[GOOD], [{**GOOD, **files}], [GOOD]]
        with pytest.raises(error) as caught:
            run(splits, columns=columns, **more)
        text = "\n".join([caught.value.message, *getattr(caught.value, "__notes__", [])])
        assert "node-1" in text
        assert SECRET not in text
        return text

    return refused_with


def test_two_good_hospitals_run(run):
    tester = run([[GOOD], [GOOD]], columns=("radius", "area"), rounds=2)
    assert tester.rounds == 3
    undeclared = run([[GOOD], [GOOD]], columns=None, rounds=2)
    assert undeclared.result[-2].splitlines()[0] == "round,setting,intercept,coef_0,coef_1"
    assert undeclared.result[-2].splitlines()[1:] == tester.result[-2].splitlines()[1:]


@pytest.mark.parametrize("file", [TRAIN, TEST])
@pytest.mark.parametrize("columns", [("radius", "area"), None])
def test_one_class_only(refused, file, columns):
    text = refused({file: csv(f"{SECRET},600,1\n" * 20)}, columns=columns)
    assert text.startswith("before round 1, 1 node cannot take part:\n  node-1: ")
    assert f"{file}: all rows have the same label" in text
    assert "leave this hospital out" in text


@pytest.mark.parametrize("columns", [("radius", "area"), None])
@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "train.csv is no table in UTF-8, separated by commas, with column names in"),
        (HEAD.encode(), "train.csv has fewer than 10 rows: add patients, or leave this hospital"),
        (csv(f"{SECRET},8151.25,1\n" * 9), "train.csv has fewer than 10 rows: add patients, or"),
        (csv(f"{SECRET};8151.25;1\n" * 20, "radius;area;label\n"), "Is it separated by commas"),
        (csv(f"{SECRET};6,5;1\n" * 20, "radius;area;label\n"), "Is it separated by commas"),
    ],
)
def test_what_is_no_table_or_nearly_empty(refused, content, says, columns):
    text = refused({TRAIN: content}, columns=columns)
    assert "before round 1" in text
    assert says in text
    assert "8151.25" not in text


def test_no_file(refused, run):
    with pytest.raises(NodeFailedError, match=r"node-0: .*There is no train\.csv"):
        run([[{TEST: GOOD[TEST]}]], columns=("radius", "area"))


def test_a_missing_measurement_is_found_before_round_1(refused):
    text = refused({TRAIN: csv("14.5,1\n15,0\n" * 10, "radius,label\n")})
    assert "before round 1" in text
    assert "train.csv has no column 'area': add it, or take it out at every hospital" in text


def test_unknown_measurements_are_told_in_one_sentence(run):
    with pytest.raises(NodeFailedError) as caught:
        run([[GOOD], [GOOD]])
    text = caught.value.message
    assert "train.csv has none of the 30 measurements of this analysis" in text
    assert "COLUMNS in cross_site/app.py" in text
    assert text.count("\n") == 2


def test_the_first_missing_ones_are_named(refused):
    known = ("radius", "a", "b", "c", "d")
    text = refused({}, columns=known)
    assert "train.csv has no column 'a', 'b', 'c' and 1 more: add it" in text


def test_train_and_test_must_agree_and_names_stay(refused):
    more = csv(f"14.5,600,{SECRET},1\n15,600,2,0\n" * 10, "radius,area,Smith,label\n")
    text = refused({TRAIN: more}, columns=None)
    assert "before round 1" in text
    assert "train.csv and test.csv have different measurements: give both the same" in text
    assert "Smith" not in text


def test_names_are_compared_before_numbers(refused):
    more = csv(f"14.5,600,{SECRET}x,1\n15,600,y,0\n" * 10, "radius,area,Smith,label\n")
    text = refused({TRAIN: more}, columns=None)
    assert "train.csv and test.csv have different measurements" in text
    assert "finite number" not in text
    assert "Smith" not in text


def test_another_column_order_is_the_same_table(run):
    turned = GOOD[TEST].decode().replace("\n", ",\n").split(",\n")[:-1]
    swapped = "\n".join(",".join([row.split(",")[i] for i in (1, 0, 2)]) for row in turned)
    one = run([[GOOD], [GOOD]], columns=None, rounds=1)
    two = run([[GOOD], [{**GOOD, TEST: f"{swapped}\n".encode()}]], columns=None, rounds=1)
    assert one.evaluations == two.evaluations


def test_an_extra_measurement_is_found_before_round_1(refused):
    more = csv(f"14.5,600,{SECRET},1\n15,600,2,0\n" * 10, "radius,area,Smith,label\n")
    text = refused({TRAIN: more, TEST: more})
    assert "before round 1" in text
    assert "has other columns than the label and the 2 measurements of this analysis" in text
    assert "Smith" not in text


def test_undeclared_measurements_are_compared_in_round_1(run):
    fewer = csv("14.5,1\n15,0\n" * 10, "radius,label\n")
    with pytest.raises(DataError) as caught:
        run([[GOOD], [{TRAIN: fewer, TEST: fewer}], [GOOD]], columns=None)
    assert caught.value.message == (
        "The hospitals have different measurements, so no model fits all of them (node-0, node-2: "
        "2; node-1: 1). Give all their files the same columns in the same order, or name "
        "them in COLUMNS of app.py: then every hospital looks before round 1."
    )


def test_undeclared_measurements_of_other_names_are_told(run):
    turned = csv("600,14,1\n610,15,0\n" * 10, "area,radius,label\n")
    with pytest.raises(
        DataError,
        match=r"\(node-0: 2; node-1: 2, with other names or in another order than at node-0\)",
    ):
        run([[GOOD], [{TRAIN: turned, TEST: turned}]], columns=None)


@pytest.mark.parametrize("cell", ["", "NaN", "inf", "abc"])
@pytest.mark.parametrize("columns", [("radius", "area"), None])
def test_cells_that_are_no_numbers(refused, cell, columns):
    text = refused({TRAIN: csv(f"{SECRET},{cell},1\n14,600,0\n" * 10)}, columns=columns)
    assert "before round 1" in text
    if columns is None:
        assert "train.csv: every measurement must be a finite number below 1e150" in text
    else:
        assert "train.csv: column 'area' " in text


@pytest.mark.parametrize("label", ["2", "", "ill"])
def test_other_labels(refused, label):
    text = refused({TRAIN: csv(f"{SECRET},600,{label}\n14,600,0\n15,600,1\n" * 10)})
    assert "before round 1" in text
    assert "train.csv: column 'label' " in text


@pytest.mark.parametrize("columns", [("radius", "area"), None])
def test_huge_numbers_are_found_before_round_1(refused, columns):
    text = refused({TRAIN: csv("8e200,600,1\n14,600,0\n" * 10)}, columns=columns)
    assert "before round 1" in text
    assert ("train.csv: column 'radius' must be" if columns else "train.csv: every") in text
    assert "a finite number below 1e150 in every row" in text
    assert "8e200" not in text


class Diverging(CrossSiteAnalyzer):
    """At one hospital the steps are far too long in the second round."""

    def analysis_method(self, data, aggregator_results):
        if self.id == "node-1" and self.num_iterations == 2:
            self.sgd = {"eta0": 1e308}
        return super().analysis_method(data, aggregator_results)


def test_a_nan_loss_fails_the_round(refused):
    text = refused({}, error=DataError, analyzer=Diverging)
    assert "what the model makes of the rows, are no finite numbers any more" in text
    assert "in node-1, round 3" in text
