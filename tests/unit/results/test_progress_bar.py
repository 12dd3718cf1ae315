"""The progress bar: on a terminal only, with the log's lines whole above it, gone at the end."""

import io
import logging
import os
import pty
import re
import subprocess
import sys
import threading

import pytest
from hanging import HANGS
from rich.console import Console

from flame_flwr.results import RoundRecord, RunRecord, progress_bar
from flame_flwr.results.progress_bar import Bar, LineBar

SCRIPT = """
import logging, sys
from flame_flwr.star import StarAggregator, StarAnalyzer, StarModelTester

class A(StarAnalyzer):
    def analysis_method(self, data, results):
        self.flame.report_metrics(loss=data)
        print("printed " + "x" * 150)
        return data
class G(StarAggregator):
    def aggregation_method(self, results): return sum(results)
    def has_converged(self, result, last): return self.num_iterations >= 1
StarModelTester([1, 2], A, G, "s3", simple_analysis=False)
"""
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def on_a_terminal(*command):
    """Run a command on a terminal of 60 columns, and return what it showed."""
    main, its = pty.openpty()
    shown = []

    def read():
        while True:
            try:
                data = os.read(main, 65536)
            except OSError:
                return
            if not data:
                return
            shown.append(data)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    environment = {k: v for k, v in os.environ.items() if k != "PYTEST_CURRENT_TEST"}
    environment |= {"TERM": "xterm", "COLUMNS": "60"}
    try:
        subprocess.run(command, stdout=its, stderr=its, env=environment, timeout=HANGS, check=True)
    finally:
        os.close(its)
        reader.join(20)
        os.close(main)
    return b"".join(shown).decode()


def test_a_terminal_shows_whole_lines_above_a_bar(tmp_path):
    (tmp_path / "analysis.py").write_text(SCRIPT)
    text = on_a_terminal(sys.executable, str(tmp_path / "analysis.py"))
    assert "━" in text
    lines = ESCAPES.sub("", text).replace("\r", "\n").split("\n")
    assert lines.count("printed " + "x" * 150) == 4
    assert any(re.fullmatch(r"round 1: 2 of 2 nodes, .* loss 1.5 \(1 to 2\)", x) for x in lines)
    assert "Final result: 3" in lines
    assert text.rindex("━") < text.rindex("Final result")


class Terminal(io.StringIO):
    """A text that says that it is a terminal."""

    def isatty(self):
        return True


def a_terminal(monkeypatch):
    """Put it in place of this test's streams: pytest has others while it sets a test up."""
    stream = Terminal()
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    return stream


def test_closing_restores_the_terminal(monkeypatch):
    terminal = a_terminal(monkeypatch)
    handler = logging.StreamHandler(terminal)
    logging.getLogger("flame_flwr").addHandler(handler)
    hook, error = sys.breakpointhook, sys.stderr
    bar = Bar(Console(file=terminal, force_terminal=True, width=60))
    try:
        bar.began(RunRecord(nodes=["a"]), most=10)
        bar.entered(1)
        assert sys.stdout is not terminal
        assert handler.stream is sys.stdout
        assert sys.stderr is error  # no terminal
        print("begun", end="")
        bar.answered("a")
        bar.finished(RoundRecord(1, node_metrics={"a": {"loss": 0.5}}), RunRecord())
    finally:
        bar.close()
        bar.close()
        logging.getLogger("flame_flwr").removeHandler(handler)
    assert sys.stdout is terminal
    assert handler.stream is terminal
    assert sys.breakpointhook is hook
    assert "begun" in terminal.getvalue()
    assert "round 1 of 10" in ESCAPES.sub("", terminal.getvalue())


