"""A Flower app around a FLAME script, and its run in Flower's simulation runtime."""

from __future__ import annotations

import ast
import importlib.util
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flame_flwr.app_folder import as_toml
from flame_flwr.config import check_max_rounds
from flame_flwr.errors import ConfigError, FlameError
from flame_flwr.failure.scratch_folders import working_in
from flame_flwr.failure.tracebacks import place_of
from flame_flwr.log import logger, show
from flame_flwr.results.extras import Extras
from flame_flwr.script.locations import (
    PARTITION,
    as_given,
    is_function,
    node_locations,
    open_sources,
)
from flame_flwr.script.model_run import MAX_ROUNDS, check_folder, results_folder, state_folder
from flame_flwr.script.runner import LoadedScript, ScriptError, ScriptRun, load_script, script_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

__all__ = ["simulate_script", "write_app"]

_IN_APP = "script"
"""Folder of the script in its app: at an app's top Flower leaves out lib, build, env, ...."""


def simulate_script(
    script: str | Path,
    data: str | Sequence[str] = (),
    *,
    nodes: int | None = None,
    results: str | Path | None = None,
    state: str | Path | None = None,
    max_rounds: int = MAX_ROUNDS,
    report: str = "auto",
    tensorboard: str = "auto",
    on_line: Callable[[str], object] = print,
) -> ScriptRun:
    """Run a FLAME script in Flower's simulation runtime, on this machine.

    Parameters
    ----------
    script, data, nodes, results, state, max_rounds, report, tensorboard
        As for :func:`flame_flwr.script.runner.run_script`. Below `results` stands also the run's
        own folder, with everything there is of it.
    on_line : callable
        Gets every line of the run's log.

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
    from flame_flwr.cli.submit import simulation, submit
    from flame_flwr.results.progress_bar import following
    from flame_flwr.results.run_json import begin_record

    path = script_path(script)
    check_max_rounds(max_rounds)
    if importlib.util.find_spec("ray") is None:
        raise ScriptError("--simulate needs Ray: pip install 'flame-flwr[simulation]'")
    Extras.of(report, tensorboard, "--{}")
    show()
    given = as_given(data)
    loaded = _load_elsewhere(path)
    locations = node_locations(loaded.model.plan.data_type, given, nodes)
    with loaded.environment.entered():
        open_sources(locations)
    target = results_folder(results)
    check_folder(target)
    asked = {"script": str(path), "data": given, "nodes": len(locations)}
    with tempfile.TemporaryDirectory(prefix="flame-flwr-") as own:
        config: dict[str, str | int] = {
            "data": _template(locations, Path(own, "nodes")),
            "results": str(target),
            "state-dir": str(state_folder(state, target)),
            "max-rounds": max_rounds,
            "report": report,
            "tensorboard": tensorboard,
        }
        app = write_app(Path(own, "app"), loaded, config, _modules_of(locations))
        begin_record(target)
        with simulation(len(locations), own) as place, following(on_line) as follow:
            run = submit(app, place, on_line=follow, wait=0)
    files = tuple(_hand_over(target, run.run_id, asked))
    if not run.succeeded:
        failed = FlameError(f"run {run.run_id} ended as {run.status}: {run.details}")
        if "run config" in run.details or "on-failure" in run.details:
            failed.add_note(_NO_CONFIG)
        raise failed
    return ScriptRun(files)


def _load_elsewhere(path: Path) -> LoadedScript:
    """Load a script in an empty folder, as Flower's processes do, and name what that breaks."""
    with tempfile.TemporaryDirectory(prefix="flame-flwr-") as folder, working_in(folder):
        try:
            return load_script(path)
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


def write_app(
    folder: Path, script: LoadedScript, config: Mapping[str, str | int], modules: Iterable[str] = ()
) -> Path:
    """Write a Flower app that runs a script, with the modules that it imports from its folder.

    Parameters
    ----------
    folder : Path
        The app's; made here.
    script : LoadedScript
        The script.
    config : dict of str to str or int
        For the app's config, besides ``script``.
    modules : iterable of str
        Top-level names of modules that the app needs besides those that the script imports.

    Returns
    -------
    Path
        The app's folder.

    Raises
    ------
    ScriptError
        Flower would leave out a file that the script needs.
    """
    path = script.environment.path
    name = path.name if path.suffix == ".py" else f"{path.name}.py"
    target = folder / _IN_APP
    target.mkdir(parents=True)
    shutil.copyfile(path, target / name)
    tops = {*script.environment.helpers(), *modules}
    files = {name: path, **_needed(path, script.environment.roots, tops)}
    for relative, source in files.items():
        if Path(relative).parent == Path() and _left_out(relative):
            raise ScriptError(
                f"Flower takes no file named {relative} into an app (test_*.py and *_test.py are "
                "left out): give it another name to simulate it"
            )
        (target / relative).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target / relative)
    everything = {**config, "script": f"{_IN_APP}/{name}"}
    (folder / "pyproject.toml").write_text(_PYPROJECT + as_toml(everything), encoding="utf-8")
    return folder


