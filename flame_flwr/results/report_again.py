"""The report of a run, made again of the run's folder: of ``run.json`` and the files that it lists.

A folder may come from elsewhere. So what ``run.json`` says is looked at before a page is made of
it, and no file outside the folder is shown.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flame_flwr.errors import ConfigError, FlameError, StoreError
from flame_flwr.files import reason_of, write_file
from flame_flwr.results.run_json import file_as_json, strict_json
from flame_flwr.results.upload import RECORD, plain_name
from flame_flwr.text.foreign_json import json_or_none

__all__ = ["list_file", "report_again"]

_LARGEST = 64 * 2**20
_PAGE = "report.html"
_SINCE: dict[str, Any] = {
    "heading": {"title": "", "description": "", "authors": []},
    "in_words": {},
    "hospitals": {},
    "secure": None,
    "frozen": {},
    "data_changed": {},
    "weighted_by": {},
    "disclosure": {},
    "filters": {},
    "sizes": {},
    "shown": None,
}
"""What runs of earlier versions do not say."""


def report_again(run: Path, to: Path | None = None) -> Path:
    """Write the page of a run, and return its place.

    Parameters
    ----------
    run : Path
        The run's folder, or its ``run.json``.
    to : Path, optional
        The page's file; ``report.html`` in the run's folder without it, where ``run.json`` then
        has the new page's size and hash.

    Raises
    ------
    ConfigError
        There is no run.
    StoreError
        ``run.json`` is damaged, or the page cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> from flame_flwr.results import Outputs, RunRecord
    >>> from flame_flwr.results.run_files import RunFiles
    >>> folder = Path(tempfile.mkdtemp())
    >>> outputs = Outputs.declare("str", "mean.txt", False)
    >>> written = RunFiles(folder).write_success(outputs, RunRecord(result=41.5), {})
    >>> report_again(folder).name
    'report.html'
    """
    folder, record = _read(run)
    page = _rendered(record, folder)
    place = folder / _PAGE if to is None else to
    try:
        write_file(place, page)
    except OSError as error:
        raise StoreError(
            f"{place} cannot be written ({reason_of(error)}): name another file with --to"
        ) from error
    if to is None:
        list_file(folder, place)
    return place


def list_file(run: Path, path: Path) -> None:
    """Have a run's ``run.json`` list a file that was written beside it later, as it is now.

    Raises
    ------
    StoreError
        ``run.json`` is damaged, or cannot be written.
    """
    folder, record = _read(run)
    entry = file_as_json(path, folder)
    others = [each for each in record["other_files"] if each["name"] != entry["name"]]
    try:
        write_file(folder / RECORD, strict_json({**record, "other_files": [*others, entry]}))
    except OSError as error:
        raise StoreError(f"{folder / RECORD} cannot be written ({reason_of(error)})") from error


def _read(run: Path) -> tuple[Path, dict[str, Any]]:
    """Return a run's folder and what its ``run.json`` says."""
    run = run.expanduser().absolute()
    folder = run.parent if run.name == RECORD else run
    path = folder / RECORD
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
    except OSError as error:
        raise ConfigError(
            f"{folder} is no run's folder, as its {RECORD} cannot be read ({reason_of(error)}); a "
            "run in an object store is fetched first, with `flame-flwr results`"
        ) from error
    record = json_or_none(content) if len(content) <= _LARGEST else None
    if not isinstance(record, dict) or "flame-flwr" not in _table(record.get("versions")):
        raise StoreError(f"{path} is damaged, or no run of flame-flwr has written it")
    if record.get("incomplete"):
        raise StoreError(f"{path} has no more than nodes and rounds: there is no report of it")
    for name in ("files", "other_files"):
        listed = record.setdefault(name, [])
        if not isinstance(listed, list) or not all("name" in _table(each) for each in listed):
            raise StoreError(f"{path} is damaged: its `{name}` are no list of files")
    return folder, record


def _rendered(record: dict[str, Any], folder: Path) -> bytes:
    from flame_flwr.results.report import render

    try:
        about = {**_SINCE, **_with_numbers(record)}
        # What else lies in a private run's folder may be exact.
        others = [] if about.get("privacy") else about["other_files"]
        named = [each["name"] for each in [*about["files"], *others]]
        paths = [path for name in named if (path := _inside(folder, name)) is not None]
        return render(about, folder, paths)
    except ModuleNotFoundError as error:
        raise ConfigError("a report needs jinja2: pip install 'flame-flwr[report]'") from error
    except FlameError:
        raise
    except Exception as error:  # what is damaged may be of any form
        raise StoreError(
            f"no report can be made of {folder / RECORD} ({type(error).__name__}): it is damaged, "
            "or of another version of flame-flwr"
        ) from error


def _inside(folder: Path, name: Any) -> Path | None:
    """Return a file of the run's own folder; ``None`` for any other."""
    if not isinstance(name, str) or not plain_name(name):
        return None
    path = folder / name
    try:  # a link may lead out of the folder, or round in a circle
        return path if path.resolve().is_relative_to(folder.resolve()) else None
    except (OSError, RuntimeError):
        return None


def _with_numbers(record: dict[str, Any]) -> dict[str, Any]:
    """Return it with the numbers that JSON has none of, as the run had them."""
    history = [
        {
            **entry,
            "metrics": _numbers(entry.get("metrics")),
            "node_metrics": {
                node: _numbers(found) for node, found in _table(entry.get("node_metrics")).items()
            },
        }
        for entry in record.get("history", [])
        if isinstance(entry, dict)
    ]
    evaluations = _table(record.get("evaluations"))
    return {
        **record,
        "history": history,
        "evaluations": {node: _numbers(found) for node, found in evaluations.items()},
    }


def _numbers(said: Any) -> dict[str, Any]:
    odd = ("nan", "inf", "-inf")  # as `strict_json` writes them
    return {name: float(v) if v in odd else v for name, v in _table(said).items()}


def _table(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
