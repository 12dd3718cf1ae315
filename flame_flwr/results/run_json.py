"""``run.json`` and ``history.csv``: what happened in a run, for readers and programs."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import os
import platform
import re
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flame_flwr import __version__
from flame_flwr.errors import StoreError
from flame_flwr.files import write_file
from flame_flwr.log import logger
from flame_flwr.metrics import COLUMNS, FORMULA
from flame_flwr.payload import WIRE_VERSION
from flame_flwr.results.live_file import LIVE, is_live
from flame_flwr.results.metric_means import metric_names
from flame_flwr.results.tensorboard_events import event_files
from flame_flwr.text.foreign_json import json_or_none

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flame_flwr.results.run_record import RunRecord

__all__ = ["begin_record", "file_as_json", "history_csv", "is_run", "record_files", "run_as_json"]
__all__ += ["strict_json", "write_report"]

_OWN = ("history.csv", "report.html", "report.pdf")
_SIGNS = re.escape("".join(FORMULA))
_FORMULA = re.compile(rf"(?:^|(?<=\W))(?=[{_SIGNS}])|(?:^|(?<=[^\w\s\"']))(?=[\s\"']+[{_SIGNS}])")
"""Where what a spreadsheet would calculate begins, in a text or behind any sign or space."""


def run_as_json(
    record: RunRecord,
    parameters: Mapping[str, Any],
    started: datetime,
    error: BaseException | None = None,
    run_id: str | None = None,
) -> dict[str, Any]:
    """Return what ``run.json`` says of a run, but for its files.

    Parameters
    ----------
    record : RunRecord
        What happened.
    parameters : dict
        What the run was asked for.
    started : datetime
        When, with its time zone.
    error : BaseException, optional
        Why the run failed.
    run_id : str, optional
        Flower's; ``None`` in process.
    """
    finished = datetime.now(UTC)
    return {
        "status": "completed" if error is None else "failed",
        "error": None if error is None else record.public.error(error),
        "run_id": run_id,
        "started": started.isoformat(timespec="seconds"),
        "finished": finished.isoformat(timespec="seconds"),
        "seconds": round((finished - started).total_seconds(), 3),
        "versions": {
            "flame-flwr": __version__,
            "wire": WIRE_VERSION,
            "flwr": version("flwr"),
            "numpy": version("numpy"),
            "python": platform.python_version(),
        },
        "parameters": dict(parameters),
        **_shown(record),
    }


def _shown(record: RunRecord) -> dict[str, Any]:
    """Return what may be shown of a run; where that cannot be written, only that there was one.

    A run has taken hours, and part of what it says is nodes' word: no fault of it loses the rest.
    """
    try:
        shown = record.public.to_json()
        strict_json(shown)
    except Exception as error:
        logger.error(
            "run.json has no more than nodes and rounds, as the record cannot be written: %s: %s",
            type(error).__name__,
            error,
        )
        return {"nodes": record.nodes, "rounds": len(record.history), "incomplete": True}
    return shown


def is_run(path: Path) -> bool:
    """Tell whether a file is a ``run.json`` that a run has written."""
    return bool(_read(path))


def record_files(folder: Path) -> list[Path]:
    """Return what the run that a folder's ``run.json`` is of has written beside its result.

    These are ``history.csv``, ``report.html``, ``report.pdf`` and events, as far as ``run.json``
    names them.
    """
    listed = _read(folder / "run.json").get("other_files")
    # A file of such a name that `run.json` does not list is somebody's own.
    named = [file.get("name") for file in listed or () if isinstance(file, dict)]
    own = [folder / name for name in _OWN if name in named and (folder / name).is_file()]
    return own + event_files(folder)


def _read(path: Path) -> dict[str, Any]:
    """Return what a ``run.json`` says; of a file that no run wrote, nothing."""
    try:
        about = json_or_none(path.read_bytes())
    except OSError:
        return {}
    versions = about.get("versions") if isinstance(about, dict) else None
    return about if isinstance(versions, dict) and "flame-flwr" in versions else {}


def begin_record(folder: Path) -> None:
    """Remove what an earlier run has written beside its result: none of it is of this run.

    Its results stay, until this run's replace them. So do files that no run wrote.

    Raises
    ------
    StoreError
        Something of it cannot be removed.
    """
    old = record_files(folder)
    if is_run(folder / "run.json"):
        old.append(folder / "run.json")
    if is_live(folder / LIVE):  # of one that has ended without a word
        old.append(folder / LIVE)
    try:
        for path in old:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(
            f"the files of an earlier run in {folder} cannot be removed ({error.strerror}): remove "
            "them, or name another folder"
        ) from error


def write_report(
    folder: Path, about: dict[str, Any], paths: Sequence[Path], *, of: Path | None = None
) -> bool:
    """Write ``report.html``; a run whose report cannot be made is complete without it.

    Parameters
    ----------
    folder : Path
        Where to.
    about : dict
        What ``run.json`` says.
    paths : sequence of Path
        The files to show.
    of : Path, optional
        The run's folder, where it is another one.

    Returns
    -------
    bool
        Whether it was written.
    """
    try:
        from flame_flwr.results.report import render

        write_file(folder / "report.html", render(about, of or folder, paths))
        return True
    except Exception as error:
        logger.error(
            "report.html could not be written (%s: %s); everything else is there",
            type(error).__name__,
            error,
        )
        return False


def strict_json(about: dict[str, Any]) -> bytes:
    """Write JSON that any reader takes: NaN and infinity become the strings they read as."""

    def strict(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: strict(entry) for key, entry in value.items()}
        if isinstance(value, list):
            return [strict(entry) for entry in value]
        return str(value) if isinstance(value, float) and not math.isfinite(value) else value

    return json.dumps(strict(about), indent=2, allow_nan=False).encode()


def file_as_json(path: Path, folder: Path) -> dict[str, Any]:
    """Return a file as ``run.json`` has it: its name relative to a folder, size and hash."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
        size = file.tell()  # of what was hashed: the file could be another one by its name now
    return {
        "name": Path(os.path.relpath(path, folder)).as_posix(),
        "bytes": size,
        "sha256": digest.hexdigest(),
    }


def history_csv(record: RunRecord) -> bytes:
    """Return one line per round and node: seconds and bytes, or why it failed; its metrics.

    Every metric that is shown has a column of its own, behind the others. Of a private run there
    are none, and no change of the aggregate.
    """
    history = record.public.history
    names = metric_names(entry.node_metrics for entry in history)
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([*COLUMNS, *map(_cell, names)])
    are_masked = bool((record.secure or {}).get("masked"))  # then nodes say nothing of their time
    for entry in history:
        for node in [*entry.node_seconds, *entry.failed]:
            writer.writerow(
                [
                    entry.round,
                    _cell(node),
                    "" if are_masked else entry.node_seconds.get(node, ""),
                    entry.node_bytes.get(node, ""),
                    _cell(entry.failed.get(node, "")),
                    entry.seconds,
                    _cell(entry.reason),
                    "" if entry.change is None else entry.change,
                    *(entry.node_metrics.get(node, {}).get(name, "") for name in names),
                ]
            )
    return text.getvalue().encode()


def _cell(text: str) -> str:
    """Return somebody's text so that a spreadsheet takes it for text, and for no formula.

    Nor what follows a separator in it: a spreadsheet may split lines at another one than a comma.
    """
    return _FORMULA.sub("'", text)