_NO_CONFIG = (
    "a script has no run config: of its keys `flame-flwr run` has the option --max-rounds; an app, "
    "as `flame-flwr new` makes one, has all of them"
)

_PYPROJECT = """\
[project]
name = "flame-script"
version = "1.0.0"
description = "A FLAME script as a Flower app, written by flame-flwr run."
license = "Apache-2.0"
dependencies = []

[tool.flwr.app]
publisher = "flame-flwr"

[tool.flwr.app.components]
serverapp = "flame_flwr.star.script:server_app"
clientapp = "flame_flwr.star.script:client_app"

[tool.flwr.app.config]
"""

_TAKEN = {".py", ".toml", ".md", ".yaml", ".yml", ".json", ".jsonl"}
"""What Flower takes into an app."""


def _needed(script: Path, roots: Sequence[str], tops: set[str]) -> dict[str, Path]:
    """Return the files of the modules beside a script that it needs, by their path in the app.

    They are found by the ``import`` statements of the script and of what it imports, wherever
    these stand, and by `tops`, which the script has imported.
    """
    files: dict[str, Path] = {}
    waiting, seen = sorted(tops | _imports(script)), set[str]()
    while waiting:
        top = waiting.pop()
        if top in seen:
            continue
        seen.add(top)
        for relative, source in _module_files(top, roots):
            files[relative] = source
            if source.suffix == ".py":
                waiting += _imports(source)
    files.pop(script.name, None)
    return files


def _module_files(top: str, roots: Sequence[str]) -> Iterator[tuple[str, Path]]:
    """Give the files of a top-level module from the first folder that has it."""
    for root in map(Path, roots):
        package, module = root / top, root / f"{top}.py"
        if (package / "__init__.py").is_file():
            yield from _below(package, _TAKEN)
            return
        if module.is_file():
            yield module.name, module
            return
        if package.is_dir():
            yield from _below(package, {".py"})
            return


def _below(package: Path, kinds: set[str]) -> Iterator[tuple[str, Path]]:
    for parent, folders, names in os.walk(package):
        folders[:] = [name for name in folders if name != "__pycache__" and name[0] != "."]
        for path in (Path(parent, name) for name in names):
            if path.suffix in kinds:
                yield path.relative_to(package.parent).as_posix(), path


def _imports(source: Path) -> set[str]:
    """Return the top-level names that a file imports, wherever in it."""
    try:
        tree = ast.parse(source.read_bytes())
    except (SyntaxError, ValueError, OSError):
        return set()
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            names.add(node.module.partition(".")[0])
    return names - {"flame", "flame_flwr", "flwr"}


def _left_out(name: str) -> bool:
    return name.endswith(".py") and (name.startswith("test_") or name.endswith("_test.py"))


def _modules_of(locations: Iterable[str]) -> set[str]:
    """Return the top-level modules of the functions among locations."""
    parts = {part for location in locations for part in location.split(";")}
    return {part.partition(":")[0].partition(".")[0] for part in parts if is_function(part)}


def _template(locations: Sequence[str], links: Path) -> str:
    """Return one ``data`` for all nodes: folders of different names become links of one pattern."""
    if len(set(locations)) == 1:
        return locations[0]
    nodes = [location.replace(PARTITION, str(i)).split(";") for i, location in enumerate(locations)]
    paths = all(os.path.isabs(part) for parts in nodes for part in parts)
    if not paths or len({len(parts) for parts in nodes}) > 1:
        raise ConfigError(
            "--simulate takes folders, as many for every node, or one --data for all nodes: with "
            f"{PARTITION} in it, or a module:function that asks for its partition-id"
        )
    for i, parts in enumerate(nodes):
        (links / str(i)).mkdir(parents=True)
        for k, part in enumerate(parts):
            (links / str(i) / str(k)).symlink_to(part, target_is_directory=True)
    return ";".join(f"{links}/{PARTITION}/{k}" for k in range(len(nodes[0])))


def _hand_over(target: Path, run_id: str, asked: Mapping[str, Any]) -> Iterator[Path]:
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
