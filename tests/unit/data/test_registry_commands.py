"""``flame-flwr data``: shows a registry, tries it, and adds a source to it."""

import pytest
from forked_python import run_python
from hanging import HANGS
from typer.testing import CliRunner

from flame_flwr.cli import commands
from flame_flwr.cli.registry_table import try_datasets
from flame_flwr.data.registry import EXAMPLE, read_registry

from .registry_texts import DATASET


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('projects = ["*"]', 'projects = ["*"]\ndisclosure = "MinCout(5)"', "`disclosure` reads"),
        ('"s3"', '"fhir"', "no file of the data folder itself is a FHIR Bundle"),
    ],
)
def test_what_hello_refuses_is_found_by_data_check(
    write_registry, tmp_path, old, new, said, monkeypatch, capsys
):
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "a.csv").touch()
    text = DATASET.replace("/srv", str(tmp_path / "d"))
    monkeypatch.setenv("COLUMNS", "400")
    assert try_datasets(read_registry(write_registry(text)))
    assert not try_datasets(read_registry(write_registry(text.replace(old, new))))
    assert said in capsys.readouterr().out


def command(*arguments):
    main = "from flame_flwr.cli.commands import main; main()"
    return run_python("-c", main, "data", *arguments, timeout=HANGS)


def test_the_commands_show_a_registry_and_try_it(write_registry, tmp_path, s3_server, monkeypatch):
    monkeypatch.setenv("OUR_ID", s3_server.key_id)
    monkeypatch.setenv("OUR_SECRET", s3_server.secret)
    bucket = s3_server.bucket({"a": b"1"})
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a.csv").touch()
    good = f"""
        [[dataset]]
        name = "files"
        tags = ["pasc"]
        type = "s3"
        projects = ["halta"]
        url = "{tmp_path / "folder"}"
        disclosure = "MinCount(5)"

        [[dataset]]
        name = "objects"
        type = "s3"
        projects = ["halta"]
        url = "s3://{bucket}"
        endpoint = "{s3_server.endpoint}"
        key-id = {{ env = "OUR_ID" }}
        secret = {{ env = "OUR_SECRET" }}
    """
    path = write_registry(good)
    listed = command("list", path)
    assert listed.returncode == 0, listed.stderr
    for text in ("files", "pasc", "halta", "MinCount(5)", "secret: env OUR_SECRET"):
        assert text in listed.stdout
    assert s3_server.secret not in listed.stdout
    tried = command("check", path)
    assert tried.returncode == 0, tried.stdout + tried.stderr
    assert [line.split()[:2] for line in tried.stdout.splitlines()[1:]] == [
        ["files", "yes"],
        ["objects", "yes"],
    ]
    write_registry(good.replace(f"s3://{bucket}", "s3://no-such-bucket"))
    tried = command("check", path)
    assert tried.returncode == 1
    assert "the store has no such bucket" in tried.stdout
    assert command("list", "--example").stdout == EXAMPLE
    assert command("check", tmp_path / "none").returncode == 1


def add(*arguments):
    return CliRunner().invoke(commands._app, ["data", "add", *map(str, arguments)])


WARD = ("--name", "ward", "--tags", "pasc, adults", "--project", "halta", "--path")


def test_add_writes_what_a_hand_would_write(write_registry, tmp_path):
    (tmp_path / "ward").mkdir()
    (tmp_path / "ward" / "a.csv").write_text("age")
    new = tmp_path / "new.toml"
    done = add(new, *WARD, tmp_path / "ward", "--disclosure", "MinCount(5)", "--subject", "id")
    assert done.exit_code == 0, done.output
    [ward] = read_registry(new)
    assert (ward.name, ward.type, ward.url) == ("ward", "s3", str(tmp_path / "ward"))
    assert (ward.tags, ward.projects) == (("pasc", "adults"), ("halta",))
    assert (ward.disclosure, ward.subject, ward.options) == ("MinCount(5)", "id", {})
    assert new.stat().st_mode & 0o777 == 0o640
    text = f"# ours\n{new.read_text().replace('ward', 'old', 1)}# the end"
    path = write_registry(text)
    path.chmod(0o660)
    assert add(path, *WARD, tmp_path / "ward").exit_code == 0
    assert path.read_text().startswith(text)
    assert [each.name for each in read_registry(path)] == ["old", "ward"]
    assert path.stat().st_mode & 0o777 == 0o660


def test_add_takes_a_nodes_folder_and_relative_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("node", "ward"):
        (tmp_path / name).mkdir()
    (tmp_path / "ward" / "a.csv").write_text("age")
    config = tmp_path / "node" / "node.toml"
    config.write_text(f'name = "a"\ndatasets = "{tmp_path}/datasets.toml"\n')
    assert add("--node", "node", *WARD, "ward").exit_code == 0
    assert read_registry(tmp_path / "datasets.toml")[0].url == str(tmp_path / "ward")
    config.write_text('name = "a"\n')
    assert "no `datasets`" in str(add("--node", "node", *WARD, "ward").exception)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--data-type", "csv"), "`type` in `datasets`, dataset 2"),
        (("--credential", "token=s3cret"), "never the credential itself"),
        (("--credential", "token=env:TOKEN"), "`token` is for a URL that begins with fhir"),
        (("--name", "open"), "two datasets have the same name"),
        (("--path", "https://u:s3cret@host/x"), "dataset 2"),
    ],
)
def test_add_leaves_the_registry_where_it_refuses(write_registry, tmp_path, more, said):
    path = write_registry(
        f'[[dataset]]\nname = "open"\ntype = "s3"\nurl = "{tmp_path}"\nprojects = ["*"]\n'
    )
    before = path.read_bytes()
    done = add(path, *WARD, tmp_path, *more)
    assert done.exit_code != 0
    assert said in f"{done.output} {done.exception}"
    assert "s3cret" not in f"{done.output} {done.exception}"
    assert path.read_bytes() == before


def test_add_says_that_a_source_does_not_answer(tmp_path):
    done = add(tmp_path / "new.toml", *WARD, tmp_path / "nowhere")
    assert done.exit_code == 1
    assert "does not answer yet" in done.output
    assert len(read_registry(tmp_path / "new.toml")) == 1
