"""A node's registry: what is in it, who gets what, and what ``flame-flwr data`` shows of it."""

import pytest
from forked_python import run_python
from hanging import HANGS
from typer.testing import CliRunner

from flame_flwr.cli import commands
from flame_flwr.cli.registry_table import show_datasets, try_datasets
from flame_flwr.data import open_data
from flame_flwr.data.credentials import refuse_in_url, resolve
from flame_flwr.data.open_data import open_dataset, open_datasets
from flame_flwr.data.registry import EXAMPLE, choose, read_registry
from flame_flwr.errors import ConfigError, DataError


@pytest.fixture
def write(tmp_path):
    def write(text):
        path = tmp_path / "datasets.toml"
        path.write_text(text)
        return path

    return write


@pytest.fixture
def datasets(write, tmp_path):
    """Three datasets of folders: one of everybody, one of a project, one of bundles."""
    lines = []
    for name, kind, tags, projects in (
        ("open", "s3", ["pasc", "adults"], ["*"]),
        ("closed", "s3", ["pasc", "children"], ["halta", "other"]),
        ("bundles", "fhir", ["pasc"], ["halta"]),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "Patient.json").write_text('{"resourceType": "Bundle"}')
        lines += ["[[dataset]]", f'name = "{name}"', f'type = "{kind}"', f"tags = {tags}"]
        lines += [f"projects = {projects}", f'url = "{tmp_path / name}"']
    return read_registry(write("\n".join(lines)))


def names(chosen):
    return [dataset.name for dataset in chosen]


@pytest.mark.parametrize(
    ("kind", "tags", "project", "expected"),
    [
        ("s3", [], "halta", ["open", "closed"]),
        ("s3", ["pasc"], "halta", ["open", "closed"]),
        ("s3", ["pasc"], "unknown", ["open"]),
        ("s3", ["children"], "other", ["closed"]),
        ("s3", ["adults", "pasc"], "halta", ["open"]),
        ("fhir", ["pasc"], "halta", ["bundles"]),
    ],
)
def test_who_gets_what(datasets, kind, tags, project, expected):
    assert names(choose(datasets, kind, tags, project)) == expected


def test_wrong_tags_and_projects_are_told_apart(datasets):
    with pytest.raises(DataError) as raised:
        choose(datasets, "s3", ["pasc", "seniors"], "halta")
    assert raised.value.message == (
        "this node's registry has no dataset of the type 's3' with the tags pasc, seniors"
    )
    with pytest.raises(DataError) as raised:
        choose(datasets, "s3", ["children"], "stranger")
    assert "does not let the project 'stranger' use its data" in raised.value.message
    assert "closed" not in str(raised.value)
    assert "halta" not in str(raised.value)


def test_what_is_chosen_is_read(datasets, context):
    data = open_datasets(choose(datasets, "fhir", [], "halta"), context())
    data.check()
    assert data.load("fhir", "Patient") == [{"Patient": {"resourceType": "Bundle"}}]


