"""The check's own process: has the runs made, judges them, and writes the findings to a file.

User code is imported here and executed in processes made for it. Everything has a limit in time.
"""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flame_flwr.errors import FlameError, ModelError, text_of
from flame_flwr.failure.tracebacks import place_of
from flame_flwr.testing.findings import Finding
from flame_flwr.testing.folder_guard import RefusedWriteError
from flame_flwr.testing.processes import Loaded, Processes
from flame_flwr.testing.spec import Settings
from flame_flwr.testing.trace import KEPT, Trace, Trouble
from flame_flwr.testing.verdicts import Verdicts

if TYPE_CHECKING:
    from flame_flwr.testing.subjects import Subject

__all__ = ["PROGRAM", "main"]

PROGRAM = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from flame_flwr.testing.worker import main; main(*sys.argv[2:])"
)
"""What ``python -c`` is given: where to look for modules, then the arguments of :func:`main`."""

_ROUNDS_OF_ORDER = 4
"""How many rounds are run with the nodes in another order."""


def main(folder: str, mode: str = "check") -> None:
    """Do the check whose spec is in a folder, and write ``findings.json`` there.

    Parameters
    ----------
    folder : str
        The check's own, with ``spec``.
    mode : {'check', 'again'}
        ``'again'`` does a single run in one process, and writes its trace to ``again``.
    """
    loaded = Loaded(Path(folder))
    # begun before anything else, it runs beside the others
    report: dict[str, Any] = {"findings": [], "error": "", "about": {}}
    second = _start_again(loaded.folder) if loaded.again and mode == "check" else None
    try:
        loaded.load()
    except (Exception, SystemExit) as error:
        if mode == "check":
            _report_load(error, report)
            _write(Path(folder, "findings.json"), json.dumps(report).encode())
        return
    with loaded.stack:
        _work(loaded, mode, second, report)


def _work(
    loaded: Loaded, mode: str, second: subprocess.Popen[bytes] | None, report: dict[str, Any]
) -> None:
    folder, processes = loaded.folder, Processes(loaded)
    if mode == "again":
        trace = processes.run(Settings(_forward(loaded.subject)))
        _write(folder / "again", pickle.dumps(trace))
        return
    verdicts = Verdicts(loaded.subject, loaded.spec)
    made = [] if loaded.is_script else [path.name for path in loaded.made]
    verdicts.imported(made, loaded.moved)
    trace = _check(loaded, processes, verdicts, second)
    report["findings"] = [asdict(finding) for finding in verdicts.findings]
    report["about"] = {
        "analyzer": loaded.subject.plan.analyzer.__name__,
        "server": loaded.subject.server,
        "nodes": len(loaded.subject.sources),
        "rounds": trace.rounds,
    }
    if processes.speaks_messages:
        report["about"]["messages"] = True
    _write(folder / "findings.json", json.dumps(report).encode())


def _check(
    loaded: Loaded, processes: Processes, verdicts: Verdicts, second: subprocess.Popen[bytes] | None
) -> Trace:
    """Do the runs, one after another, and judge them."""
    subject, spec = loaded.subject, loaded.spec
    forward = _forward(subject)
    # a single run is as it is declared; others are compared, and masked answers cannot be
    alone = processes.speaks_messages and subject.masked is not None
    first = processes.run(Settings(forward, masked=alone))
    verdicts.first_run(first)
    if first.trouble is not None or processes.speaks_messages:
        return first
    rounds = first.rounds if not first.converged else None
    # of later rounds no values are kept, so there would be nothing to compare
    rounds = KEPT if first.rounds > KEPT else rounds
    # two of the checks compare with the run in new processes, one looks at saved state, and one
    # at what is missing in their empty folders
    needed = {"process", "state", "order", "folder"} - set(spec.skip)
    apart = processes.run(Settings(forward, apart=bool(needed), rounds=rounds, share=0.25))
    again = _finish_again(second, loaded.folder, processes.until)
    if again is not None:
        verdicts.compare("repeats", first, again)
    verdicts.missing_file(apart)
    if verdicts.has("repeats"):
        return first  # what differs by chance would differ in every comparison below
    verdicts.compare("process", first, apart)
    _compare_further(loaded, processes, verdicts, first, apart, rounds)
    return first


