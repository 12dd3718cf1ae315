"""A run's folder: every file in it is complete or absent."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flame_flwr.config import check_results
from flame_flwr.errors import ConfigError, StoreError
from flame_flwr.files import probe
from flame_flwr.log import logger
from flame_flwr.object_store import BRIEF, LONG, is_url
from flame_flwr.results.live_file import LIVE
from flame_flwr.results.live_state import LiveWriter
from flame_flwr.results.run_files import RunFiles
from flame_flwr.results.upload import Upload, files_below, mend

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flame_flwr.object_store import Patience
    from flame_flwr.results.callbacks import Callback
    from flame_flwr.results.run_record import RunRecord

__all__ = ["DEFAULT_RESULTS", "UPLOAD", "RunFolder"]

DEFAULT_RESULTS = "~/flame-results"

UPLOAD = LONG
"""How long an object store is waited for at the end of a run."""


class RunFolder(RunFiles):
    """The folder of one run on Flower, below ``results``.

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

    Examples
    --------
    >>> with tempfile.TemporaryDirectory() as results:
    ...     folder = RunFolder(results, run_id=7)
    ...     folder.path.name.endswith("Z-7"), folder.place == str(folder.path)
    (True, True)
    """

    who = "the server's user"

    def __init__(self, results: str, run_id: int, *, report: bool = False) -> None:
        check_results(results)
        self._root = Path(results or DEFAULT_RESULTS).expanduser()
        super().__init__(self._root, report=report, run_id=str(run_id))
        name = f"{self.started:%Y-%m-%dT%H-%M-%SZ}-{run_id}"
        self._delivery = Upload(results, name) if is_url(results) else None
        try:
            # Written here first: half a run in a store would look like a damaged one.
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

    def live(self) -> list[Callback]:
        """Return what writes what the run does: to where the run is to be found."""
        self._live = LiveWriter(self.place, self.started, self.run_id)
        return [self._live]

    def address(self, path: Path) -> str:
        """Return a file's place: its path, or the URL it was brought to."""
        return os.path.join(self.place, path.relative_to(self.path))

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
            # From now on the files are here: every later line has to say so.
            self.place = str(self.path)
            if not isinstance(error, StoreError):
                logger.error("the upload was interrupted: %s", self._kept())
            raise
        self._end_live()
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
        """Write what there is, and bring it to the object store, if that answers soon."""
        super().write_failure(record, parameters, error)
        if self._delivery is not None:
            # A run that is stopped has little time, and its error matters more than the upload.
            try:
                self._upload(BRIEF)
            except StoreError as reason:
                logger.error("%s; %s", reason, self._kept())

    def _recorded(self) -> None:
        if self._delivery is None:  # else it is not yet where the run is looked for
            super()._recorded()

    def _others(self) -> list[Path]:
        passing = {self.path / "run.json", self.path / LIVE}
        return [path for path in files_below(self.path) if path not in passing]

    def _write_record(self, record: RunRecord, *what: Any) -> None:
        # User code may have removed it, or left plots in it, which are kept.
        if self.scratch.is_dir() and not any(self.scratch.iterdir()):
            shutil.rmtree(self.scratch)
        super()._write_record(record, *what)


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
