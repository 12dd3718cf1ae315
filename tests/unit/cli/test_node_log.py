"""`flame-flwr node log`: an audit log as a table, and whether it is as it was written."""

import re

import pytest
from typer.testing import CliRunner

from flame_flwr.cli import commands
from flame_flwr.clients.audit import note_start
from flame_flwr.config import NodeSettings
from flame_flwr.privacy.audit_log import AuditLog
from flame_flwr.privacy.audit_words import what_left

RUN = "2841880428599617896"
ENTRY = {
    "time": "2026-11-29T23:59:59.999+00:00",
    "project": "long-covid",
    "run": RUN,
    "app": "me.ages.1.0.0.2e144501",
    "node": "hospital-a",
    "answer_to": "train",
    "round": 3,
    "result": "dict('coef': ndarray float64 (1, 30), 'n': int)",
    "bytes": 51_200,
}


@pytest.fixture
def node(tmp_path):
    """The folder of a node, whose log has lines of two runs and days."""
    log = tmp_path / "audit.jsonl"
    (tmp_path / "node.toml").write_text(f'name = "hospital-a"\naudit-log = "{log}"\n')
    hello = {"answer_to": "get_properties", "round": None, "result": None}
    AuditLog(str(log)).append({**ENTRY, **hello, "records": {"said": ["name: str"]}})
    AuditLog(str(log)).append(ENTRY)
    later = {"run": "7", "project": "sepsis", "time": "2026-11-30T01:00:00.000+00:00"}
    failed = {"failure": "ValueError at \x1b[2Janalysis.py:42", "node": "hospital-b"}
    AuditLog(str(log)).append({**ENTRY, **later, **failed})
    return tmp_path


def said(node, *arguments):
    command = ["node", "log", "--node", str(node), *arguments]
    done = CliRunner().invoke(commands._app, command, catch_exceptions=True)
    return done.exit_code, done.output + str(done.exception or "")


def test_a_table_fits_eighty_columns(node):
    code, text = said(node)
    assert code == 0
    assert max(map(len, text.splitlines())) <= 80
    assert f"project long-covid, run {RUN}, app me.ages.1.0.0.2e144501" in text
    for cell in ("hello", "train 3", "2026-11-29 23:59:59", "51.2 kB", "no findings"):
        assert cell in text
    assert "failed: ValueError" in text
    assert "?[2Janalysis.py:42" in text  # nothing that a terminal would obey


def test_a_start_says_how_apps_run(node):
    settings = NodeSettings(name="hospital-a", audit_log=str(node / "audit.jsonl"))
    note_start(settings, {"sandbox": "analyses run without a sandbox"})
    code, text = said(node)
    assert code == 0
    for words in ("the node was", "sandbox: analyses", "run without a sandbox"):  # folded
        assert words in text
    assert "4 lines, each as it was written" in said(node, "--verify")[1]


@pytest.mark.parametrize(
    ("options", "lines"),
    [
        ((), 3),
        (("--project", "long-covid"), 2),
        (("--run", "7"), 1),
        (("--day", "2026-11-29"), 2),
        (("--day", "2026-11"), 3),
        (("--name", "hospital-b"), 1),
        (("--project", "sepsis", "--day", "2026-11-29"), 0),
    ],
)
def test_lines_are_chosen_by_what_they_say(node, options, lines):
    code, text = said(node, *options)
    assert code == 0
    assert len(re.findall("2026-11-(29|30) ", text)) == lines
    assert ("no such lines" in text) == (lines == 0)


def test_models_and_their_rounds_are_counted(node):
    """A failure is no round; what has no regression in it is none."""
    log = AuditLog(str(node / "audit.jsonl"))
    for project, run, rounds in (("sepsis", "8", 7), ("sepsis", "9", 5), ("long-covid", "7", 6)):
        for number in range(1, rounds + 1):
            about = {"project": project, "run": run, "round": number}
            log.append({**ENTRY, **about, "regression": {"parameters": 4}})
    log.append({**ENTRY, "run": "10", "regression": {"parameters": 4}, "failure": "few"})
    text = " ".join(said(node)[1].split())
    assert "project long-covid: 1 regression, of 6 rounds in all" in text
    assert "project sepsis: 2 regressions, of 12 rounds in all" in text
    assert "project sepsis: 1 regression, of 5 rounds in all" in said(node, "--run", "9")[1]


def test_verify_prints_the_hash_to_note(node):
    code, text = said(node, "--verify")
    assert code == 0
    assert "3 lines, each as it was written" in text
    noted = re.search("[0-9a-f]{64}", text)[0]
    assert said(node, "--verify", "--expect", noted)[0] == 0
    code, text = said(node, "--verify", "--expect", "0" * 64)
    assert code == 1
    assert "no line has the expected hash" in text


def test_verify_names_the_first_wrong_line(node):
    log = node / "audit.jsonl"
    log.write_text(log.read_text().replace("hello", "bye").replace('"round": 3', '"round": 4', 1))
    code, text = said(node, "--verify")
    assert code == 1
    assert "line 2 (audit.jsonl:2) was changed. Lines up to 1 are as they were written" in text


def test_lines_of_removed_files_must_be_accepted(node):
    log = node / "audit.jsonl"
    log.write_text("".join(log.read_text().splitlines(keepends=True)[1:]))
    code, text = said(node, "--verify")
    assert code == 1
    assert "say `--from 2`" in text
    assert "as they were written" not in text
    assert said(node, "--from", "2")[0] == 0
    (node / "audit.jsonl.chain").unlink()
    assert said(node, "--from", "2")[0] == 1
    assert said(node, "--from", "2", "--file", str(log))[0] == 0  # a copy


@pytest.mark.parametrize(
    ("config", "why"),
    [
        (None, "there is no"),
        ("name = 1 1", "is no TOML file"),
        ('name = "a"', "has no `audit-log`"),
        ('audit-log = "/nowhere/audit.jsonl"', "cannot be read: No such file or directory"),
    ],
)
def test_a_log_that_is_not_there_is_said(tmp_path, config, why):
    if config is not None:
        (tmp_path / "node.toml").write_text(config)
    code, text = said(tmp_path)
    assert code == 1
    assert why in text


@pytest.mark.parametrize(
    "day", ["2026/11/30", "yesterday", "2026-11-31", "2026-1", "2026-", "20261130"]
)
def test_a_day_that_is_none_is_refused(node, day):
    code, text = said(node, "--day", day)
    assert code == 2
    assert "such as 2026-11-29" in text


@pytest.mark.parametrize("expected", ["abc", "0" * 63, "g" * 64])
def test_a_hash_that_is_none_is_refused(node, expected):
    code, text = said(node, "--verify", "--expect", expected)
    assert code == 2
    assert "written anew" not in text


@pytest.mark.parametrize("columns", [None, "60"])
def test_a_log_fits_also_off_a_terminal(node, monkeypatch, columns):
    monkeypatch.delenv("COLUMNS", raising=False)
    if columns:
        monkeypatch.setenv("COLUMNS", columns)
    text = said(node)[1]
    assert max(map(len, text.splitlines()[1:])) <= int(columns or 80)


def test_findings_of_hello_come_first():
    records = {"said": ["name: str", "versions: str, 900 letters", "states: str"]}
    hello = {**ENTRY, "answer_to": "get_properties", "result": None, "records": records}
    what = what_left
    assert what(hello) == "no findings. Told: name, versions, states"
    assert what({**hello, "findings": ["no column a"]}).startswith("no column a. Told: name")
