"""What a model declares is checked when it is built; every message names the mend."""

import logging

import pytest
from counting import Aggregator, Analyzer
from flwr.clientapp import ClientApp

from flame_flwr.errors import ModelError
from flame_flwr.star import (
    StarAggregator,
    StarLocalDPModel,
    StarModel,
    StarModelTester,
)


class Unfinished(StarAggregator):
    def aggregation_method(self, analysis_results):
        return 1


class Stranger:
    pass


WRONG = {
    "analyzer of another base": (
        {"analyzer": Stranger},
        "analyzer: Stranger must be a subclass of StarAnalyzer",
    ),
    "aggregator of another base": (
        {"aggregator": Analyzer},
        "aggregator: Analyzer must be a subclass of StarAggregator: the analyzer comes first",
    ),
    "no class at all": ({"analyzer": 3}, "analyzer must be a subclass of StarAnalyzer, not 3"),
    "a missing method": (
        {"aggregator": Unfinished},
        "aggregator: Unfinished has no method has_converged: write it",
    ),
    "a method that is none": (
        {"analyzer": type("Odd", (Analyzer,), {"analysis_method": 3})},
        "analyzer: Odd.analysis_method must be a method",
    ),
    "output_type": (
        {"output_type": "json"},
        "output_type must be one of str, bytes, pickle, not 'json'",
    ),
    "an escaping file name": (
        {"filename": "../report.txt"},
        "filename '../report.txt' must be a name without folders",
    ),
    "data_type": ({"data_type": "csv"}, "data_type must be one of s3, fhir, sql, none, not 'csv'"),
    "query": ({"query": [3]}, "query must be a string, a list of strings or None"),
    "kwargs that are no dict": (
        {"analyzer_kwargs": [1]},
        "analyzer_kwargs must be a dict of keyword arguments",
    ),
    "kwargs that the constructor does not take": (
        {"aggregator_kwargs": {"tolerance": 1}},
        "aggregator: Aggregator",
    ),
    "payload": ({"payload": "json"}, "payload must be 'safe' or 'pickle', not 'json'"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_model_is_refused(case):
    given, text = WRONG[case]
    arguments = {"analyzer": Analyzer, "aggregator": Aggregator, "data_type": "s3", **given}
    with pytest.raises(ModelError) as caught:
        StarModel(**arguments)
    assert text in str(caught.value)
    assert isinstance(caught.value, TypeError | ValueError)


NOT_IN_A_LOCAL_TEST = {"an escaping file name", "query", "payload"}


@pytest.mark.parametrize("case", [case for case in WRONG if case not in NOT_IN_A_LOCAL_TEST])
def test_the_tester_refuses_the_same(case):
    given, text = WRONG[case]
    arguments = {"analyzer": Analyzer, "aggregator": Aggregator, "data_type": "s3", **given}
    with pytest.raises(ModelError) as caught:
        StarModelTester([1], **arguments)
    assert text in str(caught.value)


def test_instances_instead_of_classes_are_named_as_that():
    class Handle:
        def __getattr__(self, name):
            return lambda: "node-0" if name == "get_id" else []

    with pytest.raises(ModelError, match="analyzer must be the class Analyzer itself, not an inst"):
        StarModel(Analyzer(Handle()), Aggregator, "s3")
    with pytest.raises(ModelError, match="aggregator must be the class Aggregator itself"):
        StarModelTester([1], Analyzer, Aggregator(Handle()), "s3")


def test_a_forgotten_super_init_is_named():
    class Forgets(Analyzer):
        def __init__(self, flame):
            self.history = []

    with pytest.raises(ModelError, match=r"Forgets\.__init__ must call super\(\)\.__init__\(flam"):
        StarModelTester([1], Forgets, Aggregator, "s3")


def test_arguments_of_the_reference_are_ignored(caplog):
    with caplog.at_level(logging.INFO, logger="flame_flwr"):
        StarModel(
            Analyzer, Aggregator, "s3", test_mode=True, test_kwargs={}, stream_log_level="debug"
        )
    [record] = caplog.records
    assert record.getMessage() == (
        "ignored, without effect here: test_mode, test_kwargs, stream_log_level"
    )


def test_pickled_payloads_come_with_a_warning(caplog):
    with caplog.at_level(logging.WARNING, logger="flame_flwr"):
        StarModel(Analyzer, Aggregator, "s3", payload="pickle")
    assert "can run any code where it is read" in caplog.text


def test_building_a_model_runs_nothing():
    built = []

    class Loud(Analyzer):
        def __init__(self, flame):
            built.append(self)
            super().__init__(flame)

    model = StarModel(Loud, Aggregator, "s3", simple_analysis=False, output_type="pickle")
    assert built == []
    assert isinstance(model.client_app, ClientApp)
    assert type(model.server_app).__name__ == "ServerApp"
    assert model.client_app is model.client_app


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"epsilon": 1.0}, "give sensitivity"),
        ({"sensitivity": 1.0}, "give epsilon"),
        ({"epsilon": 0, "sensitivity": 1.0}, "epsilon must be a number above 0"),
        ({"epsilon": 1.0, "sensitivity": 1.0, "output_type": "pickle"}, "output_type='str'"),
    ],
)
def test_a_wrong_private_model_is_refused(given, text):
    with pytest.raises(ModelError) as caught:
        StarLocalDPModel(Analyzer, Aggregator, "s3", **given)
    assert text in str(caught.value)
    with pytest.raises(ModelError) as caught:
        StarModelTester([1], Analyzer, Aggregator, "s3", **given)
    assert text in str(caught.value)


def test_privacy_without_opendp_names_what_to_install(monkeypatch):
    monkeypatch.setattr("flame_flwr.privacy.laplace.find_spec", lambda name: None)
    with pytest.raises(ModelError, match=r"pip install 'flame-flwr\[dp\]'"):
        StarLocalDPModel(Analyzer, Aggregator, "s3", epsilon=1.0, sensitivity=1.0)


def test_a_private_model_without_budget_warns(caplog):
    with caplog.at_level(logging.WARNING, logger="flame_flwr"):
        StarLocalDPModel(Analyzer, Aggregator, "s3")
    assert "adds no noise: the exact result is released" in caplog.text
