"""A report says what left the nodes, what was hidden and why, and what did not travel."""

import re

import pytest
from report_text import Report

from flame_flwr.results.report_methods import methods
from flame_flwr.results.report_sites import sent_beside, sites

from .reported_runs import RUNS, page_of
from .small_runs import Scalar

pytestmark = pytest.mark.usefixtures("undrawn")

MADE = ("node-0", "node-1", "node-2")

SIZES = [{"node-0": "list of 4"}, {"node-0": "3 files, 9 B; 12 people"}, {}]


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
def test_people_are_added_up_where_all_count(many, sizes, said):
    nodes = [f"n{i}" for i in range(len(sizes))]
    text = sites({**many[0], "nodes": nodes, "sizes": dict(zip(nodes, sizes, strict=True))})
    assert said in text
    assert ("data of" in text) == ("data of" in said)


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


def test_masked_sums_say_what_stayed(tmp_path):
    texts = {}
    for secure in (False, True):
        text = Report(page_of(tmp_path, **{**RUNS["secure sums"], "secure": secure})[1]).text
        texts[secure] = " ".join(text.split())
    assert "the server received what that returned" in texts[False]
    told = "seconds of analysis, what its filters did and how much data it has;"
    assert told in texts[False]
    assert "the server received the sum of what they returned" in texts[True]
    assert "its name and the versions of its software; a node that fails" in texts[True]


def test_nodes_words_are_among_what_they_sent(many):
    assert sent_beside({**many[0], "sizes": {}}).endswith(" and what its filters did")
    some = {**many[0], "sizes": {"node-1": "1 file, 2 B"}, "hospitals": dict.fromkeys(MADE, "A")}
    said = "how much data it has (1 of 3 did) and its hospital's name"
    assert sent_beside(some).endswith(said)


def test_simulated_data_is_not_called_files(many):
    said = [methods({**many[0], "run_id": "7", "sizes": sizes})[0] for sizes in SIZES]
    assert ["data were files" in " ".join(text) for text in said] == [False, True, True]
