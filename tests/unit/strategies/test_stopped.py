"""Which exceptions say that a run was stopped: Flower's own, and no user's that looks like one."""

import json
import sys
from pathlib import Path

import flwr
import httpx
import pytest
from flwr.supercore.run import RunNotRunningException

from flame_flwr.clients import NodePlan
from flame_flwr.clients.local_grid import LocalGrid
from flame_flwr.errors import ModelError, NodeFailedError
from flame_flwr.flower import is_stop
from flame_flwr.star import StarAggregator, StarAnalyzer, StarModel
from flame_flwr.strategies import StarStrategy

REQUEST = httpx.Request("GET", "https://registry.example/ages")
REFUSED = httpx.Response(401, request=REQUEST)


class LookalikeError(Exception):
    """As those of requests and of many clients for services look."""

    response = REFUSED


def refused():
    raise LookalikeError("registry.example")


def asks():
    REFUSED.raise_for_status()


class One(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
        return 1


def written(tmp_path, context, model, kind):
    """Run a model, which fails so; return its ``run.json``."""
    node = context(run_config={"results": str(tmp_path)})
    with LocalGrid(NodePlan(One, data_type="s3"), [1]) as grid, pytest.raises(kind):
        model.server_app(grid, node)
    [file] = tmp_path.glob("*/run.json")
    return json.loads(file.read_bytes())


@pytest.mark.parametrize(
    ("fail", "kind"), [(refused, LookalikeError), (asks, httpx.HTTPStatusError)]
)
def test_a_users_own_refusal_is_no_stop(tmp_path, context, fail, kind):
    class Asking(StarAggregator):
        def aggregation_method(self, analysis_results):
            fail()

        def has_converged(self, result, last_result):
            return True

    about = written(tmp_path, context, StarModel(One, Asking, "s3"), kind)
    assert about["error"].startswith(kind.__name__)
    assert "stopped" not in about["error"]


def test_nor_is_one_in_a_strategys_message_methods(tmp_path, context):
    class Asking(StarStrategy):
        def configure_train(self, *arguments):
            refused()

    class Last(StarAggregator):
        def aggregation_method(self, analysis_results):
            return 1

        def has_converged(self, result, last_result):
            return True

    model = StarModel(One, Asking(Last), "s3")
    assert written(tmp_path, context, model, LookalikeError)["error"].startswith("LookalikeError")


def raised(source, filename):
    """Return the exception of code that stands in that file."""
    try:
        exec(compile(source, str(filename), "exec"), {"refused": REFUSED, "sys": sys})
    except BaseException as error:
        return error
    raise AssertionError


FLOWERS = Path(flwr.__file__).with_name("supercore") / "client.py"


@pytest.mark.parametrize(
    ("source", "filename", "stop"),
    [
        ("refused.raise_for_status()", FLOWERS, True),
        ("refused.raise_for_status()", "study.py", False),
        ("sys.exit(1)", FLOWERS, True),
        ("sys.exit(1)", "study.py", False),
    ],
)
def test_it_counts_whose_code_has_raised(source, filename, stop):
    assert is_stop(raised(source, filename)) is stop


def test_flowers_own_word_and_ctrl_c_are_stops():
    assert is_stop(RunNotRunningException())
    assert is_stop(KeyboardInterrupt())
    assert not is_stop(NodeFailedError("node a failed"))
    assert not is_stop(ModelError("no"))
