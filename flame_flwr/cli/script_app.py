"""A Flower app around a FLAME script: the script, the modules it needs, and its run config."""

from __future__ import annotations

import ast
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from flame_flwr.app_folder import as_toml
from flame_flwr.script.environment import ScriptError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from flame_flwr.script.loader import LoadedScript

__all__ = ["write_app"]

_IN_APP = "script"
"""Folder of the script in its app: at an app's top Flower leaves out lib, build, env, ...."""


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
    name = _name_in_app(path)
    target = folder / _IN_APP
    target.mkdir(parents=True)
    tops = {*script.environment.helpers(), *modules}
    files = {**_needed(path, script.environment.roots, tops), name: path}
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
        # Modules import each other in circles: each is looked at once.
        top = waiting.pop()
        if top in seen:
            continue
        seen.add(top)
        for relative, source in _module_files(top, roots):
            files[relative] = source
            if source.suffix == ".py":  # a module beside the script may import another one
                waiting += _imports(source)
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


def _name_in_app(script: Path) -> str:
    """Return a name for the script that Flower takes into an app."""
    stem = script.stem if script.suffix == ".py" else script.name
    stem = f"script_{stem}" if stem.startswith("test_") else stem
    return f"{stem}_script.py" if stem.endswith("_test") else f"{stem}.py"


def _left_out(name: str) -> bool:
    return name.endswith(".py") and (name.startswith("test_") or name.endswith("_test.py"))
