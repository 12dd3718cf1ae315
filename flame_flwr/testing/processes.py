"""Makes a process for every run of a check and for every message to a node, and minds the time.

They are forked, where that is safe, from a process that has imported the user's code and executed
none of it: they begin as a process does that has just imported it. Elsewhere they import it anew.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import shutil
import sys
import threading
import time
import warnings
from contextlib import ExitStack, contextmanager, nullcontext
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from flame_flwr.testing.folder_guard import FolderGuard
from flame_flwr.testing.observer import At, Observer
from flame_flwr.testing.spec import BEGUN, GRACE, CheckSpec, Settings
from flame_flwr.testing.subjects import ScriptSource
from flame_flwr.testing.trace import Trace, Trouble
from flame_flwr.testing.working_folder import WorkingFolder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess

    from flame_flwr.testing.observed_nodes import Answer, Ask
    from flame_flwr.testing.subjects import Subject

__all__ = ["Loaded", "Processes"]

_THREADED = {"jax", "polars", "tensorflow"}
"""Packages with threads of their own, whose locks a forked process would wait for."""


class Loaded:
    """The spec and the subject that this process has loaded, and the guard that listens.

    Attributes
    ----------
    made : list of Path
        What the import has made in its working directory: files and folders, none below another.
    moved : str
        Where the import has changed the working directory to, if it has.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        homes, self.again = CheckSpec.head_of(folder / "spec")
        resolved = [home.resolve() for home in homes]
        self._homes = [home for home in resolved if home != home.parent]  # not the root
        self.guard = FolderGuard(self._homes, folder)
        self.stack = ExitStack()
        logging.getLogger("flame_flwr").setLevel(logging.CRITICAL + 1)
        self.guard.install()

    def load(self) -> None:
        """Import the user's code, in a folder of this process's own."""
        here = WorkingFolder(self.folder / f"import-{os.getpid()}", self._homes, self.folder)
        before = here.entries()
        self.spec = CheckSpec.read(self.folder / "spec")
        self.subject: Subject = self.spec.source.load(self.stack)
        now = os.getcwd()
        self.moved = now if now != str(here.path) else ""
        tops = {Path(path).parts[0] for path in here.written_since(before)}
        self.made = [here.path / top for top in sorted(tops)]
        _LOADED.append(self)

    def enter(self, name: str, *, alone: bool) -> WorkingFolder:
        """Make a new folder the working directory, with what belongs there.

        Parameters
        ----------
        name : str
            The folder's.
        alone : bool
            As on Flower, where nothing of the user's is there; what the import of a script has
            made is, as :mod:`flame_flwr.script.runner` has it.
        """
        copied = None if alone else self.folder
        here = WorkingFolder(self.folder / f"run-{name}", self._homes, copied)
        if not alone or self.is_script:
            for path in self.made:
                if path.is_dir():
                    shutil.copytree(path, here.path / path.name, dirs_exist_ok=True)
                else:
                    shutil.copyfile(path, here.path / path.name)
        return here

    @property
    def is_script(self) -> bool:
        """Whether a script is checked, or an app around one."""
        return isinstance(self.spec.source, ScriptSource)


_LOADED: list[Loaded] = []
"""What this process has loaded, for those that are forked from it."""


