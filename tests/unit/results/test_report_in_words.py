"""A report says in words what was computed: no Python, no name of a class."""

import re
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

import numpy as np
import pytest
from report_text import Report, python_in

from flame_flwr.privacy.config_text import RULES
from flame_flwr.results.report import render
from flame_flwr.results.report_literals import literal_table
from flame_flwr.results.report_methods import RULES_IN_WORDS, methods
from flame_flwr.star import StarAnalyzer
from flame_flwr.statistics import Moments

from .reported_runs import RUNS, Counts, page_of, told
from .small_runs import Average, full_run

pytestmark = pytest.mark.usefixtures("undrawn")


@dataclass
class Stay:
    """A result of a class of the study's own."""

    n: int
    days: tuple


def test_a_paper_can_quote_the_methods(many):
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


def test_an_own_check_is_no_python(many):
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
def test_a_python_result_is_a_table(value, shown):
    assert [row[1] for row in literal_table(repr(value)).rows] == shown


@pytest.mark.parametrize(
    "text", ["{'a': datetime.date(2026, 13, 1)}", "{'a': datetime.date(10**9)}", "{'a': f(1)}"]
)
def test_what_is_no_value_stays_text(text):
    assert literal_table(text) is None


class Fails(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
        raise ValueError("no")


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


def test_a_generic_class_name_is_left_out(many, tmp_path):
    study = {"analyzer": "Analyzer", "data": "s3"}
    about = {**many[0], "study": study, "in_words": {"analyzer": "analyzer"}}
    about["heading"] = {"title": "", "description": "", "authors": []}
    text = Report(render(about, tmp_path, []).decode()).text
    assert "Report of A run, " in text
    assert "The analysis was federated" in text


@pytest.mark.parametrize("name", RUNS)
def test_no_report_is_written_in_python(tmp_path, name):
    _, page = page_of(tmp_path, **RUNS[name])
    assert python_in(page) == []


def test_a_failed_runs_report_begins_with_why(tmp_path):
    with pytest.raises(ValueError, match="no"):
        full_run(tmp_path, analyzer=Fails, title="Ages", tensorboard="off")
    page = (tmp_path / "report.html").read_text()
    text = Report(page).text
    assert text.index("failed") < text.index("ValueError: no") < text.index("Results")
    assert "There are no files." in text
    assert "no round was finished" in text
    assert python_in(page) == []
