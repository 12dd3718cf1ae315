"""Rules count people, and not rows, where the model says whom a row is about."""

from __future__ import annotations

import sqlite3

import numpy as np
import pandas as pd
import pytest
from flwr.app import Context, RecordDict
from node_messages import gated_fit

from flame_flwr.clients import Node, NodePlan, StarClient
from flame_flwr.data.source import SplitData
from flame_flwr.errors import ModelError
from flame_flwr.identity import Identity
from flame_flwr.payload import decode
from flame_flwr.privacy import Disclosure, MaxBins, MinCount, NoisyMinMax, Strict
from flame_flwr.privacy.gate import Gate
from flame_flwr.privacy.study_declaration import Study
from flame_flwr.star import StarAnalyzer, StarModel
from flame_flwr.statistics import (
    AUC,
    ContingencyTable,
    Covariance,
    Histogram,
    KaplanMeier,
    LogRank,
    MinMax,
    Missingness,
    Moments,
    Quantiles,
    RowCount,
    Total,
    ValueCounts,
    describe,
)
from flame_flwr.statistics.people import counting_people

from .studies import Ages, Merge

RULES = (MinCount(5), MaxBins(50), Strict())


class Asks(StarAnalyzer):
    def __init__(self, flame, ask):
        super().__init__(flame)
        self.ask = ask

    def analysis_method(self, data, aggregator_results):
        return self.ask(data)


def leaves(ask, table, subject="person"):
    """What of a node's result leaves, by way of the bytes that its gate gets."""
    plan = NodePlan(Asks, {"ask": ask}, "s3", subject=subject)
    node = Node(plan, Identity("a", ("a",)), SplitData(table), node_rules=RULES)
    returned = node.round(1, None)
    study = Study.from_bytes(node.study().to_bytes())
    passed = Gate("a", RULES).result(returned, study, 1)
    assert "columns" not in repr(passed.said())
    return decode(passed.payload)


def visits(people, each):
    """A table of visits: so many people, and so many rows of each."""
    n = people * each
    rng = np.random.default_rng(n)
    return pd.DataFrame(
        {
            "person": np.repeat([f"p{i}" for i in range(people)], each),
            "age": rng.normal(60, 9, n).round(3),
            "sbp": rng.normal(130, 20, n).round(3),
            "days": rng.uniform(1, 99, n),
            "event": np.arange(n) % 2,
            "sex": np.array(["f", "m"])[np.arange(n) % 2],
        }
    )


FIGURES = {
    "rows": RowCount.from_data,
    "missing": Missingness.from_data,
    "mean": lambda table: Moments.from_data(table["age"]),
    "total": lambda table: Total.from_data(table["age"]),
    "covariance": lambda table: Covariance.from_data(table[["person", "age", "sbp"]].iloc[:, 1:]),
    "indexed": lambda table: Moments.from_data(table.set_index("person")["age"] ** 2),
    "labels": lambda table: ValueCounts.from_data(table["sex"]),
    "declared": lambda table: ValueCounts.from_data(table["sex"], ["f", "m"]),
    "bins": lambda table: Histogram.from_data(table["age"], [0, 60, 120]),
    "quantiles": lambda table: Quantiles.from_data(table["age"]),
    "pairs": lambda t: ContingencyTable.from_data(t["sex"], t["event"], ["f", "m"], [0, 1]),
    "curve": lambda t: KaplanMeier.from_data(t["days"], t["event"], [50, 100]),
    "logrank": lambda t: LogRank.from_data(t["days"], t["event"], t["sex"], ["f", "m"], [50, 100]),
    "auc": lambda t: AUC.from_data(t["event"], t["age"] / 200, bins=4),
    "women": lambda table: Moments.from_data(table.loc[table["sex"] == "f", "age"]),
}


@pytest.mark.parametrize("name", sorted(FIGURES.keys() - {"covariance"}))
def test_thirty_rows_of_three_people_are_withheld(name):
    ask = FIGURES[name]
    three, thirty = visits(3, 10), visits(30, 1)
    assert leaves(ask, three, subject="").size > 0  # the attack: rows were counted
    assert leaves(ask, three).size == 0
    assert leaves(ask, three).suppressed == 1
    assert leaves(ask, thirty) == leaves(ask, thirty, subject="")


def test_a_covariance_counts_people_by_its_index():
    def ask(table):
        return Covariance.from_data(table.set_index("person")[["age", "sbp"]])

    assert leaves(ask, visits(3, 10)).n == 0
    assert leaves(ask, visits(10, 3)).n == 30


