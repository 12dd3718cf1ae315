"""A run's files and record, copied to where a user has asked for them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from flame_flwr.files import write_file
from flame_flwr.results.run_json import begin_record, file_as_json, record_files, write_report

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["export_files"]


def export_files(folder: Path, target: Path, asked: Mapping[str, Any]) -> list[Path]:
    """Copy a run's result files and record, and return the result files there.

    In the record and in the report, what the user asked for takes the place of what the app was
    told. The record lists what was copied.

    Parameters
    ----------
    folder : Path
        The run's, with its ``run.json``.
    target : Path
        Where to; the record of an earlier run there is removed.
    asked : dict
        Parameters by name.
    """
    about = json.loads((folder / "run.json").read_bytes())
    about["parameters"] |= asked
    # First, so that a failure below leaves no earlier run's record beside this one's files.
    begin_record(target)
    names = [file["name"] for file in about["files"]]
    own = [path.relative_to(folder) for path in record_files(folder)]
    for name in [*names, *own]:
        write_file(target / name, (folder / name).read_bytes())
    if folder / "report.html" in record_files(folder):
        # The scratch folder of a private run may hold exact figures.
        others = [] if about["privacy"] else [file["name"] for file in about["other_files"]]
        write_report(target, about, [folder / name for name in [*names, *others]], of=folder)
    about["other_files"] = [file_as_json(target / name, target) for name in own]
    write_file(target / "run.json", (json.dumps(about, indent=2) + "\n").encode())
    return [target / name for name in names]
