"""A registry's entries of databases: which are wrong, and what is said of them."""

import pytest

from flame_flwr.data.open_data import check_dataset
from flame_flwr.data.registry import read_registry
from flame_flwr.errors import ConfigError

ENTRY = '[[dataset]]\nname = "n"\ntype = "sql"\nprojects = ["*"]\nurl = "sqlite:////srv/x.db"\n'

TABLES = ENTRY + "tables.a = ['b']\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (ENTRY, "must have either `query`, a file of SQL, or `tables`"),
        (TABLES + 'query = "/srv/x.sql"', "must have either `query`"),
        (ENTRY + 'query = "x.sql"', "`query` in `datasets`, dataset 1 must be an absolute path"),
        (ENTRY + "tables.a = []", "`tables` must hold lists of columns that may be read"),
        (ENTRY + "tables.a = '*'", "`tables` must hold lists of columns that may be read"),
        (TABLES + "tables.'x.a' = ['b']", "`tables` must have a name each, and each another"),
        (TABLES + "parameters.p = { type = 'whole' }", "`parameters` are those of a `query`"),
        (TABLES + 'key-id = { env = "A" }', "`key-id` is for a URL that begins with s3://"),
        (TABLES + 'password = "hunter2"', "`password` must be a reference"),
        (TABLES.replace("sqlite:////srv", "postgresql://ada:hunter2@h"), "must have no user, key"),
        (TABLES.replace('"sql"', '"s3"'), "`type` and `url` do not fit together"),
        (TABLES.replace("sqlite:////srv/x.db", "fhir+https://h/"), "do not fit together"),
    ],
)
def test_wrong_entries(tmp_path, text, message):
    path = tmp_path / "datasets.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as raised:
        read_registry(path)
    assert message in raised.value.message
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("sqlite:///x.db", "the absolute path of a file, with four slashes"),
        ("sqlite://host/srv/x.db", "the absolute path of a file, with four slashes"),
        ("duckdb:////x?a=b", "the absolute path of a file"),
        ("postgresql://h/d?sslmode=off", "may have ?host=/folder/of/the/socket, and no more"),
        ("mysql://h/d", "`type` and `url` do not fit together"),
    ],
)
def test_wrong_urls(tmp_path, context, url, message):
    path = tmp_path / "datasets.toml"
    path.write_text(TABLES.replace("sqlite:////srv/x.db", url))
    with pytest.raises(ConfigError) as raised:
        check_dataset(*read_registry(path), "n", context())
    assert message in raised.value.message


def test_another_host_is_asked_for_its_certificate():
    from flame_flwr.data.sql_databases import open_database

    def given(url, **more):
        return open_database(url, "data source 1", **more)._given

    assert "sslmode" not in given("postgresql:///d") | given("postgresql://127.0.0.1/d")
    far = given("postgresql://db.hospital.example/d", ca_file="/etc/ca.crt")
    assert (far["sslmode"], far["sslrootcert"]) == ("verify-full", "/etc/ca.crt")
    for host in ("db.hospital.example", "127.hospital.example"):
        assert given(f"postgresql://{host}/d")["sslmode"] == "verify-full"
    assert given("postgresql://db.hospital.example/d", tls="encrypt")["sslmode"] == "require"
