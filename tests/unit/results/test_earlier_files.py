"""Files of an earlier run beside those of this one."""

import json

import pytest

from flame_flwr.star import StarModelTester

from .small_runs import Average, Fits, Scalar, Shrinks, below, full_run, listed

pytestmark = pytest.mark.usefixtures("undrawn")


def test_a_private_run_removes_earlier_exact_files(tmp_path):
    full_run(tmp_path)
    assert {"history.csv", "report.html"} < listed(tmp_path) < below(tmp_path)
    (tmp_path / "tensorboard" / "events.mine").write_bytes(b"")
    StarModelTester(
        [2.0, 4.0],
        Shrinks,
        Scalar,
        "s3",
        filename=tmp_path / "r.txt",
        epsilon=1.0,
        sensitivity=1.0,
        report="off",
        tensorboard="off",
    )
    assert below(tmp_path) == {"r.txt", "history.csv", "run.json", "tensorboard/events.mine"}
    assert listed(tmp_path) == {"history.csv"}


class Fails(Fits):
    error: type[BaseException] = ValueError

    def analysis_method(self, data, aggregator_results):
        raise self.error("boom")


class Interrupted(Fails):
    error = KeyboardInterrupt


@pytest.mark.parametrize(("analyzer", "error"), [(Fails, ValueError), (Interrupted, BaseException)])
def test_a_failed_run_replaces_the_earlier_record(tmp_path, analyzer, error):
    full_run(tmp_path)
    with pytest.raises(error):
        StarModelTester([2.0], analyzer, Average, "s3", filename=tmp_path / "r.txt")
    about = json.loads((tmp_path / "run.json").read_text())
    assert (about["status"], about["rounds"]) == ("failed", 0)
    assert below(tmp_path) == {"r.txt", "history.csv", "run.json"}
    assert len((tmp_path / "history.csv").read_text().splitlines()) == 1


def test_files_not_in_run_json_stay(tmp_path, caplog):
    full_run(tmp_path)
    about = json.loads((tmp_path / "run.json").read_text())
    about["other_files"] = []
    (tmp_path / "run.json").write_text(json.dumps(about))
    (tmp_path / "history.csv").write_text("my own")
    StarModelTester([2.0], Fits, Average, "s3", filename=tmp_path / "r.txt")
    assert (tmp_path / "history.csv").read_text() == "my own"
    assert "no run wrote the history.csv and report.html that is there" in caplog.text
