"""Result files as the report shows them."""

import io
import re

import pytest
from PIL import Image

from .small_runs import shown


def image(kind):
    found = io.BytesIO()
    Image.new("RGB", (40, 30), "red").save(found, kind)
    return found.getvalue()


IMAGES = {kind: image(kind) for kind in ("png", "jpeg", "gif", "webp")}


PNG = IMAGES["png"]


SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><g/></svg>'


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
    assert {name: file.kind for name, file in files.items()} == {
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
    assert files["table.csv"].rows == [["a", "b"], ["1", "x,y"]]
    assert files["data.json"].text == '{\n  "a": [\n    1,\n    2\n  ]\n}'
    assert files["picture"].image.startswith("data:image/png;base64,")
    assert "open it elsewhere" in files["model.pkl"].note


def test_broken_images_are_told_of(tmp_path):
    whole = shown(tmp_path, **{f"image_{kind}": image for kind, image in IMAGES.items()})
    assert {file.kind for file in whole.values()} == {"image"}
    cut = {f"cut_{kind}": image[:-30] for kind, image in IMAGES.items()}
    entity = b'<!DOCTYPE svg [<!ENTITY a "aa">]>' + SVG
    files = shown(
        tmp_path,
        cut__svg=SVG[:-3],
        other__svg=b"<svg/>",
        entity__svg=entity,
        wrong__png=PNG.replace(b"IDAT", b"IDAU"),
        **cut,
    )
    assert {file.kind for file in files.values()} == {"none"}
    assert all("cannot be shown" in file.note for file in files.values())


def test_large_files_are_cut_and_large_images_left_out(tmp_path):
    table = io.StringIO()
    for row in range(200):
        table.write(",".join(f"{row}-{column}" + "x" * 300 for column in range(30)) + "\n")
    files = shown(
        tmp_path,
        table__csv=table.getvalue().encode(),
        text__txt="ä".encode() * 500_000,
        picture__png=b"\x89PNG\r\n\x1a\n" + b"." * 3_000_000,
    )
    cells = [cell for row in files["table.csv"].rows for cell in row]
    assert len(files["table.csv"].rows) <= 51
    assert max(map(len, files["table.csv"].rows)) == 20
    assert max(map(len, cells)) <= 203
    assert re.fullmatch("ä{20000}", files["text.txt"].text)
    assert "beginning" in files["text.txt"].note
    assert files["picture.png"].kind == "none"
    assert "too large" in files["picture.png"].note


@pytest.mark.parametrize("note", ["x" * 1767, '"' + "x\n" * 883 + 'x"'], ids=["plain", "quoted"])
@pytest.mark.parametrize("shift", [0, 4, 9, 900])
def test_no_half_read_line_is_a_row_of_a_table(tmp_path, note, shift):
    header = "n" * (shift + 1)
    content = f"{header},value\n" + f"{note},123456789\n" * 100
    file = shown(tmp_path, table__csv=content.encode())["table.csv"]
    assert file.kind == "table"
    assert len(file.rows) > 40
    assert {len(row) for row in file.rows} == {2}
    assert {row[1] for row in file.rows[1:]} == {"123456789"}
    assert f"These are {len(file.rows) - 1} rows" in file.note


def test_of_a_line_that_is_not_read_whole_there_is_no_table(tmp_path):
    content = "a,b\n1," + "2" * 200_000 + "\n"
    file = shown(tmp_path, table__csv=content.encode())["table.csv"]
    assert (file.kind, file.text) == ("text", content[:20_000])
    assert "beginning" in file.note


def test_the_frameworks_own_files_and_what_is_too_many_are_not_shown(tmp_path):
    names = {f"f{i}": b"x" for i in range(45)}
    files = shown(tmp_path, history__csv=b"a,b\n1,2\n", rescue__pkl=b"x", **names)
    assert "history.csv" not in files
    assert len(files) == 41
    assert files[""].note == "5 more files are in the run's folder."