class Processes:
    """Makes processes for runs and messages, and minds the time.

    Parameters
    ----------
    loaded : Loaded
        What this process has loaded.

    Attributes
    ----------
    until : float
        When the check's time is over, by the monotonic clock. What processes take for their imports
        is added.
    """

    def __init__(self, loaded: Loaded) -> None:
        (loaded.folder / BEGUN).touch()
        self.until = time.monotonic() + loaded.spec.seconds
        self.speaks_messages = loaded.subject.speaks_messages
        self._loaded = loaded
        self._numbers = count(1)
        # A forked process has only the thread that forked, and locks of the others stay locked.
        alone = threading.active_count() == 1 and not _THREADED & sys.modules.keys()
        self._forks = sys.platform == "linux" and alone
        self._context = multiprocessing.get_context("fork" if self._forks else "spawn")

    def run(self, settings: Settings) -> Trace:
        """Do one run in a process of its own, with more for its nodes where they are apart."""
        from flwr.app import Context, RecordDict

        number = next(self._numbers)
        contexts = {
            node: Context(
                run_id=number,
                node_id=node + 1,
                node_config={"partition-id": node, "num-partitions": len(settings.order)},
                state=RecordDict(),
                run_config={},
            )
            for node in settings.order
        }
        state_dir = str(self._loaded.folder / f"state-{os.getpid()}-{number}")

        def carry(ask: Ask) -> Answer:
            return self._carry(ask, contexts, state_dir)

        done = self._call(_do_run, (settings,), carry)
        return Trace(trouble=done) if isinstance(done, Trouble) else done

    def _carry(self, ask: Ask, contexts: dict[int, Any], state_dir: str) -> Answer:
        from flame_flwr.testing.observed_nodes import Answer

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
        """Do something in a new process; return what came of it, or the trouble."""
        (self._loaded.folder / BEGUN).touch()
        started = time.monotonic()
        ours, theirs = self._context.Pipe()
        name = f"{os.getpid()}-{next(self._numbers)}"
        with warnings.catch_warnings(), nullcontext() if self._forks else _no_main():
            # Python 3.12 warns of a fork beside threads, and those of BLAS count as such.
            warnings.simplefilter("ignore", DeprecationWarning)
            process = self._context.Process(  # type: ignore[attr-defined]
                target=_child, args=(theirs, str(self._loaded.folder), name, what, args)
            )
            process.start()
        theirs.close()  # with a copy open here, the end of the process would not end the pipe
        try:
            return self._received(ours, process, carry, started)
        finally:
            process.kill()  # threads of the user's may keep it alive
            process.join()
            ours.close()

    def _received(
        self,
        ours: Connection,
        process: BaseProcess,
        carry: Callable[[Ask], Answer] | None,
        started: float,
    ) -> Any:
        """Return what a process sends at its end, or the trouble; carry what it asks meanwhile."""
        last: At | None = None
        inner: Trouble | None = None
        imports = not self._forks
        try:
            while True:
                # as long as the first import, whatever is left for the runs
                longest = started + self._loaded.spec.seconds + GRACE if imports else 0.0
                left = max(self.until, longest) - time.monotonic()
                if left <= 0 or not ours.poll(left):
                    return inner or Trouble("hung", at=last)
                kind, value = ours.recv()
                if kind == "imported":
                    imports = False
                    self.until += time.monotonic() - started
                elif kind == "at":
                    last = value  # where it hangs or dies, should nothing come any more
                elif kind == "ask" and carry is not None:
                    answer = carry(value)
                    inner = answer.trouble
                    ours.send(answer)
                else:
                    return value
        except (EOFError, OSError):
            process.join(5)  # for its exit code: the pipe has ended a little before it
            return inner or Trouble("died", text=str(process.exitcode), at=last)


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
    if not _LOADED:  # not forked
        Loaded(Path(folder)).load()
        connection.send(("imported", None))
    loaded = _LOADED[0]
    subject = loaded.subject
    # a single run is compared with none: in an empty folder it fails as it would on Flower
    alone = what is not _do_run or args[0].apart or subject.speaks_messages
    here = loaded.enter(name, alone=alone)
    iterative = not subject.simple_analysis
    observer = Observer(lambda at: connection.send(("at", at)), here, iterative=iterative)
    loaded.guard.observer = observer
    observer.wrap(subject.plan.analyzer, subject.aggregator)
    connection.send(("done", what(connection, loaded, observer, *args)))


def _do_run(
    connection: Connection, loaded: Loaded, observer: Observer, settings: Settings
) -> Trace:
    from flame_flwr.data import clear_local_storage
    from flame_flwr.testing.runs import run

    def ask(message: Ask) -> Answer:
        connection.send(("ask", message))
        answer: Answer = connection.recv()
        return answer

    if settings.twice:
        run(loaded.subject, loaded.spec, settings, observer, ask)
        clear_local_storage()  # what is kept on purpose is no leak
    return run(loaded.subject, loaded.spec, settings, observer, ask)


def _do_answer(
    connection: Connection,
    loaded: Loaded,
    observer: Observer,
    ask: Ask,
    context: Any,
    state_dir: str,
) -> Answer:
    from flame_flwr.testing.runs import answer

    return answer(loaded.subject, ask, context, observer, state_dir)
