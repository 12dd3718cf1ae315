"""A regression in real runtimes has the bits of this process.

After the module of secure sums, by its name: it uses the nodes that are online from there on.
"""

import json

import provisioned
import pytest
from deployed_app import KEYS
from flower_app import write_package

HOSPITALS = provisioned.IDENTIFIED
BY_HOSPITAL = {"nobs_at", "events_at"}
"""What names hospitals, which have other names in this process."""

APP = """
import numpy as np
import pandas as pd

from flame_flwr.privacy import MinCount, RowsPerParameter, Strict
from flame_flwr.regression import GLM


def table(data):
    # of this process and of a simulation the number itself; on a deployment, files of it
    number = float(data[0]["value"]) if isinstance(data, list) else data
    rng, n = np.random.default_rng(int(number)), int(60 + 40 * number)
    rows = pd.DataFrame({"age": rng.normal(60, 9, n).round(1), "sex": rng.choice(["f", "m"], n)})
    risk = 0.04 * (rows["age"] - 60) + 0.5 * (rows["sex"] == "m")
    return rows.assign(died=(rng.random(n) < 1 / (1 + np.exp(-risk))).astype(int))


STUDY = GLM("died ~ scale(age) * sex", "FAMILY", levels={"sex": ["f", "m"]}, table=table)
RULES = [MinCount(5), RowsPerParameter(3), Strict()]
"""

MODEL = "STUDY.model(disclosure=RULES, secure={secure})"
TAIL = """
model = {model}
client_app = model.client_app
server_app = model.server_app
"""


def figures(text):
    """Return what `result.json` says, every number as it is written: with all of its digits."""
    said = json.loads(text, parse_float=str)
    return {key: value for key, value in said.items() if key not in BY_HOSPITAL}, said["nobs_at"]


def app_of(family):
    return APP.replace("FAMILY", family)


def in_process(nodes, family="binomial", secure=None):
    """Return what the same study gives in this process."""
    names = {}
    exec(compile(app_of(family), "app.py", "exec"), names)
    numbers = [k + 1.0 for k in range(nodes)]
    rules = {"disclosure": names["RULES"], "secure": secure}
    result = names["STUDY"].test(numbers, quiet=True, **rules).result
    return figures(json.dumps(result.to_json()))


def deployed(federation, tmp_path, nodes, family="binomial", secure=None):
    source = app_of(family) + TAIL.format(model=MODEL.format(secure=secure))
    keys = KEYS | {"nodes": ",".join(nodes)}
    app = write_package(tmp_path / "app", f"regression{secure}".lower(), source, keys)
    ended, log = federation.run(app, ",".join(nodes), results=str(tmp_path / "results"))
    assert ended.succeeded, f"{log}\n{federation.logs()}"
    [folder] = (tmp_path / "results").iterdir()
    return figures((folder / "result.json").read_text())


@pytest.mark.deployed
def test_deployment_gives_the_bits_of_this_process(identified, tmp_path):
    """Two nodes that are online anyway, and no other run there is a regression.

    Of least squares, as it takes four rounds.
    """
    nodes = HOSPITALS[:2]
    found, at = deployed(identified, tmp_path, nodes, "gaussian")
    wanted, counts = in_process(2, "gaussian")
    assert found == wanted
    assert at == dict(zip(nodes, counts.values(), strict=True))
    log = identified.folder / "var" / nodes[0] / "audit.jsonl"
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    rounds = [line["round"] for line in lines if "regression" in line]
    assert rounds == list(range(1, len(rounds) + 1))
    assert {line["regression"]["parameters"] for line in lines if "regression" in line} == {0, 4}


@pytest.mark.deployed
@pytest.mark.exhaustive
def test_masked_it_gives_the_bits_of_this_process(identified, tmp_path):
    """In this process, ``tests/unit/regression`` has masked ones; what nodes mask, the module of
    secure sums."""
    with identified.nodes(HOSPITALS[-1]):
        found, at = deployed(identified, tmp_path, HOSPITALS, secure=True)
    assert found == in_process(3, secure=False)[0]
    assert at == {}


@pytest.mark.simulation
@pytest.mark.exhaustive
def test_simulation_gives_the_bits_of_this_process(run_app):
    """A deployment has it above."""
    done = run_app(app_of("binomial"), model=MODEL.format(secure=None))
    assert done.succeeded, done.log
    found, at = figures((done.folder / "result.json").read_text())
    assert (found, at) == in_process(3)
