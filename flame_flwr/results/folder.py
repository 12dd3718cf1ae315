"""A run's folder: every file in it is complete or absent."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flame_flwr.config import check_results
from flame_flwr.errors import ConfigError, ResultError, StoreError
from flame_flwr.files import probe
from flame_flwr.log import logger
from flame_flwr.object_store import BRIEF, LONG, is_url
from flame_flwr.results.final_files import keep_elsewhere, rescue, rescue_elsewhere, write_outputs
from flame_flwr.results.run_json import write_run
from flame_flwr.results.upload import Upload, files_below, mend

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flame_flwr.object_store import Patience
    from flame_flwr.results.outputs import Outputs
    from flame_flwr.results.record import RunRecord

__all__ = ["DEFAULT_RESULTS", "UPLOAD", "RunFolder"]

DEFAULT_RESULTS = "~/flame-results"

UPLOAD = LONG
"""How long an object store is waited for at the end of a run."""


class RunFolder:
    """The folder of one run, below ``results``.

    Where `results` is an object store, the run is written into a folder of its own on this host,
    mode 0700, and brought to the store at its end.

    Parameters
    ----------
    results : str
        An absolute path or an ``s3://`` URL; empty for ``~/flame-results``.
    run_id : int
        Flower's id of the run, part of the folder's name.
    report : bool
        Whether it gets a ``report.html``.

    Attributes
    ----------
    path : Path
        The folder on this host.
    place : str
        Where the run is to be found: the folder's path or its URL.

    Raises
    ------
    ConfigError
        A relative path, a wrong URL, or a place that cannot be written to: before the first round.
    """

    def __init__(self, results: str, run_id: int, *, report: bool = False) -> None:
        check_results(results)
        self.started = datetime.now(UTC)
        self.report = report
        self.run_id = run_id
        name = f"{self.started:%Y-%m-%dT%H-%M-%SZ}-{run_id}"
        self._delivery = Upload(results, name) if is_url(results) else None
        self._root = Path(results or DEFAULT_RESULTS).expanduser()
        try:
            if self._delivery is not None:
                self._root = Path(tempfile.mkdtemp(prefix="flame-flwr-results-"))
            self.path = self._root / name
            self.scratch = _begin(self.path)
        except OSError as error:
            place = str(self._root)
            if self._delivery is not None:
                place = f"{self._delivery.place}, first in this host's folder for temporary files"
                with suppress(OSError):
                    self._root.rmdir()
            raise ConfigError(
                f"`results` in the run config cannot be written to: {place} ({error}): "
                f"{mend(error)}"
            ) from error
        self.place = str(self.path if self._delivery is None else self._delivery.place)

    def where(self, path: Path) -> str:
        """Return a file's place: its path, or the URL it was brought to."""
        return os.path.join(self.place, path.relative_to(self.path))

    def write_success(
        self, outputs: Outputs, record: RunRecord, parameters: Mapping[str, Any]
    ) -> list[Path]:
        """Write the final files, history and ``run.json``, and return the final files' paths.

        Raises
        ------
        ResultError
            The result does not fit what the model declares; it was saved whole.
        StoreError
            They cannot be written, such as on a full disk; the message says where the result is.
        """
        try:
            paths = write_outputs(self.path, outputs, record.result, self.where)
            self._write_run(record, parameters, paths, error=None)
        except OSError as error:
            raise StoreError(
                f"the results could not be written to {self.path} ({error}): {mend(error)}; "
                f"{keep_elsewhere(record.result)}"
            ) from error
        return paths

    def deliver(self) -> None:
        """Bring the folder to the object store that `results` names, and remove it here.

        Raises
        ------
        StoreError
            It could not be brought there; the message says where everything is kept.
        """
        if self._delivery is None:
            return
        try:
            self._upload(UPLOAD)
        except StoreError as error:
            raise StoreError(f"{error}. Nothing is lost: {self._kept()}") from None

    def _upload(self, patience: Patience) -> None:
        assert self._delivery is not None
        try:
            left = self._delivery.upload(self.path, patience)
        except BaseException as error:
            self.place = str(self.path)
            if not isinstance(error, StoreError):
                logger.error("the upload was interrupted: %s", self._kept())
            raise
        if left:
            logger.warning(
                "%d files that are links, or whose names no store takes, are left in %s",
                left,
                self.path,
            )
        else:
            shutil.rmtree(self._root, ignore_errors=True)

    def _kept(self) -> str:
        return (
            f"the run's files are complete in {self.path} on the server's host, for its user "
            "alone; copy them from there"
        )

    def write_failure(
        self, record: RunRecord, parameters: Mapping[str, Any], error: BaseException
    ) -> None:
        """Write what there is: ``run.json``, history, and the last aggregate as a rescue file."""
        if (
            record.history
            and record.public.exact
            and not isinstance(error, ResultError | StoreError)
        ):
            try:
                saved = self._rescue(record.aggregate)
            except OSError as reason:
                logger.error("the last aggregate could not be saved: %s", reason)
            else:
                logger.error("the aggregate of round %d is in %s", len(record.history), saved)
        try:
            self._write_run(record, parameters, [], error)
        except OSError as reason:
            logger.error("%s cannot be written (%s): %s", self.path, reason, mend(reason))
        if self._delivery is not None:
            try:
                self._upload(BRIEF)
            except StoreError as reason:
                logger.error("%s; %s", reason, self._kept())

    def _rescue(self, value: Any) -> str:
        """Save a value in the run's folder, elsewhere where that fails, and return the place."""
        try:
            return self.where(rescue(self.path, value))
        except OSError:
            return str(rescue_elsewhere(value))

    def _write_run(
        self,
        record: RunRecord,
        parameters: Mapping[str, Any],
        paths: list[Path],
        error: BaseException | None,
    ) -> None:
        if self.scratch.is_dir() and not any(self.scratch.iterdir()):
            shutil.rmtree(self.scratch)
        kept = {*paths, self.path / "run.json"}
        write_run(
            self.path,
            record,
            parameters,
            paths,
            run_id=str(self.run_id),
            started=self.started,
            error=error,
            others=lambda: [path for path in files_below(self.path) if path not in kept],
            report=self.report,
        )


def _begin(folder: Path) -> Path:
    """Make a run's folder and the scratch folder in it, and see that a file can be written."""
    folder.mkdir(parents=True)
    try:
        scratch = folder / "scratch"
        scratch.mkdir()
        probe(folder)
    except OSError:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return scratch
