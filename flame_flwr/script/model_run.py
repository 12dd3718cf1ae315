"""The run of a script's model in this process: its data, its files, what its nodes keep."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flame_flwr.analysis.declaration import about_plan
from flame_flwr.config import RUN_KEYS, RunSettings
from flame_flwr.errors import (
    ConfigError,
    FlameError,
    NotConvergedError,
    ResultError,
    StoreError,
)
from flame_flwr.files import probe, reason_of
from flame_flwr.log import logger
from flame_flwr.results.callbacks import with_callbacks
from flame_flwr.results.events import event_files
from flame_flwr.results.extras import Extras
from flame_flwr.results.final_files import keep_elsewhere, rescue_somewhere, write_outputs
from flame_flwr.results.progress_bar import bars
from flame_flwr.results.record import RunRecord
from flame_flwr.results.run_json import begin_record, write_run
from flame_flwr.results.text_form import printed
from flame_flwr.results.upload import mend
from flame_flwr.script.locations import node_locations, open_sources

if TYPE_CHECKING:
    from flame_flwr.analysis.model import StarModel
    from flame_flwr.results.outputs import Outputs

__all__ = ["MAX_ROUNDS", "LocalRun", "results_folder", "state_folder"]

MAX_ROUNDS: int = RUN_KEYS["max-rounds"].default
"""The limit on rounds where nobody names one."""


def results_folder(results: str | Path | None) -> Path:
    """Return where the files of a run go; ``results`` in the working directory by default.

    Raises
    ------
    ConfigError
        It is an object store.
    """
    if str(results).startswith("s3:/"):  # a Path has one slash less
        raise ConfigError(
            f"--results names a folder here, not {results}: an object store is for `results` in "
            "the run config of an app"
        )
    return Path(os.path.abspath(Path("results" if results is None else results).expanduser()))


def check_folder(results: Path) -> None:
    """See before a run that its files can be written.

    Raises
    ------
    ConfigError
        They cannot; the message says why and what to do.
    """
    try:
        probe(results)
    except OSError as error:
        raise ConfigError(
            f"--results cannot be written to: {results} ({reason_of(error)}): "
            f"{mend(error, 'this user')}"
        ) from error


def state_folder(state: str | Path | None, results: Path) -> Path:
    """Return where nodes keep data across runs of scripts; beside the results by default."""
    if state is None:
        return results.parent / ".flame-flwr"
    return Path(os.path.abspath(Path(state).expanduser()))


@dataclass(frozen=True, slots=True)
class LocalRun:
    """What a run in this process is asked for.

    Parameters
    ----------
    script : Path
        The script, for ``run.json``.
    data : list of str
        What each node reads, as :func:`flame_flwr.script.locations.as_given` returns it.
    nodes : int or None
        How many nodes.
    results, state : Path
        The folders for the files, and for what nodes keep; absolute.
    max_rounds : int
        The limit on rounds.
    report, tensorboard : {'auto', 'on', 'off'}
        What is written beside the results, where the extra is installed.
    """

    script: Path
    data: list[str]
    nodes: int | None
    results: Path
    state: Path
    max_rounds: int
    report: str = "auto"
    tensorboard: str = "auto"

    def run(self, model: StarModel) -> tuple[tuple[Path, ...], RunRecord]:
        """Run a model, write its files, ``run.json`` and ``history.csv``, and return both.

        ``run.json`` and ``history.csv`` are written after a failure, too, once the data is there.

        Raises
        ------
        ConfigError, DataError
            The data does not fit or is not there, or the results cannot be written: before
            anything runs.
        StoreError
            The results could not be written after all; the message says where they are saved.
        Exception
            What user code raises.
        """
        from flame_flwr.analysis.local_run import run_local

        sources = open_sources(node_locations(model.plan.data_type, self.data, self.nodes))
        self._check_results()
        extras = self._extras()
        about = None if model.privacy is None else model.privacy.about()
        record = RunRecord(privacy=about, shown=model.shown)
        record.study |= about_plan(model.plan, model.shown)
        settings = RunSettings.from_config(
            {"max-rounds": self.max_rounds, "state-dir": str(self.state)}
        )
        started = datetime.now(UTC)
        begin_record(self.results)
        try:
            with with_callbacks(record, *bars(), *extras.callbacks(self.results)):
                run_local(
                    model.strategy(),
                    model.plan,
                    sources,
                    settings,
                    record,
                    model.simple_analysis,
                    client=model.client,
                )
            record.release(model.privacy)
            files = self._deliver(record, model.outputs, started)
        except BaseException as error:
            self._add_way(error)
            self._save_what_there_is(record, started, error)
            raise
        if not model.outputs.many and model.outputs.types == "str":
            logger.info("Final result: %s", printed(record.result))
        for file in files:
            logger.info("Final result written to %s", file)
        return tuple(files), record

    def _deliver(self, record: RunRecord, outputs: Outputs, started: datetime) -> list[Path]:
        try:
            files = write_outputs(self.results, outputs, record.result)
            self._write(record, files, started, None)
        except OSError as error:
            raise StoreError(
                f"the results could not be written to {self.results} ({reason_of(error)}): "
                f"{mend(error, 'this user')}; {keep_elsewhere(record.result)}"
            ) from error
        return files

    def _check_results(self) -> None:
        check_folder(self.results)

    def _add_way(self, error: BaseException) -> None:
        """Name the option of `flame-flwr run` that an error is about."""
        if isinstance(error, NotConvergedError):
            error.add_note("the limit of `flame-flwr run` is its option --max-rounds")
        about_state = ("`state-dir`", "the folder of what is kept")
        if isinstance(error, FlameError) and any(what in error.message for what in about_state):
            error.add_note(f"it is {self.state}; --state names another folder")

    def _write(
        self, record: RunRecord, files: list[Path], started: datetime, error: BaseException | None
    ) -> None:
        asked: dict[str, Any] = {
            "script": str(self.script),
            "data": self.data,
            "nodes": len(record.nodes),
            "results": str(self.results),
            "state-dir": str(self.state),
            "max-rounds": self.max_rounds,
        }
        write_run(
            self.results,
            record,
            asked,
            files,
            run_id=None,
            started=started,
            error=error,
            others=lambda: event_files(self.results),
            report=self._extras().report,
        )

    def _extras(self) -> Extras:
        return Extras.of(self.report, self.tensorboard, "--{}")

    def _save_what_there_is(
        self, record: RunRecord, started: datetime, error: BaseException
    ) -> None:
        """Save the last aggregate, unless the exact one is private, and say how the run ended."""
        lost = not isinstance(error, ResultError | StoreError)
        try:
            if record.history and record.public.exact and lost:
                saved = rescue_somewhere(self.results, record.aggregate)
                logger.error("the aggregate of round %d is in %s", len(record.history), saved)
            self._write(record, [], started, error)
        except OSError as reason:
            logger.error("what there is of the run could not be saved: %s", reason)
