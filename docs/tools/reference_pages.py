"""Writes the pages of docs/reference from the code: `make reference`.

What a class does is in its docstring, which the site shows in place of a line ``::: name``. So a
page changes only where a name, a key or a command comes or goes.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from typer.main import get_command

from flame_flwr.cli.commands import _app
from flame_flwr.config import NODE_KEYS, RUN_KEYS, ConfigKey

DOCS = Path(__file__).parents[1]
SET_BY_FLOWER = {"partition-id", "num-partitions"}

API: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "star": (
        "Model, analyzer, aggregator and the handle",
        "What you subclass and what you build. [Write an analysis](../analysis.md) shows them at "
        "work. The handle is `self.flame` in your classes.",
        ("flame_flwr.star", "flame_flwr.star.handle", "flame_flwr.star.kept_data"),
    ),
    "statistics": (
        "Statistics",
        "Figures that each hospital computes and the server merges. "
        "[Statistics](../statistics.md) shows them at work.",
        ("flame_flwr.statistics",),
    ),
    "strategies": (
        "Strategies",
        "What stands in the aggregator's place. [Declaring a strategy](../strategies.md) shows "
        "them at work.",
        ("flame_flwr.strategies",),
    ),
    "aggregation": (
        "Reductions and convergence",
        "What a strategy is declared from. [Declaring a strategy](../strategies.md) shows them "
        "at work.",
        ("flame_flwr.aggregation",),
    ),
    "regression": (
        "Regression, survival and Table 1",
        "[Regressions of all hospitals](../regression.md) shows them at work.",
        ("flame_flwr.regression",),
    ),
    "torch": (
        "PyTorch",
        "[Training a PyTorch model](../torch.md) shows it at work.",
        ("flame_flwr.torch",),
    ),
    "sklearn": (
        "scikit-learn",
        "[Training a scikit-learn model](../sklearn.md) shows it at work, and the cross-site "
        "validation of any strategy.",
        ("flame_flwr.sklearn", "flame_flwr.cross_site"),
    ),
    "privacy": (
        "Rules and filters",
        "[Disclosure rules](../disclosure.md) and [filters](../update-filters.md) show them at "
        "work.",
        ("flame_flwr.privacy", "flame_flwr.privacy.secure"),
    ),
    "data": (
        "Data",
        "What an analysis expects of a node's data, and what reads it. [A node's data]"
        "(../data.md) has the hospital's side.",
        ("flame_flwr.data.expect", "flame_flwr.data", "flame_flwr.data.omop"),
    ),
    "clients": (
        "Clients and plug-ins",
        "The node's side of a round, for a client of your own. [Plug-ins](../plugins.md) says how "
        "a run finds it.",
        ("flame_flwr.clients", "flame_flwr.plugins"),
    ),
    "payload": (
        "Values that travel",
        "[What travels](../payload.md) lists the types.",
        ("flame_flwr.payload",),
    ),
    "testing": (
        "Checks of an analysis",
        "`flame-flwr check` as a function, for tests of your own.",
        ("flame_flwr.testing",),
    ),
    "errors": (
        "Errors",
        "Every error of the framework is a `FlameError`. Its message says what to do. "
        "[When something fails](../failures.md) has the messages.",
        ("flame_flwr.errors",),
    ),
}
"""The pages of the API: title, a first paragraph, and the modules whose public names they have."""


def pages() -> dict[str, str]:
    """Return every page of docs/reference by its file's name."""
    made = {f"{name}.md": _api_page(*about) for name, about in API.items()}
    made["config.md"] = _config_page()
    made["commands.md"] = _commands_page()
    return made


def public_names() -> dict[str, str]:
    """Return every public name, with its module before it, and the page that has it."""
    found: dict[str, str] = {}
    for page, (_, _, modules) in API.items():
        for module in modules:
            for name in _shown(module):
                found.setdefault(f"{module}.{name}", f"{page}.md")
    return found


# ---- the API -----------------------------------------------------------------------------------


def _shown(module: str) -> list[str]:
    """Name what a module offers and no page before it, classes before functions."""
    return [name for name in importlib.import_module(module).__all__ if not name.isupper()]


