"""`flame-flwr watch --terminal` in 80 columns, and the page that `submit --watch` opens."""

import io
import stat
from pathlib import Path

import httpx
import pytest
from rich.console import Console
from watched_place import fill, finished, over, running, write_live

from flame_flwr.cli import watch_page
from flame_flwr.cli.runs_terminal import follow_run
from flame_flwr.cli.watch_page import open_browser, watching_submitted
from flame_flwr.errors import StoreError
from flame_flwr.watch.page_server import PageServer
from flame_flwr.watch.watched_runs import WatchedRuns

NEWEST = "2026-12-30T03-40-00Z-9"


def console(height=40, **about):
    return Console(file=io.StringIO(), width=80, height=height, **about)


def shown(target):
    lines = target.file.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    return lines


def test_a_run_under_way_fits_80_columns(tmp_path):
    record = running(nodes=["hospital-of-the-holy-ghost-in-the-north", "b"])
    record.stage.entry.failed["b"] = "ValueError at study.py:7, in analysis_method"
    write_live(tmp_path / NEWEST, record)
    target = console()
    follow_run(WatchedRuns(str(tmp_path)), "", target)
    lines = shown(target)
    assert lines[0] == "me/stay 2.0.0: running"
    assert lines[3].startswith("now: round 9, for ")
    assert "2 nodes: 1 computing, 1 failed" in lines
    table = [line for line in lines if line.startswith(("b ", "hospital-of"))]
    assert table[0].split()[:2] == ["b", "failed"]  # what needs a look comes first
    assert table[1].split()[1] == "computing"
    assert "b: ValueError at study.py:7, in analysis_method" in lines
    assert any(line.split()[:3] == ["8", "2", "0"] for line in lines)


def test_of_a_hundred_nodes_the_troubled_show(tmp_path):
    record = running(nodes=[f"hospital-{i:03}" for i in range(100)])
    record.stage.entry.node_seconds.update({f"hospital-{i:03}": 1.0 for i in range(97)})
    record.stage.gone = {"hospital-098": "its SuperNode is not online"}
    write_live(tmp_path / NEWEST, record)
    target = console(height=30)
    follow_run(WatchedRuns(str(tmp_path)), "", target)
    lines = shown(target)
    assert len(lines) <= 30
    first = next(i for i, line in enumerate(lines) if line.startswith("node "))
    assert lines[first + 1].startswith("hospital-098  gone, waited for")
    assert "hospital-098: its SuperNode is not online" in lines
    assert "and 95 more nodes" in lines


def test_it_is_followed_until_it_is_over(tmp_path):
    record = running(rounds=1)
    write_live(tmp_path / NEWEST, record)
    naps = []

    def sleep(seconds):
        naps.append(seconds)
        over(record)
        write_live(tmp_path / NEWEST, record)
        if len(naps) == 3:
            name = finished(tmp_path, 1)
            (tmp_path / name / "run.json").replace(tmp_path / NEWEST / "run.json")

    ticks = iter(range(10_000))
    runs = WatchedRuns(str(tmp_path), clock=lambda: next(ticks))
    run = follow_run(runs, NEWEST[:12], console(force_terminal=True), sleep)
    assert run.status == "completed"
    assert len(naps) == 3


@pytest.mark.parametrize("first", ["", "torn", "of a clock that is wrong"])
def test_it_is_followed_from_before_its_start(tmp_path, first):
    (tmp_path / NEWEST).mkdir()
    if first == "torn":
        (tmp_path / NEWEST / "live.json").write_text("{")
    elif first:
        write_live(tmp_path / NEWEST, running(), 1.0)
    ticks, naps = iter(range(10_000)), []

    def sleep(seconds):
        naps.append(seconds)
        if len(naps) == 10:  # a server writes every five seconds
            write_live(tmp_path / NEWEST, running(), 6.0)
        if len(naps) == 12:
            name = finished(tmp_path, 1)
            (tmp_path / name / "run.json").replace(tmp_path / NEWEST / "run.json")

    runs = WatchedRuns(str(tmp_path), clock=lambda: next(ticks) / 8)
    run = follow_run(runs, "", console(force_terminal=True), sleep)
    assert run.status == "completed"
    assert len(naps) == 12