def test_a_line_without_an_end_stays_whole(monkeypatch):
    terminal = a_terminal(monkeypatch)
    bar = Bar(Console(file=terminal, force_terminal=True, width=60))
    bar.began(RunRecord(nodes=["a", "b"]), None)
    monkeypatch.setattr(progress_bar, "_REDRAW", -1.0)
    shown = len(terminal.getvalue())
    for _ in range(4):
        print(".", end="", flush=True)
        bar.answered("a")
    for i in range(4):
        print(f"\r{i} of 3", end="", flush=True)
    assert terminal.getvalue()[shown:].endswith("....\r0 of 3\r1 of 3\r2 of 3\r3 of 3")
    print(" done")
    assert "3 of 3 done\n" in terminal.getvalue()
    assert "round 1" in terminal.getvalue().partition("done\n")[2]  # it is back
    print("whole")
    assert "whole" in terminal.getvalue()
    print("begun", end="")
    bar.close()
    assert terminal.getvalue().endswith("begun")  # the bar was gone before
    print(" and ended")
    assert terminal.getvalue().endswith("begun and ended\n")
    assert sys.stdout is terminal


def test_a_debugger_gets_the_terminal(monkeypatch):
    terminal = a_terminal(monkeypatch)
    seen = []
    monkeypatch.setattr(sys, "breakpointhook", lambda: seen.append(sys.stdout))
    bar = Bar(Console(file=terminal, force_terminal=True))
    bar.began(RunRecord(nodes=["a"]), None)
    breakpoint()
    assert seen == [terminal]
    bar.close()


def test_a_run_elsewhere_is_followed_by_its_log(monkeypatch):
    terminal = a_terminal(monkeypatch)
    lines = []
    bar = LineBar(lines.append, Console(file=terminal, force_terminal=True, width=100))
    users = "[node-0, round 1] results in /tmp/x"
    said = [users, "INFO :      2 nodes take part: a, b", users]
    said += ["INFO :      round 1: 2 of 2 nodes, 0.10 s, 68 B received, loss 0.5", users]
    for line in said:
        bar(line)
        assert (bar._progress is None) == (lines == [users])
    bar("INFO :      results in /tmp/results/x")
    assert bar._progress is None
    assert lines[:-1] == said
    shown = ESCAPES.sub("", terminal.getvalue())
    assert re.search(r"after round 1 ━+ \d:\d\d:\d\d loss 0.5", shown)
    assert "received" not in shown
    assert sys.stdout is terminal


@pytest.mark.parametrize(("width", "text"), [(40, ""), (51, ""), (52, "err 3.1…"), (80, "loss")])
def test_metrics_with_too_little_room_are_left_out(monkeypatch, width, text):
    a_terminal(monkeypatch)
    file = Terminal()
    bar = LineBar(print, Console(file=file, force_terminal=True, width=width))
    bar("3 nodes take part: a, b, c")
    file.truncate(file.seek(0))
    bar(
        "round 3: 3 of 3 nodes, 0.10 s, 1.7 kB received, err 3.178 (2.973 to 3.373), "
        "loss 13.56 (11.99 to 16.11)"
    )
    bar._progress.refresh()
    line = ESCAPES.sub("", file.getvalue()).split("\r")[-1]
    bar.close()
    assert line.startswith("after round 3 ━")
    shown = re.split(r"\d:\d\d:\d\d", line)[1]
    assert text in shown
    assert bool(shown.strip()) == bool(text)
    assert len(line) <= width


@pytest.mark.parametrize("reason", ["dumb", "pipe", "debugger"])
def test_where_there_is_no_bar(reason, monkeypatch):
    a_terminal(monkeypatch)
    monkeypatch.setenv("TERM", "dumb" if reason == "dumb" else "xterm")
    if reason == "pipe":
        monkeypatch.setattr(sys, "stdout", io.StringIO())
    if reason == "debugger":
        monkeypatch.setattr(sys, "gettrace", lambda: print)
    assert not progress_bar.on_terminal()
    assert progress_bar.bars() == []
    with progress_bar.following(print) as follow:
        assert follow is print
