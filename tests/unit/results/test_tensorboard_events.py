"""Events for TensorBoard: as the lines say, with tags of their own, at once."""

import subprocess
import sys

import pytest
from hanging import HANGS

from flame_flwr.results.event_tags import Tags

from .small_runs import Average, Fits, constant, events, full_run


def test_tensorboard_reads_what_the_line_says(tmp_path):
    tester = full_run(tmp_path, report="off")
    read = events(tmp_path)
    for node, data in (("node-0", 2.0), ("node-1", 4.0)):
        expected = [(number + 1, pytest.approx(data / (1 + number))) for number in range(3)]
        assert read[f"loss/{node}"] == expected
        assert read[f"evaluation/auc/{node}"] == [(3, pytest.approx(data / 8))]
    assert read["mean/loss"] == [
        (number + 1, pytest.approx(3 / (1 + number))) for number in range(3)
    ]
    assert [value for _, value in read["round/nodes"]] == [2.0] * 3
    changes = [pytest.approx(entry.change) for entry in tester.record.history[1:]]
    assert [value for _, value in read["round/change"]] == changes
    assert {"round/seconds", "round/bytes"} <= read.keys()
    assert not [tag for tag in read if "<" in tag]


def test_a_second_run_replaces_the_events(tmp_path):
    (tmp_path / "tensorboard").mkdir()
    (tmp_path / "tensorboard" / "events.out.tfevents.1.mine").write_bytes(b"")
    for _ in range(2):
        full_run(tmp_path, report="off")
    assert len(events(tmp_path)["loss/node-0"]) == 3
    assert len(list((tmp_path / "tensorboard").iterdir())) == 2


def test_events_that_cannot_be_written_end_no_run(tmp_path, caplog):
    (tmp_path / "tensorboard").write_text("a file in the way")
    assert full_run(tmp_path, report="off").rounds == 3
    assert caplog.text.count("the events for TensorBoard cannot be written") == 1


def test_no_two_numbers_share_a_tag(tmp_path):
    class Collides(Fits):
        def analysis_method(self, data, aggregator_results):
            self.flame.report_metrics({"a b": 1, "a_b": 2, "mean": 3, "evaluation/auc": 4})
            return data

        def evaluation_method(self, data, result):
            return {"auc": 5, "mean": 6}

    full_run(tmp_path, analyzer=Collides, simple_analysis=True, report="off")
    found = {tag: value for tag, [(_, value)] in events(tmp_path).items()}
    assert {tag: value for tag, value in found.items() if "/node-0" in tag} == {
        "a_b/node-0": 1,
        "a_b_2/node-0": 2,
        "metric/mean/node-0": 3,
        "metric/evaluation/auc/node-0": 4,
        "evaluation/auc/node-0": 5,
        "evaluation/mean/node-0": 6,
    }
    assert {tag: value for tag, value in found.items() if "mean/" in tag and "node" not in tag} == {
        "mean/a_b": 1,
        "mean/a_b_2": 2,
        "mean/mean": 3,
        "mean/evaluation/auc": 4,
        "evaluation/mean/auc": 5,
        "evaluation/mean/mean": 6,
    }


def test_names_made_to_share_a_tag_do_not():
    tags = Tags()
    given = [
        tags.of("metric", name, node)
        for name, node in [("a", "b/c"), ("a/b", "c"), ("/a", "b/c"), ("a", "b c"), ("a", "b_c")]
    ]
    assert given == ["a/b/c", "a/b/c_2", "a_2/b/c", "a/b_c", "a/b_c_2"]
    assert tags.of("metric", "a/b", "c") == "a/b/c_2"


@pytest.mark.parametrize("number", [float("nan"), float("inf"), 1.5e308])
def test_numbers_not_finite_are_written_silently(tmp_path, number, caplog, capfd):
    full_run(tmp_path, analyzer=constant(number), report="off")
    assert "loss/node-0" in events(tmp_path)
    assert not [record for record in caplog.records if "tensorboardX" in record.name]
    assert "cannot be written" not in caplog.text
    assert "NaN" not in "".join(capfd.readouterr())


def test_a_rounds_events_are_there_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr("flame_flwr.results.tensorboard_events._FLUSH_EVERY", -1.0)
    seen = []

    class Looks(Average):
        def aggregation_method(self, analysis_results):
            if (tmp_path / "tensorboard").exists():
                seen.append(len(events(tmp_path)["loss/node-0"]))
            return super().aggregation_method(analysis_results)

    full_run(tmp_path, aggregator=Looks, report="off")
    assert seen == [1, 2]


def test_events_import_no_pytorch(tmp_path):
    """And leave tensorboardX to whoever imports it afterwards."""
    pytest.importorskip("torch")
    code = """
import sys
from pathlib import Path
from flame_flwr.results.tensorboard_events import EventWriter
writer = EventWriter(Path("."))
writer._write({"a": 1.5}, 1)
writer.close()
print("torch" in sys.modules, "tensorboardX" in sys.modules)
sys.modules["torch"] = None
import tensorboardX
with tensorboardX.SummaryWriter("mine") as mine:
    mine.add_scalar("b", 2.5, 1)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=HANGS
    )
    assert (done.returncode, done.stdout) == (0, "False False\n"), done.stderr
    assert len(list(tmp_path.rglob("events.out.tfevents.*"))) == 2
