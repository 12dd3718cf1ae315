"""Writes all files of a run: the final files, or a rescue file, and its record.

A local test, a script in this process and the ServerApp all write through :class:`RunFiles`; what
is particular about the last is in :mod:`flame_flwr.results.run_folder`, about the first in
:mod:`flame_flwr.results.named_files`.
"""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flame_flwr.errors import ResultError, StoppedError, StoreError
from flame_flwr.files import reason_of, write_file
from flame_flwr.log import logger
from flame_flwr.results.callbacks import shielded
from flame_flwr.results.final_files import keep_elsewhere, rescue, rescue_elsewhere, write_outputs
from flame_flwr.results.live_file import LIVE
from flame_flwr.results.live_state import LiveWriter
from flame_flwr.results.run_json import (
    begin_record,
    file_as_json,
    history_csv,
    run_as_json,
    strict_json,
    write_report,
)
from flame_flwr.results.tensorboard_events import event_files
from flame_flwr.results.upload import mend

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from flame_flwr.results.callbacks import Callback
    from flame_flwr.results.output_files import Outputs
    from flame_flwr.results.run_record import RunRecord

__all__ = ["RunFiles"]

_BRIEF_RUN = 0.5
"""Seconds that a run in this process lasts at least, to be seen by others while it goes on."""


