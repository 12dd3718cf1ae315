"""The files of a local test: at paths that the user names, with the run's record beside the first.

These folders are the user's own: what no run has written there is never replaced by a record.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flame_flwr.errors import ModelError, StoreError
from flame_flwr.files import probe
from flame_flwr.log import logger
from flame_flwr.results.run_files import RunFiles
from flame_flwr.results.run_json import is_run, record_files
from flame_flwr.results.upload import mend

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flame_flwr.results.output_files import Outputs
    from flame_flwr.results.run_record import RunRecord

__all__ = ["NamedFiles", "refuse_run_json"]


class NamedFiles(RunFiles):
    """Writes a result to paths relative to the working directory that the run was begun in.

    Parameters
    ----------
    outputs : Outputs
        What is declared, with at least one name.
    option : str
        The argument that the names were given as, for messages.
    report : bool
        Whether the record has a ``report.html``.

    Attributes
    ----------
    record_is_kept : bool
        Whether a record is written: it would not replace somebody's own file.

    Raises
    ------
    ModelError
        A name is that of a folder, or of something else that is no file.
    StoreError
        No file can be written where one is to go.
    """

    what = "the result"

    def __init__(self, outputs: Outputs, option: str, *, report: bool = False) -> None:
        self._here = Path.cwd()  # now: user code may change it before the result is written
        super().__init__(self._here / outputs.folder(), report=report)
        self._outputs = outputs
        self._try(option)
        self._in_the_way = self._others_files()
        self.record_is_kept = not self._in_the_way
        if not self.record_is_kept:
            self.report = self.history = False

    def _try(self, option: str) -> None:
        """Write a probe wherever a file is to go."""
        tried: set[Path] = set()
        for name in self._outputs.listed:
            try:
                self._check(name, option)
                folder = _nearest((self._here / name).parent)
                if folder not in tried:
                    probe(folder)
                    tried.add(folder)
            except OSError as error:
                raise StoreError(
                    f"{option} {name!r} cannot be written to ({error.strerror or error}): "
                    f"{mend(error, self.who)}"
                ) from error

    def _check(self, name: str, option: str) -> None:
        path = self._here / name
        numbered = self._outputs.many and isinstance(self._outputs.names, str)
        if name.endswith(("/", os.sep)) or (path.is_dir() and not numbered):
            raise ModelError(
                f"{option} {name!r} is a folder: name the file in it, such as "
                f"{os.path.join(name, 'result.txt')!r}"
            )
        if path.exists() and not path.is_file() and not numbered:
            raise ModelError(f"{option} {name!r} is there and is no file: name another one")

    def _others_files(self) -> list[str]:
        """Return which names that a record needs are other files': the result's, or somebody's."""
        needed = ["history.csv", "report.html", "run.json"]
        results = {Path(name).name for name in self._outputs.listed}
        if taken := sorted(results.intersection(needed)):
            return taken
        of_a_run = [path.name for path in record_files(self.path)]
        if is_run(self.path / "run.json"):
            of_a_run.append("run.json")
        return [
            name for name in needed if os.path.lexists(self.path / name) and name not in of_a_run
        ]

    @property
    def _base(self) -> Path:
        return self._here

    def _say_rescued(self, rounds: int, place: str) -> None:
        logger.error("the last aggregate was saved in %s", place)

    def _write_record(
        self,
        record: RunRecord,
        parameters: Mapping[str, Any],
        files: Sequence[Path],
        error: BaseException | None = None,
    ) -> None:
        """Write the record beside the result, unless it would replace other files."""
        private = error is None and (not record.public.exact or bool(record.filters.budgets()))
        if error is not None:
            self._warn_of_earlier()
        if self._in_the_way:
            logger.warning(
                "no record of the run is written to %s: no run wrote the %s that is there%s",
                self.path,
                " and ".join(self._in_the_way),
                "; run.json with the privacy budget is written all the same" if private else "",
            )
            # A privacy budget that is spent has to be found with the result.
            if not private:
                return
        super()._write_record(record, parameters, files, error)
        if private:
            logger.info("the privacy budget is in %s", self.path / "run.json")

    def _warn_of_earlier(self) -> None:
        """Say which results are of an earlier run: this one failed before it wrote its own."""
        files = [self._here / name for name in self._outputs.listed]
        begun = self.started.timestamp()
        if old := [str(f) for f in files if f.is_file() and f.stat().st_mtime < begun]:
            logger.warning("of an earlier run, and not of this one: %s", ", ".join(old))


def refuse_run_json(outputs: Outputs) -> None:
    """Refuse a private result the name of the file that its budget is written to.

    Raises
    ------
    ModelError
        It is called ``run.json``.
    """
    if "run.json" in [Path(name).name for name in outputs.listed]:
        raise ModelError("filename 'run.json' is where the privacy budget goes: choose another")


def _nearest(folder: Path) -> Path:
    """Return the folder, or of its parents the first one that is there: a trial makes none."""
    return next(path for path in (folder, *folder.parents) if os.path.lexists(path))
