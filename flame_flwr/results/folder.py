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
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flame_flwr import __version__
from flame_flwr.config import check_results
from flame_flwr.errors import ConfigError, ResultError, StoreError
from flame_flwr.log import logger
from flame_flwr.payload import WIRE_VERSION
from flame_flwr.results.delivery import Delivery, files_below, mend
from flame_flwr.store import BRIEF, LONG, is_url

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flame_flwr.results.outputs import Outputs
    from flame_flwr.results.record import RunRecord
    from flame_flwr.store import Patience

__all__ = ["RunFolder", "rescue", "write_file", "write_outputs"]

DEFAULT_RESULTS = "~/flame-results"

UPLOAD = LONG
"""How long an object store is waited for at the end of a run."""


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


def write_outputs(
    folder: Path, outputs: Outputs, result: Any, show: Callable[[Path], str] = str
) -> list[Path]:
    """Write a final result as its model declares it, and return the files' paths.

    Parameters
    ----------
    folder : Path
        Where names are relative to.
    outputs : Outputs
        What the model declares.
    result : Any
        The final result.
    show : callable
        Gives a file's place as a message names it.

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
            f"{text}. The result was saved whole in {show(saved)}", detail=detail
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


def _begin(folder: Path) -> Path:
    """Make a run's folder and the scratch folder in it, and see that a file can be written."""
    folder.mkdir(parents=True)
    try:
        scratch = folder / "scratch"
        scratch.mkdir()
        probe = folder / ".probe"
        write_file(probe, bytes(2**16))
        probe.unlink()
    except OSError:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return scratch


def _rescue_elsewhere(value: Any) -> Path:
    """Save a value in a folder of its own for temporary files, mode 0700."""
    folder = Path(tempfile.mkdtemp(prefix="flame-flwr-rescue-"))
    try:
        return rescue(folder, value)
    except OSError:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _text(value: Any) -> str:
    try:
        return repr(value)
    except Exception:
        return object.__repr__(value)


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

    def __init__(self, results: str, run_id: int) -> None:
        check_results(results)
        self.started = datetime.now(UTC)
        self.run_id = run_id
        name = f"{self.started:%Y-%m-%dT%H-%M-%SZ}-{run_id}"
        self._delivery = Delivery(results, name) if is_url(results) else None
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
            try:
                saved = f"the result is saved whole in {_rescue_elsewhere(record.result)}"
            except OSError:
                saved = "the result could not be saved elsewhere either"
            raise StoreError(
                f"the results could not be written to {self.path} ({error}): {mend(error)}; {saved}"
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
        exact = record.privacy is None
        if record.history and exact and not isinstance(error, ResultError | StoreError):
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
            return str(_rescue_elsewhere(value))

    def _write_run(
        self,
        record: RunRecord,
        parameters: Mapping[str, Any],
        paths: list[Path],
        error: BaseException | None,
    ) -> None:
        finished = datetime.now(UTC)
        about = {
            "status": "completed" if error is None else "failed",
            "error": None if error is None else f"{type(error).__name__}: {error}",
            "run_id": str(self.run_id),
            "started": self.started.isoformat(timespec="seconds"),
            "finished": finished.isoformat(timespec="seconds"),
            "seconds": round((finished - self.started).total_seconds(), 3),
            "versions": {
                "flame-flwr": __version__,
                "wire": WIRE_VERSION,
                "flwr": version("flwr"),
                "numpy": version("numpy"),
                "python": platform.python_version(),
            },
            "parameters": dict(parameters),
            **record.to_json(),
            "files": [_about_file(path, self.path) for path in paths],
        }
        write_file(self.path / "history.csv", _history(record))
        if self.scratch.is_dir() and not any(self.scratch.iterdir()):
            shutil.rmtree(self.scratch)
        others = [path for path in files_below(self.path) if path not in paths]
        about["other_files"] = [
            _about_file(path, self.path) for path in others if path != self.path / "run.json"
        ]
        write_file(self.path / "run.json", _strict_json(about))


def _strict_json(about: dict[str, Any]) -> bytes:
    """Write JSON that any reader takes: NaN and infinity become the strings they read as."""

    def strict(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: strict(entry) for key, entry in value.items()}
        if isinstance(value, list):
            return [strict(entry) for entry in value]
        return str(value) if isinstance(value, float) and not math.isfinite(value) else value

    return json.dumps(strict(about), indent=2, allow_nan=False).encode()


def _about_file(path: Path, folder: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
        size = file.tell()
    return {
        "name": path.relative_to(folder).as_posix(),
        "bytes": size,
        "sha256": digest.hexdigest(),
    }


def _history(record: RunRecord) -> bytes:
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
