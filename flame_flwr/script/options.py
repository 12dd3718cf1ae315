"""The options of a script's run: checked and made absolute before any user code runs.

A script may leave the working directory, so nothing relative goes any further than this.
"""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flame_flwr.config import RUN_KEYS, check_max_rounds
from flame_flwr.errors import ConfigError
from flame_flwr.files import probe, reason_of
from flame_flwr.results.extra_files import Extras
from flame_flwr.results.upload import mend
from flame_flwr.script.environment import ScriptError
from flame_flwr.script.locations import absolute_locations
from flame_flwr.text.suggestions import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["MAX_ROUNDS", "ScriptOptions", "script_path"]

MAX_ROUNDS: int = RUN_KEYS["max-rounds"].default
"""The limit on rounds where nobody names one."""


@dataclass(frozen=True, slots=True)
class ScriptOptions:
    """The options of ``flame-flwr run``; see :func:`flame_flwr.script.runner.run_script`.

    Parameters
    ----------
    script, results, state : Path
        The script, and the folders for its files and for what nodes keep; absolute.
    data : list of str
        What each node reads, with absolute paths.
    nodes : int or None
        How many nodes.
    max_rounds : int
        The limit on rounds.
    report, tensorboard : {'auto', 'on', 'off'}
        What is written beside the results.
    arguments : tuple of str
        For the script itself.
    given : tuple of str
        Which of ``--data``, ``--nodes``, ``--results`` and ``--state`` were named.
    """

    script: Path
    data: list[str]
    nodes: int | None
    results: Path
    state: Path
    max_rounds: int
    report: str
    tensorboard: str
    arguments: tuple[str, ...]
    given: tuple[str, ...]

    @classmethod
    def of(
        cls,
        script: str | Path,
        data: str | Sequence[str] = (),
        *,
        nodes: int | None = None,
        results: str | Path | None = None,
        state: str | Path | None = None,
        max_rounds: int = MAX_ROUNDS,
        report: str = "auto",
        tensorboard: str = "auto",
        arguments: Sequence[str] = (),
    ) -> ScriptOptions:
        """Check what is asked for.

        Raises
        ------
        ScriptError
            There is no such script.
        ConfigError
            A location is empty, `results` names an object store, or an option is none of those
            that there are.
        """
        path = script_path(script)
        check_max_rounds(max_rounds)
        locations, target = absolute_locations(data), _results_folder(results)
        Extras.of(report, tensorboard, "--{}")
        kept = target.parent / ".flame-flwr" if state is None else _absolute(state)
        named = {"--data": data, "--nodes": nodes, "--results": results, "--state": state}
        given = tuple(option for option, value in named.items() if value)
        return cls(
            *(path, locations, nodes, target, kept, max_rounds, report, tensorboard),
            arguments=tuple(arguments),
            given=given,
        )

    def extras(self) -> Extras:
        """Return what is written beside the results, where the extra is installed."""
        return Extras.of(self.report, self.tensorboard, "--{}")

    def parameters(self, nodes: int) -> dict[str, Any]:
        """Return what the run was asked for, as ``run.json`` has it."""
        return {
            "script": str(self.script),
            **({"script-arguments": shlex.join(self.arguments)} if self.arguments else {}),
            "data": self.data,
            "nodes": nodes,
            "results": str(self.results),
            "state-dir": str(self.state),
            "max-rounds": self.max_rounds,
        }

    def check_results(self) -> None:
        """See before a run that its files can be written.

        Raises
        ------
        ConfigError
            They cannot; the message says why and what to do.
        """
        try:
            probe(self.results)
        except OSError as error:
            raise ConfigError(
                f"--results cannot be written to: {self.results} ({reason_of(error)}): "
                f"{mend(error, 'this user')}"
            ) from error


def script_path(script: str | Path) -> Path:
    """Return a script's absolute path.

    Raises
    ------
    ScriptError
        There is no such file.
    """
    path = _absolute(script)
    if path.is_dir():
        raise ScriptError(
            f"{script} is a folder: name the script in it; a Flower app's folder goes to "
            "`flame-flwr submit`"
        )
    if not path.is_file():
        beside = [each.name for each in path.parent.glob("*.py")]
        question = did_you_mean(beside, path.name)
        missing = f"there is no script {script} (looked for {path})"
        raise ScriptError(f"{missing}; {question}" if question else missing)
    return path


def _results_folder(results: str | Path | None) -> Path:
    if str(results).startswith("s3:/"):  # a Path has one slash less
        raise ConfigError(
            f"--results names a folder here, not {results}: an object store is for `results` in "
            "the run config of an app"
        )
    return _absolute("results" if results is None else results)


def _absolute(path: str | Path) -> Path:
    return Path(os.path.abspath(Path(path).expanduser()))
