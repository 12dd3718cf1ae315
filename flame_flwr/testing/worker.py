"""The check's own process: imports the user's code once, and makes a process for every run of it.

User code is imported here and executed in children of this process, which are forked from it
where that is safe: they begin as a process does that has just imported the code. Everything has a
limit in time. The findings are written to a file.
"""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import pickle
import subprocess
import sys
import threading
import time
import warnings
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from flame_flwr.engine.failure import place_of
from flame_flwr.errors import FlameError, ModelError
from flame_flwr.testing.findings import Finding
from flame_flwr.testing.guard import Guard
from flame_flwr.testing.job import Job, Subject
from flame_flwr.testing.judge import Judge
from flame_flwr.testing.trace import KEPT, Trace, Trouble
from flame_flwr.testing.watch import At, Watch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from multiprocessing.connection import Connection

    from flame_flwr.testing.runs import Answer, Ask, Settings

__all__ = ["PROGRAM", "main"]

PROGRAM = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from flame_flwr.testing.worker import main; main(*sys.argv[2:])"
)
"""What ``python -c`` is given: where to look for modules, then the arguments of :func:`main`."""

_ROUNDS_OF_ORDER = 4
"""How many rounds are run with the nodes in another order."""


class _Loaded:
    """What this process has loaded: the job, its subject, and the guard that listens."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        homes, self.again = Job.head_of(folder / "job")
        self.guard = Guard(homes, folder)
        self.stack = ExitStack()
        logging.getLogger("flame_flwr").setLevel(logging.CRITICAL + 1)
        self.guard.install()

    def load(self) -> None:
        """Import the user's code, in a folder of this process's own."""
        self.guard.enter(self.folder / f"import-{os.getpid()}", furnish=True)
        self.job = Job.read(self.folder / "job")
        self.subject: Subject = self.job.source.load(self.stack)


_LOADED: list[_Loaded] = []


def main(folder: str, mode: str = "check") -> None:
    """Do the check whose job is in a folder, and write ``findings.json`` there.

    Parameters
    ----------
    folder : str
        The check's own, with ``job``.
    mode : {'check', 'again'}
        ``'again'`` does a single run in one process, and writes its trace to ``again``.
    """
    loaded = _Loaded(Path(folder))
    report: dict[str, Any] = {"findings": [], "error": "", "about": {}}
    second = _start_again(loaded.folder) if loaded.again and mode == "check" else None
    try:
        loaded.load()
    except (Exception, SystemExit) as error:
        if mode == "check":
            _report_load(error, report)
            _write(Path(folder, "findings.json"), json.dumps(report).encode())
        return
    _LOADED.append(loaded)
    with loaded.stack:
        _work(loaded, mode, second, report)


def _work(
    loaded: _Loaded, mode: str, second: subprocess.Popen[bytes] | None, report: dict[str, Any]
) -> None:
    folder, makes = loaded.folder, _Makes(loaded)
    if mode == "again":
        trace = makes.run(_forward(loaded.subject))
        _write(folder / "again", pickle.dumps(trace))
        return
    judge = Judge(loaded.subject, loaded.job)
    trace = _check(loaded, makes, judge, second)
    report["findings"] = [asdict(finding) for finding in judge.findings]
    report["about"] = {
        "analyzer": loaded.subject.plan.analyzer.__name__,
        "server": loaded.subject.server,
        "nodes": len(loaded.subject.sources),
        "rounds": trace.rounds,
    }
    _write(folder / "findings.json", json.dumps(report).encode())


def _check(
    loaded: _Loaded, makes: _Makes, judge: Judge, second: subprocess.Popen[bytes] | None
) -> Trace:
    """Do the runs, one after another, and judge them."""
    subject, job = loaded.subject, loaded.job
    forward = _forward(subject)
    first = makes.run(forward)
    judge.first_run(first)
    if first.trouble is not None or makes.speaks_messages:
        return first
    rounds = first.rounds if not first.converged else None
    rounds = KEPT if first.rounds > KEPT else rounds
    apart = makes.run(forward, apart=True, rounds=rounds)
    again = _finish_again(second, loaded.folder, makes.until)
    if again is not None:
        judge.again(first, again)
    if judge.has("repeats"):
        return first
    if "process" not in job.skip or "state" not in job.skip:
        judge.apart(first, apart)
    numbers = range(len(subject.sources))
    if len(numbers) < 2:
        return first
    backward = tuple(reversed(numbers))
    if "arrival" not in job.skip and not judge.has("process"):
        judge.arrival(first, makes.run(forward, arrival=backward, rounds=rounds))
    if "order" not in job.skip and apart.trouble is None and not judge.has("arrival"):
        few = _ROUNDS_OF_ORDER if first.rounds > _ROUNDS_OF_ORDER else rounds
        judge.order(apart, makes.run(backward, apart=True, rounds=few), backward)
    return first


def _forward(subject: Subject) -> tuple[int, ...]:
    return tuple(range(len(subject.sources)))


class _Makes:
    """Makes processes for runs and messages, and minds the time.

    Parameters
    ----------
    loaded : _Loaded
        What this process has loaded.
    """

    def __init__(self, loaded: _Loaded) -> None:
        from flame_flwr.engine.local import _MESSAGE_METHODS
        from flame_flwr.strategies import StarStrategy

        self.until = time.monotonic() + loaded.job.seconds
        strategy = type(loaded.subject.strategy())
        self.speaks_messages = any(
            getattr(strategy, name) is not getattr(StarStrategy, name) for name in _MESSAGE_METHODS
        )
        self._loaded = loaded
        self._numbers = count(1)
        # A forked process has only the thread that forked, and locks of the others stay locked.
        forks = sys.platform == "linux" and threading.active_count() == 1
        self._context = multiprocessing.get_context("fork" if forks else "spawn")

    def run(
        self,
        order: tuple[int, ...],
        *,
        arrival: tuple[int, ...] | None = None,
        apart: bool = False,
        rounds: int | None = None,
    ) -> Trace:
        """Do one run in a process of its own, with more for its nodes where they are apart."""
        from flwr.app import Context, RecordDict

        from flame_flwr.testing.runs import Settings

        number = next(self._numbers)
        nodes = len(order)
        contexts = {
            node: Context(
                run_id=number,
                node_id=node + 1,
                node_config={"partition-id": node, "num-partitions": nodes},
                state=RecordDict(),
                run_config={},
            )
            for node in order
        }
        state_dir = str(self._loaded.folder / f"state-{os.getpid()}-{number}")

        def carry(ask: Ask) -> Answer:
            return self._carry(ask, contexts, state_dir)

        settings = Settings(order, arrival or order, apart, rounds)
        done = self._call(_do_run, (settings,), carry)
        return Trace(trouble=done) if isinstance(done, Trouble) else done

    def _carry(self, ask: Ask, contexts: dict[int, Any], state_dir: str) -> Answer:
        from flame_flwr.testing.runs import Answer

        done = self._call(_do_answer, (ask, contexts[ask.node], state_dir))
        if isinstance(done, Trouble):
            return Answer(trouble=done)
        if done.context is not None:
            contexts[ask.node], done.context = done.context, None
        answer: Answer = done
        return answer

    def _call(
        self,
        what: Callable[..., Any],
        args: tuple[Any, ...],
        carry: Callable[[Ask], Answer] | None = None,
    ) -> Any:
        """Have something done in a new process; return what came of it, or the trouble."""
        ours, theirs = self._context.Pipe()
        name = f"{os.getpid()}-{next(self._numbers)}"
        with warnings.catch_warnings(), _no_main():
            warnings.simplefilter("ignore", DeprecationWarning)
            process = self._context.Process(  # type: ignore[attr-defined]
                target=_child, args=(theirs, str(self._loaded.folder), name, what, args)
            )
            process.start()
        theirs.close()
        last: At | None = None
        inner: Trouble | None = None
        try:
            while True:
                left = self.until - time.monotonic()
                if left <= 0 or not ours.poll(left):
                    return inner or Trouble("hung", at=last)
                kind, value = ours.recv()
                if kind == "at":
                    last = value
                elif kind == "ask" and carry is not None:
                    answer = carry(value)
                    inner = answer.trouble
                    ours.send(answer)
                else:
                    return value
        except (EOFError, OSError):
            process.join(5)
            return inner or Trouble("died", text=str(process.exitcode), at=last)
        finally:
            process.kill()
            process.join()
            ours.close()


@contextmanager
def _no_main() -> Iterator[None]:
    """Keep multiprocessing from running the user's script in a process that is not forked."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def _child(
    connection: Connection, folder: str, name: str, what: Callable[..., Any], args: Sequence[Any]
) -> None:
    """Do something in this process, made for it, and send what came of it."""
    if not _LOADED:
        loaded = _Loaded(Path(folder))
        loaded.load()
        _LOADED.append(loaded)
    loaded = _LOADED[0]
    subject = loaded.subject
    watch = Watch(lambda at: connection.send(("at", at)), iterative=not subject.simple_analysis)
    loaded.guard.enter(Path(folder, f"run-{name}"), furnish=what is _do_run and not args[0].apart)
    loaded.guard.watch = watch
    watch.wrap(subject.plan.analyzer, subject.aggregator)
    connection.send(("done", what(connection, loaded, watch, *args)))


