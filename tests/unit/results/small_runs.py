"""Small analyses and runs that several tests of results use."""

import json
from html.parser import HTMLParser

import numpy as np
import pytest

from flame_flwr.results.report_files import inline
from flame_flwr.star import StarAggregator, StarAnalyzer, StarModelTester

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


def shown(tmp_path, **files):
    paths = []
    for name, content in files.items():
        path = tmp_path / name.replace("__", ".")
        path.write_bytes(content)
        paths.append(path)
    return {file.name: file for file in inline(tmp_path, paths)}


def constant(number):
    """Return an analyzer that reports a number, and scores the result with it."""

    class Reports(StarAnalyzer):
        def analysis_method(self, data, aggregator_results):
            self.flame.report_metrics({"loss": number, "steady": 1.0 + data})
            return data

        def evaluation_method(self, data, result):
            return {"auc": number}

    return Reports


def reported(tmp_path, analyzer, splits, aggregator=Average, **kwargs):
    """Run, and return the page."""
    full_run(tmp_path, splits, analyzer, aggregator, tensorboard="off", **kwargs)
    return Page((tmp_path / "report.html").read_text())


class Shrinks(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
        return data / (3 + self.num_iterations)


def listed(folder):
    return {file["name"] for file in json.loads((folder / "run.json").read_text())["other_files"]}


def full_run(folder, splits=(2.0, 4.0), analyzer=Fits, aggregator=Average, **kwargs):
    """Run several rounds, with everything that shows a run."""
    settings = {"filename": folder / "r.txt", "report": "on", "tensorboard": "on", **kwargs}
    settings.setdefault("simple_analysis", False)
    return StarModelTester(list(splits), analyzer, aggregator, "s3", **settings)


def below(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
