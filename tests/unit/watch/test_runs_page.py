"""The analyst's page gives what has changed, and files without any right in the browser."""

import asyncio
import json
import re
from importlib.resources import files

import pytest
from asgi_browser import Browser
from watched_place import fill, finished, running, write_live

from flame_flwr.errors import StoreError
from flame_flwr.watch.event_stream import changes
from flame_flwr.watch.guard import FILE_POLICY, Guard
from flame_flwr.watch.runs_page import _parts, runs_page
from flame_flwr.watch.watched_runs import WatchedRuns

NEWEST = "2026-12-30T03-40-00Z-9"
HARM = "<script>alert(1)</script>"
STATIC = files("flame_flwr.watch").joinpath("static")


@pytest.fixture
def browser(tmp_path):
    return Browser(Guard(runs_page(WatchedRuns(str(tmp_path))), "t"), "http://127.0.0.1:1")


def events(tmp_path, chosen=""):
    """Return the first parts that a page gets."""
    runs = WatchedRuns(str(tmp_path))

    async def first():
        stream = changes(lambda: _parts(runs, chosen), 0.0)
        return [(await anext(stream)).decode() for _ in range(3)]

    texts = [text.split("\n") for text in asyncio.run(first())]
    return {name[7:]: json.loads(data[6:]) for name, data, *_ in texts}


def test_the_page_is_small_without_own_scripts(browser):
    page = browser.get("/t/").text
    assert re.findall(r"<script[^>]*>([^<]*)</script>", page) == [""]
    assert not re.search(r"\son\w+=|\sstyle=|https?://", page)
    scripts = re.findall(r'(?:src|href)="([^"]+\.(?:js|css))"', page)
    assert {"runs.js", "page.css", "runs.css"} == set(scripts)
    for name in ("page.js", "chart.js", "runs.js"):
        answer = browser.get(f"/t/{name}")
        assert answer.headers["content-type"].startswith("text/javascript")
        assert not re.search(r"innerHTML|outerHTML|insertAdjacent|eval\(|\.style\b", answer.text)
    size = sum(len(each.read_bytes()) for each in STATIC.iterdir() if each.name.endswith(".js"))
    assert size < 50_000


def test_an_unlistable_place_is_looked_at_again(tmp_path, monkeypatch):
    runs = WatchedRuns(str(tmp_path))
    write_live(tmp_path / NEWEST, running())

    def away():
        raise StoreError("the store cannot be reached")

    with monkeypatch.context() as patched:
        patched.setattr(runs._place, "names", away)
        parts = _parts(runs, "")
    assert (parts["run"]["status"], parts["run"]["said"]) == (
        "unreadable",
        "the store cannot be reached",
    )
    runs._looked = float("-inf")
    assert _parts(runs, "")["run"]["name"] == NEWEST


def test_the_newest_run_is_shown_unless_chosen(tmp_path):
    (other, *_) = fill(tmp_path, 3)
    write_live(tmp_path / NEWEST, running())
    parts = events(tmp_path)
    assert parts["runs"][0]["name"] == NEWEST
    assert parts["run"]["name"] == NEWEST
    assert [node["state"] for node in parts["run"]["nodes"]] == ["computing"] * 3
    assert events(tmp_path, other)["run"]["status"] == "completed"
    assert events(tmp_path, "nothing")["run"]["said"].startswith("there is no run 'nothing'")


def test_names_that_mean_harm_are_data(tmp_path):
    write_live(tmp_path / NEWEST, running(nodes=[HARM, "a\nevent: run\ndata: {}"]))
    parts = events(tmp_path)
    assert [node["name"] for node in parts["run"]["nodes"]] == [HARM, "a\nevent: run\ndata: {}"]


def test_a_file_is_saved_and_never_shown(tmp_path, browser):
    name = finished(tmp_path, 1)
    about = json.loads((tmp_path / name / "run.json").read_text())
    listed = {"bytes": 30, "sha256": "0" * 64}
    about["files"] = [{"name": each, **listed} for each in ("report.html", 'a"b\u00e4.html')]
    (tmp_path / name / "run.json").write_text(json.dumps(about))
    for each in ("report.html", 'a"b\u00e4.html'):
        (tmp_path / name / each).write_text(HARM)
    report = browser.get(f"/t/report/{name}")
    assert (report.status_code, report.text) == (200, HARM)
    assert report.headers["content-security-policy"] == FILE_POLICY
    file = browser.get(f"/t/file/{name}/a%22b%C3%A4.html")
    assert file.headers["content-type"] == "application/octet-stream"
    disposition = "attachment; filename*=UTF-8''a%22b%C3%A4.html"
    assert file.headers["content-disposition"] == disposition
    assert file.headers["content-security-policy"] == FILE_POLICY


@pytest.mark.parametrize("path", ["file/{}/run.json", "file/{}/..%2Fx", "report/x", "report/{}"])
def test_only_what_the_run_lists_is_there(tmp_path, browser, path):
    name = finished(tmp_path, 1)
    (tmp_path / "x").write_text("outside")
    assert browser.get(f"/t/{path.format(name)}").status_code == 404
