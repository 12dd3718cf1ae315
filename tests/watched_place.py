"""Places of results with runs in them, as their servers would have written them."""

import json
import time
from datetime import UTC, datetime, timedelta

from flame_flwr.results.live_content import LiveContent
from flame_flwr.results.live_file import LIVE
from flame_flwr.results.live_state import BEAT
from flame_flwr.results.run_json import run_as_json, strict_json
from flame_flwr.results.run_record import RoundRecord, RunRecord

__all__ = ["fill", "finished", "over", "running", "write_live"]

STARTED = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)


def name_of(number):
    return f"{STARTED + timedelta(hours=number):%Y-%m-%dT%H-%M-%SZ}-{1000 + number}"


def over(record, **about):
    """Finish a round of a record."""
    number = len(record.history) + 1
    seconds = {node: 0.5 + 0.01 * i for i, node in enumerate(record.nodes)}
    losses = {node: {"loss": 4.0 / number + 0.1 * i} for i, node in enumerate(record.nodes)}
    entry = RoundRecord(
        number,
        seconds=1.25,
        node_seconds=seconds,
        node_bytes=dict.fromkeys(seconds, 34),
        node_metrics=losses,
        change=8.0 / number**3,
    )
    for key, value in about.items():
        setattr(entry, key, value)
    record.history.append(entry)
    record.stage.closed = number
    return entry


def finished(place, number, nodes=("hospital-a", "hospital-b"), rounds=5, error=None):
    """Write a run that is over; return its name."""
    record = RunRecord(nodes=list(nodes), app=f"me/ages 1.0.{number}", study={"analyzer": "Fit"})
    for _ in range(rounds):
        over(record)
    folder = place / name_of(number)
    folder.mkdir(parents=True)
    (folder / "mean.txt").write_text("41.5\n")
    about = run_as_json(record, {}, STARTED + timedelta(hours=number), error, str(1000 + number))
    about["files"] = [{"name": "mean.txt", "bytes": 5, "sha256": "0" * 64}]
    about["other_files"] = []
    (folder / "run.json").write_bytes(strict_json(about))
    return folder.name


def running(nodes=("hospital-a", "hospital-b", "hospital-c"), rounds=8, most=20):
    """Return the record of a run that goes on, in the middle of a round."""
    record = RunRecord(nodes=list(nodes), app="me/stay 2.0.0", study={"analyzer": "Stay"})
    for _ in range(rounds):
        over(record)
    record.stage.most = most
    record.stage.enter("round", rounds + 1)
    record.stage.entry = RoundRecord(rounds + 1)
    record.stage.asked = {str(i): node for i, node in enumerate(nodes)}
    record.stage.checkpoint = rounds
    return record


def write_live(folder, record, written=None, **changes):
    """Write the file of a run that goes on, as if just now."""
    folder.mkdir(parents=True, exist_ok=True)
    written = time.time() if written is None else written
    about = json.loads(LiveContent(record, datetime.now(UTC), "7", BEAT).look(written))
    (folder / LIVE).write_text(json.dumps({"written": written, **about, **changes}))


def fill(place, count):
    """Write so many runs that are over."""
    return [finished(place, number) for number in range(count)]