def _do_run(connection: Connection, loaded: _Loaded, watch: Watch, settings: Settings) -> Trace:
    from flame_flwr.testing.runs import run

    def ask(message: Ask) -> Answer:
        connection.send(("ask", message))
        answer: Answer = connection.recv()
        return answer

    return run(loaded.subject, loaded.job, settings, watch, ask)


def _do_answer(
    connection: Connection, loaded: _Loaded, watch: Watch, ask: Ask, context: Any, state_dir: str
) -> Answer:
    from flame_flwr.testing.runs import answer

    return answer(loaded.subject, ask, context, watch, state_dir)


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
    """Say why the user's code cannot be loaded: a finding, or an error of who asks."""
    place = place_of(error.__traceback__, anywhere=False)
    at = f" at {place}" if place else ""
    if isinstance(error, ModelError):
        finding = Finding(
            "declared", "", "", f"{error}{at}", "Mend the declaration; nothing else was checked"
        )
        report["findings"].append(asdict(finding))
    elif isinstance(error, FlameError):
        report["error"] = str(error)
    else:
        finding = Finding(
            "runs",
            "",
            "",
            f"it cannot be imported: {type(error).__name__}: {error}{at}",
            "Mend the module; nothing else was checked",
        )
        report["findings"].append(asdict(finding))


def _write(path: Path, content: bytes) -> None:
    part = path.with_suffix(".part")
    part.write_bytes(content)
    part.replace(path)
