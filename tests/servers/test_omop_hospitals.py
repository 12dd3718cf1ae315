"""Three hospitals with an OMOP database each, and one analysis, equal to the pooled database.

In a simulation and on a deployment: ``tests/integration/test_omop_hospitals.py``.
"""

import pytest
from omop_hospitals import SQL, databases

from flame_flwr.clients.local_grid import LocalGrid
from flame_flwr.data.source import SourceData
from flame_flwr.data.sql_databases import open_database
from flame_flwr.data.sql_entry import SqlEntry
from flame_flwr.data.sql_source import SqlSource
from flame_flwr.star import StarAnalyzer, StarModel
from flame_flwr.statistics import Moments
from flame_flwr.strategies import MergeStatistics


@pytest.fixture(scope="module")
def hospitals(tmp_path_factory):
    """The sources of three hospitals, and of all their people together."""
    query = tmp_path_factory.mktemp("query") / "people.sql"
    query.write_text(SQL)
    entry = SqlEntry.of({"query": str(query)}, "entry")
    with databases() as urls:
        yield [
            SqlSource(open_database(url, "data source 1", "postgres"), entry, "data source 1")
            for url in urls.values()
        ]


class Ages(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
        people = data[0]["people"]
        return {
            int(flag): Moments.from_data(rows["age"]) for flag, rows in people.groupby("bronchitis")
        }


def ages(sources):
    model = StarModel(Ages, MergeStatistics(), "sql", columns=["age", "bronchitis"])
    with LocalGrid(model.plan, [SourceData([source]) for source in sources]) as grid:
        strategy = model.strategy()
        strategy.simple_analysis = True
        return strategy.start(grid).record.result


@pytest.mark.exhaustive
def test_three_hospitals_are_as_their_people_together(hospitals):
    """Beside ``test_sql_postgres.py``, which reads one database: four, of 2,694 people."""
    *three, pooled = hospitals
    together, alone = ages(three), ages([pooled])
    assert together.keys() == alone.keys() == {0, 1}
    for flag in (0, 1):
        assert together[flag] == alone[flag]
        frame = pooled.read("sql", [])["people"]
        rows = frame["age"][frame["bronchitis"] == flag]
        assert together[flag]["n"] == len(rows) > 100
        assert together[flag]["mean"] == pytest.approx(sum(map(int, rows)) / len(rows), rel=1e-15)
