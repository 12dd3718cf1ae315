"""Result files as the report shows them."""

import io
import re
import struct
import zlib

import pytest
from PIL import Image

from flame_flwr.results.report_tables import ReportTable

from .small_runs import shown


def image(name, size=(40, 30), mode="RGB"):
    found = io.BytesIO()
    Image.new(mode, size, 1).save(found, name)
    return found.getvalue()


IMAGES = {name: image(name) for name in ("png", "jpeg", "gif", "webp")}
PNG = IMAGES["png"]
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><g/></svg>'


def with_note(png, note):
    """Return a PNG with a compressed note in front of its pixels."""
    body = b"zTXtnote\0\0" + zlib.compress(note)
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    return png[:33] + chunk + png[33:]


def kind(file):
    """Return how a file is shown."""
    return next((name for name in ("image", "table", "text") if getattr(file, name)), "none")


def test_a_json_file_of_python_is_tabled(tmp_path):
    files = shown(tmp_path, stay__json=b"{'mean': 2.5, 'by': {'f': 3, 'm': None}}", n__json=b"[3]")
    rows = [["mean", "2.5"], ["by, f", "3"], ["by, m", "no value"]]
    assert (files["stay.json"].table.rows, files["stay.json"].text) == (rows, "")
    assert (files["n.json"].table, files["n.json"].text) == (None, "[\n  3\n]")


def test_files_are_shown_as_what_they_are(tmp_path):
    files = shown(
        tmp_path,
        table__csv=b'a,b\n1,"x,y"\n',
        tabs__tsv=b"a\tb\n1\t2\n",
        one_column__csv=b"just\ntext\n",
        data__json=b'{"a":[1,2]}',
        broken__json=b"{",
        note=b"text\n",
        picture=PNG,
        drawing__svg=SVG,
        model__pkl=b"\x80\x04\x95\x00\x00",
        latin__txt="\xe4".encode("latin-1"),
    )
    assert {name: kind(file) for name, file in files.items()} == {
        "table.csv": "table",
        "tabs.tsv": "table",
        "one_column.csv": "text",
        "data.json": "text",
        "broken.json": "text",
        "note": "text",
        "picture": "image",
        "drawing.svg": "image",
        "model.pkl": "none",
        "latin.txt": "none",
    }
    assert files["table.csv"].table == ReportTable(["a", "b"], [["1", "x,y"]])
    assert files["data.json"].text == '{\n  "a": [\n    1,\n    2\n  ]\n}'
    assert files["picture"].image.startswith("data:image/png;base64,")
    assert "open it elsewhere" in files["model.pkl"].note


def test_rounded_long_numbers_are_said_to_be(tmp_path):
    rows = b"a,b,c\n0.12345678901,-12.5,x0.12345678901\n1.23456789e-12,9007199254740993,0.5\n"
    file = shown(tmp_path, numbers__csv=rows)["numbers.csv"]
    assert file.table.rows == [
        ["0.123457", "-12.5", "x0.12345678901"],
        ["1.23457e-12", "9007199254740993", "0.5"],
    ]
    assert file.note == "Numbers are rounded to six digits; the file has all of them."


def test_broken_images_are_told_of(tmp_path):
    images = {"note": with_note(PNG, b"x"), **IMAGES}
    whole = shown(tmp_path, **{f"image_{name}": image for name, image in images.items()})
    assert {kind(file) for file in whole.values()} == {"image"}
    files = shown(
        tmp_path,
        cut__svg=SVG[:-3],
        other__svg=b"<svg/>",
        entity__svg=b'<!DOCTYPE svg [<!ENTITY a "aa">]>' + SVG,
        odd__svg=b'<?xml version="1.0" encoding="rot13"?>' + SVG,
        note__png=with_note(PNG, b"x" * 3_000_000),
        wrong__png=PNG.replace(b"IDAT" + PNG.partition(b"IDAT")[2][:2], b"IDAT.."),
        **{f"cut_{name}": image[:-30] for name, image in IMAGES.items()},
    )
    assert {kind(file) for file in files.values()} == {"none"}
    assert all("cannot be shown" in file.note for file in files.values())


@pytest.mark.parametrize("content", [PNG + b"." * 3_000_000, image("png", (8000, 8000), "1")])
def test_images_that_are_too_large_are_left_out(tmp_path, content):
    file = shown(tmp_path, picture__png=content)["picture.png"]
    assert kind(file) == "none"
    assert "too large" in file.note


def test_tables_and_texts_are_cut(tmp_path):
    row = ",".join("x" * 300 for _ in range(30))
    files = shown(
        tmp_path,
        table__csv="\n".join([row] * 200).encode(),
        text__txt="ä".encode() * 500_000,
    )
    table = files["table.csv"].table
    assert len(table.rows) <= 50
    assert {len(cells) for cells in [table.header, *table.rows]} == {20}
    assert {cell for cells in table.rows for cell in cells} == {"x" * 200 + "..."}
    assert re.fullmatch("ä{20000}", files["text.txt"].text)
    assert "beginning" in files["text.txt"].note


@pytest.mark.parametrize("note", ["x" * 1767, '"' + "x\n" * 883 + 'x"'], ids=["plain", "quoted"])
@pytest.mark.parametrize("shift", [0, 4, 9, 900])
def test_no_half_read_line_becomes_a_row(tmp_path, note, shift):
    header = "n" * (shift + 1)
    content = f"{header},value\n" + f"{note},123456789\n" * 100
    file = shown(tmp_path, table__csv=content.encode())["table.csv"]
    rows = file.table.rows
    assert len(rows) > 40
    assert [row[1:] for row in rows] == [["123456789"]] * len(rows)
    assert f"These are {len(rows)} rows" in file.note


def test_a_line_read_in_part_makes_no_table(tmp_path):
    content = "a,b\n1," + "2" * 200_000 + "\n"
    file = shown(tmp_path, table__csv=content.encode())["table.csv"]
    assert (kind(file), file.text) == ("text", content[:20_000])
    assert "beginning" in file.note


def test_own_files_and_too_many_are_not_shown(tmp_path):
    names = {f"f{i}": b"x" for i in range(45)}
    files = shown(tmp_path, history__csv=b"a,b\n1,2\n", rescue__pkl=b"x", **names)
    assert "history.csv" not in files
    assert len(files) == 41
    assert files[""].note == "5 more files are in the run's folder."