DATASET = '[[dataset]]\nname = "n"\ntype = "s3"\nprojects = ["*"]\nurl = "/srv"\n'
S3 = DATASET.replace("/srv", "s3://bucket")
FHIR = DATASET.replace("/srv", "fhir+https://host").replace('"s3"', '"fhir"')


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must hold [[dataset]] tables"),
        ("dataset = 3", "must hold [[dataset]] tables"),
        ("x = 1\n" + DATASET, "must hold [[dataset]] tables and nothing else"),
        ("[[dataset]", "is no TOML: `flame-flwr data list` names the line to mend"),
        (DATASET + DATASET, "two datasets have the same name"),
        (DATASET.replace('name = "n"\n', ""), "`name` is missing in `datasets`, dataset 1"),
        (DATASET.replace('projects = ["*"]\n', ""), "`projects` is missing in"),
        (DATASET.replace('["*"]', "[]"), "`projects` must not be empty"),
        (DATASET.replace('["*"]', '"*"'), "`projects` in `datasets`, dataset 1 must be a list"),
        (DATASET + 'tag = ["a"]', "unknown key in `datasets`, dataset 1; did you mean `tags`?"),
        (DATASET + 'tags = ["a,b"]', "`tags` must be a list of texts without commas"),
        (DATASET + "tags = [3]", "`tags` must be a list of texts without commas"),
        (DATASET.replace('"s3"', '"csv"'), 'dataset 1 is "s3", "fhir" or "sql"'),
        (S3.replace('type = "s3"', 'type = "fhir"'), "`type` and `url` do not fit"),
        (DATASET + 'endpoint = "https://x"', "is for a URL that begins with s3://"),
        (DATASET + "max-pages = 3", "is for a URL that begins with fhir+https://"),
        (S3 + 'secret = "hunter2"', "`secret` must be a reference"),
        (S3 + 'secret = { env = "A" }', "`key-id` and `secret` belong together"),
        (S3 + 'addressing = "host"', 'dataset 1 is "path" or "virtual-host"'),
        (S3 + 'allow-http = "yes"', "`allow-http` in `datasets`, dataset 1 must be true or false"),
        (DATASET + "disclosure = 5", "`disclosure` in `datasets`, dataset 1 must be a text"),
        (S3 + 'key-id = { env = "A" }\nsecret = { value = "hunter2" }', "`secret` must be a ref"),
        (S3 + 'secret = { env = "hunter2/+" }\nkey-id = { env = "A" }', "`secret` must be a ref"),
        (S3 + 'secret = { file = "hunter2" }\nkey-id = { env = "A" }', "`secret` must be a ref"),
        (S3 + 'secret = { env = "A", x = "hunter2" }', "`secret` must be a reference"),
        (S3.replace("bucket", "AK:hunter2@bucket"), "`url` must have no user, key or password"),
        (S3.replace("bucket", "AK:hun/hunter2@bucket"), "`url` must have no user, key or password"),
        (S3 + 'endpoint = "https://ada:hunter2@host"', "`endpoint` must have no user, key or"),
        (DATASET.replace("/srv", "https://ada:hunter2@host/"), "`url` must have no user, key or"),
        (DATASET.replace("/srv", "ada:hunter2@host:/srv"), "`url` must have no user, key or"),
        (FHIR.replace("host", "ada:hun/hunter2@host"), "`url` must have no user, key or password"),
        (DATASET.replace("/srv", "s3://bucket/p?sig=hunter2"), "`url` must have no `?`"),
        (FHIR.replace("host", "host/?token=hunter2"), "`url` ends with the server's base"),
        (
            FHIR + "max-mb = nan",
            "`max-mb` in `datasets`, dataset 1 must be a finite",
        ),
        (
            FHIR + "max-mb = inf",
            "`max-mb` in `datasets`, dataset 1 must be a finite",
        ),
        (
            FHIR + "max-pages = 0",
            "`max-pages` in `datasets`, dataset 1 must be a finite",
        ),
    ],
)
def test_what_a_registry_must_not_hold(write, text, message):
    with pytest.raises(ConfigError) as raised:
        read_registry(write(text))
    assert message in raised.value.message
    assert "`datasets`" in raised.value.message
    assert "hunter2" not in str(raised.value)


def test_a_missing_or_open_registry_is_refused(write, tmp_path):
    with pytest.raises(ConfigError, match="the registry cannot be read") as raised:
        read_registry(tmp_path / "none.toml")
    assert str(tmp_path) not in raised.value.message
    path = write(DATASET)
    path.chmod(0o666)
    with pytest.raises(ConfigError, match="every user of the machine may write to the registry"):
        read_registry(path)


def test_the_example_is_a_registry(write):
    files, fhir, sql = read_registry(write(EXAMPLE))
    assert (files.type, fhir.type, sql.type) == ("s3", "fhir", "sql")
    assert files.disclosure == ""


def test_credentials_are_read_where_the_reference_leads(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("A_SECRET", "hunter2")
    assert resolve({"env": "A_SECRET"}, "secret") == "hunter2"
    path = tmp_path / "secret"
    path.write_text("hunter3\n")
    path.chmod(0o600)
    assert resolve({"file": str(path)}, "secret") == "hunter3"
    assert not caplog.records
    path.chmod(0o644)
    assert resolve({"file": str(path)}, "secret") == "hunter3"
    assert "every user of this machine may read the file" in caplog.text
    assert "hunter" not in caplog.text


@pytest.mark.parametrize(
    "reference",
    [
        "hunter2",
        {},
        {"env": "NOT_SET_ANYWHERE"},
        {"env": ""},
        {"file": "relative"},
        {"file": "/nowhere/at/all"},
        {"text": "hunter2"},
        {"env": "A", "file": "/b"},
    ],
)
def test_what_is_no_reference_is_not_repeated(reference):
    with pytest.raises(ConfigError) as raised:
        resolve(reference, "dataset 'n': secret")
    assert "dataset 'n': secret" in raised.value.message
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("AWS_ENDPOINT_URL", "http://elsewhere:9"),
        ("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9"),
        ("AWS_ENDPOINT", "http://127.0.0.1:9"),
        ("AWS_SKIP_SIGNATURE", "true"),
        ("AWS_SKIP_SIGNATURE", "perhaps"),
        ("AWS_S3_EXPRESS", "true"),
        ("AWS_VIRTUAL_HOSTED_STYLE_REQUEST", "true"),
        ("AWS_CA_BUNDLE", "/no/such/file"),
        ("AWS_REGION", "moon-1"),
        ("AWS_SESSION_TOKEN", "token"),
    ],
)
def test_a_registered_store_ignores_the_environment(
    s3_server, write, context, monkeypatch, certificates, variable, value
):
    bucket = s3_server.bucket({"p/a": b"1"})
    monkeypatch.setenv("OUR_SECRET", s3_server.secret)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "SOMEBODY")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "something")
    monkeypatch.setenv(variable, value)
    key_id = write("").with_name("key-id")
    key_id.write_text(s3_server.key_id)
    text = f"""
        [[dataset]]
        name = "n"
        type = "s3"
        projects = ["*"]
        url = "s3://{bucket}/p"
        endpoint = "{s3_server.endpoint}"
        region = "us-east-1"
        addressing = "path"
        ca-file = "{certificates / "ca.crt"}"
        key-id = {{ file = "{key_id}" }}
        secret = {{ env = "OUR_SECRET" }}
    """
    [dataset] = read_registry(write(text))
    source = open_dataset(dataset, "data source 1", context())
    assert source.read("s3", []) == {"a": b"1"}
    assert s3_server.secret not in repr(vars(source))


