"""A hospital's page: what it shows of a node's own files, and that it changes nothing."""

import csv
import io
import json

import pytest
from asgi_browser import Browser
from hospital_node import HARM, line, write_node

from flame_flwr.errors import ConfigError
from flame_flwr.node import node_folder, page_egress, page_parts
from flame_flwr.node.node_folder import node_settings
from flame_flwr.node.page import node_page, saved
from flame_flwr.privacy.audit_log import AuditLog


@pytest.fixture
def node(tmp_path):
    return write_node(tmp_path)


@pytest.fixture
def log(tmp_path):
    return AuditLog(str(tmp_path / "audit.jsonl"))


@pytest.fixture
def browser(node):
    return Browser(node_page(node), "http://127.0.0.1:40000")


def egress(tmp_path):
    return page_egress.Egress(tmp_path / "audit.jsonl")


def test_answers_are_counted_by_day_and_study(log, tmp_path):
    for entry in (
        *(line(1), line(1, masked=True, bytes=50), line(2), line(1, project="heart")),
        line(2, failure="TooFewError: MinCount(5)"),
        {"time": "2026-11-02T09:00", "project": "", "answer_to": "", "started": {"sandbox": "off"}},
    ):
        log.append(entry)
    part = egress(tmp_path).part()
    counts = ("answers", "bytes", "masked", "withheld")
    assert [(each["day"], each["project"], *map(each.get, counts)) for each in part["days"]] == [
        ("2026-11-02", "covid", 2, 2000, 0, 1),
        ("2026-11-01", "covid", 2, 1050, 1, 0),
        ("2026-11-01", "heart", 1, 1000, 0, 0),
    ]
    assert {type(each[count]) for each in part["days"] for count in counts} == {int}  # shown so
    assert (part["all"], part["projects"]) == (5, ["covid", "heart"])
    started, failed, *rest = part["lines"]
    assert "nothing: the node was started" in started["left"]
    assert (failed["left"], failed["withheld"]) == ("", "TooFewError: MinCount(5)")
    assert rest[0]["answer"] == "train 2"
    assert rest[0]["left"] == "float64 array of shape (3,)"


def test_withheld_figures_are_shown_with_their_rule(log, tmp_path, browser):
    noted = {"MinCount": {"whole": 2, "cells": 3}, HARM: {"altered": 1}}
    for entry in (line(1), line(2, withheld=noted), line(2, failure="MinCount(5): too few")):
        log.append(entry)
    part = egress(tmp_path).part()
    said = f"MinCount withheld 2 figures, 3 cells of others; {HARM} altered 1 figure"
    assert [row["withheld in part"] for row in part["lines"]] == ["", said, ""]
    assert [row["withheld in part"] for row in part["refused"]] == ["", said]
    assert [(day["withheld"], day["withheld in part"]) for day in part["days"]] == [(1, 1), (0, 0)]
    assert browser.get("/lines?text=mincount%20withheld").json()["fitting"] == 1
    assert said in "".join(saved(egress(tmp_path)))


def test_a_grown_log_is_read_again(log, tmp_path, monkeypatch):
    read = []
    original = page_egress.read_entries
    monkeypatch.setattr(page_egress, "read_entries", lambda path: read.append(1) or original(path))
    log.append(line())
    seen = egress(tmp_path)
    monkeypatch.setattr(page_egress.time, "monotonic", lambda: 10.0 * len(read))
    assert [seen.part()["all"] for _ in range(3)] == [1, 1, 1]
    assert len(read) == 1
    log.append(line())
    monkeypatch.setattr(page_egress.time, "monotonic", lambda: 1e6)
    assert seen.part()["all"] == 2


def test_a_missing_log_is_said(tmp_path):
    assert "keeps no audit log" in page_egress.Egress(None).part()["trouble"]
    assert "cannot be read" in egress(tmp_path).part()["trouble"]


def test_what_left_is_saved_by_study_and_day(log, tmp_path):
    for entry in (line(1), line(2), line(2, project="=cmd|' /C calc'!A0"), line(2, project=HARM)):
        log.append(entry)
    rows = list(csv.DictReader(io.StringIO("".join(saved(egress(tmp_path))))))
    assert tuple(rows[0]) == page_egress.COLUMNS
    assert [row["project"] for row in rows] == ["covid", "covid", "'=cmd|' /C calc'!A0", HARM]
    assert [row["masked"] for row in rows] == ["no"] * 4
    chosen = list(
        csv.DictReader(
            io.StringIO("".join(saved(egress(tmp_path), page_egress.Asked("covid", "2026-11-02"))))
        )
    )
    assert [(row["time"][:10], row["project"]) for row in chosen] == [("2026-11-02", "covid")]


