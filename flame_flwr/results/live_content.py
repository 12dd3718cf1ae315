"""What ``live.json`` says of a run: made anew at each look, of all rounds but once."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from flame_flwr.results.live_file import LIVE_VERSION, MOST_FAILURES, MOST_METRICS
from flame_flwr.results.metric_means import round_means
from flame_flwr.text.shown_text import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from flame_flwr.results.public_record import PublicRecord
    from flame_flwr.results.run_record import RoundRecord, RunRecord

__all__ = ["LiveContent"]

_ROUNDS_A_LOOK, _ROUNDS_BEFORE = 5, 200
"""Rounds of which there is a point in the plots, at most: quicker ones are left out. The second is
of those that the first look finds, as of a run that goes on with a checkpoint."""

_MOST_ROUNDS = 1000
"""Above so many, every second one is left out."""

_LONGEST = 1000
"""Characters of why a node failed; run.json has all of them."""

_NO_SIGN = {"silent": "no sign of it; after a minute without one, Flower takes it to be gone"}


class LiveContent:
    """The content of one run's file.

    Parameters
    ----------
    record : RunRecord
        The run, which another thread fills.
    started : datetime
        When it began.
    run_id : str or None
        Flower's id.
    beat : float
        Seconds after which there is another file at the latest.
    """

    def __init__(
        self, record: RunRecord, started: datetime, run_id: str | None, beat: float
    ) -> None:
        self._record = record
        self._beat = beat
        self._known = {
            "live": LIVE_VERSION,
            "beat": beat,
            "started": started.isoformat(timespec="seconds"),
            "run_id": run_id,
            "app": record.app,
            "title": record.heading.title,
        }
        self._rounds: list[str] = []  # as JSON, so that a look costs no more than the new ones
        self._taken = 0
        # The last answer of each node, of what, and when that was seen; then its signs of life.
        self._answered: dict[str, tuple[tuple[str, int], float]] = {}
        self._alive: dict[str, float] = {}
        self._alive_since = -math.inf

    def look(self, now: float) -> bytes:
        """Return the content without the time of writing, so that two can be compared."""
        record, stage, public = self._record, self._record.stage, self._record.public
        self._take_rounds(public)
        last = record.history[stage.closed - 1] if stage.closed else None
        about = {
            **self._known,
            "study": record.study,
            "doing": stage.doing,
            "round": stage.round,
            "since": round(stage.since, 3),
            "most": stage.most,
            "rounds": stage.closed,
            "resumed_after": record.resumed_after,
            "checkpoint": stage.checkpoint,
            "private": not public.exact,
            "reason": "" if last is None else last.reason,
            "expected": stage.expected,
            "missing": list(stage.missing),
            "nodes": self._nodes(last, now),
            "failures": [_failure(each) for each in list(record.failures)[-MOST_FAILURES:]],
        }
        text = json.dumps(about, allow_nan=False, default=str)
        return f'{text[:-1]}, "history": [{", ".join(self._rounds)}]}}'.encode()

    def _take_rounds(self, public: PublicRecord) -> None:
        """Take the rounds since the last look; of very many, some, and the last one."""
        # Not up to its end: the loop appends a round before it knows all of it.
        fresh = self._record.history[self._taken : self._record.stage.closed]
        self._taken += len(fresh)
        most = _ROUNDS_A_LOOK if self._rounds else _ROUNDS_BEFORE
        step = max(1, math.ceil(len(fresh) / most))
        # From the end, here and below: the last round is never one of those that are left out.
        for entry in fresh[::-1][::step][::-1]:
            self._rounds.append(json.dumps(_round(public, entry), allow_nan=False))
        if len(self._rounds) > _MOST_ROUNDS:
            self._rounds = self._rounds[::-1][::2][::-1]

    def _nodes(self, last: RoundRecord | None, now: float) -> list[dict[str, Any]]:
        """Return what is known of each node, in participant order."""
        record, stage = self._record, self._record.stage
        answers, failures, gone = stage.answers(), stage.failures(), stage.gone
        earlier = {} if last is None else last.node_seconds
        metrics = {} if last is None else record.public.round(last).node_metrics
        # Signs come all the time, and each would be a new file: they go into that of the next beat.
        if now - self._alive_since >= self._beat:
            self._alive_since, self._alive = now, dict(stage.signs)
        found = []
        for name, state in _states(record, answers, failures):
            # Before a node's first answer of a round, its last sign is that of the round before.
            if state == "here" or name in answers:
                self._note_answer(name, (stage.doing, stage.round), now)
            elif last is not None and name in earlier:
                self._note_answer(name, ("round", last.round), now)
            # Gone goes before silent: a node that is gone gives no sign of life either.
            if name in gone and state in ("computing", "waiting"):
                state = "gone"
            elif name in stage.silent and state == "computing":
                state, self._alive[name] = "silent", stage.signs.get(name, 0.0)
            seconds = answers.get(name, None if stage.masked else earlier.get(name))
            about: dict[str, Any] = {
                "name": name,
                "state": state,
                "seen": self._seen(name),
                "seconds": None if seconds is None else round(seconds, 4),
            }
            kept = gone.get(name, "") if state == "gone" else _NO_SIGN.get(state, "")
            if why := failures.get(name) or kept:
                about["why"] = why
            if shown := list(metrics.get(name, {}).items())[:MOST_METRICS]:
                about["metrics"] = {key: _number(value) for key, value in shown}
            if size := record.sizes.get(name):
                about["size"] = size
            if hospital := record.hospitals.get(name):
                about["hospital"] = hospital
            found.append(about)
        return found

    def _seen(self, name: str) -> float | None:
        """Return when there was the last sign of a node: an answer, or one of life."""
        answered = self._answered[name][1] if name in self._answered else 0.0
        return max(answered, round(self._alive.get(name, 0.0), 1)) or None

    def _note_answer(self, name: str, sign: tuple[str, int], now: float) -> None:
        """Note the time of an answer that was not there at the last look."""
        if name not in self._answered or self._answered[name][0] != sign:
            self._answered[name] = sign, round(now, 1)


def _states(
    record: RunRecord, answers: Mapping[str, object], failures: Mapping[str, str]
) -> list[tuple[str, str]]:
    """Return what each node does, in participant order."""
    stage = record.stage
    if stage.doing in ("starting", "hello"):
        here = [(name, "here") for name in stage.here]
        return here + [(name, "missing") for name in stage.missing]
    if stage.doing == "finishing":
        return [(name, "done") for name in record.nodes]
    asked = None if stage.asked is None else set(stage.asked.values())
    states, busy = [], False
    for name in record.nodes:
        if name in failures:
            state = "failed"
        elif name in answers:
            state = "answered"
        elif asked is None:  # in this process one is asked after the other
            state, busy = ("waiting" if busy else "computing"), True
        else:
            state = "computing" if name in asked else "waiting"
        states.append((name, state))
    return states


def _round(public: PublicRecord, entry: RoundRecord) -> dict[str, Any]:
    """Return a round: how long it took, who answered, and the metrics' means with their weights."""
    shown, weighted = public.round(entry), public.weighted(entry)
    means = round_means(shown.node_metrics, {name: value for name, (value, _) in weighted.items()})
    first = list(means.items())[:MOST_METRICS]
    return {
        "round": entry.round,
        "seconds": round(entry.seconds, 4),
        "answered": len(entry.node_seconds),
        "failed": len(entry.failed),
        "change": shown.change,
        "metrics": {n: [_number(v), weighted[n][1] if n in weighted else ""] for n, v in first},
    }


def _failure(noted: Mapping[str, Any]) -> dict[str, Any]:
    return {**noted, "why": one_line(noted["why"], _LONGEST)}


def _number(value: float) -> float | str:
    """Return a number as JSON can have it: others are the texts that they read as."""
    return value if math.isfinite(value) else str(value)
