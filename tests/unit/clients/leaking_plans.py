"""Plans of nodes whose code fails with what must not leave."""

from flame_flwr.clients import NodePlan
from flame_flwr.failure.failure import Failure
from flame_flwr.star import StarAnalyzer

SECRET = "Maria Muster, born 1961"


def plan(method, evaluation=None, data_type="none"):
    members = {"analysis_method": method}
    if evaluation is not None:
        members["evaluation_method"] = evaluation
    return NodePlan(type("Leaking", (StarAnalyzer,), members), data_type=data_type)


def failure_in(reply):
    return Failure.from_json(reply.content["fitres.metrics"]["failure"])
