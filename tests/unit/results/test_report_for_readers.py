"""The report as somebody reads it who was not there: its order, its numbers, its words."""

import json
import re
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

import numpy as np
import pytest
from report_text import Report, python_in

from flame_flwr.aggregation.convergence import MaxRounds
from flame_flwr.aggregation.delta_norm import DeltaNorm
from flame_flwr.data.expect import Column, Table
from flame_flwr.privacy import Clip, MaxRows, MinCount
from flame_flwr.privacy.config_text import RULES
from flame_flwr.results import Outputs, RunFolder, RunRecord, plots
from flame_flwr.results.plots import metric_plots
from flame_flwr.results.report import render
from flame_flwr.results.report_literals import literal_table
from flame_flwr.results.report_methods import RULES_IN_WORDS, methods
from flame_flwr.results.report_sites import sent_beside, sites
from flame_flwr.star import StarAnalyzer
from flame_flwr.statistics import Moments
from flame_flwr.strategies import ReduceStrategy, WeightedFedAvg

from .small_runs import HARM, Average, Scalar, full_run

pytestmark = pytest.mark.usefixtures("undrawn")
DRAWN = plots._svg

SECTIONS = [
    "Results",
    "Hospitals and patients",
    "How it was computed",
    "What was hidden, and why",
    "Rounds and metrics",
    "Settings of the study",
    "What left each node",
]


@dataclass
class Stay:
    """A result of a class of the study's own."""

    n: int
    days: tuple


class Steps(StarAnalyzer):
    def __init__(self, flame, rate, layers, fit=None, deep=True):
        super().__init__(flame)

    def analysis_method(self, data, aggregator_results):
        table = next(iter(data[0].values())).decode().split()[1:]
        ages = np.array([float(age) for age in table])
        self.flame.report_metrics(loss=float(ages.mean()) / (1 + self.num_iterations))
        return {"model": [np.array([ages.mean()]), ages[:2]], "n": len(ages)}

    def evaluation_method(self, data, result):
        return {"auc": 0.5}


SPLITS = [
    [{"ages.csv": "age\n{}\n".format("\n".join(map(str, ages))).encode()}]
    for ages in ([31, 47, 52], [68, 71], [25, 39, 44, 60])
]
MADE = ("node-0", "node-1", "node-2")
SIZES = [{"node-0": "list of 4"}, {"node-0": "3 files, 9 B; 12 people"}, {}]
MANY = {
    "analyzer_kwargs": {"rate": 0.1, "layers": [8, {"a": 1}], "fit": np.mean, "deep": False},
    "convergence": DeltaNorm("model", 1e-3) | MaxRounds(4),
    "filters": [Clip(2.0, keys=["model"])],
    "disclosure": [MaxRows(200)],
    "expects": [Table("*.csv", {"age": Column("number", 0, 120, unit="years")})],
    "query": ["ages.csv"],
    "shown": ["loss"],
}


def page_of(folder, *splits, **kwargs):
    full_run(folder, *splits, tensorboard="off", **kwargs)
    return json.loads((folder / "run.json").read_text()), (folder / "report.html").read_text()


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """A run with settings of every kind."""
    return page_of(
        tmp_path_factory.mktemp("many"),
        splits=SPLITS,
        analyzer=Steps,
        aggregator=WeightedFedAvg(by="n"),
        title=f"Ages {HARM}",
        description="Who is older?\n\nAnd why?",
        authors=["A. Weber", HARM],
        **MANY,
    )


def test_hospitals_have_their_real_names_where_they_give_them(many, tmp_path):
    about = {**many[0], "hospitals": {"node-1": f"Clinic {HARM}"}}
    page = render(about, tmp_path, []).decode()
    report = Report(page)
    assert f"The hospitals are Clinic {HARM} and 2 others." in report.text
    rows = report.table("The nodes: their data")
    assert [row[:2] for row in rows] == [
        ["node", "hospital"],
        ["node-0", "not said"],
        ["node-1", f"Clinic {HARM}"],
        ["node-2", "not said"],
    ]
    assert HARM not in page
    assert "hospital" not in Report(many[1]).table("The nodes: their data")[0]


def test_it_reads_from_the_answer_to_the_details(many):
    report = Report(many[1])
    assert report.order == SECTIONS
    assert f"Ages {HARM}" in report.text[: report.text.index("Results")]
    before = report.text[: report.text.index("Results")]
    for said in ("Who is older?", "And why?", f"A. Weber, {HARM}", many[0]["finished"][:10]):
        assert said in before, said
    assert HARM not in many[1]


