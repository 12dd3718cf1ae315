"""A node's registry: what it may hold, and who gets what of it."""

import pytest

from flame_flwr.data.open_data import open_datasets
from flame_flwr.data.registry import EXAMPLE, choose, read_registry
from flame_flwr.errors import ConfigError, DataError

from .registry_texts import DATASET, FHIR, S3


@pytest.fixture
def datasets(write_registry, tmp_path):
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
    return read_registry(write_registry("\n".join(lines)))


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


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must hold [[dataset]] tables"),
        ("dataset = 3", "must hold [[dataset]] tables"),
        ("x = 1\n" + DATASET, "must hold [[dataset]] tables and nothing else"),
        ("[[dataset]", "is not TOML: `flame-flwr data list` names the line to mend"),
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
def test_what_a_registry_must_not_hold(write_registry, text, message):
    with pytest.raises(ConfigError) as raised:
        read_registry(write_registry(text))
    assert message in raised.value.message
    assert "`datasets`" in raised.value.message
    assert "hunter2" not in str(raised.value)


def test_a_missing_or_open_registry_is_refused(write_registry, tmp_path):
    with pytest.raises(ConfigError, match="the registry cannot be read") as raised:
        read_registry(tmp_path / "none.toml")
    assert str(tmp_path) not in raised.value.message
    path = write_registry(DATASET)
    path.chmod(0o666)
    with pytest.raises(ConfigError, match="every user of the machine may write to the registry"):
        read_registry(path)


def test_the_example_is_a_registry(write_registry):
    files, fhir, sql = read_registry(write_registry(EXAMPLE))
    assert (files.type, fhir.type, sql.type) == ("s3", "fhir", "sql")
    assert files.disclosure == ""
