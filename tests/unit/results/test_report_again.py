"""`flame-flwr report`: the page of a folder, made again, and its PDF."""

import hashlib
import json
import os
import re
import stat

import pytest
from typer.testing import CliRunner

from flame_flwr.cli.commands import _app
from flame_flwr.errors import ConfigError, FlameError, StoreError
from flame_flwr.results.fetch import fetch
from flame_flwr.results.print_pdf import print_pdf
from flame_flwr.results.report_again import report_again
from flame_flwr.star import StarAnalyzer

from .small_runs import Scalar, full_run


class Odd(StarAnalyzer):
    def analysis_method(self, data, aggregator_results):
        self.flame.report_metrics(loss=float("nan") if data == 2.0 else 1.5, far=float("inf"))
        return data

    def evaluation_method(self, data, result):
        return {"auc": float("-inf")}


def command(*words):
    return CliRunner().invoke(_app, ["report", *map(str, words)])


def changed(folder, **changes):
    path = folder / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_a_page_never_poses_as_pdf(tmp_path):
    result = command(tmp_path, "--pdf", "--to", tmp_path / "study.pdf")
    assert result.exit_code == 2
    assert "study.html" in re.sub(r"[\s│]", "", result.output)  # wherever a line of the box ends
    assert not (tmp_path / "study.pdf").exists()


@pytest.mark.parametrize(
    "settings",
    [
        {"title": "Ages", "tensorboard": "off"},
        {"analyzer": Odd, "tensorboard": "off"},
        {"aggregator": Scalar, "epsilon": 1.0, "sensitivity": 1.0},
    ],
)
def test_it_is_the_page_of_the_run(tmp_path, settings):
    full_run(tmp_path, **settings)
    first = (tmp_path / "report.html").read_bytes()
    (tmp_path / "report.html").unlink()
    assert report_again(tmp_path / "run.json") == tmp_path / "report.html"
    assert (tmp_path / "report.html").read_bytes() == first


def test_what_is_listed_stays_true(tmp_path):
    full_run(tmp_path / "2026-run", tensorboard="off")
    folder = tmp_path / "2026-run"
    changed(folder, heading={"title": "Another", "description": "", "authors": []})
    result = command(folder)
    assert result.exit_code == 0, result.output
    assert result.output == f"{folder / 'report.html'} is written\n"
    page = (folder / "report.html").read_bytes()
    assert b"<h1>Another</h1>" in page
    listed = {
        e["name"]: e["sha256"] for e in json.loads((folder / "run.json").read_text())["other_files"]
    }
    assert listed["report.html"] == hashlib.sha256(page).hexdigest()
    assert (fetch(str(folder), None, tmp_path / "to") / "report.html").read_bytes() == page


def test_elsewhere_the_folder_stays_as_it_is(tmp_path):
    full_run(tmp_path / "run", tensorboard="off")
    before = (tmp_path / "run" / "run.json").read_bytes()
    assert command(tmp_path / "run", "--to", tmp_path / "other" / "page.html").exit_code == 0
    assert (tmp_path / "other" / "page.html").is_file()
    assert (tmp_path / "run" / "run.json").read_bytes() == before


def test_an_earlier_versions_run_has_a_page(tmp_path):
    full_run(tmp_path, convergence=lambda now, last: True, tensorboard="off")
    about = json.loads((tmp_path / "run.json").read_text())
    for name in ("heading", "in_words", "weighted_by", "frozen", "data_changed", "disclosure"):
        about.pop(name)
    (tmp_path / "run.json").write_text(json.dumps(about))
    page = report_again(tmp_path).read_text()
    assert "<h1>Fits</h1>" in page
    assert "as run.json has it" in page
    assert "When(" not in page