def test_the_contents_lead_to_every_section(many):
    report = Report(many[1])
    assert len(report.links) == len(SECTIONS)
    assert all(link[0] == "#" and link[1:] in report.ids for link in report.links)
    assert len(set(report.ids)) == len(report.ids)


def test_figures_and_tables_are_numbered_in_order(many):
    report = Report(many[1])
    for kind in ("figure", "table"):
        found = [int(each.partition("-")[2]) for each in report.ids if each.startswith(f"{kind}-")]
        said = re.findall(rf"{kind.capitalize()} (\d+)\.", report.text)
        assert found == list(range(1, len(found) + 1)) == list(map(int, said))
        assert found


def test_its_numbers_are_those_of_the_record(many):
    about, page = many
    report = Report(page)
    rounds = len(about["history"])
    assert f"3 nodes took part, and every one of them answered in all of {rounds} rounds." in page
    assert "Together they have 3 files." in page
    for name in ("flame-flwr", "flwr", "numpy", "python"):
        assert f" {about['versions'][name]}" in report.text
    losses = [
        [f"{entry['node_metrics'][node]['loss']:.5g}" for node in about["nodes"]]
        for entry in about["history"]
    ]
    assert [row[1:] for row in report.table("loss, every round")[1:]] == losses
    sent = {}
    for row in report.table("What left each node")[1:]:
        sent[row[0]] = sent.get(row[0], 0) + int(row[2])
    answers = {n: sum(kind["answers"] for kind in kinds) for n, kinds in about["left"].items()}
    assert sent == answers


@pytest.mark.parametrize(
    ("sizes", "said"),
    [
        (
            ["3 files, 9 B; 12 people", "1 file, 2 B; 1 person"],
            "data of 13 people, and who is at two of them counts twice. Together they have 4 f",
        ),
        (["2 files, 9 B; 1,140 people", "9 people"], "data of 1,149 people, and"),
        (["1 person"], "data of 1 person."),
        (["3 files, 9 B; 12 people", "1 file, 2 B"], "Together they have 4 files."),
        (["DataFrame (10, 3); 8 people"], "data of 8 people."),
    ],
)
def test_people_are_added_up_where_all_nodes_count_them(many, sizes, said):
    nodes = [f"n{i}" for i in range(len(sizes))]
    text = sites({**many[0], "nodes": nodes, "sizes": dict(zip(nodes, sizes, strict=True))})
    assert said in text
    assert ("data of" in text) == ("data of" in said)


def test_a_paper_can_take_over_how_it_was_computed(many):
    text = Report(many[1]).text
    said = text[text.index("The analysis (steps) was") : text.rindex("What was hidden, and why")]
    for expected in (
        "over 3 nodes",
        "The nodes' data were files.",
        "merged by weighted fed avg: model by weighted mean (by: n)",
        "stops when model changes by at most 0.001 (Euclidean norm), or after 4 rounds",
        "*.csv of 1 row or more: age (numbers from 0 to 120 years)",
        "no table of more than 200 rows leaves",
        "At node-0, node-1 and node-2 these disclosure rules held (a node does not say how its own "
        "are set): no table of too many rows leaves (max rows).",
        "a change leaves shrunk to a norm of at most 2 (of model)",
        "McMahan",
        "Flower: a friendly federated learning",
    ):
        assert expected in said, expected
    cited = set(map(int, re.findall(r"\[(\d+)\]", said)))
    assert cited == {1, 2, 3}


def test_rules_that_nodes_name_are_said_in_words(many):
    assert set(RULES_IN_WORDS) == set(RULES)
    kinds = ["MinCount", "Anonymous\n" + "x" * 9000]
    text = " ".join(methods({**many[0], "disclosure": {"a": kinds}})[0])
    [held] = re.findall(r"At a these disclosure rules held [^:]*: ([^.]*)", text)
    assert held.startswith("no figure about too few people leaves (min count); anonymous")
    assert len(held) < 300


