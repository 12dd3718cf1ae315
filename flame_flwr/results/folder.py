"""A run's folder: every file in it is complete or absent."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import os
import pickle
import platform
import shutil
import tempfile
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flame_flwr import __version__
from flame_flwr.errors import ConfigError, ResultError
from flame_flwr.log import logger
from flame_flwr.payload import WIRE_VERSION

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flame_flwr.results.outputs import Outputs
    from flame_flwr.results.record import RunRecord

__all__ = [
    "RunFolder",
    "history_csv",
    "probe",
    "rescue",
    "write_file",
    "write_outputs",
    "write_run",
]

DEFAULT_RESULTS = "~/flame-results"


def write_file(path: Path, content: bytes) -> None:
    """Write a file so that it is complete or absent; missing folders are created.

    Raises
    ------
    OSError
        The disk is full, or the folder cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=".flame-flwr-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def probe(folder: Path) -> None:
    """Write a small file into a folder, which is made where it is missing, and remove it.

    Raises
    ------
    OSError
        This cannot be done: neither could the results be written.
    """
    path = folder / ".probe"
    write_file(path, bytes(2**16))
    path.unlink()


def write_outputs(folder: Path, outputs: Outputs, result: Any) -> list[Path]:
    """Write a final result as its model declares it, and return the files' paths.

    Parameters
    ----------
    folder : Path
        Where names are relative to.
    outputs : Outputs
        What the model declares.
    result : Any
        The final result.

    Raises
    ------
    ResultError
        The result does not fit; it was saved whole as ``rescue.pkl``, which the message names.
    """
    try:
        files = outputs.render(result)
    except Exception as error:
        saved = rescue(folder / outputs.folder(), result)
        text = error.message if isinstance(error, ResultError) else f"{type(error).__name__}"
        detail = None if isinstance(error, ResultError) else str(error)
        raise ResultError(
            f"{text}. The result was saved whole in {saved}", detail=detail
        ) from error
    paths = []
    for name, content in files:
        write_file(folder / name, content)
        paths.append(folder / name)
    return paths


def rescue(folder: Path, value: Any) -> Path:
    """Save a value that could not be written as declared, and return the file.

    It becomes ``rescue.pkl``; what cannot be pickled is kept as text, ``rescue.txt``.
    """
    try:
        path, content = folder / "rescue.pkl", pickle.dumps(value)
    except Exception:
        path, content = folder / "rescue.txt", _text(value).encode("utf-8", "backslashreplace")
    write_file(path, content)
    return path


def _text(value: Any) -> str:
    try:
        return repr(value)
    except Exception:
        return object.__repr__(value)


class RunFolder:
    """The folder of one run, below ``results``.

    Parameters
    ----------
    results : str
        An absolute path; empty for ``~/flame-results``.
    run_id : int
        Flower's id of the run, part of the folder's name.

    Raises
    ------
    ConfigError
        A relative path, a URL, or a folder that cannot be written: before the first round.
    """

    def __init__(self, results: str, run_id: int) -> None:
        root = _root(results)
        self.started = datetime.now(UTC)
        self.run_id = run_id
        self.path = root / f"{self.started:%Y-%m-%dT%H-%M-%SZ}-{run_id}"
        self.scratch = self.path / "scratch"
        try:
            self.scratch.mkdir(parents=True)
            probe(self.path)
        except OSError as error:
            raise ConfigError(
                f"`results` in the run config cannot be written to: {root} ({error})"
            ) from error

    def write_success(
        self, outputs: Outputs, record: RunRecord, parameters: Mapping[str, Any]
    ) -> list[Path]:
        """Write the final files, history and ``run.json``, and return the final files' paths."""
        paths = write_outputs(self.path, outputs, record.result)
        self._write_run(record, parameters, paths, error=None)
        return paths

    def write_failure(
        self, record: RunRecord, parameters: Mapping[str, Any], error: BaseException
    ) -> None:
        """Write what there is: ``run.json``, history, and the last aggregate as a rescue file."""
        exact = record.privacy is None
        if record.history and exact and not isinstance(error, ResultError):
            try:
                saved = rescue(self.path, record.aggregate)
            except OSError as reason:
                logger.error("the last aggregate could not be saved: %s", reason)
            else:
                logger.error("the aggregate of round %d is in %s", len(record.history), saved)
        self._write_run(record, parameters, [], error)

    def _write_run(
        self,
        record: RunRecord,
        parameters: Mapping[str, Any],
        paths: list[Path],
        error: BaseException | None,
    ) -> None:
        run_id = str(self.run_id)
        write_file(self.path / "history.csv", history_csv(record))
        write_run(
            self.path, record, parameters, paths, run_id=run_id, started=self.started, error=error
        )
        if not any(self.scratch.iterdir()):
            shutil.rmtree(self.scratch)


def write_run(
    folder: Path,
    record: RunRecord,
    parameters: Mapping[str, Any],
    paths: list[Path],
    *,
    run_id: str | None,
    started: datetime,
    error: BaseException | None = None,
) -> Path:
    """Write ``run.json`` and return its path.

    Parameters
    ----------
    folder : Path
        Where to.
    record : RunRecord
        What happened.
    parameters : dict
        What the run was asked for.
    paths : list of Path
        The final files: their names relative to `folder`, sizes and hashes are written.
    run_id : str or None
        Flower's; ``None`` in process.
    started : datetime
        When, with its time zone.
    error : BaseException, optional
        Why the run failed.
    """
    finished = datetime.now(UTC)
    about = {
        "status": "completed" if error is None else "failed",
        "error": None if error is None else f"{type(error).__name__}: {error}",
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
        **record.to_json(),
        "files": [_about_file(path, folder) for path in paths],
    }
    write_file(folder / "run.json", _strict_json(about))
    return folder / "run.json"


def _strict_json(about: dict[str, Any]) -> bytes:
    """Write JSON that any reader takes: NaN and infinity become the strings they read as."""

    def strict(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: strict(entry) for key, entry in value.items()}
        if isinstance(value, list):
            return [strict(entry) for entry in value]
        return str(value) if isinstance(value, float) and not math.isfinite(value) else value

    return json.dumps(strict(about), indent=2, allow_nan=False).encode()


def _root(results: str) -> Path:
    if "://" in results:
        raise ConfigError(f"`results` in the run config must be an absolute path, not {results}")
    root = Path(results or DEFAULT_RESULTS).expanduser()
    if not root.is_absolute():
        raise ConfigError(
            f"`results` in the run config must be an absolute path, not {results}: Flower's "
            "processes have working directories of their own"
        )
    return root


def _about_file(path: Path, folder: Path) -> dict[str, Any]:
    content = path.read_bytes()
    return {
        "name": Path(os.path.relpath(path, folder)).as_posix(),
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }


def history_csv(record: RunRecord) -> bytes:
    """Return one line per round and node: seconds and bytes, or why it failed."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["round", "node", "seconds", "bytes", "failed", "round_seconds", "reason"])
    for entry in record.history:
        for node in [*entry.node_seconds, *entry.failed]:
            writer.writerow(
                [
                    entry.round,
                    node,
                    entry.node_seconds.get(node, ""),
                    entry.node_bytes.get(node, ""),
                    entry.failed.get(node, ""),
                    entry.seconds,
                    entry.reason,
                ]
            )
    return text.getvalue().encode()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
