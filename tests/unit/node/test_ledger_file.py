"""The ledger's file is sound or nothing leaves, and its user can read and mend it."""

import json
import os
import re
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from flame_flwr.cli import commands, ledger_table
from flame_flwr.errors import ConfigError
from flame_flwr.node import ledger_file
from flame_flwr.node.ledger_file import NodeLedger, begin_ledger
from flame_flwr.node.node_status import StatusFile
from flame_flwr.node.server_clock import ServerClock
from flame_flwr.privacy.answer_cost import Cost
from flame_flwr.privacy.ledger import Ledger

from .counted_node import FILE, REGISTRY, result


def test_answers_at_a_time_are_all_counted(node, node_message):
    asked = node_message("counted", node.fab, {}, node=node.config)
    with ThreadPoolExecutor(8) as pool:
        for _ in pool.map(
            lambda _: NodeLedger(asked.context, "p").charge(Cost(figures=2)), range(24)
        ):
            pass
    assert node.accounts() == {("data", "p"): (24, 48)}


def damaged(node, how):
    path = node.folder / FILE
    if how == "removed":
        path.unlink()
    elif how == "linked":
        path.rename(path.with_name("elsewhere"))
        path.symlink_to("elsewhere")
    elif how == "open":
        path.chmod(0o666)
    else:
        path.write_text(how(path.read_text()))


WAYS = {
    "removed": "removed",
    "linked": "linked",
    "open": "open",
    "empty": lambda text: "",
    "cut": lambda text: text[: len(text) // 2],
    "negative": lambda text: text.replace('"answers": 1', '"answers": -1'),
    "no number": lambda text: text.replace('"pure": 0.0', '"pure": NaN'),
    "another type": lambda text: text.replace('"answers": 1', '"answers": true'),
    "no day": lambda text: re.sub(r'"day": "[^"]*"', '"day": "never"', text),
    "less": lambda text: text.replace('"today": 1', '"to": 1'),
    "version": lambda text: text.replace('"version": 1', '"version": 2'),
}


@pytest.mark.parametrize("how", WAYS)
def test_an_unsound_ledger_lets_nothing_leave(node, how):
    assert node.ask(result(1)) == ""
    damaged(node, WAYS[how])
    why = node.ask(result(1))
    assert not node.has_run
    assert "ledger" in why
    status = StatusFile(node.settings, ServerClock())
    assert status._status.trouble
    with pytest.raises(ConfigError):  # nor where it breaks while the analysis runs
        NodeLedger(SimpleNamespace(node_config=node.config, run_config={}), "").charge(Cost())
    if how not in ("linked", "open"):  # these are mended with `rm` and `chmod`
        assert "flame-flwr node ledger --begin" in why
        kept = begin_ledger(node.settings)
        assert bool(kept) is (how != "removed")
        assert node.ask(result(1)) == ""
        assert node.accounts() == {("data", ""): (1, 1)}
        with pytest.raises(ConfigError, match="nothing to begin anew"):
            begin_ledger(node.settings)


def test_a_full_disk_lets_nothing_leave(node, monkeypatch):
    assert node.ask(result(1)) == ""
    before = (node.folder / FILE).read_bytes()

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ledger_file, "write_whole", full)
    assert "without it no answer leaves" in node.ask(result(1))
    assert (node.folder / FILE).read_bytes() == before


def test_a_crash_leaves_one_whole_ledger(node, monkeypatch):
    assert node.ask(result(1)) == ""
    replace = os.replace

    def crash(source, target):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", crash)
    with pytest.raises(KeyboardInterrupt):
        node.ask(result(1))
    monkeypatch.setattr(os, "replace", replace)
    assert node.accounts() == {("data", ""): (1, 1)}


def test_the_table_fits_eighty_columns(node, capsys):
    node.register(REGISTRY + "epsilon-total = 4\n")
    day = ledger_file.today()
    ledger = Ledger()
    for project in ("long-covid", "a-project-with-a-very-long-name-of-its-own-indeed-yes"):
        cost = Cost(12_345_678, pure=1.5, shift=1.0, extremes=2, exact=40)
        ledger = ledger.with_answer(["ward"], project, cost, day)
    ledger = ledger.with_answer(["old \x1b[2J"], "", Cost(1), "2020-01-01")
    ledger_table.show_ledger(node.settings, ledger)
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 80
    [together] = [line for line in text.splitlines() if line.startswith("all projects")]
    # 2 * 1.5 pure, 2 * 2 answers with extremes, and 6.60 of two Gaussian ones
    assert together.split() == ["all", "projects", "2", "2", "24,691,356", "80", "4", "13.6"]
    assert "at most 3 answers a day, all projects together" in text
    assert "register\nnothing has left\nat most epsilon 4" in text
    assert "(no approval asked)" in text
    assert "\x1b[2J" not in text


def test_the_command_shows_and_mends(node):
    assert node.ask(result(1)) == ""
    lines = (f"{key} = {json.dumps(value)}\n" for key, value in node.config.items())
    (node.folder / "node.toml").write_text("".join(lines))

    def say(*more):
        command = ["node", "ledger", "--node", str(node.folder), *more]
        done = CliRunner().invoke(commands._app, command)
        return done.exit_code, done.output + str(done.exception or "")

    code, text = say()
    assert (code, "(no approval asked)" in text) == (0, True)
    assert "nothing to begin anew" in say("--begin")[1]
    (node.folder / FILE).write_text("{}")
    assert "is damaged" in say()[1]
    code, text = say("--begin")
    assert code == 0
    assert "ledger.json.20" in text
    assert "nothing has left" in say()[1]