def test_a_check_of_the_study_s_own_is_no_python(many):
    text = " ".join(methods({**many[0], "reason": "has_converged returned True"})[0])
    assert "a check that the study has of its own said so." in text
    assert "has_converged" not in text


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (
            {"when": date(2026, 1, 9), "at": datetime(2026, 1, 9, 14, 5)},
            ["2026-01-09", "2026-01-09 14:05"],
        ),
        ({"sites": {"b"}, "none": set(), "p": Decimal("0.05")}, ["b", "empty", "0.05"]),
        (Stay(3, (1.5, 2)), ["3", "1.5, 2"]),
        (Moments.from_data([1.0, 2.0]), ["2", "3", "1.5", "0.5", "0.707107"]),
        ({"w": np.array([0.5, 2.0], dtype=np.float32), "n": np.int64(3)}, ["0.5, 2.0", "3"]),
    ],
)
def test_a_result_as_python_has_it_is_a_table(value, shown):
    assert [row[1] for row in literal_table(repr(value)).rows] == shown


@pytest.mark.parametrize(
    "text", ["{'a': datetime.date(2026, 13, 1)}", "{'a': datetime.date(10**9)}", "{'a': f(1)}"]
)
def test_what_is_no_value_stays_text(text):
    assert literal_table(text) is None


def test_it_says_what_is_hidden(many, tmp_path):
    text = Report(many[1]).text
    assert "but those that the study shows (loss)" in text
    assert "0.5" not in re.findall(r"auc.*", text)
    assert "What disclosure rules withheld at node-0, node-1 and node-2" in text
    _, private = page_of(tmp_path, aggregator=Scalar, epsilon=1.5, sensitivity=1.0)
    text = Report(private).text
    assert "Laplace noise [1], with epsilon 1.5 and sensitivity 1" in text
    assert "Metrics, scores and the aggregate's change: they are exact" in text
    assert "not shown of a private run" in text
    assert "one round only" not in text
    assert "The nodes reported none." not in text


def test_where_nothing_is_hidden_it_says_so(tmp_path):
    _, page = page_of(tmp_path)
    assert "Nothing that this report could show" in Report(page).text
    assert "data were files" not in page  # but numbers, in this process


