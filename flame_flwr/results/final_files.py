"""The final files of a run, as its model declares them, or the rescue of what does not fit."""

from __future__ import annotations

import pickle
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flame_flwr.errors import ResultError
from flame_flwr.files import write_file
from flame_flwr.results.text_form import as_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from flame_flwr.results.output_files import Outputs

__all__ = ["keep_elsewhere", "rescue", "rescue_elsewhere", "write_outputs"]


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
    # All contents are made before the first is written: no file of a result that does not fit.
    try:
        files = outputs.render(result)
    except Exception as error:
        saved = rescue(folder / outputs.folder(), result)
        text = error.message if isinstance(error, ResultError) else f"{type(error).__name__}"
        # What `str(result)` raised may quote the data: that is for this host's own log.
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
        # What a lambda or a lock is in has a text at least.
        path, content = folder / "rescue.txt", _text(value).encode("utf-8", "backslashreplace")
    write_file(path, content)
    return path


def rescue_elsewhere(value: Any) -> Path:
    """Save a value in a folder of its own for temporary files, mode 0700."""
    folder = Path(tempfile.mkdtemp(prefix="flame-flwr-rescue-"))
    try:
        return rescue(folder, value)
    except OSError:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def keep_elsewhere(result: Any) -> str:
    """Save a result as :func:`rescue_elsewhere` does, and say where it is, or that it is not."""
    try:
        return f"the result is saved whole in {rescue_elsewhere(result)}"
    except OSError:
        return "the result could not be saved elsewhere either"


def _text(value: Any) -> str:
    try:
        return as_text(value) if not isinstance(value, str) else repr(value)
    except Exception:
        return object.__repr__(value)
