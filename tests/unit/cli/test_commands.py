"""The command's own texts: help of everything, what is near a mistyped name, the version."""

import re
import sys
from importlib.metadata import version

import pytest
import typer
from typer.testing import CliRunner

import flame_flwr
from flame_flwr.cli import commands


def tree(group, context, path=()):
    """Every command of a group by the words that call it, the group itself included."""
    found = {path: group}
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if hasattr(command, "list_commands"):
            found |= tree(command, context, (*path, name))
        else:
            found[*path, name] = command
    return found


ROOT = typer.main.get_command(commands._app)
COMMANDS = tree(ROOT, ROOT.make_context("flame-flwr", [], resilient_parsing=True))


def said(*arguments):
    """What the command prints, on a terminal so wide that nothing is broken."""
    done = CliRunner().invoke(commands._app, [*arguments], env={"COLUMNS": "400", "TERM": "dumb"})
    return done.exit_code, re.sub(r"[\s│]+", " ", done.output)


def test_there_are_the_commands():
    assert {" ".join(path) for path in COMMANDS} >= {"submit", "run", "check", "data list"}


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_help_explains_every_argument_and_option(path):
    command = COMMANDS[path]
    code, text = said(*path, "--help")
    assert code == 0
    assert command.help.splitlines()[0].split("\n")[0] in text
    for parameter in command.params:
        assert parameter.help, parameter.name
        assert re.sub(r"\s+", " ", parameter.help) in text, parameter.name
    arguments = [each for each in command.params if each.param_type_name == "argument"]
    assert bool(arguments) == ("Arguments" in text)


@pytest.mark.parametrize(
    ("typed", "near"),
    [
        (("rum",), ["run"]),
        (("sumbit",), ["submit"]),
        (("data", "lst"), ["list"]),
        (("node", "clena"), ["clean"]),
        (("xyzzy",), []),
    ],
)
def test_a_mistyped_command_suggests_one(typed, near):
    code, text = said(*typed)
    assert code == 2
    assert f"No such command '{typed[-1]}'" in text
    assert re.findall(r"mean '(\w+)'\?", text) == near
    assert text.count("did you mean") == len(near)


def test_a_mistyped_option_suggests_one():
    code, text = said("submit", "app", "--run-confg", "nodes=2")
    assert code == 2
    assert text.count("--run-config") == 1


@pytest.mark.parametrize(
    ("typed", "put"),
    [
        (("study.py", "--clients", "3"), "study.py -- --clients 3"),
        (
            ("study.py", "--data", "a", "--clients=3", "x y"),
            "study.py --data a -- --clients=3 'x y'",
        ),
        (("study.py", "first", "-c", "3"), "study.py first -- -c 3"),
    ],
)
def test_a_scripts_own_options_stand_behind_dashes(typed, put):
    code, text = said("run", *typed)
    assert code == 2
    name = next(word.partition("=")[0] for word in typed if word.startswith(("--c", "-c")))
    assert f"No such option '{name}'. If it is the script's own, it stands behind --: " in text
    assert f"run {put} " in text


def test_a_mistyped_option_of_run_suggests_one_first():
    code, text = said("run", "study.py", "--nodse", "3")
    assert code == 2
    assert "Did you mean '--nodes'? If it is the script's own" in text
    code, text = said("run", "study.py", "--data")
    assert code == 2
    assert "the script's own" not in text


def test_an_unwritable_file_is_one_line(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["flame-flwr", "docs", "--to", "/dev/null/manual.html"])
    with pytest.raises(SystemExit) as ended:
        commands.main()
    assert ended.value.code == 1
    assert capsys.readouterr().err.startswith("error: /dev/null: ")


def test_version_says_which_flame_flwr_and_which_flower():
    assert said("--version") == (
        0,
        f"flame-flwr {flame_flwr.__version__}, Flower (flwr) {version('flwr')} ",
    )
