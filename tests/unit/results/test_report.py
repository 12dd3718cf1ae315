"""What a report shows of an error and of the settings, and that it fits its window."""

import html
import json
import re
from pathlib import Path

import pytest

from flame_flwr.clients import StarClient
from flame_flwr.errors import NodeFailedError
from flame_flwr.results import report
from flame_flwr.results.report_tables import settings_table
from flame_flwr.star import StarAggregator, StarAnalyzer, StarModelTester


class Fails(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
        raise ValueError(f"no {data} <b>\n  and a second line")


class Sum(StarAggregator):
    def aggregation_method(self, analysis_results):
        return sum(analysis_results)

    def has_converged(self, result, last_result):
        return True


def failed(folder):
    """Return what `run.json` says of a run whose node shares its traceback, and the page."""
    with pytest.raises(NodeFailedError):
        StarModelTester(
            [2.0], Fails, Sum, "s3", filename=folder / "r.txt", report="on", client=StarClient
        )
    return json.loads((folder / "run.json").read_text()), (folder / "report.html").read_text()


def inside(page, pattern):
    """Return the only text of the page that a pattern finds, as a browser reads it."""
    [found] = re.findall(pattern, page, re.DOTALL)
    return html.unescape(found)


def test_a_traceback_stands_below_its_error(tmp_path):
    about, page = failed(tmp_path)
    said, _, trace = about["error"].partition("\n  Traceback (most recent call last):\n")
    assert said.startswith("NodeFailedError: node node-0 failed in round 1: ValueError at ")
    assert " and a second line\nThe node's own log has the details." in said
    assert trace.startswith("    File ")
    assert inside(page, '<p class="error">(.*?)</p>') == said
    shown = inside(
        page, '<details><summary>Traceback</summary><pre tabindex="0">(.*?)</pre></details>'
    )
    assert shown == f"  Traceback (most recent call last):\n{trace.rstrip()}"
    assert about["study"]["data"] == "s3"  # the record keeps the key
    assert "<td>data type</td><td>files</td>" in page


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ("", "")),
        ("ValueError: no", ("ValueError: no", "")),
        ("E: a\n\nno Traceback (most recent call last):", None),
        (
            "E: a\n  + Exception Group Traceback (most recent call last):\n  |   File",
            ("E: a", "  + Exception Group Traceback (most recent call last):\n  |   File"),
        ),
        (
            "E: a\nTraceback (most recent call last):\n1\nTraceback (most recent call last):\n2\n",
            (
                "E: a",
                "Traceback (most recent call last):\n1\nTraceback (most recent call last):\n2",
            ),
        ),
    ],
)
def test_where_a_traceback_begins(text, expected):
    assert report._error(text) == ((text, "") if expected is None else expected)


@pytest.mark.parametrize("tag", ["h3", "p", "figcaption", "pre", "summary"])
def test_a_long_name_is_broken_wherever_it_stands(tag):
    style = (Path(report.__file__).parent / "report.css").read_text()
    assert re.search(rf"^{tag} {{[^}}]*overflow-wrap: anywhere", style, re.MULTILINE)


def test_no_two_settings_have_one_name():
    study = {"analyzer": "A", "data": "s3", "strategy": "FirstNodes"}
    words = {**study, "strategy": "first nodes"}
    asked = {"strategy": "first-nodes", "data": ["d/{partition-id}"], "nodes": 3, "resume": ""}
    rows = settings_table({"study": study, "in_words": words, "parameters": asked}).rows
    assert rows == [
        ["analyzer", "A"],
        ["data type", "files"],
        ["strategy", "first nodes"],
        ["data", "d/{partition-id}"],
        ["nodes", "3"],
        ["strategy (asked for)", "first-nodes"],
    ]
