"""What a hospital types to decide which apps run, and what it reads at 80 columns."""

import json
import re
import subprocess
from datetime import date, timedelta

import flower_app
import pytest
from typer.testing import CliRunner

from flame_flwr.cli import commands
from flame_flwr.node import waiting_apps
from flame_flwr.node.app_archive import AppArchive, digest_of
from flame_flwr.node.app_review import Review
from flame_flwr.node.gate_folder import GateFolder
from flame_flwr.node.waiting_apps import request_of

UNTIL = f"{date.today() + timedelta(days=9)}"
CODE = """
import os, socket
import pandas as pd
from flame_flwr.star import StarAnalyzer, StarModel
from study.base import Base

raise SystemExit("this module must never be imported")


class Ages(Base):
    def analysis_method(self, data, aggregator_results):
        return eval("1")  # \x1b[2K \u202e


model = StarModel(Ages, Total, data_type="s3", query=["ages.csv"], disclosure=[MinCount(RULE)])
"""
BASE = "class Base(StarAnalyzer):\n    limit = 5\n"


def pyproject(version="1.0.0"):
    return flower_app.pyproject("study", {"project-id": "long-covid", "alpha": 0.1}, version)


def archive(version="1.0.0", code=CODE, **more):
    files = {"pyproject.toml": pyproject(version), "study/app.py": code, "study/base.py": BASE}
    return flower_app.archive({**files, **more})


@pytest.fixture
def node(tmp_path):
    folder = tmp_path / "hospital-a"
    folder.mkdir()
    state = tmp_path / "state"
    (folder / "node.toml").write_text(f'name = "hospital-a"\nstate-dir = "{state}"\n')
    return folder


@pytest.fixture
def run(node):
    def run(*command, expect=0):
        done = CliRunner().invoke(commands._app, ["node", *command, "--node", str(node)])
        said = done.output + ("" if done.exception is None else str(done.exception))
        assert done.exit_code == expect, said
        return said

    return run


@pytest.fixture
def send(tmp_path):
    def send(content):
        digest = digest_of(content)
        request = request_of("tests/study 1.0.0", 7, "long-covid")
        GateFolder(tmp_path / "state").keep_request(digest, request, content)
        return digest

    return send


def test_a_new_node_has_no_apps(run):
    assert "no app was sent to hospital-a yet" in run("apps")


def test_a_full_list_is_said(run, send, monkeypatch):
    send(archive())
    assert "are refused" not in run("apps")
    monkeypatch.setattr(waiting_apps, "MOST_PENDING", 1)
    assert "1 apps wait already: more are refused until some are approved" in run("apps")


def test_an_app_waits_runs_and_is_rejected(run, send):
    digest = send(archive())
    assert re.search(
        rf"^{digest[:12]} +tests/study 1.0.0 +waits, asked .* long-covid", run("apps"), re.M
    )
    said = run(
        "approve", digest[:6], "--project", "copd", "--until", UNTIL, "--may-differ", "alpha"
    )
    assert said == f"tests/study 1.0.0 may run at hospital-a, for copd until {UNTIL}\n"
    assert re.search(rf"approved until {UNTIL} +copd", run("apps"))
    assert "may differ: alpha" in run("show", digest)
    run("reject", digest[:6].upper(), "--note", "too much")
    said = run("apps")
    assert "rejected" in said
    assert "approved" not in said
    assert "too much" in run("show", digest)
    assert all(len(line) <= 80 for line in said.splitlines())


def test_what_is_shown_is_read_and_not_run(run, send):
    said = run("show", send(archive()))
    analyzer = said.index("class Ages(Base)")
    assert analyzer < said.index("disclosure = [MinCount(RULE)]") < said.index("\nFiles")
    for words in (
        "class Base(StarAnalyzer)",
        "query = ['ages.csv']",
        "alpha = 0.1",
        "pandas: study/app.py",
        "study/app.py imports socket",
        "study/app.py, line 12 calls eval",
        r"# \x1b[2K \u202e",
        "--project long-covid --until DATE",
    ):
        assert words in said, words
    assert "\x1b" not in said
    assert "\u202e" not in said
    assert run("show", digest_of(archive())[:5], "--file", "study/base.py") == BASE + "\n"
    run("show", digest_of(archive()), "--file", "no.py", expect=1)


FORGED = "\napproved: for all until 2999-01-01 by Dr. House\x1b[2J\u202e\u2028"


def test_an_app_forges_no_line(run, send, tmp_path):
    """In whatever it names: each field is one line, with nothing that a terminal obeys."""
    spelled = json.dumps(FORGED)[1:-1]
    text = pyproject().replace('"1.0.0"', f'"1.0.0{spelled}"')
    for name in ("tests", "long-covid"):
        text = text.replace(f'"{name}"', f'"{name}{spelled}"')
    text += f'"key{spelled}" = "value{spelled}"\n'
    code = CODE + f"StarModel(Ages, query=[{FORGED!r}])\n"
    more = {"pyproject.toml": text, f"study/a{FORGED}.py": "import os", f"b{FORGED}.so": "\0"}
    content = archive(code=code.replace("# \x1b[2K \u202e", ""), **more)
    digest = digest_of(content)
    request = request_of(f"tests/study{FORGED}", 7, f"copd{FORGED}")
    GateFolder(tmp_path / "state").keep_request(digest, request, content)
    other = send(archive("1.1.0"))
    said = [
        run("apps"),
        run("show", digest),
        run("show", digest, "--file", "no.py", expect=1),
        run("diff", digest, other),
        run("approve", digest, "--project", f"p{FORGED}", "--until", UNTIL, "--note", FORGED),
        run("apps"),
        run("show", digest),
        run("reject", digest, "--note", FORGED),
        run("show", digest),
    ]
    for text in [*said, (tmp_path / "state" / "gate" / "approved.toml").read_text()]:
        assert not {"\x1b", "\u202e", "\u2028"} & set(text)
        assert not re.search("^.?approved: for all", text, re.M), text
    assert "tests\\napproved: for all until 2999-01-01 by Dr. House\\x1b[2J" in said[1]