def _api_page(title: str, first: str, modules: tuple[str, ...]) -> str:
    lines = [f"# {title}", "", first, ""]
    for module in modules:
        lines += [f"## `{module}`", ""]
        lines += [f"::: {module}.{name}\n" for name in _shown(module)]
    return "\n".join(lines).rstrip() + "\n"


# ---- config keys -------------------------------------------------------------------------------


def _config_page() -> str:
    return f"""# Config keys

The **run config** is the analyst's. It stands in the app's `pyproject.toml`, under
`[tool.flwr.app.config]`, and behind `--run-config`. The **node config** is the hospital's: the file
`node.toml`, or what stands behind `flame-flwr node start --node-config`.

## Run config

Flower refuses a `--run-config` key that the app's `pyproject.toml` does not list. Keys of your own
go into a table of their own, such as `[tool.flwr.app.config.mine]`.

`flame-flwr submit` looks before it submits. It refuses a key that the app does not have, and names
the nearest one. A value takes the type of its key, so `--run-config project-id=2024` is the text.
A text needs no quotes. You may repeat `--run-config`, put several pairs into it as Flower does
(`'data="/srv/a b" nodes=3'`), or name a TOML file.

{_key_table("run config", RUN_KEYS)}

## Node config

Flower's own `flower-supernode` takes these keys, too. Keys with "with `flame-flwr node start`" do
nothing there.

{_key_table("node config", NODE_KEYS)}
"""


def _key_table(title: str, keys: dict[str, ConfigKey]) -> str:
    rows = [f"| {title} | default | what it is for |", "| --- | --- | --- |"]
    for name, key in keys.items():
        if name not in SET_BY_FLOWER:
            default = "" if key.default == "" else f"`{key.default}`"
            rows.append(f"| `{name}` | {default} | {_linked(key.doc)} |")
    return "\n".join(rows)


def _linked(text: str) -> str:
    """Make a link of each page that a text names."""
    return re.sub(r"docs/([\w-]+)\.md", r"[\1](../\1.md)", text)


# ---- commands ----------------------------------------------------------------------------------


def _commands_page() -> str:
    lines = [
        "# Commands",
        "",
        "`flame-flwr COMMAND --help` says the same in a terminal.",
        "",
    ]
    for words, command in _commands("flame-flwr", get_command(_app)):
        lines += [f"## {words}", "", _sentence(command.help), ""]
        rows = [_row(parameter) for parameter in command.params]
        if rows := [row for row in rows if row]:
            lines += ["| | | default |", "| --- | --- | --- |", *rows, ""]
    return "\n".join(lines).rstrip() + "\n"


def _commands(words: str, group: Any) -> Iterator[tuple[str, Any]]:
    context: Any = None
    for name in sorted(group.commands):
        command = group.get_command(context, name)
        if hasattr(command, "commands"):
            yield from _commands(f"{words} {name}", command)
        elif not command.hidden:
            yield f"{words} {name}", command


def _row(parameter: Any) -> str:
    if parameter.name == "help" or getattr(parameter, "hidden", False):
        return ""
    is_option = parameter.param_type_name == "option"
    names = ", ".join([*parameter.opts, *parameter.secondary_opts])
    shown = f"`{names}`" if is_option else f"`{parameter.name.upper()}`"
    said = getattr(parameter, "show_default", None)
    default = said if isinstance(said, str) else parameter.default
    plain = isinstance(default, str | int | float) and default not in ("", True, False)
    about = _linked((getattr(parameter, "help", "") or "").replace("|", r"\|").replace("\n", " "))
    return f"| {shown} | {about} | {f'`{default}`' if plain else ''} |"


def _sentence(text: str | None) -> str:
    return " ".join((text or "").split())


def main() -> None:
    """Write the pages that are otherwise than the code says."""
    for name, text in pages().items():
        path = DOCS / "reference" / name
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            sys.stdout.write(f"{path.relative_to(DOCS.parent)} is written\n")


if __name__ == "__main__":
    main()
