"""Credentials of a registry: read where it says, sent where it says, shown to nobody."""

import pytest

from flame_flwr.cli.registry_table import show_datasets, try_datasets
from flame_flwr.data import open_data
from flame_flwr.data.credentials import refuse_in_url, resolve
from flame_flwr.data.open_data import open_dataset
from flame_flwr.data.registry import read_registry
from flame_flwr.errors import ConfigError

from .registry_texts import FHIR, S3


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
    s3_server, write_registry, context, monkeypatch, certificates, variable, value
):
    bucket = s3_server.bucket({"p/a": b"1"})
    monkeypatch.setenv("OUR_SECRET", s3_server.secret)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "SOMEBODY")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "something")
    monkeypatch.setenv(variable, value)
    key_id = write_registry("").with_name("key-id")
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
    [dataset] = read_registry(write_registry(text))
    source = open_dataset(dataset, "data source 1", context())
    assert source.read("s3", []) == {"a": b"1"}
    assert s3_server.secret not in repr(vars(source))


KEYS = 'key-id = { env = "A" }\nsecret = { env = "A" }\nendpoint = "http://store:9000"\n'


@pytest.mark.parametrize("text", [S3 + KEYS, FHIR.replace("https", "http")])
def test_http_elsewhere_must_be_allowed(write_registry, context, monkeypatch, text):
    monkeypatch.setenv("A", "a")
    monkeypatch.setenv("FHIR_ALLOW_HTTP", "true")  # is for `data`, not for a registry
    [dataset] = read_registry(write_registry(text))
    with pytest.raises(ConfigError, match="set allow-http = true where the network is trusted"):
        open_dataset(dataset, "data source 1", context())
    [dataset] = read_registry(write_registry(text + "allow-http = true"))
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
def test_what_may_be_the_secret_is_not_shown(name, write_registry, context, capsys):
    text = S3 + f'key-id = {{ env = "{name}" }}\nsecret = {{ env = "OUR_SECRET" }}'
    datasets = read_registry(write_registry(text))
    show_datasets(datasets)
    assert not try_datasets(datasets)
    text = capsys.readouterr().out
    assert name not in text
    assert "OUR_SECRET" in text
    assert "the environment variable that it names is not set" in text
