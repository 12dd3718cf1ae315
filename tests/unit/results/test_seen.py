"""What is written beside the results to be looked at: events for TensorBoard, report.html."""

import hashlib
import importlib.util
import io
import json
import os
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from flame_flwr.aggregation import Convergence, DeltaNorm, MaxRounds, StarAggregation
from flame_flwr.clients import NodePlan, StarClient
from flame_flwr.config import RunSettings
from flame_flwr.engine.local import run_local
from flame_flwr.engine.local_grid import LocalGrid
from flame_flwr.errors import ConfigError, NodeFailedError, NotConvergedError
from flame_flwr.metrics import mean
from flame_flwr.privacy import TopFraction
from flame_flwr.progress import Bar
from flame_flwr.results.events import Tags
from flame_flwr.results.extras import Extras
from flame_flwr.results.handed import hand_over
from flame_flwr.results.inline import inline
from flame_flwr.results.record import RunRecord
from flame_flwr.results.watch import Watcher, watching
from flame_flwr.sizes import shown_size
from flame_flwr.star import StarAggregator, StarAnalyzer, StarModel, StarModelTester
from flame_flwr.star.script import run_script
from flame_flwr.strategies import StarStrategy

HARM = "<script>alert(1)</script>"


class Fits(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
        loss = data / (1 + self.num_iterations)
        self.flame.report_metrics({"loss": loss, HARM: 1.0})
        return np.array([loss, data])

    def evaluation_method(self, data, result):
        return {"auc": data / 8}


class Average(StarAggregator):
    def aggregation_method(self, analysis_results):
        return np.mean(analysis_results, axis=0)

    def has_converged(self, result, last_result):
        return self.num_iterations >= 2


class Scalar(Average):
    def aggregation_method(self, analysis_results):
        return float(np.mean(analysis_results))


class Never(Average):
    def has_converged(self, result, last_result):
        return False


def events(folder):
    """Return what TensorBoard reads: (step, value) by tag."""
    accumulators = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    read = accumulators.EventAccumulator(str(folder / "tensorboard"))
    read.Reload()
    return {
        tag: [(event.step, event.value) for event in read.Scalars(tag)]
        for tag in read.Tags()["scalars"]
    }


@pytest.fixture
def serve(tmp_path, context):
    """Run a model's ServerApp; return the folder with its runs, as `results` names it."""

    def start(model, results, **config):
        node = context(run_config={"results": results, **config})
        plan = NodePlan(model.plan.analyzer, data_type="s3")
        with LocalGrid(plan, [2.0, 4.0]) as grid:
            model.server_app(grid, node)

    return start


# ---- events ---------------------------------------------------------------------------------


def test_tensorboard_reads_what_the_line_says(tmp_path):
    tester = StarModelTester(
        [2.0, 4.0],
        Fits,
        Average,
        "s3",
        simple_analysis=False,
        filename=tmp_path / "r.txt",
        tensorboard="on",
    )
    read = events(tmp_path)
    for node, data in (("node-0", 2.0), ("node-1", 4.0)):
        expected = [(number + 1, pytest.approx(data / (1 + number))) for number in range(3)]
        assert read[f"loss/{node}"] == expected
        assert read[f"evaluation/auc/{node}"] == [(3, pytest.approx(data / 8))]
    assert read["mean/loss"] == [
        (number + 1, pytest.approx(3 / (1 + number))) for number in range(3)
    ]
    assert [value for _, value in read["round/nodes"]] == [2.0] * 3
    changes = [pytest.approx(entry.change) for entry in tester.record.history[1:]]
    assert [value for _, value in read["round/change"]] == changes
    assert {"round/seconds", "round/bytes"} <= read.keys()
    assert not [tag for tag in read if "<" in tag]


def test_a_second_run_into_a_folder_replaces_the_events_of_the_first(tmp_path):
    (tmp_path / "tensorboard").mkdir()
    (tmp_path / "tensorboard" / "events.out.tfevents.1.mine").write_bytes(b"")
    for _ in range(2):
        StarModelTester([2.0], Fits, Average, "s3", filename=tmp_path / "r.txt", tensorboard="on")
    assert len(events(tmp_path)["loss/node-0"]) == 1
    assert len(list((tmp_path / "tensorboard").iterdir())) == 2


def test_a_run_whose_events_cannot_be_written_goes_on(tmp_path, caplog):
    (tmp_path / "tensorboard").write_text("a file in the way")
    tester = StarModelTester(
        [2.0], Fits, Average, "s3", filename=tmp_path / "r.txt", tensorboard="on"
    )
    assert tester.rounds == 1
    assert caplog.text.count("the events for TensorBoard cannot be written") == 1


def test_events_and_report_go_to_an_object_store_with_the_results(serve, object_store):
    model = StarModel(Fits, Average, "s3", simple_analysis=False)
    serve(model, object_store.url, report="on", tensorboard="on")
    [folder] = (object_store.bucket / "results").iterdir()
    assert [step for step, _ in events(folder)["loss/node-0"]] == [1, 2, 3]
    about = json.loads((folder / "run.json").read_text())
    names = {file["name"] for file in about["other_files"]}
    assert {"history.csv", "report.html"} <= names
    assert any(name.startswith("tensorboard/events.out.tfevents.") for name in names)


# ---- what is asked for ----------------------------------------------------------------------


@pytest.mark.parametrize("extra", ["report", "tensorboard"])
def test_what_is_asked_for_and_not_installed_is_an_error_that_says_what_to_install(
    extra, tmp_path, monkeypatch, serve
):
    missing = {"report": "jinja2", "tensorboard": "tensorboardX"}[extra]
    find = importlib.util.find_spec
    monkeypatch.setattr(
        "flame_flwr.results.extras.find_spec", lambda name: None if name == missing else find(name)
    )
    message = rf"`{extra}` .* is \"on\", and {missing} is not installed.*flame-flwr\[{extra}\]"
    with pytest.raises(ConfigError, match=message):
        serve(StarModel(Fits, Average, "s3"), str(tmp_path), **{extra: "on"})
    assert list(tmp_path.iterdir()) == []  # before anything
    serve(StarModel(Fits, Average, "s3"), str(tmp_path), **{extra: "auto"})
    assert len(list(tmp_path.iterdir())) == 1
    with pytest.raises(ConfigError, match=r"is \"auto\", \"on\" or \"off\", not 'yes'"):
        Extras.of(**{"report": "off", "tensorboard": "off", extra: "yes"})


def test_a_quiet_tester_writes_no_report_of_itself(tmp_path, monkeypatch):
    monkeypatch.setattr("flame_flwr.results.extras.by_default", lambda extra: True)
    StarModelTester([2.0], Fits, Average, "s3", filename=tmp_path / "r.txt")
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"r.txt", "history.csv", "run.json"}
    StarModelTester([2.0], Fits, Average, "s3", filename=tmp_path / "r.txt", quiet=False)
    assert {path.name for path in tmp_path.iterdir()} == names | {"report.html", "tensorboard"}


