"""What the server knows of an analysis after a round, kept so that another run can go on.

One file: a line that says what it is, a line of JSON about it, and a pickle of the aggregator's
attributes, the history and the last aggregate. Who can write it can run code on the server, so it
belongs to the server's user alone.
"""

from __future__ import annotations

import hashlib
import json
import os
import pickle
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flame_flwr import __version__
from flame_flwr.errors import ConfigError, ModelError
from flame_flwr.files import write_whole
from flame_flwr.log import logger

if TYPE_CHECKING:
    from flame_flwr.payload import Payload

__all__ = ["Checkpoint", "Progress"]

_MAGIC = b"flame-flwr checkpoint 1"


@dataclass(slots=True)
class Progress:
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
    path : str
        An absolute path on the server's host.
    about : dict of str to str
        What must be the same in the run that goes on: app, version, classes.

    Raises
    ------
    ConfigError
        The path is not absolute, or names a folder.
    """

    def __init__(self, path: str, about: dict[str, str]) -> None:
        self.path = Path(path)
        if not self.path.is_absolute():
            raise ConfigError(
                f"`checkpoint` in the run config must be an absolute path, not {path}: Flower's "
                "processes have working directories of their own"
            )
        if self.path.is_dir():
            raise ConfigError(f"`checkpoint` in the run config names a folder: {path}; name a file")
        self.about = {**about, "framework": __version__}

    def open(self, resume: bool) -> Progress | None:
        """Return the analysis to go on with, or see that a new one can be kept.

        Parameters
        ----------
        resume : bool
            Whether to go on.

        Raises
        ------
        ConfigError
            The file cannot be gone on with, or is in the way of a new analysis.
        """
        if resume:
            return self._load()
        self._begin()
        return None

    def _begin(self) -> None:
        """See that the file can be written, and that it is not another analysis's.

        Raises
        ------
        ConfigError
            It is there already, or cannot be written.
        """
        if self.path.exists():
            raise ConfigError(
                f"`checkpoint`: {self.path} is there already. Say resume = true to go on with that "
                "analysis, or remove it, or name another file"
            )
        probe = self.path.with_name(f".{self.path.name}.probe")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(probe, [bytes(2**16)])
            probe.unlink()
        except OSError as error:
            raise ConfigError(
                f"`checkpoint`: {self.path} cannot be written ({error}): mend the folder, or name "
                "another file"
            ) from error

    def _load(self) -> Progress:
        """Read the file.

        Raises
        ------
        ConfigError
            There is none, it is damaged, or it is of another analysis, app or version.
        """
        header, body = self._read()
        kept = header.get("about", {})
        for key in sorted(self.about.keys() | kept.keys()):
            if kept.get(key) != self.about.get(key):
                raise ConfigError(
                    f"`checkpoint`: {self.path} is of another {key}: {kept.get(key)!r}, and this "
                    f"run has {self.about.get(key)!r}. Run what it was made with, or start anew "
                    "with another file"
                )
        try:
            progress = pickle.loads(body)  # noqa: S301  (this user's own file)
        except Exception as error:
            raise ConfigError(
                f"`checkpoint`: {self.path} cannot be read ({type(error).__name__}: {error}): the "
                "app's classes have changed since"
            ) from error
        if not isinstance(progress, Progress):
            raise ConfigError(f"`checkpoint`: {self.path} holds no analysis")
        return progress

    def save(self, progress: Progress, number: int) -> None:
        """Write the file, whole; where the disk is full, log it: the analysis can go on.

        Raises
        ------
        ModelError
            Something in it cannot be pickled.
        """
        try:
            body = pickle.dumps(progress, protocol=pickle.HIGHEST_PROTOCOL)
        except Exception as error:
            raise ModelError(
                "the aggregate, or an attribute of the strategy, cannot be pickled, so there can "
                "be no `checkpoint` of this analysis",
                detail=f"{type(error).__name__}: {error}",
            ) from error
        header = {
            "round": number,
            "bytes": len(body),
            "sha256": hashlib.sha256(body).hexdigest(),
            "about": self.about,
        }
        try:
            write_whole(self.path, [_MAGIC, b"\n", json.dumps(header).encode(), b"\n", body])
        except OSError as error:
            logger.error(
                "round %d: the checkpoint %s cannot be written (%s); the run goes on, and could "
                "not be resumed from this round",
                number,
                self.path,
                error,
            )

    def clear(self) -> None:
        """Remove the file: the analysis is complete."""
        self.path.unlink(missing_ok=True)

    def _read(self) -> tuple[dict[str, Any], bytes]:
        try:
            with self.path.open("rb") as file:
                about = os.fstat(file.fileno())
                content = file.read()
        except FileNotFoundError:
            raise ConfigError(
                f"resume = true, and there is no checkpoint {self.path}: a completed analysis "
                "leaves none. Leave `resume` out to start anew"
            ) from None
        except OSError as error:
            raise ConfigError(f"`checkpoint`: {self.path} cannot be read ({error})") from error
        if about.st_uid != os.geteuid() or about.st_mode & 0o022:
            raise ConfigError(
                f"`checkpoint`: {self.path} belongs to another user, or others may write to it: "
                "it is not read, because it could run their code here"
            )
        damaged = ConfigError(
            f"`checkpoint`: {self.path} is damaged, or no checkpoint: start anew with another file"
        )
        magic, _, rest = content.partition(b"\n")
        text, _, body = rest.partition(b"\n")
        if magic != _MAGIC:
            raise damaged
        try:
            header: dict[str, Any] = json.loads(text)
            whole = header["bytes"] == len(body)
            whole = whole and header["sha256"] == hashlib.sha256(body).hexdigest()
        except (ValueError, KeyError, TypeError):
            raise damaged from None
        if not whole:
            raise damaged
        return header, body
