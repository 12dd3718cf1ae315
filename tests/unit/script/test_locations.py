"""What the nodes of a script read: ``--data`` and ``--nodes``."""

import sys
import textwrap
from pathlib import Path

import pytest

from flame_flwr.errors import ConfigError, DataError
from flame_flwr.star.script import run_script

from .small_scripts import READS, analysis, script


def test_every_data_is_a_node():
    script("a", "b-site/deep/a.txt")
    script("b", "a-site/b.txt")
    path = analysis(READS.format("s3", None))
    done = run_script(path, ["b-site", Path("a-site").absolute().as_uri()])
    assert done.record.result == [[{"deep/a.txt": b"a"}], [{"b.txt": b"b"}]]
    assert done.record.nodes == ["node-0", "node-1"]


def test_a_node_may_have_several_sources():
    for name in "xyz":
        script(name, f"{name}/{name}.txt")
    script(
        "def more(context):\n    return {'f': context.node_config['partition-id']}\n", "tools.py"
    )
    path = analysis(READS.format("s3", None))
    done = run_script(path, ["x;y", "z;tools:more"])
    assert done.record.result == [
        [{"x.txt": b"x"}, {"y.txt": b"y"}],
        [{"z.txt": b"z"}, {"f": 1}],
    ]
    assert "tools" not in sys.modules


def test_fhir_bundles_come_from_json_files():
    for i in range(2):
        script(f'{{"resourceType": "Bundle", "total": {i}}}', f"site-{i}/Patient.json")
    path = analysis(READS.format("fhir", "Patient?_count=100"))
    done = run_script(path, "site-{partition-id}", nodes=2)
    totals = [data[0]["Patient?_count=100"]["total"] for data in done.record.result]
    assert totals == [0, 1]


def test_the_handle_reads_beyond_the_query():
    script("a", "site/a.txt")
    script("b", "site/b.txt")
    path = analysis(
        """
        class Analyzer(Analyzer):
            def analysis_method(self, data, aggregator_results):
                return data, self.flame.get_s3_data(["b.txt"])
        """
        + textwrap.indent(READS.format("s3", ["a.txt"]), " " * 8)
    )
    assert run_script(path, "site").record.result == [
        ([{"a.txt": b"a"}], [{"b.txt": b"b"}]),
    ]


def test_empty_data_is_an_error_first():
    with pytest.raises(ConfigError, match="--data is empty"):
        run_script(script("raise AssertionError"), [" ; "])


WRONG_DATA = {
    "none at all": ("s3", [], None, ConfigError, "StarModel(...) needs data: --data FOLDER once"),
    "no number of nodes": ("none", [], None, ConfigError, "say how many nodes with --nodes N"),
    "no nodes": ("none", [], 0, ConfigError, "--nodes must be at least 1, not 0"),
    "a pattern alone": ("s3", ["x-{partition-id}"], None, ConfigError, "say how many nodes"),
    "no pattern": ("s3", ["x"], 3, ConfigError, "--nodes 3 and 1 --data do not fit"),
    "too few": ("s3", ["x", "x"], 3, ConfigError, "--nodes 3 and 2 --data do not fit"),
    "not there": ("s3", ["x", "y"], None, DataError, "may not look into it; check --data"),
    "no file": ("s3", ["nothing"], None, DataError, "the data folder is empty; check --data"),
    "no function": ("s3", ["x", "tools:f"], None, DataError, "--data names cannot be imported"),
    "no function, a value": ("s3", ["colorsys:ONE_SIXTH"], None, DataError, "what --data names is"),
    "an unknown kind": ("s3", ["ftp://x/y"], None, ConfigError, "--data takes a folder's path"),
}


@pytest.mark.parametrize("case", WRONG_DATA)
def test_data_that_does_not_fit_is_refused(case, capsys):
    data_type, data, nodes, kind, message = WRONG_DATA[case]
    script("x", "x/x.txt")
    Path("nothing").mkdir()
    path = analysis(READS.format(data_type, None))
    with pytest.raises(kind) as raised:
        run_script(path, data, nodes=nodes)
    assert message in raised.value.message
    assert "config" not in raised.value.message
    assert "at analysis.py:19 in <module>" in raised.value.__notes__
    if kind is DataError:
        place = data[-1] if ":" in data[-1] else Path(data[-1]).absolute()
        assert f"in node-{len(data) - 1}, --data {place}" in raised.value.__notes__
    assert not Path("results").exists()