def test_a_silent_end_is_followed_no_further(tmp_path):
    write_live(tmp_path / NEWEST, running(), 1.0)
    naps = []
    run = follow_run(WatchedRuns(str(tmp_path)), "", console(force_terminal=True), naps.append)
    assert run.status == "ended without a word"
    assert 5 < sum(naps) < 8


def test_of_an_unreadable_run_nothing_is_invented(tmp_path):
    (tmp_path / NEWEST).mkdir()
    (tmp_path / NEWEST / "live.json").write_bytes(b'{"live": 1, "writ')
    target = console()
    follow_run(WatchedRuns(str(tmp_path)), "", target)
    said = "live.json is torn: it is not what a run writes"
    assert shown(target) == [f"{NEWEST}: unreadable", f"run {NEWEST}", said]


def test_hostile_names_do_not_reach_a_terminal(tmp_path):
    write_live(tmp_path / NEWEST, running(nodes=["a\x1b[2J", "[red]b[/red]"]))
    target = console()
    follow_run(WatchedRuns(str(tmp_path)), "", target)
    text = target.file.getvalue()
    assert "\x1b" not in text
    assert "[red]b[/red]" in text


@pytest.mark.parametrize("seen", [1e308, 1e12, -1e300])
def test_an_impossible_time_is_left_out(tmp_path, seen):
    node = {"name": "hospital-a", "state": "answered", "seen": seen, "seconds": 1.5}
    write_live(tmp_path / NEWEST, running(), nodes=[node])
    target = console()
    follow_run(WatchedRuns(str(tmp_path)), "", target)
    assert "hospital-a  answered  1.5" in [line.rstrip() for line in shown(target)]


def test_which_run_is_said(tmp_path):
    runs = WatchedRuns(str(tmp_path))
    target = console()
    assert follow_run(runs, "", target) is None
    assert target.file.getvalue().startswith("no runs in ")
    fill(tmp_path, 3)
    with pytest.raises(StoreError, match="is the beginning of 3 runs"):
        follow_run(WatchedRuns(str(tmp_path)), "2026", console())
    with pytest.raises(StoreError, match="there is no run '2025'"):
        follow_run(WatchedRuns(str(tmp_path)), "2025", console())


def test_the_page_opens_at_a_runs_beginning(tmp_path, monkeypatch, capsys):
    named = fill(tmp_path, 3)[1]
    monkeypatch.setattr(PageServer, "serve", lambda server: None)
    watch_page.serve_page(str(tmp_path), named[:13], 0, opens=False)
    assert capsys.readouterr().out.splitlines()[1].endswith(f"/#run/{named}")
    with pytest.raises(StoreError, match="there is no run '2025'"):
        watch_page.serve_page(str(tmp_path), "2025", 0, opens=False)


def test_a_submitted_runs_page_is_served(tmp_path, monkeypatch):
    lines, opened = [], []
    monkeypatch.setattr(watch_page, "has_desktop", lambda: True)
    monkeypatch.setattr(watch_page.webbrowser, "open", opened.append)
    write_live(tmp_path / NEWEST, running())
    with watching_submitted(asked=True) as watched:
        take = watched(lines.append)
        take("INFO :      starting")
        take(f"INFO :      the run's files go into {tmp_path / NEWEST}")
        (said,) = [line for line in lines if line.startswith("watch it at ")]
        address = said.removeprefix("watch it at ")
        assert address.endswith(f"#run/{NEWEST}")
        assert "<title>Runs</title>" in httpx.get(address).text
        (page,) = [Path(each.removeprefix("file://")) for each in opened]
        # The secret is in a file of this user's alone, and in no program's arguments.
        assert stat.S_IMODE(page.parent.stat().st_mode) == 0o700
        assert address in page.read_text()
    assert not page.exists()
    with pytest.raises(httpx.TransportError):
        httpx.get(address)


def test_a_run_elsewhere_cannot_be_watched_here(tmp_path):
    lines = []
    with watching_submitted(asked=True) as watched:
        watched(lines.append)(f"the run's files go into {tmp_path}/elsewhere/{NEWEST}")
    assert "the run cannot be watched from here: " in lines[-1]
    with watching_submitted(asked=False) as watched:
        assert watched(print) is print


def test_without_a_desktop_nothing_is_opened(monkeypatch):
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(watch_page.webbrowser, "open", lambda address: 1 / 0)
    with open_browser("http://127.0.0.1:1/secret/"):
        pass