def test_no_file_outside_the_folder_is_shown(tmp_path):
    run = tmp_path / "run"
    full_run(run, tensorboard="off")
    (tmp_path / "secret.txt").write_text("a secret")
    (run / "link.txt").symlink_to(tmp_path / "secret.txt")
    (run / "loop.txt").symlink_to("loop.txt")
    listed = ["../secret.txt", str(tmp_path / "secret.txt"), "link.txt", "gone.txt", "r.txt", 7]
    listed += ["loop.txt", "x" * 5000]
    changed(run, files=[{"name": name} for name in listed])
    page = report_again(run).read_text()
    assert "a secret" not in page
    assert "r.txt" in page


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        (None, ConfigError, "is no run's folder"),
        ("{", StoreError, "is damaged, or no run"),
        ("[" * 10**5, StoreError, "is damaged, or no run"),
        ('{"versions": {"flame-flwr": "1"}, "incomplete": true}', StoreError, "no more than nodes"),
        ('{"versions": {"flame-flwr": "1"}, "files": [3]}', StoreError, "are no list of files"),
        ('{"versions": {"flame-flwr": "1"}}', StoreError, "no report can be made"),
        ('{"versions": {"flame-flwr": "1"}, "history": [{"round": []}]}', StoreError, "no report"),
        ('{"versions": {"flame-flwr": "1"}, "history": null}', StoreError, "no report"),
        ('{"versions": {"flame-flwr": "1"}, "history": 5}', StoreError, "no report"),
    ],
)
def test_a_damaged_folder_is_told_of(tmp_path, content, error, message):
    if content is not None:
        (tmp_path / "run.json").write_text(content)
    with pytest.raises(error, match=message):
        report_again(tmp_path)
    assert not (tmp_path / "report.html").exists()


def browser(folder, script):
    """Write a program that is found as Chromium is."""
    path = folder / "chromium"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return folder


PRINTS = """
for each in "$@"; do case "$each" in --print-to-pdf=*) to="${each#--print-to-pdf=}";; esac; done
printf '%%PDF-1.4\\n%s\\n%%%%EOF\\n' "$*" > "$to"
"""


def test_a_pdf_is_printed_and_listed(tmp_path, monkeypatch):
    run = tmp_path / "run"
    full_run(run, tensorboard="off")
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{browser(tmp_path / 'bin', PRINTS)}:/usr/bin:/bin")
    result = command(run, "--pdf")
    assert result.exit_code == 0, result.output
    said = (run / "report.pdf").read_text()
    assert said.startswith("%PDF-")
    assert (run / "report.html").as_uri() in said
    assert ("--no-sandbox" in said) == (os.geteuid() == 0)
    listed = [file["name"] for file in json.loads((run / "run.json").read_text())["other_files"]]
    assert {"report.html", "report.pdf"} <= set(listed)
    full_run(run, report="off", tensorboard="off")
    assert not (run / "report.pdf").exists()


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("sleep 60 & sleep 60", "did not print the page within 0.5 s"),
        ("exit 3", "printed no PDF"),
        (PRINTS.replace("%%%%EOF", ""), "printed no PDF"),
    ],
)
def test_a_pdf_is_complete_or_absent(tmp_path, monkeypatch, script, message):
    monkeypatch.setenv("PATH", f"{browser(tmp_path, script)}:/usr/bin:/bin")
    seconds = 0.5 if "sleep" in script else 60
    with pytest.raises(StoreError, match=message):
        print_pdf(tmp_path / "report.html", tmp_path / "report.pdf", seconds)
    assert not (tmp_path / "report.pdf").exists()


def test_without_a_browser_it_says_what_to_install(tmp_path, monkeypatch):
    full_run(tmp_path, tensorboard="off")
    monkeypatch.setattr("flame_flwr.results.print_pdf._PROGRAMS", ("no-such-browser",))
    result = command(tmp_path, "--pdf")
    assert isinstance(result.exception, FlameError)
    assert "apt install chromium" in str(result.exception)
    assert not (tmp_path / "report.pdf").exists()