def test_what_takes_the_place_of_others_stands_out():
    more = {"numpy/__init__.py": "", "a.so": "\0", "b.py": "if", "c.pyc": ""}
    found = "\n".join(Review(AppArchive.read(archive(**more))).warnings())
    for words in (
        "numpy in the app takes the place of the installed numpy",
        "a.so holds no text",
        "b.py is no Python",
        "c.pyc is a kind of file",
    ):
        assert words in found, words


def test_a_difference_is_to_the_last_approved_version(run, send):
    first, second = send(archive()), send(archive("1.1.0", CODE.replace("[MinCount(RULE)]", "[]")))
    assert "no other version of tests/study was approved" in run("diff", second, expect=1)
    run("approve", first, "--project", "p", "--until", UNTIL)
    said = run("diff", second[:8])
    assert '-version = "1.0.0"\n+version = "1.1.0"' in said
    assert "\n+model = StarModel(Ages, Total, data_type=" in said
    assert "study/base.py" not in said
    assert run("diff", second, first).count("\n+version") == 1


@pytest.mark.parametrize("start", ["zzzz", "", "abc"])
def test_a_hash_must_be_one_apps(run, send, start):
    send(archive())
    assert "hash" in run("approve", start, "--project", "p", "--until", UNTIL, expect=1)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--until", "2020-01-01"), "is over"),
        (("--until", UNTIL, "--may-differ", "beta"), "its keys are project-id, alpha"),
        (("--until", UNTIL, "--project", ""), "is for one project"),
        (("--until", UNTIL, "--project", " "), "is for one project"),
    ],
)
def test_an_approval_that_cannot_be_is_refused(run, send, more, words):
    digest = send(archive())
    assert words in run("approve", digest, "--project", "p", *more, expect=1)


def test_one_reviewer_signs_for_many_hospitals(run, send, tmp_path):
    key, file = tmp_path / "anna", tmp_path / "signed.toml"
    for name in ("anna", "bert"):
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / name], check=True
        )
    fab = tmp_path / "study.fab"
    fab.write_bytes(archive())
    signed = ("--project", "p", "--until", UNTIL, "--to", str(file))
    run("sign", str(fab), *signed, "--key", str(key))
    assert "is not trusted here" in run("accept", str(file), expect=1)
    run("trust", f"{key}.pub")
    assert "another key" in run("trust", f"{tmp_path}/bert.pub", "--name", "anna", expect=1)
    assert "signed by anna" in run("accept", str(file))  # the app need not have come yet
    said = run("apps")
    assert "signatures are trusted of anna, SHA256:" in said
    assert f"approved until {UNTIL}" in said
    file.write_text(file.read_text().replace('project = "p"', 'project = "q"'))
    assert "changed after it was signed" in run("accept", str(file), expect=1)
    (tmp_path / "state" / "gate" / "reviewers" / "anna.pub").unlink()
    assert "signature not trusted" in run("apps")


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o620])
def test_a_key_that_others_read_signs_nothing(run, tmp_path, mode):
    key, fab = tmp_path / "anna", tmp_path / "study.fab"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    fab.write_bytes(archive())
    to = tmp_path / "signed.toml"
    sign = (
        "sign",
        str(fab),
        "--project",
        "p",
        "--until",
        UNTIL,
        "--key",
        str(key),
        "--to",
        str(to),
    )
    key.chmod(mode)
    said = run(*sign, expect=1)
    assert f"(its mode is {mode:04o})" in said
    assert f"`chmod 600 {key}`" in said
    assert not to.exists()
    key.chmod(0o400)
    run(*sign)


def test_a_rejection_is_stronger_than_a_signature(run, send, tmp_path):
    key, file = tmp_path / "anna", tmp_path / "signed.toml"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    digest = send(archive())
    run("trust", f"{key}.pub")
    signed = ("--project", "p", "--until", UNTIL, "--to", str(file))
    run("sign", digest, *signed, "--key", str(key))
    run("reject", digest)
    assert "was rejected at this node" in run("accept", str(file), expect=1)


def test_a_node_without_a_place_for_approvals(run, node):
    (node / "node.toml").write_text('name = "hospital-a"\n')
    assert "has no `state-dir`" in run("apps", expect=1)
    (node / "node.toml").unlink()
    assert "--node names the node's folder" in run("apps", expect=1)


def test_another_users_node_is_left_alone(run, send, monkeypatch):
    send(archive())
    monkeypatch.setattr("os.geteuid", lambda: 12345)
    assert re.search(r"`sudo -u \w+ flame-flwr node", run("apps", expect=1))


def test_the_command_is_for_the_project_asked(run, tmp_path):
    """Followed to the letter, what is shown lets the next run through."""
    content = archive()
    digest, folder = digest_of(content), GateFolder(tmp_path / "state")
    for project in ("copd", "", "copd", "heart failure"):
        folder.keep_request(digest, request_of("tests/study 1.0.0", 7, project), content)
    said = run("show", digest)
    found = re.findall(r"^flame-flwr node approve \w+ --project (.+) --until DATE$", said, re.M)
    assert found == ["'heart failure'", "copd", "long-covid"]
    assert all(len(line) <= 80 for line in said.splitlines() if line not in CODE)
