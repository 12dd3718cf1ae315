"""What a reader sees of a report, and what of it is Python's way of writing things."""

import re
from html.parser import HTMLParser

PYTHON = {
    "a call": re.compile(r"\b(?:[A-Z]\w*|ndarray|dict|list|tuple|lambda)\("),
    "an argument": re.compile(r"\b[a-z_]+='|\b[a-z_]+=(?:None|True|False|\d|\[)"),
    "an object": re.compile(r"<[^<>]* (?:object )?at 0x|<(?:lambda|class|function)\b"),
    "a container": re.compile(r"[{\[(]['\"]|\['|\{\}|\(\d+,\)"),
}
PYTHON |= {
    "a type": re.compile(r"\b(?:(?:float|int|uint|bool|complex|str)\d+|ndarray|dict|tuple)\b"),
    "a method": re.compile(r"returned True|\b(?:report_metrics|evaluation_method|has_converged)\b"),
}
WORDS = re.compile(r"\b(?:True|False|None)\b")


class Report(HTMLParser):
    """The text of a page, but for tracebacks, and the cells of its tables by their captions."""

    def __init__(self, page):
        super().__init__()
        self.text, self.tables, self.ids, self.links, self.order = "", {}, [], [], []
        self._open, self._caption, self._row = [], "", None
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.ids += [attrs["id"]] if "id" in attrs else []
        self.links += [attrs["href"]] if "href" in attrs else []
        if tag not in ("meta", "img", "br"):
            self._open.append(tag)
        if tag == "figcaption":
            self._caption = ""
        if tag == "tr":
            self._row = []
            self.tables.setdefault(self._caption, []).append(self._row)
        if tag in ("td", "th"):
            self._row.append("")
        if tag in ("p", "li", "td", "h1", "h2", "h3", "figcaption", "pre"):
            self.text += "\n"

    def handle_endtag(self, tag):
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data):
        if self._open[-1:] == ["style"] or self._open[-2:] == ["details", "pre"]:
            return
        self.text += data
        if "figcaption" in self._open:
            self._caption += data
        if self._open[-1:] in (["td"], ["th"]):
            self._row[-1] += data
        if self._open[-1:] == ["h2"]:
            self.order.append(data)

    def table(self, words):
        """Return the rows of the one table whose caption has these words, the header first."""
        [rows] = [rows for caption, rows in self.tables.items() if words in caption]
        return rows


def python_in(page):
    """Return what of a report is written as Python has it: there should be nothing."""
    report = Report(page)
    found = [
        (what, match[0], report.text[max(0, match.start() - 40) : match.end() + 40])
        for what, pattern in PYTHON.items()
        for match in pattern.finditer(report.text)
    ]
    rows = [row for caption, rows in report.tables.items() if "declares" in caption for row in rows]
    settings = [cell for row in rows for cell in row]
    return found + [("a word", cell) for cell in settings if WORDS.search(cell)]
