"""``flame-flwr docs``: the pages that are installed, listed, found, shown and put into one file."""

import re
from html.parser import HTMLParser

import pytest
from typer.testing import CliRunner

from flame_flwr.cli import commands, manual_html, manual_pages
from flame_flwr.errors import DataError


@pytest.fixture(autouse=True)
def no_screen(monkeypatch):
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)


def run(*words, code=0):
    done = CliRunner().invoke(commands._app, ["docs", *words])
    assert done.exit_code == code, (done.output, done.exception)
    return done.output


def test_without_a_screen_it_lists_the_pages():
    lines = run().splitlines()
    for page in manual_pages.read_pages():
        assert any(line.split() == [page.name, *page.title.split()] for line in lines), page.name
    assert lines.index("Start") < lines.index("Privacy")


def test_a_page_is_shown_by_its_name():
    assert run("own-csv").startswith("# Your own CSV\n")
    assert run("docs/own-csv.md") == run("own-csv")
    assert run("commands").startswith("# Commands\n")  # of the reference


def test_the_reference_shows_docstrings():
    page = manual_pages.find_page("reference/errors")
    assert ":::" not in page.text
    assert "### DataError" in page.text
    assert DataError.__doc__ in page.text


@pytest.mark.parametrize("name", ["own-cvs", "/etc/passwd", "../pyproject", ""])
def test_an_unknown_page_is_named(name):
    with pytest.raises(DataError, match="no page"):
        manual_pages.find_page(name)


def test_a_message_is_found_by_its_words():
    found = run("--search", "WAITS for approval")
    assert "failures, `waits for approval`:\n  ### `waits for approval`\n" in found
    assert run("--search", "waits", "for", "approval") == run("--search", "waits for approval")
    assert "no line of the manual has 'qwertz'" in run("--search", "qwertz", code=1)


@pytest.mark.parametrize(
    ("pasted", "heading"),
    [
        ("node klinik-nord failed in round 7: KeyError at model.py:10", "failed in round 2"),
        ("waiting for 2 of 11 nodes: missing klinik-nord, klinik-ost", "missing hospital-c"),
        ("checkpoint /srv/fit.ckpt is of another app version: 1.0, not 2.0", "checkpoint ..."),
        ("port 9999 of 10.0.0.7 cannot be listened on: Address already in use", "port 8000"),
        ("the result's 'rows': row-level data: 41 rows, as many as the input", "row-level data"),
    ],
)
def test_a_message_with_own_names_is_found(pasted, heading):
    """What somebody pastes is no line of the manual: its section comes first all the same."""
    first = run("--search", pasted).splitlines()[1:3]
    assert first[0] == "failures:"
    assert heading in first[1]


class Links(HTMLParser):
    def __init__(self):
        super().__init__()
        self.targets, self.ids, self.loads = set(), set(), set()

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.ids.add(attrs.get("id"))
        if tag == "a":
            self.targets.add(attrs["href"])
        self.loads |= {attrs[name] for name in ("src", "data") if name in attrs}
        self.loads |= {attrs["href"]} if tag == "link" else set()


@pytest.fixture(scope="module")
def one_file():
    return manual_html.manual_html()


def test_the_one_file_loads_nothing_from_elsewhere(one_file):
    links = Links()
    links.feed(one_file)
    assert all(target.startswith("data:") for target in links.loads if target)
    assert "<script" not in one_file
    assert "url(" not in manual_html._TEMPLATE.read_text()
    within = {target[1:] for target in links.targets if target.startswith("#")} - {""}
    assert len(within) > 50
    assert within <= links.ids


def test_the_one_file_has_every_page_once(one_file):
    titles = re.findall(r"<section id=\"[\w-]+\"><h1", one_file)
    assert len(titles) == len(manual_pages.read_pages())


def test_it_is_written_where_it_is_asked_for(tmp_path, monkeypatch):
    monkeypatch.setattr(manual_html, "manual_html", lambda: "<p>é</p>")
    path = tmp_path / "carry" / "manual.html"
    assert f"{path} is written" in run("--to", str(path))
    assert path.read_text(encoding="utf-8") == "<p>é</p>"


@pytest.fixture
def opened(tmp_path, monkeypatch):
    """What a browser is asked to open; the user's caches are in a folder of the test's."""
    opened = []
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    monkeypatch.setattr("webbrowser.open", lambda url: not opened.append(url))
    monkeypatch.setattr(manual_html, "manual_html", lambda: "<p>all</p>")
    return opened


def test_with_a_screen_it_opens_in_a_browser(opened, tmp_path):
    assert run() == ""
    assert run() == ""
    manual = tmp_path / "caches" / "flame-flwr" / "manual.html"
    assert opened == [manual.as_uri()] * 2
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [manual]


def test_without_a_file_it_lists_the_pages(opened, tmp_path):
    (tmp_path / "caches").write_text("a file")
    assert "Start" in run().splitlines()
    assert opened == []


def test_a_package_without_its_manual_says_so(tmp_path):
    with pytest.raises(DataError, match="not installed"):
        manual_pages.read_pages(tmp_path)
