"""What is said of a run that was stopped: where its last aggregate is."""

import json

from flame_flwr.cli.stopped_run import Followed


def followed(place, *rounds):
    run = Followed()
    run.note("\x1b[92mINFO \x1b[0m:      Starting Flower Simulation")
    run.note(f"the run's files go into {place}")
    for number in rounds:
        run.note(f"round {number}: 2 of 2 nodes, 0.10 s, 68 B received, loss 0.5")
    run.note("node-0, round 9: round 7: 2 of 2 nodes, 0.10 s, 68 B received")  # a user's
    run.note("the run's files go into /somewhere/else")
    return run


def test_the_rescue_file_is_named_with_round(tmp_path):
    (tmp_path / "rescue.pkl").touch()
    (tmp_path / "run.json").write_text(json.dumps({"rounds": 3}))
    said = followed(tmp_path, 1, 2).where_files_are(0.1)
    assert said == f"the aggregate of round 3 is in {tmp_path / 'rescue.pkl'}"


def test_a_run_without_one_has_its_folder_named(tmp_path):
    (tmp_path / "run.json").write_text(json.dumps({"rounds": 0}))
    assert followed(tmp_path).where_files_are(0.1) == f"what there is of the run is in {tmp_path}"


def test_files_that_are_not_there_yet_are_announced(tmp_path):
    assert (
        followed(tmp_path).where_files_are(0.1) == f"what there is of the run goes into {tmp_path}"
    )


def test_a_run_elsewhere_has_its_place_named():
    for place in ("/srv/results/x", "s3://results/x"):
        said = followed(place, 1, 2).where_files_are(0.1)
        assert said == (
            f"what there is of the run goes into {place} (the aggregate of round 2 as rescue.pkl, "
            "unless it is private)"
        )
        assert followed(place).where_files_are(0.1) == f"what there is of the run goes into {place}"


def test_a_run_that_had_not_begun():
    assert Followed().where_files_are(0.1) == "the run had not begun: there are no files of it"
