"""Reads ``live.json`` and ``run.json``, which may be torn, damaged, or made by one who means harm.

A store is not trusted, and a folder may hold anything. What is returned has the types that it says,
and limits on what there is of it; texts are as they came, for whoever shows them to escape.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import islice
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import AfterValidator, BeforeValidator, Field, Strict, TypeAdapter, ValidationError

from flame_flwr.errors import StoreError
from flame_flwr.results.live_file import LIVE_VERSION, MOST_FAILURES, MOST_METRICS, json_object

__all__ = ["LiveNode", "LiveRound", "LiveRun", "NodeFailure", "RecordedRound", "RecordedRun"]
__all__ += ["parse_live", "parse_record"]

_LONGEST = 5_000
_NO_NUMBERS = ("nan", "inf", "-inf")
_MOST_NODES = _MOST_ROUNDS = 10_000


def _first(most: int) -> BeforeValidator:
    """Take so many entries of a list or an object, at most."""

    def cut(found: Any) -> Any:
        if isinstance(found, dict):
            return dict(islice(found.items(), most))
        return found[:most] if isinstance(found, list) else found

    return BeforeValidator(cut)


Text = Annotated[str, AfterValidator(lambda text: text[:_LONGEST])]
MaybeText = Annotated[Text, BeforeValidator(lambda text: "" if text is None else text)]
# Strict: pydantic takes "7" for 7 else. JavaScript counts exactly to 2**53.
Count = Annotated[int, Strict(), Field(ge=0, lt=2**53)]
Number = Annotated[float, Strict(), Field(allow_inf_nan=False)]
# In JSON, what is no number is a text.
Metric = Annotated[
    float, Strict(), BeforeValidator(lambda said: float(said) if said in _NO_NUMBERS else said)
]
Metrics = Annotated[dict[Text, Metric], _first(MOST_METRICS)]
Texts = Annotated[dict[Text, Text], _first(_MOST_NODES)]


State = Literal[
    "here",
    "missing",
    "computing",
    "waiting",
    "answered",
    "failed",
    "gone",
    "silent",
    "done",
    "unknown",
]


class NodeFailure(NamedTuple):
    """What went wrong at a node, in which round."""

    round: Count
    node: Text
    why: Text


@dataclass(frozen=True, slots=True)
class LiveNode:
    """A node of a run: its name, what it does, the last sign of it, its seconds and metrics."""

    name: Text
    state: State
    hospital: Text = ""
    seen: Number | None = None
    seconds: Number | None = None
    why: Text = ""
    size: Text = ""
    metrics: Metrics = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LiveRound:
    """A round that is over; its metrics are means, each with what it is weighted by."""

    round: Count
    seconds: Number
    answered: Count
    failed: Count
    change: Number | None = None
    metrics: Annotated[dict[Text, tuple[Metric, Text]], _first(MOST_METRICS)] = field(
        default_factory=dict
    )


@dataclass(frozen=True, slots=True)
class LiveRun:
    """A run as its server has last written it.

    Attributes
    ----------
    written : float
        When, in seconds since 1970, by the server's clock.
    beat : float
        Seconds after which there is another file, as long as its writer lives.
    doing : {'starting', 'hello', 'round', 'evaluation', 'finishing'}
        What the run does.
    """

    written: Number
    beat: Annotated[Number, AfterValidator(lambda beat: min(max(beat, 0.1), 3600.0))]
    doing: Literal["starting", "hello", "round", "evaluation", "finishing"]
    started: Text = ""
    run_id: MaybeText = ""
    app: Text = ""
    title: Text = ""
    study: Texts = field(default_factory=dict)
    round: Count = 0
    since: Number = 0.0
    most: Count | None = None
    rounds: Count = 0
    resumed_after: Count = 0
    checkpoint: Count = 0
    private: bool = False
    reason: Text = ""
    expected: Count = 0
    nodes: Annotated[tuple[LiveNode, ...], _first(_MOST_NODES)] = ()
    failures: Annotated[tuple[NodeFailure, ...], _first(MOST_FAILURES)] = ()
    history: Annotated[tuple[LiveRound, ...], _first(_MOST_ROUNDS)] = ()


@dataclass(frozen=True, slots=True)
class RecordedRound:
    """A round of a run that is over; its metrics are the weighted means."""

    round: Count
    seconds: Number
    node_seconds: dict[Text, Number | None] = field(default_factory=dict)
    failed: Texts = field(default_factory=dict)
    change: Number | None = None
    node_metrics: dict[Text, dict[Text, Metric]] = field(default_factory=dict)
    metrics: dict[Text, Metric] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RecordedHeading:
    """What of a study's heading is shown: its title."""

    title: Text = ""


@dataclass(frozen=True, slots=True)
class RecordedFile:
    """A file of a run: its name relative to the run's folder, and its bytes."""

    name: Text
    bytes: Count


@dataclass(frozen=True, slots=True)
class RecordedRun:
    """A run that is over, as far as it is shown."""

    status: Text = ""
    error: Text | None = None
    reason: Text = ""
    heading: RecordedHeading = field(default_factory=RecordedHeading)
    study: Texts = field(default_factory=dict)
    app: MaybeText = ""
    run_id: MaybeText = ""
    started: Text = ""
    finished: Text = ""
    rounds: Count = 0
    resumed_after: Count = 0
    privacy: Any = None
    secure: dict[str, Any] | None = None
    nodes: Annotated[tuple[Text, ...], _first(_MOST_NODES)] = ()
    hospitals: Texts = field(default_factory=dict)
    sizes: Texts = field(default_factory=dict)
    failures: tuple[NodeFailure, ...] = ()
    history: tuple[RecordedRound, ...] = ()
    weighted_by: Texts = field(default_factory=dict)
    files: tuple[RecordedFile, ...] = ()
    other_files: tuple[RecordedFile, ...] = ()


_LIVE: TypeAdapter[LiveRun] = TypeAdapter(LiveRun)
_RECORD: TypeAdapter[RecordedRun] = TypeAdapter(RecordedRun)


def parse_live(content: bytes) -> LiveRun:
    """Return what a ``live.json`` says.

    Raises
    ------
    StoreError
        It is torn, of another version, or damaged.

    Examples
    --------
    >>> parse_live(b'{"live": 1, "written": 1.5, "beat": 5, "doing": "hello"}').doing
    'hello'
    >>> parse_live(b'{"live": 1, "writ')
    Traceback (most recent call last):
        ...
    flame_flwr.errors.StoreError: live.json is torn: it is not what a run writes
    """
    about = json_object(content)
    version = about.get("live")
    if version != LIVE_VERSION or isinstance(version, bool):  # true is 1, too
        raise StoreError(
            f"live.json is of version {version!r:.20}, and this is one for {LIVE_VERSION}: look at "
            "the run with the flame-flwr that runs it"
        )
    try:
        run: LiveRun = _LIVE.validate_python(about)
    except ValidationError:
        raise StoreError("live.json is damaged: it is not what a run writes") from None
    return run


def parse_record(content: bytes) -> RecordedRun:
    """Return what a ``run.json`` says.

    Raises
    ------
    StoreError
        It is damaged.
    """
    try:
        run: RecordedRun = _RECORD.validate_json(content)
    except ValidationError:
        raise StoreError("run.json is damaged: it is not what a run writes") from None
    return run
