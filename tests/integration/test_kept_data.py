"""FHIR bundles from folders, and what nodes keep of them, in Flower's simulation runtime."""

import json

import pytest

pytestmark = pytest.mark.simulation

KEEPING = """
class Analyzer(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
        [bundle] = data[0].values()
        self.flame.save_intermediate_data(self.id, "local", tag="ids")
        table = self.flame.fhir_to_csv(
            bundle, "resource.id", "resource.n", "Observation", "resource.id", output_type="dict"
        )
        return [sorted(table), self.flame.get_intermediate_data("local", tag="ids")]


class Aggregator(Aggregator):
    def aggregation_method(self, analysis_results):
        self.flame.save_intermediate_data(0, "local", tag="aggregates")
        kept = self.flame.get_intermediate_data("local", tag="aggregates")
        return [analysis_results, len(kept)]
"""


def test_each_node_has_its_own_bundle_and_finds_what_it_kept(run_app, tmp_path):
    """``test_script_simulation.py`` has a later analysis find it."""
    for i in range(3):
        (tmp_path / f"node-{i}").mkdir()
        for page in (1, 2):
            resource = {"resourceType": "Observation", "id": f"{i}.{page}", "n": page}
            bundle = {"resourceType": "Bundle", "entry": [{"resource": resource}]}
            path = tmp_path / f"node-{i}" / f"Observation-{page}.json"
            path.write_text(json.dumps(bundle))
    model = "StarModel(Analyzer, Aggregator, 'fhir', 'Observation?_count=1', filename='result.txt')"
    done = run_app(
        KEEPING,
        model,
        data=str(tmp_path / "node-{partition-id}"),
        state_dir=str(tmp_path / "state"),
    )
    assert done.succeeded, done.log
    expected = [[[f"{i}.1", f"{i}.2"], [f"node-{i}"]] for i in range(3)]
    assert (done.folder / "result.txt").read_text() == str([expected, 1])
