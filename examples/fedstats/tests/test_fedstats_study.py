"""The whole analysis: in process, a plain loop, and all rows in one place."""

import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from fedstats_reference import efron, read, reference_run
from forked_python import run_python

from fedstats.hospitals import SIZES, hospital_csv, node_files, rossi
from fedstats.survival import FILE, fit_cox
from flame_flwr.errors import ConfigError, DataError


def in_one_place():
    """Return covariates, times and events of all rows."""
    return read(rossi().to_csv(index=False).encode())


def test_in_process_it_is_the_plain_loop(study, contents):
    estimate, error = reference_run(contents)
    np.testing.assert_allclose(study.aggregate["combined"]["estimate"], estimate, rtol=1e-6)
    np.testing.assert_allclose(study.aggregate["combined"]["error"], error, rtol=1e-6)
    assert (study.rounds, study.converged) == (1, True)


def test_it_is_near_the_regression_on_all_rows(study):
    """The tolerance is what this split gives (0.25), rounded up; other splits: see README.md."""
    pooled, pooled_error = efron(*in_one_place())
    combined = study.aggregate["combined"]
    away = np.abs(combined["estimate"] - pooled) / pooled_error
    assert away.max() < 0.3
    assert (combined["error"] / pooled_error).min() >= 1
    assert (combined["error"] / pooled_error).max() < 1.05


def test_with_many_events_it_comes_nearer(run):
    """Five thousand patients with known effects: both find them, and hardly differ."""
    rng = np.random.default_rng(11)
    tables = []
    for patients in (2500, 1500, 1000):
        dose, group = rng.normal(0, 1, patients), rng.integers(0, 2, patients)
        time = rng.exponential(20 / np.exp(0.5 * dose - 0.3 * group))
        columns = {"t": np.minimum(time, 30), "e": time < 30, "dose": dose, "group": group}
        tables.append(pd.DataFrame(columns, dtype=float))
    columns = {"duration": "t", "event": "e", "covariates": ["dose", "group"]}
    pooled = fit_cox(pd.concat(tables, ignore_index=True), **columns)
    splits = [[{FILE: table.to_csv(index=False).encode()}] for table in tables]
    combined = run(splits, **columns).aggregate["combined"]
    assert np.abs((combined["estimate"] - pooled["log_hr"]) / pooled["error"]).max() < 0.1
    assert np.abs((combined["estimate"] - [0.5, -0.3]) / combined["error"]).max() < 3


def test_what_leaves_a_hospital(study):
    for fit, size in zip(study.aggregate["hospitals"].values(), SIZES, strict=True):
        assert set(fit) == {"patients", "events", "covariates", "log_hr", "error"}
        assert fit["patients"] == size
        assert fit["log_hr"].shape == fit["error"].shape == (4,)


def test_the_report_holds_the_numbers(study):
    combined = study.aggregate["combined"]
    for i, name in enumerate(["fin", "age", "wexp", "prio"]):
        line = re.search(rf"^{name} .*$", study.result, re.MULTILINE)[0]
        fields = line.replace(" to ", " ").replace("%", "").split()
        keys = ("estimate", "error", "low", "high")
        expected = [combined[key][i] for key in keys]
        expected += [np.exp(combined["estimate"][i]), combined["p"][i], combined["q"][i]]
        expected += [combined["q_p"][i], 100 * combined["i2"][i]]
        found = [float(field) for field in fields[1:]]
        digits = (3, 3, 3, 3, 2, 3, 2, 3, 0)
        for value, right, places in zip(found, expected, digits, strict=True):
            assert value == pytest.approx(right, abs=0.51 * 10**-places)
    assert "Cox regressions of 3 hospitals, 432 patients, 114 events" in study.result
    assert "node-1: 140 patients, 39 events" in study.result


def test_the_weights_add_up_to_all(study):
    shares = re.findall(r"^age .* (\d+)%$", study.result, re.MULTILINE)
    assert len(shares) == 4  # combined, with I squared; then the hospitals
    assert sum(map(int, shares[1:])) == pytest.approx(100, abs=2)


def test_one_hospital_alone_has_no_heterogeneity(run, splits):
    report = run(splits[:1]).result
    assert re.search(r"^fin .* 0\.00      -     -$", report, re.MULTILINE)
    assert "Q has 0 degrees of freedom." in report


def test_too_few_events_at_one_hospital_names_it(run):
    splits = [[{FILE: hospital_csv(k, seed=4)}] for k in range(3)]  # node-2 has 17
    with pytest.raises(DataError, match="fewer than 20 events, 5 for each covariate") as caught:
        run(splits)
    assert "node-2" in caught.value.__notes__[0]
    assert run(splits, covariates=["fin", "age", "prio"]).rounds == 1


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"covariates": []}, "covariates must be a list that names at least one column"),
        ({"covariates": "fin"}, "covariates must be a list that names at least one column"),
        ({"covariates": ["fin", "fin"]}, "must be different columns"),
        ({"covariates": ["week"]}, "must be different columns"),
    ],
)
def test_columns_that_cannot_be(run, splits, columns, message):
    with pytest.raises(ConfigError, match=message):
        run(splits, **columns)


def test_everybody_is_at_one_hospital(contents):
    whole = np.column_stack(in_one_place())
    parts = np.vstack([np.column_stack(read(content)) for content in contents])
    np.testing.assert_array_equal(np.array(sorted(map(tuple, whole))), sorted(map(tuple, parts)))


def test_the_same_bytes_without_and_with_files(tmp_path, contents):
    done = run_python("-m", "fedstats.hospitals", tmp_path, cwd=Path(__file__).parents[1])
    assert done.returncode == 0, done.stderr
    for k, content in enumerate(contents):
        assert (tmp_path / f"hospital-{k}" / FILE).read_bytes() == content
        context = SimpleNamespace(node_config={"partition-id": k})
        assert node_files(context) == {FILE: content}
    assert "hospital-0/survival.csv: 200 patients" in done.stdout


def test_nodes_that_have_no_such_data():
    with pytest.raises(ConfigError, match=r'over 3 hospitals.*say --federation-config "num-sup'):
        node_files(SimpleNamespace(node_config={"partition-id": 3}))
    with pytest.raises(ConfigError, match=r"the folder with its survival\.csv"):
        node_files(SimpleNamespace(node_config={}))
