"""The files of a ``StarModelTester``: tried before the run, written or rescued after it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from flame_flwr.errors import ModelError, StoreError
from flame_flwr.files import probe
from flame_flwr.log import logger
from flame_flwr.results.events import event_files
from flame_flwr.results.final_files import keep_elsewhere, rescue_somewhere, write_outputs
from flame_flwr.results.run_json import begin_record, is_run, record_files, write_run
from flame_flwr.results.upload import mend

if TYPE_CHECKING:
    from datetime import datetime

    from flame_flwr.results.callbacks import Callback
    from flame_flwr.results.extras import Extras
    from flame_flwr.results.outputs import Outputs
    from flame_flwr.results.record import RunRecord

__all__ = ["TesterFiles", "keep_free"]

_WHO = "this user"


class TesterFiles:
    """Where a local test writes: relative to the working directory that it was begun in.

    Parameters
    ----------
    outputs : Outputs
        What is declared, with at least one name.
    as_result_filepath : bool
        Whether the names were given as `result_filepath`, and not as `filename`.
    extras : Extras
        What is written besides.

    Raises
    ------
    ModelError
        A name is that of a folder, or of something else that is no file.
    StoreError
        No file can be written where one is to go.
    """

    def __init__(self, outputs: Outputs, as_result_filepath: bool, extras: Extras) -> None:
        self._outputs = outputs
        self._extras = extras
        self._option = "result_filepath" if as_result_filepath else "filename"
        self._here = Path.cwd()
        self._folder = self._here / outputs.folder()
        folders: set[Path] = set()
        for name in _names(outputs):
            try:
                self._check(name)
                folder = _nearest((self._here / name).parent)
                if folder not in folders:
                    probe(folder)
                    folders.add(folder)
            except OSError as error:
                raise StoreError(
                    f"{self._option} {name!r} cannot be written to ({error.strerror or error}): "
                    f"{mend(error, _WHO)}"
                ) from error
        self._in_the_way = _in_the_way(self._folder, outputs)

    def begin(self) -> None:
        """Remove what an earlier run has written beside its result.

        Raises
        ------
        StoreError
            It cannot be removed.
        """
        begin_record(self._folder)

    def callbacks(self) -> list[Callback]:
        """Return what looks on at the run and writes."""
        return [] if self._in_the_way else self._extras.callbacks(self._folder)

    def write(self, record: RunRecord, started: datetime) -> None:
        """Write the result, with its budget where it is private, and say where it went.

        Raises
        ------
        ResultError
            The result does not fit what was declared; it was saved whole.
        StoreError
            It cannot be written; the message says where it is saved.
        """
        try:
            files = write_outputs(self._here, self._outputs, record.result)
            self._write_run(record, started, files)
        except OSError as error:
            raise StoreError(
                f"the result could not be written to {self._folder} ({error.strerror or error}): "
                f"{mend(error, _WHO)}; {keep_elsewhere(record.result)}"
            ) from error
        except BaseException as error:  # a result that does not fit, Ctrl-C
            self._write_rounds(record, started, error)
            raise
        for path in files:
            logger.info("Final result written to %s", path)

    def rescue(self, record: RunRecord, started: datetime, error: BaseException) -> None:
        """Save the last aggregate of a run that failed, unless it is private, and the rounds."""
        if record.public.exact and record.history:
            try:
                saved = rescue_somewhere(self._folder, record.aggregate)
            except OSError as reason:
                logger.error("the last aggregate could not be saved: %s", reason)
            else:
                logger.error("the last aggregate was saved in %s", saved)
        self._write_rounds(record, started, error)

    def _write_rounds(self, record: RunRecord, started: datetime, error: BaseException) -> None:
        """Write the record of a run that failed, where it can be, and say what is not its own."""
        files = [self._here / name for name in _names(self._outputs)]
        begun = started.timestamp()
        if old := [str(f) for f in files if f.is_file() and f.stat().st_mtime < begun]:
            logger.warning("of an earlier run, and not of this one: %s", ", ".join(old))
        try:
            self._write_run(record, started, [], error)
        except OSError as reason:
            logger.error("what there is of the run could not be written: %s", reason)

    def _write_run(
        self,
        record: RunRecord,
        started: datetime,
        files: list[Path],
        error: BaseException | None = None,
    ) -> None:
        """Write the record of the run beside the result, unless it would replace other files."""
        private = error is None and (not record.public.exact or bool(record.filters.budgets()))
        if self._in_the_way:
            logger.warning(
                "no record of the run is written to %s: no run wrote the %s that is there%s",
                self._folder,
                " and ".join(self._in_the_way),
                "; run.json with the privacy budget is written all the same" if private else "",
            )
            if not private:
                return
        about = write_run(
            self._folder,
            record,
            {},
            files,
            run_id=None,
            started=started,
            error=error,
            others=lambda: event_files(self._folder),
            report=self._extras.report and not self._in_the_way,
            history=not self._in_the_way,
        )
        if private:
            logger.info("the privacy budget is in %s", about)

    def _check(self, name: str) -> None:
        path = self._here / name
        numbered = self._outputs.many and isinstance(self._outputs.names, str)
        if name.endswith(("/", os.sep)) or (path.is_dir() and not numbered):
            raise ModelError(
                f"{self._option} {name!r} is a folder: name the file in it, such as "
                f"{os.path.join(name, 'result.txt')!r}"
            )
        if path.exists() and not path.is_file() and not numbered:
            raise ModelError(f"{self._option} {name!r} is there and is no file: name another one")


def keep_free(outputs: Outputs) -> None:
    """Refuse a private result a name that its budget needs."""
    if "run.json" in [Path(name).name for name in _names(outputs)]:
        raise ModelError("filename 'run.json' is where the privacy budget goes: choose another")


def _in_the_way(folder: Path, outputs: Outputs) -> list[str]:
    """Return which names that a record needs are other files': the result's, or somebody's."""
    own = ["history.csv", "report.html", "run.json"]
    here = {Path(name).name for name in _names(outputs)}
    if here & set(own):
        return sorted(here & set(own))
    of_a_run = [path.name for path in record_files(folder)]
    if is_run(folder / "run.json"):
        of_a_run.append("run.json")
    return [name for name in own if os.path.lexists(folder / name) and name not in of_a_run]


def _names(outputs: Outputs) -> tuple[str, ...]:
    return (outputs.names,) if isinstance(outputs.names, str) else outputs.names or ()


def _nearest(folder: Path) -> Path:
    """Return the folder, or of its parents the first one that is there: a trial makes none."""
    return next(path for path in (folder, *folder.parents) if os.path.lexists(path))