class Counts(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
        return {"age": Moments.from_data(data)}


class Fails(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
        raise ValueError("no")


def told(aggregate, last):
    return True


RUNS = {
    "plain": {},
    "a function": {"convergence": told},
    "statistics": {
        "splits": [[31.0, 47.0, 52.0, 60.0, 71.0]] * 3,
        "analyzer": Counts,
        "aggregator": ReduceStrategy({"age": Moments}),
        "disclosure": [MinCount(2)],
        "simple_analysis": True,
    },
    "secure sums": {
        "splits": [[31.0, 47.0, 52.0]] * 3,
        "analyzer": Counts,
        "aggregator": ReduceStrategy({"age": Moments}),
        "secure": True,
        "simple_analysis": True,
    },
    "private": {
        "aggregator": Scalar,
        "epsilon": 1.0,
        "sensitivity": 1.0,
        "convergence": DeltaNorm(None, 9.0) | MaxRounds(2),
    },
    "many": {"splits": SPLITS, "analyzer": Steps, "aggregator": WeightedFedAvg(by="n"), **MANY},
}


def test_report_of_masked_sums_says_what_did_not_travel(tmp_path):
    texts = {}
    for secure in (False, True):
        text = Report(page_of(tmp_path, **{**RUNS["secure sums"], "secure": secure})[1]).text
        texts[secure] = " ".join(text.split())
    assert "the server received what that returned" in texts[False]
    told = "seconds of analysis, what its filters did and how much data it has;"
    assert told in texts[False]
    assert "the server received the sum of what they returned" in texts[True]
    assert "its name and the versions of its software; a node that fails" in texts[True]


def test_what_nodes_said_of_themselves_is_among_what_they_sent(many):
    assert sent_beside({**many[0], "sizes": {}}).endswith(" and what its filters did")
    some = {**many[0], "sizes": {"node-1": "1 file, 2 B"}, "hospitals": dict.fromkeys(MADE, "A")}
    said = "how much data it has (1 of 3 did) and its hospital's name"
    assert sent_beside(some).endswith(said)


def test_data_of_a_simulation_is_not_called_what_it_is_not(many):
    said = [methods({**many[0], "run_id": "7", "sizes": sizes})[0] for sizes in SIZES]
    assert ["data were files" in " ".join(text) for text in said] == [False, True, True]


class LengthOfStay(Counts):
    pass


class MeanOfAll(Average):
    def aggregation_method(self, analysis_results):
        return len(analysis_results)


def test_classes_are_called_in_words(tmp_path):
    about, page = page_of(
        tmp_path, [[1.0, 2.0]], analyzer=LengthOfStay, aggregator=MeanOfAll, convergence=told
    )
    report = Report(page)
    assert about["study"]["analyzer"] == "LengthOfStay"
    assert "Report of Length of stay, 20" in report.text
    for said in (
        "The analysis (length of stay) was",
        "own aggregator (mean of all)",
        "told said so",
    ):
        assert said in report.text, said
    for name in ("LengthOfStay", "MeanOfAll", "Moments"):
        assert name not in report.text
    [sent] = [row[1] for row in report.table("What left each node")[1:]]
    assert sent == "named values (moments)"


def test_a_class_that_is_called_by_its_kind_is_not_named(many, tmp_path):
    study = {"analyzer": "Analyzer", "data": "s3"}
    about = {**many[0], "study": study, "in_words": {"analyzer": "analyzer"}}
    about["heading"] = {"title": "", "description": "", "authors": []}
    text = Report(render(about, tmp_path, []).decode()).text
    assert "Report of A run, " in text
    assert "The analysis was federated" in text


def test_plots_have_the_hospitals_real_names(monkeypatch):
    monkeypatch.setattr("flame_flwr.results.plots._svg", DRAWN)
    nodes = ["a", "b", "c"]
    metrics = {node: {"loss": 1.0} for node in nodes}
    history = [{"round": i, "node_metrics": metrics} for i in (1, 2)]
    hospitals = {"a": "Clinic", "b": "Clinic", "c": "St. Mary's"}
    [plot] = metric_plots(history, nodes, hospitals)
    labels = {text.strip() for text in re.findall("<!--(.*?)-->", plot.svg.decode())}
    assert {"Clinic (a)", "Clinic (b)", "St. Mary's"} <= labels


@pytest.mark.parametrize("name", RUNS)
def test_no_report_is_written_in_python(tmp_path, name):
    _, page = page_of(tmp_path, **RUNS[name])
    assert python_in(page) == []


def test_the_report_of_a_failed_run_begins_with_its_error(tmp_path):
    with pytest.raises(ValueError, match="no"):
        full_run(tmp_path, analyzer=Fails, title="Ages", tensorboard="off")
    page = (tmp_path / "report.html").read_text()
    text = Report(page).text
    assert text.index("failed") < text.index("ValueError: no") < text.index("Results")
    assert "There are no files." in text
    assert "no round was finished" in text
    assert python_in(page) == []


@pytest.mark.parametrize(("letters", "shown"), [(80, ""), (99, "wide"), (131, "wider")])
def test_a_text_of_long_lines_is_written_smaller(tmp_path, letters, shown):
    class Wide(Average):
        def final_method(self, result, evaluations):
            return f"short\n{'x' * letters}\nshort"

    _, page = page_of(tmp_path, aggregator=Wide)
    assert re.findall(r"<pre tabindex=.0.( class=\"\w+\")?>short", page) == [
        shown and f' class="{shown}"'
    ]


def test_a_wide_table_is_parted(tmp_path):
    rows = [[str(i), *(f"{i}.{j}" for j in range(1, 19))] for i in range(3)]
    header = ["row", *(f"c{j}" for j in range(1, 19))]
    table = "\n".join(",".join(row) for row in [header, *rows])

    class Table19(Average):
        def final_method(self, result, evaluations):
            return table

    _, page = page_of(tmp_path, aggregator=Table19, filename=tmp_path / "wide.csv")
    parts = Report(page).table("wide.csv")
    heads = [row for row in parts if row[0] == "row"]
    assert [len(head) for head in heads] == [8, 8, 5]
    assert [cell for head in heads for cell in head[1:]] == header[1:]
    found = {row[0]: [] for row in rows}
    for row in parts:
        if row[0] in found:
            found[row[0]] += row[1:]
    assert found == {row[0]: row[1:] for row in rows}


def test_a_result_is_shown_once_where_the_folder_is_the_runs_own(tmp_path):
    folder = RunFolder(str(tmp_path), 7, report=True)
    record = RunRecord(result="41.5 years")
    folder.write_success(Outputs.declare("str", "mean.txt", False), record, {})
    page = (folder.path / "report.html").read_text()
    assert page.count("41.5 years") == page.count("mean.txt") == 1
