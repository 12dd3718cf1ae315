"""What the README shows is what happens."""

import re
from pathlib import Path

import pandas as pd
import pytest
from forked_python import run_python
from snippets import block, texts

import draws
import run as script
from cross_site.hospitals import HOSPITALS, MEASUREMENTS, hospital_files
from cross_site.table import expected

EXAMPLE = Path(__file__).parents[1]
WITH_EXTRAS = {"report.html", "tensorboard/"}
README = (EXAMPLE / "README.md").read_text(encoding="utf-8")


def test_the_tables_quoted_are_those_of_the_study(files):
    lines = files["summary.txt"].splitlines()
    blocks = texts(EXAMPLE / "README.md", "text", name="")
    quoted = [line for block in blocks for line in block.splitlines() if line != "..."]
    assert len(quoted) > 15
    assert [line for line in quoted if line not in lines] == []


def test_the_costs_quoted_are_those_of_the_study(files, table):
    losses = [f"{float(row['mean_loss']):.3f}" for row in table(files["comparison.csv"])]
    assert len(losses) >= 3
    for loss in losses[:3]:
        assert f"{loss} with" in README


def test_tables_over_twenty_draws_follow_their_scores():
    drawn = pd.read_csv(draws.FILE)
    assert sorted(set(drawn["draw"])) == list(range(20))
    text = draws.tables(drawn)
    assert block(EXAMPLE / "README.md", "draws") == f"{text}\n"
    alone, common = re.findall(r"^node-2, .*?(0\.\d+) +(0\.\d+)", text, re.MULTILINE)[0]
    assert f"{alone} alone and {common} common" in README


@pytest.mark.parametrize("draw", [0, pytest.param(13, marks=pytest.mark.exhaustive)])
def test_a_draws_scores_are_those_in_the_file(draw):
    """Two of the 20, as all of them take half a minute."""
    drawn = pd.read_csv(draws.FILE)
    in_file = drawn[drawn["draw"] == draw].reset_index(drop=True)
    pd.testing.assert_frame_equal(draws.scores(draw), in_file, rtol=1e-9)


def test_the_hospitals_are_as_the_readme_says(contents):
    for k, hospital in enumerate(HOSPITALS):
        rows = {name: len(content.splitlines()) - 1 for name, content in contents[k].items()}
        patients = hospital.malignant + hospital.benign
        assert sum(rows.values()) == patients
        share = f"{hospital.malignant} ({100 * hospital.malignant / patients:.0f} %)"
        assert re.search(
            rf"node-{k}, .* \| {patients} \| {re.escape(share)} \| {rows['test.csv']} \|", README
        )


@pytest.fixture
def run_py(monkeypatch, capsys):
    """Run ``run.py`` in this process and a folder; return the exit code and all that it printed."""

    def run(folder, *arguments):
        monkeypatch.chdir(folder)
        monkeypatch.setattr("sys.argv", ["run.py", *map(str, arguments)])
        code = script.main()
        return code, "".join(capsys.readouterr())

    return run


def test_the_same_bytes_without_and_with_files(tmp_path):
    done = run_python("-m", "cross_site.hospitals", tmp_path, cwd=EXAMPLE)
    assert done.returncode == 0, done.stderr
    for k in range(len(HOSPITALS)):
        for name, content in hospital_files(k).items():
            assert (tmp_path / f"hospital-{k}" / name).read_bytes() == content


