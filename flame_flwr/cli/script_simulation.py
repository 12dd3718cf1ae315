"""The run of a FLAME script in Flower's simulation runtime: ``flame-flwr run --simulate``."""

from __future__ import annotations

import importlib.util
import os
import shlex
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flame_flwr.cli.script_app import write_app
from flame_flwr.data.local_paths import is_function
from flame_flwr.errors import ConfigError, FlameError
from flame_flwr.failure.scratch_folders import working_in
from flame_flwr.failure.tracebacks import place_of
from flame_flwr.log import logger, show
from flame_flwr.script.environment import ScriptError
from flame_flwr.script.loader import LoadedScript, load_script
from flame_flwr.script.locations import node_locations, open_sources
from flame_flwr.script.options import ScriptOptions
from flame_flwr.script.runner import ScriptRun

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

__all__ = ["simulate_script"]


def simulate_script(
    script: str | Path, data: str | Sequence[str] = (), **options: Any
) -> ScriptRun:
    """Run a FLAME script in Flower's simulation runtime, on this machine.

    Parameters
    ----------
    script, data
        As for :func:`flame_flwr.script.runner.run_script`.
    **options
        Likewise. Below `results` stands also the run's own folder, with everything there is of it.

    Raises
    ------
    ScriptError
        The script cannot be run, or not here.
    ConfigError
        `max_rounds` is not above 0, or `results` cannot be written to.
    FlameError
        The run failed.

    Notes
    -----
    The script's relative paths are relative to a scratch folder of the run's: Flower's processes
    have working directories of their own. Code behind ``StarModel(...)`` sees no results.
    """
    from flame_flwr.cli.simulation import simulation
    from flame_flwr.cli.submit import submit
    from flame_flwr.results.progress_bar import following
    from flame_flwr.results.run_json import begin_record

    asked = ScriptOptions.of(script, data, **options)
    if importlib.util.find_spec("ray") is None:
        raise ScriptError("--simulate needs Ray: pip install 'flame-flwr[simulation]'")
    show()
    # All that can be known is looked at here, before a SuperLink and Ray start, which is slow.
    loaded = _load_in_empty_folder(asked.script, asked.arguments)
    locations = node_locations(loaded.model.plan.data_type, asked.data, asked.nodes)
    with loaded.environment.entered():
        open_sources(locations)
    asked.check_results()
    with tempfile.TemporaryDirectory(prefix="flame-flwr-") as own:
        config: dict[str, str | int] = {
            "data": _data_of_nodes(locations),
            "results": str(asked.results),
            "state-dir": str(asked.state),
            "max-rounds": asked.max_rounds,
            "report": asked.report,
            "tensorboard": asked.tensorboard,
            "script-arguments": shlex.join(asked.arguments),
        }
        app = write_app(Path(own, "app"), loaded, config, _modules_of(locations))
        begin_record(asked.results)
        with simulation(len(locations), own) as place, following() as follow:
            run = submit(app, place, on_line=follow, wait=0)
    told = {"script": str(asked.script), "data": asked.data, "nodes": len(locations)}
    files = tuple(_export(asked.results, run.run_id, told))
    if not run.succeeded:
        failed = FlameError(f"run {run.run_id} ended as {run.status}: {run.details}")
        if "run config" in run.details or "on-failure" in run.details:
            failed.add_note(_NO_CONFIG)
        raise failed
    return ScriptRun(files)


_NO_CONFIG = (
    "a script has no run config: of its keys `flame-flwr run` has the option --max-rounds; an app, "
    "as `flame-flwr new` makes one, has all of them"
)


def _load_in_empty_folder(path: Path, arguments: Sequence[str]) -> LoadedScript:
    """Load a script in an empty folder, as Flower's processes do, and name what that breaks."""
    with tempfile.TemporaryDirectory(prefix="flame-flwr-") as folder, working_in(folder):
        try:
            return load_script(path, arguments)
        except OSError as error:
            name = error.filename
            if not isinstance(name, str) or os.path.isabs(name):
                raise
            place = place_of(error.__traceback__, anywhere=False)
            raise ScriptError(
                f"{path.name} opens {name!r}{f' at {place}' if place else ''}, which is relative "
                "to the working directory: under Flower a script runs in a folder of its own, "
                "where that is not. Data comes through --data; put constants into a module "
                "beside the script",
                detail=f"{type(error).__name__}: {error}",
            ) from error


def _modules_of(locations: Iterable[str]) -> set[str]:
    """Return the top-level modules of the functions among locations."""
    parts = {part for location in locations for part in location.split(";")}
    return {part.partition(":")[0].partition(".")[0] for part in parts if is_function(part)}


def _data_of_nodes(locations: Sequence[str]) -> str:
    """Return one ``data`` for the run config, which says what each node reads."""
    if any("|" in location for location in locations):
        raise ConfigError("--simulate takes no `|` in --data: it stands between the nodes' data")
    return locations[0] if len(set(locations)) == 1 else "|".join(locations)


def _export(target: Path, run_id: str, asked: Mapping[str, Any]) -> Iterator[Path]:
    """Copy what a run in process writes to where it does so, and say where the files are.

    What the user asked for takes the place of what the app was told, which is gone with the app's
    folder. A run that failed early has nothing of this.
    """
    from flame_flwr.results.export import export_files

    for folder in target.glob(f"*-{run_id}"):
        if not (folder / "run.json").is_file():
            continue
        for path in export_files(folder, target, asked):
            logger.info("Final result written to %s", path)
            yield path
        logger.info("what there is to know of the run is in %s", folder)
