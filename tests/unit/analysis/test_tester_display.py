"""What a tester shows at a prompt and in a notebook: tables and a figure of its run."""

import io
import re
import sys

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

from flame_flwr.star import StarAggregator, StarAnalyzer, StarModelTester


class Analyzer(StarAnalyzer):
    """Steps towards the node's own number; reports how far it is, and one metric now and then."""

    def analysis_method(self, data, aggregator_results):
        guess = 0.0 if aggregator_results is None else aggregator_results
        self.flame.report_metrics({"loss": (data - guess) ** 2, "a <b> $x$": data})
        if self.num_iterations == 1 and data > 3:
            self.flame.report_metrics(rare=data)
        return guess + 0.5 * (data - guess)

    def evaluation_method(self, data, result):
        return {"distance": abs(data - result)}


class Aggregator(StarAggregator):
    def aggregation_method(self, analysis_results):
        return sum(analysis_results) / len(analysis_results)

    def has_converged(self, result, last_result):
        return self.num_iterations >= 2


@pytest.fixture
def tester():
    return run()


def run(data=(2.0, 4.0), analyzer=Analyzer, **more):
    return StarModelTester(list(data), analyzer, Aggregator, "s3", simple_analysis=False, **more)


def test_the_history_has_a_column_per_metric(tester):
    history = tester.history
    assert isinstance(history, pd.DataFrame)
    assert list(history.index) == [1, 2, 3]
    own = ["nodes", "failed", "seconds", "bytes", "change"]
    assert list(history.columns) == [*own, "loss", "a <b> $x$", "rare", "reason"]
    # by hand: the guesses are 0, 1.5 and 2.25; the metrics are means over the nodes 2 and 4
    guesses = np.array([0.0, 1.5, 2.25])
    expected = ((2 - guesses) ** 2 + (4 - guesses) ** 2) / 2
    np.testing.assert_allclose(history["loss"], expected)
    np.testing.assert_allclose(history["change"], [np.nan, 0.75, 0.375])
    np.testing.assert_array_equal(history["rare"], [np.nan, 4.0, np.nan])
    assert history["reason"].tolist() == ["", "", "has_converged returned True"]
    assert history["bytes"].tolist() == [
        sum(entry.node_bytes.values()) for entry in tester.record.history
    ]
    assert (history["nodes"] == 2).all()
    assert history["nodes"].dtype.kind == history["bytes"].dtype.kind == "i"
    assert history["loss"].dtype.kind == "f"
    assert type(history.describe()) is type(history[["loss"]]) is pd.DataFrame


def test_a_number_gives_a_rounds_record(tester):
    assert tester.history[-1] is tester.record.history[-1]
    assert tester.history[0].node_metrics["node-1"]["loss"] == 16.0
    assert len(tester.history) == tester.rounds == 3
    with pytest.raises(IndexError):
        tester.history[3]


def test_what_a_user_adds_to_the_history_stays(tester):
    tester.history["twice"] = 2 * tester.history["loss"]
    assert tester.history["twice"].iloc[0] == 20.0


def test_a_metric_may_be_called_like_a_column():
    class Named(Analyzer):
        def analysis_method(self, data, aggregator_results):
            self.flame.report_metrics(nodes=0.5)
            return 1.0

    assert run(analyzer=Named).history["nodes"].tolist() == [0.5] * 3


def test_repr_shows_rounds_and_why_it_stopped(tester):
    lines = repr(tester).splitlines()
    assert lines[0] == "StarModelTester: 3 rounds, 2 nodes; has_converged returned True"
    assert lines[1].split()[:5] == ["nodes", "failed", "seconds", "bytes", "change"]
    assert " 10 " in lines[3]
    assert "StarModelTester object at" not in str(tester)
    assert "NaN" not in str(tester)  # of what there is not, as the change in round 1


def test_a_notebook_shows_tables(tester):
    page = tester._repr_html_()
    assert "3 rounds, 2 nodes; has_converged returned True" in page
    rounds, nodes, scores = (
        [re.findall(r"<t[dh]>(.*?)</t[dh]>", row) for row in re.findall("(?s)<tr.*?</tr>", table)]
        for table in re.findall("(?s)<table.*?</table>", page)
    )
    assert [row[0] for row in rounds] == ["", "round", "1", "2", "3"]
    assert rounds[-1][6:] == ["1.5625", "3", "", "has_converged returned True"]
    assert [row[0] for row in nodes[-2:]] == ["node-0", "node-1"]
    assert [row[-1] for row in scores] == ["distance", "", "0.625", "1.375"]
    assert rounds[0][7] == "a &lt;b&gt; $x$"
    assert "<b> $x$" not in page


def test_the_plot_has_every_metric_by_round(tester):
    settings = dict(mpl.rcParams)
    figure = tester.plot()
    assert dict(mpl.rcParams) == settings
    lines = {part.axes[0].get_ylabel(): part.axes[0].get_lines() for part in figure.subfigs}
    assert list(lines) == ["change of the aggregate", "loss", "a <b> $x$", "rare"]
    np.testing.assert_allclose(lines["loss"][1].get_ydata(), [16, 6.25, 3.0625])
    assert [line.get_label() for line in lines["loss"]] == ["node-0", "node-1"]
    for kind, start in (("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")):
        target = io.BytesIO()
        figure.savefig(target, format=kind)
        assert target.getvalue().startswith(start)
    assert figure._repr_png_().startswith(b"\x89PNG")


def test_a_plot_without_numbers_says_so():
    class Silent(StarAnalyzer):
        def analysis_method(self, data, aggregator_results):
            return data

    tester = StarModelTester(["a"], Silent, Text, "s3")
    [text] = tester.plot().texts
    assert "no change and no metric" in text.get_text()
    assert repr(tester).startswith("StarModelTester: 1 round, 1 node; ")


class Text(Aggregator):
    def aggregation_method(self, analysis_results):
        return analysis_results[0]


def test_a_private_run_shows_nothing_exact():
    tester = run(epsilon=1.0, sensitivity=1.0)
    assert "loss" not in tester.history
    assert tester.history["change"].isna().all()
    shown = repr(tester) + tester._repr_html_()
    assert "distance" not in shown
    assert "loss" not in shown


def test_a_plot_leaves_pyplot_alone(monkeypatch):
    monkeypatch.delitem(sys.modules, "matplotlib.pyplot", raising=False)
    run().plot().savefig(io.BytesIO())
    assert "matplotlib.pyplot" not in sys.modules


def test_the_rounds_of_a_plot_are_whole_numbers():
    class Once(Analyzer):
        def analysis_method(self, data, aggregator_results):
            self.flame.report_metrics(loss=data)
            return data

    tester = StarModelTester([1.0, 2.0], Once, Aggregator, "s3")
    figure = tester.plot()
    figure.draw_without_rendering()
    [axes] = figure.subfigs[0].axes
    low, high = axes.get_xlim()
    assert [tick for tick in axes.get_xticks() if low <= tick <= high] == [1.0]