def test_a_tester_leaves_files_alone_that_no_run_wrote(tmp_path, caplog):
    (tmp_path / "history.csv").write_text("my own")
    StarModelTester([2.0], Fits, Average, "s3", filename=tmp_path / "r.txt", report="on")
    assert (tmp_path / "history.csv").read_text() == "my own"
    assert {path.name for path in tmp_path.iterdir()} == {"r.txt", "history.csv"}
    assert "no run wrote the history.csv that is there" in caplog.text


def test_the_rounds_of_a_run_that_failed_are_there_too(tmp_path):
    with pytest.raises(NotConvergedError):
        StarModelTester(
            [2.0],
            Fits,
            Never,
            "s3",
            simple_analysis=False,
            filename=tmp_path / "r.txt",
            max_rounds=3,
            report="on",
            tensorboard="on",
        )
    lines = (tmp_path / "history.csv").read_text().splitlines()
    assert len(lines) == 4
    assert json.loads((tmp_path / "run.json").read_text())["status"] == "failed"
    page = (tmp_path / "report.html").read_text()
    assert "NotConvergedError" in page
    assert len(events(tmp_path)["loss/node-0"]) == 3


# ---- the report -----------------------------------------------------------------------------


class Page(HTMLParser):
    """The tags of a page, and its text."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


def test_the_report_is_one_file_without_scripts_that_shows_the_run(serve, tmp_path):
    model = StarModel(
        Fits, Average, "s3", simple_analysis=False, analyzer_kwargs=None, filename="mean.txt"
    )
    serve(model, str(tmp_path / "results"), report="on")
    [folder] = (tmp_path / "results").iterdir()
    page = Page((folder / "report.html").read_text())
    tags = [tag for tag, _ in page.tags]
    assert not {"script", "iframe", "object", "link", "form", "a"} & set(tags)
    policy = next(attrs["content"] for _, attrs in page.tags if "http-equiv" in attrs)
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'sha256-")
    for _, attrs in page.tags:
        assert attrs.get("src", "data:image/").startswith("data:image/")
        assert not {"href", "style", "srcset"} & attrs.keys()
        assert not [name for name in attrs if name.startswith("on")]
    for shown in ("Fits", "Average", "node-0", "node-1", "mean.txt", HARM, "max-rounds"):
        assert (shown in page.text) == (shown != "max-rounds"), shown
    assert "ndarray float64 (2,)" in page.text
    assert "has_converged returned True" in page.text
    about = json.loads((folder / "run.json").read_text())
    assert "report.html" in [file["name"] for file in about["other_files"]]


def test_a_report_that_cannot_be_made_fails_no_run(tmp_path, monkeypatch, caplog):
    def fails(*args):
        raise RuntimeError("no such font")

    monkeypatch.setattr("flame_flwr.results.report.render", fails)
    StarModelTester([2.0], Fits, Average, "s3", filename=tmp_path / "r.txt", report="on")
    assert "report.html could not be written (RuntimeError: no such font)" in caplog.text
    assert json.loads((tmp_path / "run.json").read_text())["status"] == "completed"


def test_plots_are_those_of_matplotlibs_defaults_and_leave_its_settings_alone(tmp_path):
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    StarModelTester(
        [2.0] * 12,
        Fits,
        Average,
        "s3",
        simple_analysis=False,
        filename=tmp_path / "r.txt",
        report="on",
    )
    assert dict(mpl.rcParams) == before
    assert (tmp_path / "report.html").read_text().count("data:image/svg+xml") == 3


# ---- files in it ----------------------------------------------------------------------------


def image(kind):
    found = io.BytesIO()
    Image.new("RGB", (40, 30), "red").save(found, kind)
    return found.getvalue()


IMAGES = {kind: image(kind) for kind in ("png", "jpeg", "gif", "webp")}
PNG = IMAGES["png"]
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><g/></svg>'


def shown(tmp_path, **files):
    paths = []
    for name, content in files.items():
        path = tmp_path / name.replace("__", ".")
        path.write_bytes(content)
        paths.append(path)
    return {file.name: file for file in inline(tmp_path, paths)}


def test_files_are_shown_as_what_they_are(tmp_path):
    files = shown(
        tmp_path,
        table__csv=b'a,b\n1,"x,y"\n',
        tabs__tsv=b"a\tb\n1\t2\n",
        one_column__csv=b"just\ntext\n",
        data__json=b'{"a":[1,2]}',
        broken__json=b"{",
        note=b"text\n",
        picture=PNG,
        drawing__svg=SVG,
        model__pkl=b"\x80\x04\x95\x00\x00",
        latin__txt="\xe4".encode("latin-1"),
    )
    assert {name: file.kind for name, file in files.items()} == {
        "table.csv": "table",
        "tabs.tsv": "table",
        "one_column.csv": "text",
        "data.json": "text",
        "broken.json": "text",
        "note": "text",
        "picture": "image",
        "drawing.svg": "image",
        "model.pkl": "none",
        "latin.txt": "none",
    }
    assert files["table.csv"].rows == [["a", "b"], ["1", "x,y"]]
    assert files["data.json"].text == '{\n  "a": [\n    1,\n    2\n  ]\n}'
    assert files["picture"].image.startswith("data:image/png;base64,")
    assert "open it elsewhere" in files["model.pkl"].note


def test_broken_images_are_told_of(tmp_path):
    whole = shown(tmp_path, **{f"image_{kind}": image for kind, image in IMAGES.items()})
    assert {file.kind for file in whole.values()} == {"image"}
    cut = {f"cut_{kind}": image[:-30] for kind, image in IMAGES.items()}
    entity = b'<!DOCTYPE svg [<!ENTITY a "aa">]>' + SVG
    files = shown(
        tmp_path,
        cut__svg=SVG[:-3],
        other__svg=b"<svg/>",
        entity__svg=entity,
        wrong__png=PNG.replace(b"IDAT", b"IDAU"),
        **cut,
    )
    assert {file.kind for file in files.values()} == {"none"}
    assert all("cannot be shown" in file.note for file in files.values())


def test_large_files_are_cut_and_large_images_left_out(tmp_path):
    table = io.StringIO()
    for row in range(200):
        table.write(",".join(f"{row}-{column}" + "x" * 300 for column in range(30)) + "\n")
    files = shown(
        tmp_path,
        table__csv=table.getvalue().encode(),
        text__txt="ä".encode() * 500_000,
        picture__png=b"\x89PNG\r\n\x1a\n" + b"." * 3_000_000,
    )
    cells = [cell for row in files["table.csv"].rows for cell in row]
    assert len(files["table.csv"].rows) <= 51
    assert max(map(len, files["table.csv"].rows)) == 20
    assert max(map(len, cells)) <= 203
    assert re.fullmatch("ä{20000}", files["text.txt"].text)
    assert "beginning" in files["text.txt"].note
    assert files["picture.png"].kind == "none"
    assert "too large" in files["picture.png"].note


@pytest.mark.parametrize("note", ["x" * 1767, '"' + "x\n" * 883 + 'x"'], ids=["plain", "quoted"])
@pytest.mark.parametrize("shift", [0, 4, 9, 900])
def test_no_half_read_line_is_a_row_of_a_table(tmp_path, note, shift):
    header = "n" * (shift + 1)
    content = f"{header},value\n" + f"{note},123456789\n" * 100
    file = shown(tmp_path, table__csv=content.encode())["table.csv"]
    assert file.kind == "table"
    assert len(file.rows) > 40
    assert {len(row) for row in file.rows} == {2}
    assert {row[1] for row in file.rows[1:]} == {"123456789"}
    assert f"These are {len(file.rows) - 1} rows" in file.note


def test_of_a_line_that_is_not_read_whole_there_is_no_table(tmp_path):
    content = "a,b\n1," + "2" * 200_000 + "\n"
    file = shown(tmp_path, table__csv=content.encode())["table.csv"]
    assert (file.kind, file.text) == ("text", content[:20_000])
    assert "beginning" in file.note


def test_the_frameworks_own_files_and_what_is_too_many_are_not_shown(tmp_path):
    names = {f"f{i}": b"x" for i in range(45)}
    files = shown(tmp_path, history__csv=b"a,b\n1,2\n", rescue__pkl=b"x", **names)
    assert "history.csv" not in files
    assert len(files) == 41
    assert files[""].note == "5 more files are in the run's folder."


# ---- showing ends no run --------------------------------------------------------------------


def constant(number):
    """Return an analyzer that reports a number, and scores the result with it."""

    class Reports(StarAnalyzer):
        def analysis_method(self, data, aggregator_results):
            self.flame.report_metrics({"loss": number, "steady": 1.0 + data})
            return data

        def evaluation_method(self, data, result):
            return {"auc": number}

    return Reports


@pytest.mark.parametrize("number", [1.5e308, -1.7e308, 2**62])
def test_numbers_whose_sum_is_too_large_end_no_run(tmp_path, number, monkeypatch):
    bar = Bar(Console(file=io.StringIO(), force_terminal=True))
    monkeypatch.setattr("flame_flwr.star.tester.bars", lambda: [bar])
    tester = StarModelTester(
        [2.0, 4.0],
        constant(number),
        Average,
        "s3",
        simple_analysis=False,
        filename=tmp_path / "r.txt",
        report="on",
        tensorboard="on",
        quiet=False,
    )
    assert tester.converged
    assert json.loads((tmp_path / "run.json").read_text())["status"] == "completed"
    assert {path.name for path in tmp_path.iterdir()} >= {"report.html", "tensorboard"}
    assert mean([number] * 3) == number
    assert mean([1.7e308, -1.7e308, 1.7e308]) == pytest.approx(1.7e308 / 3)


def test_a_watcher_that_fails_is_left_out_and_the_run_goes_on(caplog):
    class Breaks(Watcher):
        def __init__(self):
            self.told = []

        def answered(self, node):
            self.told.append(node)
            raise BrokenPipeError("no terminal")

        def close(self):
            self.told.append("closed")

    record, breaks, counts = RunRecord(), Breaks(), Watcher()
    strategy = StarStrategy(Average)
    plan = NodePlan(Fits, data_type="s3")
    with watching(record, breaks, counts):
        run_local(strategy, plan, [2.0, 4.0], RunSettings.from_config({}), record, True)
        assert record.watchers == [counts]
    assert breaks.told == ["node-0", "closed", "closed"]
    assert caplog.text.count("Breaks failed (BrokenPipeError: no terminal)") == 1
    assert len(record.history) == 1


def test_extreme_metrics_cost_their_plot_and_no_more(tmp_path):
    class Swings(Fits):
        def analysis_method(self, data, aggregator_results):
            sign = 1 if self.num_iterations % 2 else -1
            self.flame.report_metrics(wild=sign * 1.7e308, loss=data / (1 + self.num_iterations))
            return data

    StarModelTester(
        [2.0, 4.0],
        Swings,
        Average,
        "s3",
        simple_analysis=False,
        filename=tmp_path / "r.txt",
        report="on",
    )
    page = Page((tmp_path / "report.html").read_text())
    plots = [attrs.get("alt") for tag, attrs in page.tags if tag == "img"]
    assert "loss per round and node" in plots
    assert "wild per round and node" not in plots
    assert "wild is not plotted" in page.text


# ---- what the report says is so -------------------------------------------------------------


def reported(tmp_path, analyzer, splits, aggregator=Average, **kwargs):
    """Run, and return the page."""
    StarModelTester(
        splits,
        analyzer,
        aggregator,
        "s3",
        simple_analysis=False,
        filename=tmp_path / "r.txt",
        report="on",
        **kwargs,
    )
    return Page((tmp_path / "report.html").read_text())


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


def test_many_metrics_and_a_node_without_a_number_are_told_of(tmp_path):
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


def test_the_ticks_of_a_log_axis_are_text():
    from flame_flwr.results.plots import convergence_plot

    history = [{"round": i, "change": 100 * 0.1**i} for i in range(1, 7)]
    svg = convergence_plot(history).svg.decode()
    ticks = [text.strip() for text in re.findall("<!--(.*?)-->", svg)]
    assert {"10", "1", "0.1", "0.001"} <= set(ticks)
    assert not [text for text in ticks if "$" in text or "\\" in text]


def test_the_report_of_a_private_run_says_why_it_shows_no_change(tmp_path):
    page = reported(tmp_path, Fits, [2.0, 4.0], Scalar, epsilon=1.0, sensitivity=1.0)
    assert "not shown of a private run" in page.text
    assert "one round only" not in page.text
    assert "The nodes reported none." not in page.text


def test_tables_of_many_nodes_are_cut(tmp_path):
    page = reported(tmp_path, Fits, [1.0] * 300)
    assert "200 more rows are in run.json." in page.text
    assert "<td>node-250</td>" not in (tmp_path / "report.html").read_text()


# ---- private runs ---------------------------------------------------------------------------


class Shrinks(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
        return data / (3 + self.num_iterations)


class Means(Scalar):
    has_converged = Never.has_converged


class Own(Convergence):
    def check(self, number, aggregate, last):
        return f"it is {aggregate!r}" if number > 2 else None


def told(aggregate, last):
    return f"it is {aggregate!r}"


@pytest.mark.parametrize(
    ("convergence", "reason"),
    [
        (DeltaNorm(None, tol=0.9), "DeltaNorm(key=None, tol=0.9, ord=2.0) said so"),
        (
            DeltaNorm(None, tol=0.9) & MaxRounds(3) | MaxRounds(9),
            "DeltaNorm(key=None, tol=0.9, ord=2.0) said so and MaxRounds(rounds=3) said so",
        ),
        (Own(), "Own said so"),
        (told, "When(told) said so"),
    ],
)
def test_a_private_run_says_what_stopped_it_and_no_exact_figure(
    tmp_path, convergence, reason, caplog
):
    caplog.set_level("INFO", "flame_flwr")
    exact = [float(np.mean([16.1717 / (3 + i), 4.3131 / (3 + i)])) for i in range(3)]
    page = reported(
        tmp_path,
        Shrinks,
        [16.1717, 4.3131],
        Means,
        convergence=convergence,
        epsilon=1.0,
        sensitivity=1.0,
        quiet=False,
    )
    about = json.loads((tmp_path / "run.json").read_text())
    assert about["reason"] == about["history"][-1]["reason"] == reason
    history = (tmp_path / "history.csv").read_text()
    assert reason.split(",")[0] in history
    assert f": {reason}" in caplog.text
    measured = [*exact, *map(abs, np.diff(exact))]
    for text in (history, page.text, caplog.text, json.dumps(about)):
        assert not [number for number in measured if repr(float(number))[:8] in text]
        assert "changed by" not in text
        assert not re.search(r"it is \d", text)


def test_an_aggregation_of_ones_own_says_nothing_exact_of_a_private_run(tmp_path):
    class Says(StarAggregation):
        def finish(self):
            return super().finish()._replace(converged=True, reason="the mean is 3.4")

    class Made(StarStrategy):
        def make_aggregation(self, flame, nodes, simple_analysis):
            return Says(Scalar(flame), nodes, simple_analysis)

    StarModelTester(
        [2.0, 4.0],
        Shrinks,
        Made(Scalar),
        "s3",
        filename=tmp_path / "r.txt",
        epsilon=1.0,
        sensitivity=1.0,
    )
    about = json.loads((tmp_path / "run.json").read_text())
    assert about["reason"] == "the aggregation said so"


# ---- files of an earlier run ----------------------------------------------------------------


def listed(folder):
    return {file["name"] for file in json.loads((folder / "run.json").read_text())["other_files"]}


def full_run(folder, **kwargs):
    return StarModelTester(
        [2.0, 4.0],
        Fits,
        Average,
        "s3",
        simple_analysis=False,
        filename=folder / "r.txt",
        report="on",
        tensorboard="on",
        **kwargs,
    )


def below(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_nothing_exact_of_an_earlier_run_stays_beside_a_private_one(tmp_path):
    full_run(tmp_path)
    assert {"history.csv", "report.html"} < listed(tmp_path) < below(tmp_path)
    (tmp_path / "tensorboard" / "events.mine").write_bytes(b"")
    StarModelTester(
        [2.0, 4.0],
        Shrinks,
        Scalar,
        "s3",
        filename=tmp_path / "r.txt",
        epsilon=1.0,
        sensitivity=1.0,
        report="off",
        tensorboard="off",
    )
    assert below(tmp_path) == {"r.txt", "history.csv", "run.json", "tensorboard/events.mine"}
    assert listed(tmp_path) == {"history.csv"}


class Fails(Fits):
    error: type[BaseException] = ValueError

    def analysis_method(self, data, aggregator_results):
        raise self.error("boom")


class Interrupted(Fails):
    error = KeyboardInterrupt


@pytest.mark.parametrize(("analyzer", "error"), [(Fails, ValueError), (Interrupted, BaseException)])
def test_a_run_that_ends_in_round_1_leaves_its_own_record_and_not_the_one_before(
    tmp_path, analyzer, error
):
    full_run(tmp_path)
    with pytest.raises(error):
        StarModelTester([2.0], analyzer, Average, "s3", filename=tmp_path / "r.txt")
    about = json.loads((tmp_path / "run.json").read_text())
    assert (about["status"], about["rounds"]) == ("failed", 0)
    assert below(tmp_path) == {"r.txt", "history.csv", "run.json"}
    assert len((tmp_path / "history.csv").read_text().splitlines()) == 1


def test_a_private_run_of_a_script_that_fails_leaves_nothing_of_the_one_before(tmp_path):
    script = tmp_path / "study.py"
    script.write_text(
        "from flame_flwr.star import StarAggregator, StarAnalyzer, StarLocalDPModel\n"
        "class A(StarAnalyzer):\n"
        "    def analysis_method(self, data, aggregator_results):\n"
        "        raise ValueError('boom')\n"
        "class B(StarAggregator):\n"
        "    def aggregation_method(self, analysis_results):\n"
        "        return 1.0\n"
        "    def has_converged(self, result, last_result):\n"
        "        return True\n"
        "StarLocalDPModel(A, B, 'none', epsilon=1.0, sensitivity=1.0)\n"
    )
    results = tmp_path / "results"
    full_run(results)
    with pytest.raises(ValueError, match="boom"):
        run_script(script, nodes=2, results=results)
    assert below(results) == {"r.txt", "history.csv", "run.json"}


def test_a_file_that_run_json_does_not_name_is_somebodys(tmp_path, caplog):
    full_run(tmp_path)
    about = json.loads((tmp_path / "run.json").read_text())
    about["other_files"] = []
    (tmp_path / "run.json").write_text(json.dumps(about))
    (tmp_path / "history.csv").write_text("my own")
    StarModelTester([2.0], Fits, Average, "s3", filename=tmp_path / "r.txt")
    assert (tmp_path / "history.csv").read_text() == "my own"
    assert "no run wrote the history.csv and report.html that is there" in caplog.text


# ---- where a run failed ---------------------------------------------------------------------


class FailsLate(Fits):
    error: type[BaseException] = ValueError

    def analysis_method(self, data, aggregator_results):
        if self.num_iterations == 2 and data == 4.0:
            raise self.error("it is 3.4")
        return super().analysis_method(data, aggregator_results)


class InterruptedLate(FailsLate):
    error = KeyboardInterrupt


def failed(tmp_path, analyzer, **kwargs):
    with pytest.raises(BaseException, match="it is") as raised:
        reported(tmp_path, analyzer, [2.0, 4.0], **kwargs)
    assert raised.type is analyzer.error
    page = Page((tmp_path / "report.html").read_text())
    return json.loads((tmp_path / "run.json").read_text()), page.text


def test_record_and_report_say_where_a_run_in_this_process_failed(tmp_path):
    about, page = failed(tmp_path, FailsLate)
    error = "ValueError: it is 3.4 (in node-1, round 3)"
    assert about["error"] == error
    [failure] = about["failures"]
    assert (failure["round"], failure["node"]) == (3, "node-1")
    assert re.fullmatch(
        r"ValueError at test_seen.py:\d+ in analysis_method: it is 3.4", failure["why"]
    )
    assert error in page
    assert f"round 3: {failure['why']}" in page


def test_what_left_in_a_round_that_failed_is_counted_as_sent(tmp_path):
    about, page = failed(tmp_path, FailsLate)
    assert len(about["history"]) == 2
    left = about["left"]["node-0"]
    assert [kind["answers"] for kind in left] == [3, 3]
    assert shown_size(sum(kind["bytes"] for kind in left)) in page


def test_the_result_of_an_earlier_run_beside_a_failed_one_is_told_of(tmp_path, caplog):
    reported(tmp_path, Fits, [2.0, 4.0])
    os.utime(tmp_path / "r.txt", (0, 0))
    failed(tmp_path, FailsLate)
    assert f"of an earlier run, and not of this one: {tmp_path / 'r.txt'}" in caplog.text
    (tmp_path / "r.txt").unlink()
    caplog.clear()
    failed(tmp_path, FailsLate)
    assert "of an earlier run" not in caplog.text


def test_two_filters_of_one_kind_are_told_apart(tmp_path):
    filters = [TopFraction(0.25), TopFraction(0.5)]
    page = reported(tmp_path, Fits, [2.0, 4.0], filters=filters)
    for node in ("node-0", "node-1"):
        for fraction in ("0.25", "0.5"):
            assert f"{node}TopFraction(fraction={fraction})analysis3\n" in page.text


def test_of_a_private_run_only_the_place_of_an_error_is_said(tmp_path):
    private = {"aggregator": Never, "epsilon": 1.0, "sensitivity": 1.0}
    about, page = failed(tmp_path, FailsLate, **private)
    assert about["error"] == "ValueError (in node-1, round 3)"
    assert about["failures"][0]["why"].startswith("ValueError at test_seen.py:")
    assert "3.4" not in json.dumps(about["failures"]) + page


def test_of_a_private_run_no_text_that_a_node_shares_is_written(tmp_path):
    with pytest.raises(NodeFailedError, match="node node-1 failed in round 3: ValueError at"):
        reported(
            tmp_path,
            FailsLate,
            [2.0, 4.0],
            Never,
            epsilon=1.0,
            sensitivity=1.0,
            client=StarClient,
        )
    about = json.loads((tmp_path / "run.json").read_text())
    assert about["failures"][0]["why"].startswith("ValueError at test_seen.py:")
    assert "it is" not in about["error"] + json.dumps(about["failures"])


def test_ctrl_c_is_said_in_words(tmp_path):
    about, page = failed(tmp_path, InterruptedLate)
    error = "KeyboardInterrupt: stopped by Ctrl-C (in node-1, round 3)"
    assert about["error"] == error
    assert error in page
    assert about["failures"] == []


def test_a_node_that_fails_the_evaluation_is_in_the_record(tmp_path):
    class FailsScores(Fits):
        error = ValueError

        def evaluation_method(self, data, result):
            raise ValueError("it is lost")

    about, page = failed(tmp_path, FailsScores)
    assert about["error"] == "ValueError: it is lost (in node-0, evaluation)"
    assert about["failures"][0]["why"].startswith("evaluation: ValueError at test_seen.py:")
    assert "round 3: evaluation: ValueError" in page


def test_what_is_handed_over_names_what_the_user_asked_for(serve, tmp_path):
    model = StarModel(Fits, Average, "s3", simple_analysis=False, filename="mean.txt")
    serve(model, str(tmp_path / "runs"), report="on", tensorboard="on")
    [folder] = (tmp_path / "runs").iterdir()
    target = tmp_path / "results"
    full_run(target)
    asked = {"results": "what/the user asked for", "data": ["patients"]}
    assert hand_over(folder, target, asked) == [target / "mean.txt"]
    about = json.loads((target / "run.json").read_text())
    assert about["parameters"]["results"] == asked["results"]
    page = Page((target / "report.html").read_text())
    assert asked["results"] in page.text
    assert str(tmp_path) not in page.text
    assert "mean.txt" in page.text
    assert below(target) == listed(target) | {"mean.txt", "r.txt", "run.json"}
    for file in about["other_files"]:
        content = (target / file["name"]).read_bytes()
        assert file["sha256"] == hashlib.sha256(content).hexdigest()


# ---- tags, flushing, what is no number ------------------------------------------------------


def test_no_two_numbers_share_a_tag(tmp_path):
    class Collides(Fits):
        def analysis_method(self, data, aggregator_results):
            self.flame.report_metrics({"a b": 1, "a_b": 2, "mean": 3, "evaluation/auc": 4})
            return data

        def evaluation_method(self, data, result):
            return {"auc": 5, "mean": 6}

    StarModelTester(
        [2.0, 4.0], Collides, Average, "s3", filename=tmp_path / "r.txt", tensorboard="on"
    )
    found = {tag: value for tag, [(_, value)] in events(tmp_path).items()}
    assert {tag: value for tag, value in found.items() if "/node-0" in tag} == {
        "a_b/node-0": 1,
        "a_b_2/node-0": 2,
        "metric/mean/node-0": 3,
        "metric/evaluation/auc/node-0": 4,
        "evaluation/auc/node-0": 5,
        "evaluation/mean/node-0": 6,
    }
    assert {tag: value for tag, value in found.items() if "mean/" in tag and "node" not in tag} == {
        "mean/a_b": 1,
        "mean/a_b_2": 2,
        "mean/mean": 3,
        "mean/evaluation/auc": 4,
        "evaluation/mean/auc": 5,
        "evaluation/mean/mean": 6,
    }


def test_names_made_to_share_a_tag_do_not():
    tags = Tags()
    given = [
        tags.of("metric", name, node)
        for name, node in [("a", "b/c"), ("a/b", "c"), ("/a", "b/c"), ("a", "b c"), ("a", "b_c")]
    ]
    assert given == ["a/b/c", "a/b/c_2", "a_2/b/c", "a/b_c", "a/b_c_2"]
    assert tags.of("metric", "a/b", "c") == "a/b/c_2"


@pytest.mark.parametrize("number", [float("nan"), float("inf"), 1.5e308])
def test_what_is_no_number_is_written_without_a_word_to_the_log(tmp_path, number, caplog, capfd):
    StarModelTester(
        [2.0], constant(number), Average, "s3", filename=tmp_path / "r.txt", tensorboard="on"
    )
    assert "loss/node-0" in events(tmp_path)
    assert not [record for record in caplog.records if "tensorboardX" in record.name]
    assert "cannot be written" not in caplog.text
    assert "NaN" not in "".join(capfd.readouterr())


def test_events_are_there_as_soon_as_a_round_is_over(tmp_path, monkeypatch):
    monkeypatch.setattr("flame_flwr.results.events._FLUSH_EVERY", -1.0)
    seen = []

    class Looks(Average):
        def aggregation_method(self, analysis_results):
            if (tmp_path / "tensorboard").exists():
                seen.append(len(events(tmp_path)["loss/node-0"]))
            return super().aggregation_method(analysis_results)

    StarModelTester(
        [2.0],
        Fits,
        Looks,
        "s3",
        simple_analysis=False,
        filename=tmp_path / "r.txt",
        tensorboard="on",
    )
    assert seen == [1, 2]
