"""docs/data.md: its registry is the example, its Python prints what it says, its keys are there."""

import re
from pathlib import Path

from snippets import block, run_python, texts

from flame_flwr.data import fhir_server, registry
from flame_flwr.data.sql_entry import SqlEntry
from flame_flwr.star import StarAggregator, StarAnalyzer, StarModel

PAGE = Path(__file__).parents[2] / "docs" / "data.md"


def test_its_registry_is_the_example():
    assert block(PAGE, "datasets.toml") == registry.EXAMPLE


def test_its_table_has_every_key_and_the_limits():
    rows = "".join(line for line in PAGE.read_text().splitlines() if line.startswith("| `"))
    named = set(re.findall(r"`([a-z-]+)`", rows))
    assert set(registry._KEYS) <= named
    assert f"{fhir_server.MAX_PAGES} and {fhir_server.MAX_MB:.0f}" in rows


def test_its_tables_and_models_can_be_declared(tmp_path):
    entry = '[[dataset]]\nname = "n"\ntype = "sql"\nurl = "sqlite:////x"\nprojects = ["*"]\n'
    (tmp_path / "datasets.toml").write_text(entry + block(PAGE, "tables"))
    [dataset] = registry.read_registry(tmp_path / "datasets.toml")
    assert list(SqlEntry.of(dataset.options, "n").tables) == ["person", "visit_occurrence"]
    names = {"StarModel": StarModel, "Ages": Ages, "Mean": Mean}
    exec(block(PAGE, "model"), names)


def test_its_cohort_is_one_select(tmp_path):
    (tmp_path / "cohort.py").write_text(texts(PAGE, "python", "cohort")[0])
    assert "FROM cdm.person p JOIN entry e" in run_python(tmp_path, "cohort.py")


class Ages(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
        return data[0]["visits"]["age"].mean()


class Mean(StarAggregator):
    def aggregation_method(self, analysis_results):
        return analysis_results

    def has_converged(self, result, last_result):
        return True


def test_its_python_prints_what_it_says(tmp_path):
    (tmp_path / "expects.py").write_text(texts(PAGE, "python", "expects.py")[0])
    assert run_python(tmp_path, "expects.py") == texts(PAGE, "text", "expects")[0]
