"""Start a run of a Flower app, follow it, and tell whether it succeeded.

``flwr run --stream`` may exit with 0 although the run failed; this asks the SuperLink.
"""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
import time
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from flame_flwr.app_folder import App, as_options
from flame_flwr.cli.colours import has_colours, without_colours
from flame_flwr.cli.connection import (
    Connection,
    Federation,
    SubmitError,
    SubmittedRun,
    how_to_go_on,
)
from flame_flwr.cli.flower_programs import START_LIMIT, output, program_environment, started
from flame_flwr.cli.simulation import simulation
from flame_flwr.cli.stopped_run import Followed
from flame_flwr.processes.child_processes import tied
from flame_flwr.processes.run_reminder import ran

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

__all__ = ["WAIT", "Federation", "SubmitError", "SubmittedRun", "simulation", "submit"]

_STARTED = re.compile(r"Successfully started run (\d+)")
WAIT = 60.0
"""How many seconds a SuperLink is waited for."""

_LOST_LIMIT = 30.0
"""Seconds that one is waited for that has answered before: systemd starts it again after 10 s."""


def submit(
    app: Path,
    federation: Federation,
    run_config: Mapping[str, Any] | None = None,
    on_line: Callable[[str], object] = print,
    wait: float = WAIT,
) -> SubmittedRun:
    """Run an app and follow its log until it ends. Ctrl-C, or any exception here, stops the run.

    Then the last line says where the files of the run are, with its last aggregate.

    Parameters
    ----------
    app : Path
        The app's folder, with its ``pyproject.toml``.
    federation : Federation
        Where it runs.
    run_config : dict, optional
        Overrides of the app's config; values are strings, numbers or booleans. Any text arrives
        as it is, also one with quotes, line breaks or emoji in it.
    on_line : callable
        Gets every line of the log; without colours, unless standard output is a terminal.
    wait : float
        How many seconds to wait for a SuperLink that does not answer; where it is lost during the
        run, no more than 30.

    Raises
    ------
    ConfigError
        There is no such app or federation, or the app's run config has no such key, or one of
        another type: before anything is submitted.
    SubmitError
        ``flwr run`` did not start the run, or the SuperLink does not answer, or does not know how
        it ended.
    """
    ran()
    program = App.read(app)
    overrides = program.checked(run_config or {})
    environment = program_environment(federation.environment)
    connection = Connection.read(federation.name, environment, program.about.get("federations", {}))
    connection.wait(wait, on_line)
    run_id, returncode = _followed(app, overrides, federation, environment, on_line)
    if not run_id:
        raise SubmitError(f"flwr run did not start a run of {app}; its last words are above")
    advice = how_to_go_on(program.merged(overrides))
    # `flwr run --stream` ends alike where the run ends and where the SuperLink is lost.
    try:
        connection.wait(min(wait, _LOST_LIMIT), on_line)
    except SubmitError as error:
        raise SubmitError(
            f"run {run_id}: the SuperLink {connection.address} is gone: it has ended, or the way "
            f"to it is cut. If it has ended, so has the run: {advice}. If not, the run goes on: "
            f"`flwr log {run_id} {federation.name}` follows it"
        ) from error
    run = _status_of(run_id, federation, environment, advice)
    cut_short = returncode != 0 and not run.succeeded
    return replace(run, details=f"{run.details}; {advice}") if cut_short else run


def _followed(
    app: Path,
    overrides: Mapping[str, Any],
    federation: Federation,
    environment: Mapping[str, str],
    on_line: Callable[[str], object],
) -> tuple[str, int]:
    """Start a run and follow its log to the end; return its id and how ``flwr run`` ended."""
    command = ["flwr", "run", str(app), federation.name, "--stream"]
    if federation.nodes is not None:
        command += ["--federation-config", f"num-supernodes={federation.nodes}"]
    run_id, coloured, followed = "", has_colours(), Followed()
    try:
        with tempfile.TemporaryDirectory(prefix="flame-flwr-") as own, tied(own) as mark:
            command += as_options(overrides, own)
            with started(command, {**environment, **mark}, stdout=subprocess.PIPE) as process:
                assert process.stdout is not None
                for line in process.stdout:
                    text = line.rstrip("\n")
                    plain = without_colours(text)
                    # The first is Flower's: later lines are the run's, and may say anything.
                    if not run_id and (found := _STARTED.search(plain)):
                        run_id = found.group(1)
                    followed.note(plain)
                    on_line(text if coloured else plain)
    except BaseException:
        # Whatever ends this process ends the run: nobody would look after it any more.
        if run_id:
            _stop(run_id, federation, environment, followed, on_line)
        raise
    return run_id, process.returncode


def _stop(
    run_id: str,
    federation: Federation,
    environment: Mapping[str, str],
    followed: Followed,
    on_line: Callable[[str], object],
) -> None:
    """Stop a run and say where its files are, or that it may go on.

    It may where the SuperLink is gone, or Ctrl-C came once more.
    """
    command = ["flwr", "stop", run_id, federation.name]
    stopped = False

    def say(line: str) -> None:
        with suppress(OSError, ValueError):  # it may be a closed pipe that ends this
            on_line(line)

    try:
        say(f"stopping run {run_id}")
        with started(command, environment, stdout=subprocess.PIPE) as process:
            said = process.stdout.read() if process.stdout else ""
        stopped = process.returncode == 0
        say(followed.where_files_are() if stopped else without_colours(said).rstrip())
    finally:
        if not stopped:
            say(f"run {run_id} may go on: `{' '.join(command)}` stops it")


def _status_of(
    run_id: str, federation: Federation, environment: Mapping[str, str], advice: str
) -> SubmittedRun:
    command = ["flwr", "list", federation.name, "--run-id", run_id, "--format", "json"]
    deadline = time.monotonic() + START_LIMIT
    run: dict[str, Any] = {}
    while time.monotonic() < deadline:
        text = output(command, environment)
        try:
            # Flower may print lines of its own before the JSON.
            answer = json.loads(text[text.find("{") :])
            if "runs" not in answer:
                text = answer["error-message"]
            run = answer["runs"][0]
        except (ValueError, KeyError, IndexError, TypeError) as error:
            said = [line for line in without_colours(text).splitlines() if line.strip()]
            raise SubmitError(
                f"run {run_id}: the SuperLink does not say how it ended "
                f"({said[-1].strip() if said else 'no answer'}). Where it was started again "
                f"without its database, it knows nothing of the run: {advice}"
            ) from error
        if str(run["status"]).startswith("finished"):
            return SubmittedRun(run_id, str(run["status"]), str(run["status-details"]))
        time.sleep(0.5)
    raise SubmitError(
        f"run {run_id} has not ended: its status is {run.get('status')}. "
        f"`flwr log {run_id} {federation.name}` follows it, `flwr stop {run_id} "
        f"{federation.name}` ends it"
    )
