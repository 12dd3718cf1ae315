"""A hospital decides which app runs: asked for, looked at, approved, and one byte changed."""

import re
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256

import pytest
from flower_app import write_package

from flame_flwr.flower import app_archive

SOURCE = """
from flame_flwr.star import StarAggregator, StarAnalyzer, StarModel


class Analyzer(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
        [files] = data
        return int(files["number"])


class Aggregator(StarAggregator):
    def aggregation_method(self, analysis_results):
        return sum(analysis_results)

    def has_converged(self, result, last_result):
        return True


model = StarModel(Analyzer, Aggregator, "s3", filename="sum.txt")
server_app = model.server_app
client_app = model.client_app
"""
CONFIG = {"nodes": 0, "results": "", "data": "", "project-id": "long-covid", "node-timeout": 60}
NODES = ("far", "near")
pytestmark = pytest.mark.deployed


@pytest.fixture
def app(tmp_path):
    return write_package(tmp_path / "app", "summing", SOURCE, CONFIG)


def test_a_hospital_is_asked_and_decides(deployment, app, tmp_path):
    """Three runs on nodes that require approval; every other test's nodes run any app."""

    def at(name, *command):
        program = ("flame-flwr", "node", *command, "--node", deployment.parties / name)
        return deployment.analyst(*program)

    def submit(*more, **how):
        command = ("flame-flwr", "submit", app, "study", *more, "--run-config", "nodes=far,near")
        results = ("--run-config", f"results={tmp_path}/results")
        return deployment.analyst(*command, *results, timeout=300, **how)

    for number, name in enumerate(NODES):
        (tmp_path / name).mkdir()
        (tmp_path / name / "number").write_text(f"{3 + number}")
    digest = sha256(app_archive(app)).hexdigest()
    for name in NODES:
        deployment.configure(name, data=str(tmp_path / name), approval="required")
        deployment.start_node(name)
    try:
        until = ("--project", "long-covid", "--until", "2999-01-01")
        with ThreadPoolExecutor() as pool:
            waiting = pool.submit(submit, "--request-approval", "--wait", "600")
            for name in NODES:
                waits = f"waits for approval at {name}: app tests/summing 1.0.0, SHA-256 {digest}"
                deployment.wait_for_log(name, waits)
            assert re.search(rf"{digest[:12]} .*waits, asked", at("far", "apps"))
            assert "class Analyzer(StarAnalyzer)" in at("far", "show", digest[:12])
            assert not list((tmp_path / "results").glob("*"))
            for name in NODES:
                at(name, "approve", digest[:12], *until)
            said = waiting.result()
        assert digest in said
        assert "near waits for approval" in said
        assert "2 of 2 have approved it" in said
        [file] = (tmp_path / "results").glob("*/sum.txt")
        assert file.read_text() == "7"

        code = app / "summing" / "app.py"
        code.write_text(code.read_text().replace("return True", "return not 0"))
        said = submit(expect=1)
        changed = sha256(app_archive(app)).hexdigest()
        for name in NODES:
            assert f"{name}: waits for approval at {name}: app tests/summing 1.0.0" in said
        assert f"SHA-256 {changed}" in said
        assert "ask somebody at the hospital" in said
    finally:
        deployment.stop(*(name for name in NODES if name in deployment.processes))
        for name in NODES:
            deployment.configure(name, approval="none")