def _compare_further(
    loaded: Loaded,
    processes: Processes,
    verdicts: Verdicts,
    first: Trace,
    apart: Trace,
    rounds: int | None,
) -> None:
    """Compare with runs in other orders, a second one in the same process, and a masked one."""
    subject, spec = loaded.subject, loaded.spec
    forward = _forward(subject)
    numbers = range(len(subject.sources))
    backward = tuple(reversed(numbers))
    arrives = len(numbers) > 1 and not subject.goes_in_turn
    if "arrival" not in spec.skip and arrives and not verdicts.has("process"):
        other = processes.run(Settings(forward, arrival=backward, rounds=rounds))
        verdicts.compare("arrival", first, other)
    if "leaks" not in spec.skip and first.changed and not verdicts.has("process"):
        twice = Settings(forward, rounds=rounds, share=0.1, twice=True)
        verdicts.leaks(first, processes.run(twice))
    if "masks" not in spec.skip and subject.masked is not None:
        masked = Settings(forward, masked=True, rounds=rounds)
        verdicts.compare("masks", first, processes.run(masked))
    if len(numbers) < 2 or subject.goes_in_turn:
        return
    if "order" not in spec.skip and apart.trouble is None and not verdicts.has("arrival"):
        # processes for every message are slow: an order that counts shows in the first rounds
        few = _ROUNDS_OF_ORDER if first.rounds > _ROUNDS_OF_ORDER else rounds
        other = processes.run(Settings(backward, apart=True, rounds=few, share=0.1))
        verdicts.compare("order", apart, other, backward)


def _forward(subject: Subject) -> tuple[int, ...]:
    return tuple(range(len(subject.sources)))


def _start_again(folder: Path) -> subprocess.Popen[bytes]:
    """Start the second run, in a process whose sets have another order."""
    environment = {**os.environ, "PYTHONHASHSEED": "2"}
    command = [sys.executable, "-c", PROGRAM, json.dumps(sys.path), str(folder), "again"]
    return subprocess.Popen(command, env=environment, cwd=folder)  # noqa: S603


def _finish_again(
    process: subprocess.Popen[bytes] | None, folder: Path, until: float
) -> Trace | None:
    """Wait for the second run; ``None`` where there is none, or its process could not do it."""
    if process is None:
        return None
    try:
        process.wait(timeout=max(0.1, until - time.monotonic()))
    except subprocess.TimeoutExpired:
        process.kill()
        return Trace(trouble=Trouble("hung"))
    if not (folder / "again").exists():
        return Trace(trouble=Trouble("died", text=str(process.returncode)))
    trace: Trace = pickle.loads((folder / "again").read_bytes())  # noqa: S301
    return trace


def _report_load(error: BaseException, report: dict[str, Any]) -> None:
    """Report why the user's code cannot be loaded: as a finding, or as a mistake in the call."""
    if isinstance(error, FlameError) and not isinstance(error, ModelError):
        report["error"] = str(error)
        return
    place = place_of(error.__traceback__, anywhere=False)
    at = f" at {place}" if place else ""
    if isinstance(error, ModelError):
        check, seen, mend = "declared", f"{error}{at}", "Mend the declaration"
    elif isinstance(error, RefusedWriteError):
        check, mend = "folder", "Make it in the method that needs it"
        seen = f"its import writes beside the code or into the working directory{at}: {error}"
    else:
        check, mend = "runs", "Mend the module"
        seen = f"it cannot be imported: {type(error).__name__}: {text_of(error)}{at}"
    finding = Finding(check, "", "", seen, f"{mend}; nothing else was checked")
    report["findings"].append(asdict(finding))


def _write(path: Path, content: bytes) -> None:
    # a process that is killed meanwhile leaves no half of it
    part = path.with_suffix(".part")
    part.write_bytes(content)
    part.replace(path)
