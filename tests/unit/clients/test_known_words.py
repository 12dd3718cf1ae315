"""What of another process's words may leave: what stands in text that the gate has itself."""

import ast
import random
import re
from http import HTTPStatus
from pathlib import Path

import pytest

import flame_flwr
from flame_flwr.clients.known_words import MARK, KnownWords

CODE = """
class FewWomen(ValueError):
    pass


async def look(table):
    return table["blood pressure"]


def missing(table):
    say = "the table has no column of that name"
    raise FewWomen(say)
"""
KNOWN = KnownWords({"app/look.py": CODE.encode(), "notes.md": b"Zacharias"}, ("long-covid", "17"))


def test_a_text_of_the_apps_own_leaves():
    said = "the table has no column of that name: blood pressure, long-covid, 17"
    assert KNOWN.text(said) == said


def test_statuses_of_http_leave_and_other_numbers_not():
    assert KNOWN.text("the server sends elsewhere (307), 404, 187, 1961") == (
        f"the server sends elsewhere (307), 404, {MARK}"
    )


def test_only_python_files_are_the_apps_text():
    assert KNOWN.text("Zacharias") == MARK


@pytest.mark.parametrize(
    "text", ["Zacharias", "Zach arias 1961", "b 1961-03-04", "tabl", "", "x y"]
)
def test_what_stands_nowhere_is_one_mark(text):
    assert KNOWN.text(text) == (MARK if text else "")


def test_no_piece_crosses_a_line_end():
    files = {"app.py": b"'women of'\n'hospital'"}
    assert KnownWords(files).text("women of hospital", most=1) == f"women of {MARK}"


def test_a_few_pieces_leave_whatever_the_app_knows():
    """An app with every name and number in its code, and a text of a thousand of them."""
    draw = random.Random(5)
    names = ["".join(draw.choices("klmnpqrst", k=7)) for _ in range(300)]
    known = KnownWords({"names.py": "\n".join(names).encode()})
    said = known.text(" ".join(draw.choices(names, k=1000)))
    assert len(re.findall(r"\w+", said)) == 12
    assert len(re.findall(r"\w+", "".join(known.texts([" ".join(names)] * 50, 60)))) == 60


def test_signs_between_pieces_are_few():
    said = KNOWN.text("table" + ";" * 50 + "column" + "\u200b\u2060~§" + "name" + " " * 40 + "say")
    assert re.fullmatch("table;{1,7}columnname say", said)


def test_every_word_that_leaves_is_known():
    """Words of drawn texts, looked up one by one in the source files."""
    files = [*Path(flame_flwr.__file__).parent.rglob("*.py")]
    files += [path for name in ("clients", "strategies") for path in _folder(name).glob("*.py")]
    words = {word for path in files for word in re.findall(r"\w+", path.read_text())}
    words |= {*dir(__import__("builtins")), *re.findall(r"\w+", CODE), "long", "covid", "17"}
    words |= {f"{status:d}" for status in HTTPStatus}
    draw = random.Random(7)
    letters = "abenrst 0123-.,:\n"
    for _ in range(20):
        drawn = "".join(draw.choices(letters, k=100)).split()
        text = " ".join(draw.sample([*drawn, *draw.sample(sorted(words), 20)], k=20))
        said = set(re.findall(r"\w+", KNOWN.text(text, most=100)))
        assert said <= words | set("0123456789")
        assert said <= set(re.findall(r"\w+", text))


def test_messages_of_the_framework_leave_whole():
    """Those without fields, as the source files have them."""
    found = []
    for path in _folder("data").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("Error"):
                found += [a.value for a in node.args if isinstance(a, ast.Constant)]
    assert len(found) > 5
    for message in found:
        assert KNOWN.text(message) == " ".join(message.split())


@pytest.mark.parametrize(
    ("name", "told"),
    [
        *((name, name) for name in ("ValueError", "DataError", "FewWomen", "timeout", "crash")),
        *((name, name) for name in ("ParserError", "NotFittedError", "ExceptionGroup")),
        *((name, "Exception") for name in ("Zacharias", "int", "look", "", "Few.*", "FewWomen(")),
    ],
)
def test_a_type_is_one_that_is_known(name, told):
    assert KNOWN.type(name) == told


@pytest.mark.parametrize(
    ("place", "there"),
    [
        ("look.py:7 in look", True),
        ("look.py:12 in missing", True),
        ("look.py:1 in <module>", True),
        ("checked_client.py:70 in fit", True),
        ("socket.py:700 in send", False),
        ("look.py:6 in missing", False),
        ("look.py:1961 in look", False),
        ("look.py:0 in <module>", False),
        ("look.py:12 in Zacharias", False),
        ("Zacharias.py:1 in <module>", False),
        ("notes.md:1 in <module>", False),
        ("../look.py:7 in look", False),
        ("look.py:7 in .*", False),
    ],
)
def test_a_place_is_one_in_known_code(place, there):
    assert KNOWN.place(place) == (place if there else "")


def test_a_line_number_is_said_one_way():
    assert KNOWN.place("look.py:0000007 in look") == "look.py:7 in look"


def _folder(name):
    return Path(__import__(f"flame_flwr.{name}", fromlist=["x"]).__file__).parent
