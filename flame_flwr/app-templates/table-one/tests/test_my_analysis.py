"""The table, over all patients together; and what would break on Flower."""

import io

import pandas as pd
import pytest
from my_analysis.analysis import STUDY
from my_analysis.local import run
from my_analysis.sample import files
from scipy import stats

from flame_flwr.errors import NodeFailedError
from flame_flwr.testing import check_analysis


def patients(hospital):
    return pd.read_csv(io.BytesIO(files(hospital)["patients.csv"]))


def as_files(table):
    return [{"patients.csv": table.to_csv(index=False).encode()}]


def test_the_figures_are_those_of_all_patients_together():
    pooled, found = pd.concat(map(patients, range(3))), run().result
    frame = found.to_frame()
    for died, part in pooled.groupby("died"):
        group = str(died)
        assert frame.loc["n", group] == str(len(part))
        mean = f"{part['age'].mean():.1f} ({part['age'].std():.1f})"
        assert frame.loc["age, mean (SD)", group] == mean
        men = (part["sex"] == "m").sum()
        assert frame.loc["sex = m, n (%)", group] == f"{men} ({100 * men / len(part):.1f} %)"
        median = found.to_json()["groups"][group]["days"]["quartiles"][1]
        assert median == pytest.approx(part["days"].median(), rel=0.1)  # neighbours move together
    ages = [part["age"] for _, part in pooled.groupby("died")]
    wanted = stats.ttest_ind(*ages, equal_var=False).pvalue
    assert found.p_values()["age"] == pytest.approx(wanted, rel=1e-9)


def test_few_patients_do_not_leave_their_hospital():
    few = patients(1).assign(sex="f")
    few.loc[:2, "sex"] = "m"
    frame = run(splits=[[files(0)], as_files(few)]).result.to_frame(hospitals=True)
    assert frame.loc["sex = m, n (%)", "at node-1"] == "withheld"
    assert frame.loc["sex = m, n (%)", "all"].startswith("≥ ")


def test_other_codes_are_found_before_round_1():
    odd = patients(1).assign(died=lambda table: table["died"] + 1)
    with pytest.raises(NodeFailedError, match="column 'died' holds other"):
        run(splits=[[files(0)], as_files(odd)])


def test_nothing_in_it_would_break_on_flower():
    check_analysis(STUDY.analyzer, STUDY.strategy, [[files(0)], [files(1)]], data_type="s3")
