"""The process in which a check is done, started and ended from the one that asks for it.

The check has processes and a folder of its own; both are gone when it returns, whatever user code
does.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flame_flwr.errors import FlameError, ModelError
from flame_flwr.processes.child_processes import in_session, tied
from flame_flwr.processes.run_reminder import ran
from flame_flwr.testing.findings import CHECKS, Finding
from flame_flwr.testing.spec import BEGUN, GRACE, CheckSpec
from flame_flwr.testing.subjects import AppSource, ClassSource, ScriptSource
from flame_flwr.testing.worker import PROGRAM

__all__ = ["Report", "check_in_a_process"]

_INSIDE = "FLAME_FLWR_CHECKING"


@dataclass(frozen=True, slots=True)
class Report:
    """The findings of a check, and what was checked.

    Attributes
    ----------
    findings : list of Finding
        Empty where all is well.
    about : dict
        ``analyzer``, ``server``, ``nodes``, ``rounds``, and ``messages`` where there was a single
        run, for Message methods or a client of the user's own; empty where nothing could be loaded.
    """

    findings: list[Finding] = field(default_factory=list)
    about: dict[str, Any] = field(default_factory=dict)

    @property
    def errors(self) -> list[Finding]:
        """The findings that are not only warnings."""
        return [finding for finding in self.findings if finding.severity == "error"]


def check_in_a_process(
    source: ClassSource | ScriptSource | AppSource,
    homes: list[Path],
    max_rounds: int,
    seconds: float,
    tolerance: float,
    skip: Collection[str],
) -> Report:
    """Do a check in a process of its own, and end whatever that has left."""
    ran()
    skip = [skip] if isinstance(skip, str) else skip
    _check_asked(max_rounds, seconds, skip)
    kept = [str(home) for home in dict.fromkeys(homes)]
    spec = CheckSpec(source, kept, max_rounds, seconds, tolerance, frozenset(skip))
    with tempfile.TemporaryDirectory(prefix="flame-flwr-check-", ignore_cleanup_errors=True) as own:
        folder = Path(own).resolve()
        spec.write(folder / "spec")
        code = _work(folder, seconds + GRACE)
        try:
            said = json.loads((folder / "findings.json").read_text())
        except FileNotFoundError:  # user code has ended the process, or hangs
            return Report([_unfinished(code, folder, seconds)])
    if said["error"]:
        raise FlameError(said["error"])
    ranks = list(CHECKS)
    findings = [Finding(**finding) for finding in said["findings"] if finding["check"] not in skip]
    return Report(sorted(findings, key=lambda f: ranks.index(f.check)), said["about"])


def _check_asked(max_rounds: int, seconds: float, skip: Collection[str]) -> None:
    """Refuse a check within a check, and limits and names that cannot be meant."""
    if _INSIDE in os.environ:
        raise ModelError(
            "check_analysis was called while a check imports the module: put the call into a test "
            'function, or under `if __name__ == "__main__":`'
        )
    unknown = sorted(set(skip) - CHECKS.keys())
    if unknown:
        raise ModelError(f"skip: there is no check {unknown[0]!r}; there are {', '.join(CHECKS)}")
    if max_rounds < 2 or not seconds > 0:
        raise ModelError("max_rounds must be at least 2, and seconds above 0")


def _work(folder: Path, seconds: float) -> int | None:
    """Run the check's process until it ends or hangs; return its exit code, or ``None``."""
    path = [os.path.abspath(entry) for entry in sys.path]
    environment = {
        **os.environ,
        _INSIDE: "1",
        "PYTHONDONTWRITEBYTECODE": "1",  # which would go beside the user's files
        "PYTHONHASHSEED": "1",  # the second run has another one
        "MPLBACKEND": "Agg",
        "TMPDIR": str(folder),  # what user code leaves there goes with the check
    }
    environment.pop("PYTEST_CURRENT_TEST", None)  # under which a tester would be quiet
    command = [sys.executable, "-c", PROGRAM, json.dumps(path), str(folder)]
    with (folder / "log").open("wb") as log, tied(str(folder)) as mark:
        own = {"cwd": folder, "env": {**environment, **mark}}
        with in_session(command, **own, stdout=log, stderr=subprocess.STDOUT) as process:
            return _exit_code(process, folder / BEGUN, seconds)


def _exit_code(process: subprocess.Popen[bytes], begun: Path, seconds: float) -> int | None:
    """Wait for a process as long as it begins something every so many seconds; else ``None``."""
    last = 0
    while True:
        try:
            return process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            # it minds the time of its runs itself, but no time of starting processes for them
            latest = begun.stat().st_mtime_ns if begun.exists() else 0
            # with its findings written, it only waits for a thread of the user's
            if latest == last or begun.with_name("findings.json").exists():
                return None
            last = latest


def _unfinished(code: int | None, folder: Path, seconds: float) -> Finding:
    """Say why there are no findings: user code outside of the runs hangs or ended the process."""
    lines = (folder / "log").read_text(errors="replace").strip().splitlines()
    last = f": {lines[-1][:300]}" if lines else ""
    who, mend = "its import", "Put what the module does when it is imported into the classes"
    if (folder / BEGUN).exists():
        who, mend = "its constructor", "Put what a strategy does when it is made into its methods"
    if code is None:
        seen = f"{who} had not come to its end after {seconds + GRACE:g} s"
    else:
        seen = f"{who} ended the process with code {code}{last}"
    return Finding("runs", "", "", seen, mend)
