"""Every piece of advice in a message can be followed: it is executed, and what is not is found."""

from __future__ import annotations

import importlib
import importlib.metadata
import inspect
import re
from functools import cache

import pytest
import typer
from packaging.requirements import Requirement

from flame_flwr.cli import commands
from flame_flwr.config import NODE_KEYS, RUN_KEYS
from flame_flwr.data import registry
from flame_flwr.deploy import federation_file
from flame_flwr.errors import NodeFailedError
from flame_flwr.installed.versions import untried

from .case import NAMES
from .commands import options, wrong
from .config import CONFIG, RECIPES, failing_node
from .declared import DECLARED
from .elsewhere import ELSEWHERE, NOT_ADVICE
from .models import MODELS
from .reductions import REDUCTIONS
from .scan import advice, messages
from .secure import SECURE
from .training import SCIKIT_LEARN, TRAINING

CASES = [*REDUCTIONS, *DECLARED, *MODELS, *CONFIG, *SECURE, *SCIKIT_LEARN, *TRAINING]
PATTERNS = [*(case.pattern for case in CASES), *RECIPES, *ELSEWHERE, *NOT_ADVICE]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_advice_is_right(case):
    if case in TRAINING:
        pytest.importorskip("torch")
    with pytest.raises(Exception) as raised:  # noqa: PT011  (of any kind: hints are notes)
        case.attempt(None)
    message = " ".join([str(raised.value), *getattr(raised.value, "__notes__", ())])
    code = case.found(message)
    assert code, message
    case.attempt(code)


@pytest.mark.parametrize("pattern", RECIPES)
def test_what_check_advises_runs(pattern):
    [message] = {text for _, text in messages() if re.search(pattern, text)}
    found = re.search(pattern, message)
    RECIPES[pattern](found[found.lastindex or 0])


def test_every_advice_in_a_message_is_followed():
    code = [one for kind in ("keyword", "setting", "call", "list") for one in of_kind(kind)]
    wrongs = []
    for one in code:
        if any(re.search(pattern, one.message) for pattern in PATTERNS):
            continue
        try:  # such as a rule by its name, which is right if it can be made
            eval(one.code, dict(NAMES))
        except Exception as error:
            wrongs += [f"no case follows {one.code} of {one.where} ({error!r}): {one.message}"]
    assert not wrongs


def test_no_case_outlives_its_message():
    every = [text for _, text in messages()]
    assert not [one for one in PATTERNS if not any(re.search(one, text) for text in every)]


def test_everything_that_is_to_be_installed_is_there():
    about = importlib.metadata.metadata("flame-flwr")
    named = [re.fullmatch(r"pip install (['\"])(.*)\1", one.code)[2] for one in of_kind("pip")]
    assert len(named) >= 8
    extras = {one.removeprefix("flame-flwr[").removesuffix("]") for one in named}
    assert extras - {"{}", "flwr=={}.*"} <= set(about.get_all("Provides-Extra"))
    from flame_flwr.results.extra_files import _MODULES

    assert _MODULES.keys() <= set(about.get_all("Provides-Extra"))


def test_the_proposed_flower_was_tried():
    text = untried("99.9.0")
    [version] = re.findall(r"pip install 'flwr==([\d.]+)\.\*'$", text)
    [needed] = [
        Requirement(one)
        for one in importlib.metadata.requires("flame-flwr")
        if re.match(r"flwr\b", one) and "extra" not in one
    ]
    assert f"{version}.0" in needed.specifier
    assert untried(f"{version}.0") == ""


@pytest.mark.parametrize("kind", ["command", "flwr"])
def test_every_command_exists(kind):
    for one in of_kind(kind):
        assert not wrong(one.code.split()), one


def test_every_option_is_one_of_a_command():
    root = typer.main.get_command(commands._app)
    every = {option for command in leaves(root) for option in options(command)}
    assert not wrong(["flwr", "run", "--federation-config"])
    of_others = {"--federation-config", "--system", "--shell", "--now"}  # Flower's, the system's
    assert {one.code for one in of_kind("option")} <= every | of_others


def leaves(command):
    """Return all commands below a group."""
    below = getattr(command, "commands", None)
    return [command] if below is None else [leaf for one in below.values() for leaf in leaves(one)]


def test_every_name_in_backticks_exists():
    known = known_names()
    assert not [one for one in of_kind("name") if one.code.strip("`") not in known]


CONFIGS = {"run": RUN_KEYS, "node": {**NODE_KEYS, **registry._KEYS}}


def test_every_config_has_the_keys_messages_name():
    named = re.compile(r"`([a-z-]+)` (?:in|of) (?:the|this) (run|node)(?:'s)? (?:config|registry)")
    found = {key for _, text in messages() for key in named.findall(text)}
    assert len(found) > 10
    assert not {(key, which) for key, which in found if key not in CONFIGS[which]}


@cache
def of_kind(kind):
    found = [one for one in advice() if one.kind == kind]
    assert found
    return found


OTHER = {"return": "Python's", "_": "a sign that a name may have", "files": "must not be declared"}


@cache
def known_names():
    """Return the keys of every config, and the names and parameters of the public classes."""
    names = {*OTHER, *RUN_KEYS, *NODE_KEYS, *registry._KEYS}
    for table in (federation_file._TOP, federation_file._SERVER, federation_file._HOSPITAL):
        names |= {*table}
    for module in PUBLIC:
        home = importlib.import_module(module)
        for name in home.__all__:
            found = getattr(home, name)
            names |= {name, *parameters(found)}
            if inspect.isclass(found):
                names |= {*dir(found)}
                names |= {one for method in vars(found).values() for one in parameters(method)}
    return names


PUBLIC = [
    f"flame_flwr.{name}"
    for name in (
        *("star", "strategies", "aggregation", "privacy", "payload"),
        *("sklearn", "statistics", "torch"),
    )
]


def parameters(function):
    try:
        return set(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return set()


def test_skip_is_not_proposed_for_too_few_nodes():
    with pytest.raises(NodeFailedError, match="there are fewer than `min-nodes`, 2") as raised:
        failing_node(None, nodes=2)
    assert "on-failure" not in str(raised.value)