def test_describe_counts_people():
    found = leaves(lambda t: describe(t[["person", "age"]], {"person": ["p0"]}), visits(3, 10))
    assert found.rows.rows == 0
    assert found.result()["columns"]["age"]["mean"] is None
    table = visits(10, 3)
    table.loc[table["person"] > "p4", "age"] = np.nan  # the 15 values that are left are of 5 people
    assert leaves(lambda t: describe(t).column("age")[0], table).n == 15
    table.loc[table["person"] > "p3", "age"] = np.nan
    assert leaves(lambda t: describe(t).column("age")[0], table).n == 0


def test_only_bins_of_few_people_are_withheld():
    table = pd.DataFrame(
        {
            "person": [f"p{i}" for i in range(20)] + ["q1"] * 6 + [f"r{i}" for i in range(9)],
            "age": [40.0] * 20 + [70.0] * 6 + [90.0] * 9,
        }
    )
    edges = [30, 50, 80, 100]
    found = leaves(lambda t: Histogram.from_data(t["age"], edges), table)
    assert found.result()["counts"][1] is None
    assert found.result()["known"][0] == 20
    assert leaves(lambda t: Histogram.from_data(t["age"], edges), table, "").counts[1] == 6


def test_quantiles_move_until_enough_people_are_behind():
    table = visits(12, 4).sort_values("person")
    table["age"] = np.repeat(np.arange(40.0, 100, 5), 4)  # each person has an age of its own
    found = leaves(lambda t: Quantiles.from_data(t["age"]), table)
    assert all(count >= 17 for _, count in found.buckets)  # 16 rows may be four people's
    rows_only = leaves(lambda t: Quantiles.from_data(t["age"]), table, "")
    assert min(count for _, count in rows_only.buckets) == 8  # of two people


def test_a_column_of_few_values_counts_people():
    table = visits(40, 2)
    table["died"] = (table["person"] < "p12").astype(float)  # p0, p1, p10, p11: eight rows
    assert leaves(lambda t: Moments.from_data(t["died"]), table, "").n == 80
    assert leaves(lambda t: Moments.from_data(t["died"]), table).n == 0


def test_merged_files_count_all_their_people():
    def ask(table):
        halves = [table.iloc[:15], table.iloc[15:]]
        one, two = (Moments.from_data(half.set_index("person")["age"]) for half in halves)
        return one.merge(two)

    assert leaves(ask, visits(3, 10)).n == 0
    assert leaves(ask, visits(6, 5)).n == 30


def test_a_series_is_found_by_its_values():
    table = visits(3, 10)
    with counting_people("person", [{"visits": table}]):
        other = Moments.from_data(pd.Series(np.arange(30.0), name="age"))
        known = Moments.from_data(table["age"])
    assert not hasattr(other, "_columns_behind") or not other._columns_behind.people
    assert len(set(known._columns_behind.people[0])) == 3


def test_the_same_peoples_extremes_move_alike():
    table = visits(60, 1)
    noise = NoisyMinMax(secret="of this node only")
    with counting_people("person", table):
        made = [MinMax.from_data(table[name][:30]) for name in ("age", "sbp")]
        made.append(MinMax.from_data(table["age"][30:]))
    shares = [
        (each.low - sent.low) / (each.high - each.low)
        for each, sent in zip(made, Disclosure([noise]).apply(made), strict=True)
    ]
    assert shares[0] == pytest.approx(shares[1])
    assert shares[0] != pytest.approx(shares[2])  # as many other people


def test_a_subject_is_a_name():
    with pytest.raises(ModelError, match="subject must be the name of the column"):
        StarModel(Ages, Merge, "s3", subject=3)
    assert StarModel(Ages, Merge, "s3", subject="person").plan.subject == "person"


def test_other_columns_count_their_people_too(tmp_path):
    """Of a database whose hospital says whom a row is about."""
    with sqlite3.connect(tmp_path / "ward.db") as ward:
        ward.execute("CREATE TABLE visits (person INTEGER, age REAL)")
        ward.executemany("INSERT INTO visits VALUES (?, ?)", [(n % 3, 50 + n) for n in range(30)])
    ward.close()
    entry = (
        f'[[dataset]]\nname = "ward"\ntype = "sql"\nprojects = ["*"]\n'
        f'url = "sqlite:///{tmp_path}/ward.db"\ntables.visits = ["person", "age"]\n'
    )
    registry = tmp_path / "datasets.toml"
    config = {"name": "a", "disclosure": "MinCount(5)", "datasets": str(registry)}
    ask = {"ask": lambda data: Moments.from_data(data[0]["visits"]["age"])}
    sizes = []
    for run, subject in enumerate(("", 'subject = "person"\n'), start=8200):
        registry.write_text(entry + subject)
        context = Context(run, 3, config, RecordDict(), {"project-id": "covid"})
        plan = NodePlan(Asks, ask, "sql", columns=("age",))
        sizes.append(gated_fit(StarClient(plan, context), 1)[0].n)
    assert sizes == [30, 0]