class RunFiles:
    """Writes the files of one run into a folder, each of them complete or absent.

    Parameters
    ----------
    folder : Path
        The folder; it is made when the first file is written.
    report : bool
        Whether the record has a ``report.html``.
    run_id : str, optional
        Flower's id of the run; none in this process.

    Attributes
    ----------
    path : Path
        The folder.
    started : datetime
        When the run began, in UTC.
    record_elsewhere : str
        Where ``run.json`` of a failed run is, if it cannot be in the folder.
    """

    record_elsewhere = ""

    # Who writes, and what, as messages name them.
    who = "this user"
    what = "the results"

    history = True  # whether there is a history.csv
    record_is_kept = True  # whether there is a record at all

    def __init__(self, folder: Path, *, report: bool = False, run_id: str | None = None) -> None:
        self.path = folder
        self.report = report
        self.run_id = run_id
        self.started = datetime.now(UTC)
        self._live: LiveWriter | None = None

    def begin(self) -> None:
        """Remove what an earlier run has written beside its result.

        Raises
        ------
        StoreError
            Something of it cannot be removed.
        """
        begin_record(self.path)

    def live(self) -> list[Callback]:
        """Return what writes what the run does, until its ``run.json`` is there."""
        if not self.record_is_kept:
            return []
        self._live = LiveWriter(self.path, self.started, self.run_id, first=_BRIEF_RUN)
        return [self._live]

    def address(self, path: Path) -> str:
        """Return a file's place, as a message names it."""
        return str(path)

    @contextmanager
    def rescuing(self, record: RunRecord, parameters: Mapping[str, Any]) -> Iterator[None]:
        """Write what there is of the run where the block fails; the error goes on."""
        try:
            yield
        except BaseException as error:
            self.write_failure(record, parameters, error)
            raise

    def write_success(
        self, outputs: Outputs, record: RunRecord, parameters: Mapping[str, Any]
    ) -> list[Path]:
        """Write the final files, history and ``run.json``, and return the final files' paths.

        Parameters
        ----------
        outputs : Outputs
            Which files the result becomes.
        record : RunRecord
            The run, with its result.
        parameters : dict
            What the run was asked for, for ``run.json``.

        Raises
        ------
        ResultError
            The result does not fit what was declared; it was saved whole.
        StoreError
            They cannot be written, such as on a full disk; the message says where the result is.
        """
        if outputs.has(LIVE):  # the result has the name: what is there now is not to replace it
            self._end_live()
        try:
            files = write_outputs(self._base, outputs, record.result, self.address)
            self._write_record(record, parameters, files)
        except OSError as error:
            raise StoreError(
                f"{self.what} could not be written to {self.path} ({reason_of(error)}): "
                f"{mend(error, self.who)}; {keep_elsewhere(record.result)}"
            ) from error
        return files

    def write_failure(
        self, record: RunRecord, parameters: Mapping[str, Any], error: BaseException
    ) -> None:
        """Write what there is: ``run.json``, history, and the last aggregate as a rescue file."""
        # The errors of writing itself have saved the whole result already, and say where.
        saved_already = isinstance(error, ResultError | StoreError)
        if record.history and record.public.exact and not saved_already:
            try:
                place = self._rescue(record.aggregate)
            except Exception as reason:
                logger.error("the last aggregate could not be saved: %s", reason)
            else:
                self._say_rescued(len(record.history), place)
        try:
            self._write_record(record, parameters, [], error)
        except OSError as reason:
            logger.error(
                "%s cannot be written (%s): %s",
                self.path,
                reason_of(reason),
                mend(reason, self.who),
            )
            self._keep_record_elsewhere(record, parameters, error)

    @property
    def _base(self) -> Path:
        """The folder that names of final files are relative to."""
        return self.path

    def _say_rescued(self, rounds: int, place: str) -> None:
        logger.error("the aggregate of round %d is in %s", rounds, place)

    def _rescue(self, value: Any) -> str:
        """Save a value in the run's folder, elsewhere where that fails, and return the place."""
        try:
            return self.address(rescue(self.path, value))
        except OSError:
            return str(rescue_elsewhere(value))

    def _keep_record_elsewhere(
        self, record: RunRecord, parameters: Mapping[str, Any], error: BaseException
    ) -> None:
        about = run_as_json(record, parameters, self.started, error, self.run_id)
        about["files"] = about["other_files"] = []
        try:
            path = Path(tempfile.mkdtemp(prefix="flame-flwr-rescue-")) / "run.json"
            write_file(path, strict_json(about))
        except OSError as reason:
            logger.error("run.json could not be saved elsewhere either: %s", reason_of(reason))
        else:
            self.record_elsewhere = str(path)
            logger.error("run.json is saved in %s", path)

    def _others(self) -> Sequence[Path]:
        """Return what else belongs to the run, such as events, when the rest is written."""
        return event_files(self.path)

    def _write_record(
        self,
        record: RunRecord,
        parameters: Mapping[str, Any],
        files: Sequence[Path],
        error: BaseException | None = None,
    ) -> None:
        """Write ``history.csv``, ``report.html`` and, when all is there, ``run.json``.

        Raises
        ------
        OSError
            The disk is full, or the folder cannot be written.
        """
        own = []
        if self.history:
            content = None
            # Part of it is nodes' words: a fault in these costs this file, and no other one.
            with shielded("history.csv"):
                content = history_csv(record)
            if content is not None:
                own.append(self.path / "history.csv")
                write_file(own[0], content)
        about = run_as_json(record, parameters, self.started, error, self.run_id)
        about["files"] = [file_as_json(path, self.path) for path in files]
        if self.report and not isinstance(error, StoppedError):  # which leaves little time
            shown = [*files, *self._others()] if record.public.exact else files
            # Of a folder that is the run's own, the others are all that is there.
            if write_report(self.path, about, list(dict.fromkeys(shown))):
                own.append(self.path / "report.html")
        others = [path for path in self._others() if path not in files]
        listed = dict.fromkeys([*own, *others])
        about["other_files"] = [file_as_json(path, self.path) for path in listed]
        # Last: it says how large the others are, and who sees it may fetch all of them.
        write_file(self.path / "run.json", strict_json(about))
        self._recorded()

    def _recorded(self) -> None:
        """Note that there is a ``run.json``."""
        self._end_live()

    def _end_live(self) -> None:
        live, self._live = self._live, None
        if live is not None:
            live.end()
