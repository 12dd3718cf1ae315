"""The report: one file that shows the run, and what it says is so."""

import json
import re

from flame_flwr.star import StarAnalyzer, StarModel

from .small_runs import HARM, Average, Fits, Page, full_run, reported


def test_the_report_is_one_file_without_scripts(serve, tmp_path):
    model = StarModel(Fits, Average, "s3", simple_analysis=False, filename="mean.txt")
    serve(model, str(tmp_path / "results"), report="on")
    [folder] = (tmp_path / "results").iterdir()
    page = Page((folder / "report.html").read_text())
    tags = [tag for tag, _ in page.tags]
    assert not {"script", "iframe", "object", "link", "form"} & set(tags)
    policy = next(attrs["content"] for _, attrs in page.tags if "http-equiv" in attrs)
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'sha256-")
    for _, attrs in page.tags:
        assert attrs.get("src", "data:image/").startswith("data:image/")
        assert attrs.get("href", "#").startswith("#")
        assert not {"style", "srcset"} & attrs.keys()
        assert not [name for name in attrs if name.startswith("on")]
    for shown in ("Fits", "average", "node-0", "node-1", "mean.txt", HARM, "max-rounds"):
        assert (shown in page.text) == (shown != "max-rounds"), shown
    assert "array of 2 numbers" in page.text
    assert "a check that the study has of its own said so" in page.text
    about = json.loads((folder / "run.json").read_text())
    assert "report.html" in [file["name"] for file in about["other_files"]]


def test_a_report_that_fails_ends_no_run(tmp_path, monkeypatch, caplog):
    def fails(*args):
        raise RuntimeError("no such font")

    monkeypatch.setattr("flame_flwr.results.report.render", fails)
    full_run(tmp_path)
    assert "report.html could not be written (RuntimeError: no such font)" in caplog.text
    assert json.loads((tmp_path / "run.json").read_text())["status"] == "completed"


def test_plots_leave_matplotlibs_settings_alone(tmp_path):
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    full_run(tmp_path, [2.0] * 12)
    assert dict(mpl.rcParams) == before
    assert (tmp_path / "report.html").read_text().count("data:image/svg+xml") == 3


def test_metrics_of_the_first_round_only_are_there(tmp_path):
    class Once(StarAnalyzer):
        def analysis_method(self, data, aggregator_results):
            if aggregator_results is None:
                self.flame.report_metrics(loss=data)
            return data

    page = reported(tmp_path, Once, [2.0, 4.0])
    assert "The nodes reported none." not in page.text
    assert "In the last round, 3, the nodes reported none." in page.text
    assert "loss, every round" in page.text


def test_metrics_that_are_not_shown_are_told(tmp_path):
    class Many(StarAnalyzer):
        def analysis_method(self, data, aggregator_results):
            numbers = {f"m{i}": float(i + data) for i in range(99)}
            self.flame.report_metrics(loss=float("nan") if data == 4.0 else 1.0, **numbers)
            return data

    page = reported(tmp_path, Many, [2.0, 4.0])
    assert "node-1 reported no finite number of it, and has no line." in page.text
    assert "92 more metrics are not plotted." in page.text
    assert "The tables show the first 20 of 100 metrics; history.csv has all of them." in page.text
    assert "80 more metrics are in run.json." in page.text


def test_a_round_without_a_number_is_a_gap(tmp_path):
    from flame_flwr.results.plots import metric_plots

    history = [
        {"round": i, "node_metrics": {"a": {"loss": 1.0}} if i != 3 else {}} for i in range(1, 6)
    ]
    [gap] = metric_plots(history, ["a"])
    whole = [{"round": i, "node_metrics": {"a": {"loss": 1.0}}} for i in range(1, 6)]
    [full] = metric_plots(whole, ["a"])
    line = re.compile(rb'id="line2d_\d+">\s*<path d="([^"]*)" clip-path[^>]*stroke: #1f77b4')
    assert line.search(gap.svg)[1].count(b"M") == 2
    assert line.search(full.svg)[1].count(b"M") == 1


def test_a_long_line_ends_where_the_run_did():
    from flame_flwr.results.plots import run_figure

    history = [{"round": i, "change": 1.0, "node_metrics": {}} for i in range(1, 4003)]
    figure = run_figure(history, [])
    [line] = figure.subfigs[0].axes[0].get_lines()
    assert len(line.get_xdata()) == 2001
    assert line.get_xdata()[-1] == 4002


def test_the_ticks_of_a_log_axis_are_text():
    from flame_flwr.results.plots import convergence_plot

    history = [{"round": i, "change": 100 * 0.1**i} for i in range(1, 7)]
    svg = convergence_plot(history).svg.decode()
    ticks = [text.strip() for text in re.findall("<!--(.*?)-->", svg)]
    assert {"10", "1", "0.1", "0.001"} <= set(ticks)
    assert not [text for text in ticks if "$" in text or "\\" in text]


def test_tables_of_many_nodes_are_cut(tmp_path):
    page = reported(tmp_path, Fits, [1.0] * 300)
    assert "200 more rows are in run.json." in page.text
    assert "<td>node-250</td>" not in (tmp_path / "report.html").read_text()
