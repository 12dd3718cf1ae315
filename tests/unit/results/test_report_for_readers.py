"""The report as somebody reads it who was not there: its order, its tables, its numbers."""

import re

import pytest
from report_text import Report

from flame_flwr.results import Outputs, RunFolder, RunRecord, plots
from flame_flwr.results.plots import metric_plots
from flame_flwr.results.report import render

from .reported_runs import page_of
from .small_runs import HARM, Average

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


def test_hospitals_have_the_names_they_give(many, tmp_path):
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


def test_plots_have_the_hospitals_real_names(monkeypatch):
    monkeypatch.setattr("flame_flwr.results.plots._svg", DRAWN)
    nodes = ["a", "b", "c"]
    metrics = {node: {"loss": 1.0} for node in nodes}
    history = [{"round": i, "node_metrics": metrics} for i in (1, 2)]
    hospitals = {"a": "Clinic", "b": "Clinic", "c": "St. Mary's"}
    [plot] = metric_plots(history, nodes, hospitals)
    labels = {text.strip() for text in re.findall("<!--(.*?)-->", plot.svg.decode())}
    assert {"Clinic (a)", "Clinic (b)", "St. Mary's"} <= labels


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


def test_a_result_is_shown_only_once(tmp_path):
    folder = RunFolder(str(tmp_path), 7, report=True)
    record = RunRecord(result="41.5 years")
    folder.write_success(Outputs.declare("str", "mean.txt", False), record, {})
    page = (folder.path / "report.html").read_text()
    assert page.count("41.5 years") == page.count("mean.txt") == 1
