"""Checkpoints: the server's state after a round, saved so that another run can go on.

One file: a line that says what it is, a line of JSON about it, and a pickle of the aggregator's
attributes, the history and the last aggregate. Who can write it can run code on the server: a file
belongs to the server's user alone, and the key of a store to nobody else.
"""

from __future__ import annotations

import hashlib
import json
import pickle
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from flame_flwr import __version__
from flame_flwr.errors import ConfigError, ModelError, StoreError
from flame_flwr.log import logger
from flame_flwr.results.checkpoint_file import open_checkpoint_file

if TYPE_CHECKING:
    from flame_flwr.payload import Payload

__all__ = ["AnalysisState", "Checkpoint"]

_MAGIC = b"flame-flwr checkpoint 1"


@dataclass(slots=True)
class AnalysisState:
    """An analysis after a round.

    Attributes
    ----------
    session : str
        The analysis's own id, under which nodes keep their analyzers.
    nodes : tuple of str
        In participant order.
    after : dict of str to int
        The last round of each node that was counted.
    record : dict
        The parts of the run's record.
    aggregate : Payload or None
        The last aggregate, as it travels.
    aggregation : bytes
        The aggregation's state.
    strategy : dict
        What a user's own strategy keeps in itself.
    """

    session: str
    nodes: tuple[str, ...] = ()
    after: dict[str, int] = field(default_factory=dict)
    record: dict[str, Any] = field(default_factory=dict)
    aggregate: Payload | None = None
    aggregation: bytes = b""
    strategy: dict[str, Any] = field(default_factory=dict)


class Checkpoint:
    """The file of one analysis.

    Parameters
    ----------
    place : str
        An absolute path on the server's host, or ``s3://bucket/prefix/name``.
    about : dict of str to str
        What must be the same in the run that goes on: app, version, classes.

    Raises
    ------
    ConfigError
        It is neither, or names a folder.
    """

    def __init__(self, place: str, about: dict[str, str]) -> None:
        self.place = place
        self.about = {**about, "framework": __version__}
        self._place = open_checkpoint_file(place)

    def open(self, resume: bool) -> AnalysisState | None:
        """Return the analysis to go on with, or check that a new one can be kept.

        Parameters
        ----------
        resume : bool
            Whether to go on.

        Raises
        ------
        ConfigError
            The file cannot be resumed from, or is in the way of a new analysis.
        """
        if resume:
            return self._load()
        self._begin()
        return None

    def _begin(self) -> None:
        """Check that the file can be written, and is not there as another analysis's.

        Raises
        ------
        ConfigError
            It is there already, or cannot be written.
        """
        try:
            there = self._place.read() is not None
            if not there:
                self._place.prepare()
        except (OSError, StoreError) as error:
            raise ConfigError(
                f"`checkpoint`: {self.place} cannot be written ({error}): mend that, or name "
                "another place"
            ) from error
        if there:
            raise ConfigError(
                f"`checkpoint`: {self.place} is there already. Say resume = true to go on with "
                "that analysis, or remove it, or name another file"
            )

    def _load(self) -> AnalysisState:
        """Read the file.

        Raises
        ------
        ConfigError
            There is none, it is damaged, or it is of another analysis, app or version.
        """
        header, body = self._read()
        # Before the pickle is read: an app that has changed gets its version, and not whatever
        # error the pickle of its classes ends with.
        kept = header.get("about", {})
        for key in sorted(self.about.keys() | kept.keys()):
            if kept.get(key) != self.about.get(key):
                raise ConfigError(
                    f"`checkpoint`: {self.place} is of another {key}: {kept.get(key)!r}, and this "
                    f"run has {self.about.get(key)!r}. Run what it was made with, or start anew "
                    "with another file"
                )
        # `_read` has checked the hash: a pickle runs code as it is read.
        try:
            state = pickle.loads(body)  # noqa: S301  (this user's own file)
        except Exception as error:
            raise ConfigError(
                f"`checkpoint`: {self.place} cannot be read ({type(error).__name__}: {error}): the "
                "app's classes have changed since"
            ) from error
        if not isinstance(state, AnalysisState):
            raise ConfigError(f"`checkpoint`: {self.place} holds no analysis")
        return state

    def check(self, state: AnalysisState) -> None:
        """Check before the first round that the analysis can be kept.

        Raises
        ------
        ModelError
            An attribute of the strategy cannot be pickled; the message names it.
        """
        _pickled(state)

    def save(self, state: AnalysisState, number: int) -> None:
        """Write the file, whole; where the disk is full, log it: the analysis can go on.

        Raises
        ------
        ModelError
            Something in it cannot be pickled; of the strategy, the message names it.
        """
        body = _pickled(state)
        header = {
            "round": number,
            "bytes": len(body),
            "sha256": hashlib.sha256(body).hexdigest(),
            "about": self.about,
        }
        try:
            self._place.write([_MAGIC, b"\n", json.dumps(header).encode(), b"\n", body])
        except (OSError, StoreError) as error:
            logger.error(
                "round %d: the checkpoint %s cannot be written (%s); the run goes on, and could "
                "not be resumed from this round",
                number,
                self.place,
                error,
            )

    def clear(self) -> None:
        """Remove the file, as the analysis is complete; where that fails, log it."""
        try:
            self._place.remove()
        except (OSError, StoreError) as error:  # the results are there, and the run has not failed
            logger.warning(
                "the checkpoint %s cannot be removed (%s); the analysis is complete, so remove it "
                "before the next one",
                self.place,
                error,
            )

    def _read(self) -> tuple[dict[str, Any], bytes]:
        try:
            content = self._place.read()
        except (OSError, StoreError) as error:
            raise ConfigError(f"`checkpoint`: {self.place} cannot be read ({error})") from error
        if content is None:
            raise ConfigError(
                f"resume = true, and there is no checkpoint {self.place}: a completed analysis "
                "leaves none. Leave `resume` out to start anew"
            )
        parts = _whole(content)
        if parts is None:
            raise ConfigError(
                f"`checkpoint`: {self.place} is damaged, or no checkpoint: start anew with "
                "another file"
            )
        return parts


def _whole(content: bytes) -> tuple[dict[str, Any], bytes] | None:
    """Return header and body of a checkpoint; ``None`` where it is damaged, or is none."""
    magic, _, rest = content.partition(b"\n")
    text, _, body = rest.partition(b"\n")
    try:
        header: dict[str, Any] = json.loads(text)
        whole = header["bytes"] == len(body)
        whole = whole and header["sha256"] == hashlib.sha256(body).hexdigest()
    except (ValueError, KeyError, TypeError):
        return None
    return (header, body) if whole and magic == _MAGIC else None


def _pickled(state: AnalysisState) -> bytes:
    try:
        return pickle.dumps(state, protocol=pickle.HIGHEST_PROTOCOL)
    except Exception as error:
        what = "the aggregate or the history"
        for name, value in state.strategy.items():
            # One by one, to name the attribute: pickle's own message names a type at best.
            try:
                pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)
            except Exception:
                what = f"the attribute {name!r} of the strategy ({type(value).__name__})"
                break
        raise ModelError(
            f"{what} cannot be pickled, so there can be no `checkpoint` of this analysis",
            detail=f"{type(error).__name__}: {error}",
        ) from error