def test_the_whole_log_is_searched(log, browser):
    old = [line(1, project="heart"), line(1, failure="TooFewError: MinCount(5)"), line(2)]
    for entry in (*old, *(line(3) for _ in range(120))):
        log.append(entry)
    newest = browser.get("/lines").json()
    assert (len(newest["lines"]), newest["fitting"]) == (100, 123)
    assert [each["withheld"] for each in newest["refused"]] == ["TooFewError: MinCount(5)"]
    for asked, fitting, withheld in (
        ("project=heart", 1, 0),
        ("day=2026-11-01", 2, 1),
        ("day=2026-11&text=TOOFEW", 1, 1),
        ("text=toofew&project=heart", 0, 0),
    ):
        found = browser.get(f"/lines?{asked}").json()
        assert (found["fitting"], found["withheld"]) == (fitting, withheld), asked
        assert len(found["lines"]) == fitting
        assert browser.get(f"/left.csv?{asked}").text.count("\n") == 1 + fitting


def test_a_log_that_cannot_be_searched_is_said(browser):
    assert "cannot be read" in browser.get("/lines?text=a").json()["trouble"]


def test_an_app_is_shown_with_what_has_changed(node, browser):
    apps = page_parts.apps_part(node_settings(node))
    [waits], [decided] = apps["waiting"], apps["decided"]
    assert (waits["app"], waits["project"]) == ("tests/study 1.1.0", "covid")
    assert decided["state"].startswith("approved until ")
    app = browser.get(f"/app/{waits['hash']}").json()
    assert any("return data" in text for _, text in app["code"])
    assert ["  query", "['ages.csv']"] in app["declared"]
    assert "app.py imports socket" in app["warnings"]
    assert "+        return data" in app["difference"]
    assert "-        return len(data)" in app["difference"]
    approve, reject = app["commands"]
    short = waits["hash"][:12]
    assert approve == (
        f"flame-flwr node approve {short} --project covid --until DATE --node {node}"
    )
    assert reject == f"flame-flwr node reject {short} --node {node}"


@pytest.mark.parametrize("digest", ["0" * 64, "approved.toml", "%2e%2e%2fapproved.toml"])
def test_no_other_file_is_an_app(browser, digest):
    answer = browser.get(f"/app/{digest}")
    assert answer.status_code == 404


def test_an_apps_texts_have_a_limit(node, monkeypatch):
    settings = node_settings(node)
    digest = page_parts.apps_part(settings)["waiting"][0]["hash"]
    monkeypatch.setattr(page_parts, "_MOST_TEXT", 30)
    app = page_parts.app_part(settings, digest, node)
    assert sum(len(text) for _, text in app["code"]) < 200
    assert "cut here: `flame-flwr node show`" in app["code"][-1][1]
    assert "cut here: `flame-flwr node diff`" in app["difference"][-1]


def test_a_node_shows_work_and_its_gate(node):
    settings = node_settings(node)
    said = page_parts.now_part(settings)
    assert (said["name"], said["runs"], said["message"]) == ("a", False, {})
    assert "has never run here" in said["lines"][0]
    assert ["disclosure", "MinCount(5)"] in page_parts.gate_part(settings)
    ledger = page_parts.ledger_part(settings)
    assert [each["answers_per_day"] for each in ledger["datasets"]] == [9]


def test_every_part_is_json_in_one_page(node, browser, log):
    log.append(line(project=HARM))
    settings = node_settings(node)
    for part in (page_parts.now_part(settings), page_parts.ledger_part(settings)):
        assert json.loads(json.dumps(part)) == part
    page = browser.get("/")
    assert page.headers["content-type"].startswith("text/html")
    assert HARM not in page.text  # what comes from elsewhere comes as JSON, and becomes text nodes
    for name in ("page.css", "page.js", "node.css", "node.js"):
        assert f'"{name}"' in page.text or name == "page.js"
        assert browser.get(f"/{name}").status_code == 200
    answer = browser.get("/left.csv?project=&day=2026-11-01")
    assert answer.headers["content-disposition"] == 'attachment; filename="left.csv"'
    assert answer.text.count("\n") == 2


def test_another_users_node_is_left_alone(node, monkeypatch):
    monkeypatch.setattr(node_folder.os, "geteuid", lambda: 12345)
    with pytest.raises(ConfigError):
        node_page(node)