KEYS = 'key-id = { env = "A" }\nsecret = { env = "A" }\nendpoint = "http://store:9000"\n'


@pytest.mark.parametrize("text", [S3 + KEYS, FHIR.replace("https", "http")])
def test_http_elsewhere_must_be_allowed(write, context, monkeypatch, text):
    monkeypatch.setenv("A", "a")
    monkeypatch.setenv("FHIR_ALLOW_HTTP", "true")  # is for `data`, not for a registry
    [dataset] = read_registry(write(text))
    with pytest.raises(ConfigError, match="set allow-http = true where the network is trusted"):
        open_dataset(dataset, "data source 1", context())
    [dataset] = read_registry(write(text + "allow-http = true"))
    open_dataset(dataset, "data source 1", context())


@pytest.mark.parametrize("url", ["https://ada:hunter2@host/x", "s3://AK:hunter2@bucket"])
def test_a_password_in_a_location_is_not_repeated(url, context):
    with pytest.raises(ConfigError, match="must have no user, key or password") as raised:
        open_data(url, context())
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize("url", ["/srv/a@b", "s3://bucket/a@b:c", "file:///srv/a@b", "s3://b-1.x"])
def test_other_signs_in_a_url_are_no_password(url):
    refuse_in_url(url, "`url`")


@pytest.mark.parametrize("name", ["TOPSECRET", "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI"])
def test_what_may_be_the_secret_is_not_shown(name, write, context, capsys):
    text = S3 + f'key-id = {{ env = "{name}" }}\nsecret = {{ env = "OUR_SECRET" }}'
    datasets = read_registry(write(text))
    show_datasets(datasets)
    assert not try_datasets(datasets)
    text = capsys.readouterr().out
    assert name not in text
    assert "OUR_SECRET" in text
    assert "the environment variable that it names is not set" in text


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('projects = ["*"]', 'projects = ["*"]\ndisclosure = "MinCout(5)"', "`disclosure` reads"),
        ('"s3"', '"fhir"', "no file of the data folder itself is a FHIR Bundle"),
    ],
)
def test_what_hello_refuses_is_found_by_data_check(
    write, tmp_path, old, new, said, monkeypatch, capsys
):
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "a.csv").touch()
    text = DATASET.replace("/srv", str(tmp_path / "d"))
    monkeypatch.setenv("COLUMNS", "400")
    assert try_datasets(read_registry(write(text)))
    assert not try_datasets(read_registry(write(text.replace(old, new))))
    assert said in capsys.readouterr().out


def command(*arguments):
    main = "from flame_flwr.cli.commands import main; main()"
    return run_python("-c", main, "data", *arguments, timeout=HANGS)


def test_the_commands_show_a_registry_and_try_it(write, tmp_path, s3_server, monkeypatch):
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
    path = write(good)
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
    write(good.replace(f"s3://{bucket}", "s3://no-such-bucket"))
    tried = command("check", path)
    assert tried.returncode == 1
    assert "the store has no such bucket" in tried.stdout
    assert command("list", "--example").stdout == EXAMPLE
    assert command("check", tmp_path / "none").returncode == 1


def add(*arguments):
    return CliRunner().invoke(commands._app, ["data", "add", *map(str, arguments)])


WARD = ("--name", "ward", "--tags", "pasc, adults", "--project", "halta", "--path")


def test_add_writes_what_a_hand_would_write(write, tmp_path):
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
    path = write(text)
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
def test_add_leaves_the_registry_where_it_refuses(write, tmp_path, more, said):
    path = write(f'[[dataset]]\nname = "open"\ntype = "s3"\nurl = "{tmp_path}"\nprojects = ["*"]\n')
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