def test_run_names_the_folder_that_does_not_fit(tmp_path, run_py):
    for name, file, first in (("a", "train.csv", 0), ("a", "test.csv", 1), ("b", "train.csv", 0)):
        rows = "".join(f"{first + k % 7},{k * 3 % 11},{k % 2}\n" for k in range(30))
        (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / name / file).write_text("pulse,fever,label\n" + rows)
    (tmp_path / "b" / "test.csv").write_text("pulse,label\n" + "81,1\n72,0\n" * 10)
    arguments = ["--results", "results", "--data", "a", "b"]
    code, said = run_py(tmp_path, *arguments)
    assert code == 1
    assert "node-1: its data is not as the analysis expects: test.csv has no column 'fever'" in said
    (tmp_path / "b" / "test.csv").write_bytes((tmp_path / "a" / "test.csv").read_bytes())
    done = run_python(EXAMPLE / "run.py", *arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("node-0 is a\nnode-1 is b\n")
    listed = README.partition("## What comes out")[2].partition("All scores are")[0]
    named = re.findall(r"`([a-z]+(?:\.[a-z]+|/))`", re.sub(r"(?m)\|[^|\n]*\|$", "", listed))
    made = {f"{path.name}{'/' * path.is_dir()}" for path in (tmp_path / "results").iterdir()}
    assert {*made, *WITH_EXTRAS} == {*named, *WITH_EXTRAS}
    assert set(named) >= WITH_EXTRAS


def replaced(old, new):
    return lambda content: content.replace(old, new)


@pytest.mark.parametrize(
    "change",
    [
        lambda content: re.sub(rb",[01]\n", b",1\n", content),
        lambda content: b"".join(content.splitlines(keepends=True)[:5]),
        replaced(b",", b";"),
        replaced(b"mean_area", b"area"),
        lambda content: re.sub(rb"^[^\n]+,label", b"a,label", re.sub(rb",.+,", b",", content)),
        lambda content: re.sub(rb"(?m)^", b"1,", content).replace(b"1,", b"x,", 1),
        lambda content: re.sub(rb"(?m)^((?:[\d.]+,){3})[\d.]+", rb"\g<1>1e200", content),
    ],
)
def test_words_for_files_that_misfit_are_quoted(contents, change):
    files = {name: change(content) for name, content in contents[0].items()}
    said = next(iter(expected(MEASUREMENTS)[0].look([files]))).text
    assert said in README or said.replace(said.partition("larger. ")[2], "...") in README, said


@pytest.fixture
def run_over(tmp_path, run_py):
    """Run the study over folders with these train.csv, and return what came of it."""

    def run(*contents):
        names = [f"h{k}" for k in range(len(contents))]
        for name, content in zip(names, contents, strict=True):
            (tmp_path / name).mkdir()
            for file in ("train.csv", "test.csv"):
                (tmp_path / name / file).write_text(content)
        folders = [tmp_path / name for name in names]
        code, said = run_py(tmp_path, "--results", "results", "--data", *folders)
        assert code == 1
        return said

    return run


ROWS = "".join(f"{4711 + k % 7}.5,{k * 3 % 11},{k % 2}\n" for k in range(30))


def test_a_first_file_without_headers_is_named(tmp_path, run_over):
    said = run_over(ROWS, "pulse,fever,label\n" + ROWS)
    assert f"{tmp_path / 'h0' / 'train.csv'}: its first line must have the names" in said
    assert "4711" not in said
    assert "h1" not in said
    assert "node-1" not in said


def test_an_extra_text_column_is_one_too_many(tmp_path, run_over):
    good = "pulse,fever,label\n" + ROWS
    more = good.replace("\n", ",mild\n").replace("label,mild", "label,note")
    said = run_over(good, more, good)
    assert "different measurements" in said
    assert "(node-0, node-2: 2; node-1: 3)" in said
    assert "columns that not every hospital has: 'note'\n" in said
    assert f"node-1 is {tmp_path / 'h1'}\n" in said
    assert "finite number" not in said


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        (["h0", "./h-1"], "error: --data: there is no folder h-1\n"),
        (["h0", "h0/train.csv"], "error: --data: there is no folder h0/train.csv\n"),
        (["h0", "h1/../h0"], "error: --data: h1/../h0 is the same folder as h0, and a hospital"),
        (["h0", "h0"], "error: --data: h0 is the same folder as h0, and a hospital"),
    ],
)
def test_impossible_folders_are_told_as_typed(tmp_path, run_py, typed, says):
    for name in ("h0", "h1"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "train.csv").write_text("pulse,fever,label\n" + ROWS)
    code, said = run_py(tmp_path, "--data", *typed)
    assert code == 1
    assert says in said
    assert not (tmp_path / "results").exists()


def test_a_folder_in_a_files_place_is_refused(tmp_path, run_py):
    for file in ("train.csv", "test.csv"):
        (tmp_path / "h0" / file).mkdir(parents=True)
    says = "node-0: its data is not as the analysis expects: There is no train.csv"
    code, said = run_py(tmp_path, "--data", "h0")
    assert code == 1
    assert says in said


@pytest.mark.parametrize("name", ["rounds", "sites", "comparison"])
def test_the_pictures_are_pictures(files, name):
    picture = files[f"{name}.png"]
    assert picture.startswith(b"\x89PNG\r\n\x1a\n")
    assert 20_000 < len(picture) < 200_000


def test_what_the_first_command_writes_is_not_committed():
    ignored = (EXAMPLE.parents[1] / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert "python run.py --results results\n" in README
    assert f"examples/{EXAMPLE.name}/results/" in ignored
