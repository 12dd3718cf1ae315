"""Which URLs and which environment may be, and that neither ever shows a secret."""

import pytest
from odd_s3 import listing, odd_s3

from flame_flwr.config import RunSettings
from flame_flwr.errors import ConfigError, StoreError
from flame_flwr.object_store import BRIEF, Patience, check_url, open_store

ADDRESS = "https://store.example.org:9000"
PRIVATE_KEY = b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"
NO_CERTIFICATE = PRIVATE_KEY.replace(b"PRIVATE KEY", b"CERTIFICATE")


@pytest.fixture
def environment(monkeypatch):
    for name in ("URL", "URL_S3"):
        monkeypatch.delenv(f"AWS_ENDPOINT_{name}", raising=False)
    for name in (
        "CA_BUNDLE",
        "ALLOW_HTTP",
        "REGION",
        "SKIP_SIGNATURE",
        "SESSION_TOKEN",
        "VIRTUAL_HOSTED_STYLE_REQUEST",
    ):
        monkeypatch.delenv(f"AWS_{name}", raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "KEY")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2-secret")
    monkeypatch.setenv("AWS_ENDPOINT_URL", ADDRESS)
    return monkeypatch


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("s3://bucket", ("bucket", "")),
        ("s3://bucket/", ("bucket", "")),
        ("s3://bucket/a/b c/ü/", ("bucket", "a/b c/ü")),
        ("s3://my.bucket-1/x", ("my.bucket-1", "x")),
    ],
)
def test_bucket_and_prefix(url, parts):
    assert check_url(url, "`results`") == parts


@pytest.mark.parametrize(
    "url",
    [
        "s3://KEY:hunter2@bucket/x",
        "s3://hunter2@bucket/x",
        "s3://bucket/x?AWS_SECRET_ACCESS_KEY=hunter2",
        "s3://bucket/x#hunter2",
        "s3://host:9000/hunter2",
        "https://KEY:hunter2@host/bucket",
        "https://host/bucket?X-Amz-Signature=hunter2",
    ],
)
def test_a_password_in_a_url_is_not_repeated(url):
    with pytest.raises(ConfigError) as raised:
        RunSettings.from_config({"results": url})
    text = repr(raised.value) + str(raised.value)
    assert "`results` in the run config must hold no user, password, port or keys" in text
    assert "AWS_ACCESS_KEY_ID" in text
    assert "hunter2" not in text


@pytest.mark.parametrize(
    "url",
    [
        "s3://",
        "s3:///x",
        "s3://b/x",
        "s3://-bucket",
        "s3://bucket/../x",
        "s3://bucket/a//b",
        "s3://bucket/./x",
        "s3://bucket/a%2e",
        "s3://bucket/a\nb",
        "s3://bucket/a\\b",
        "S3://b",
    ],
)
def test_a_url_that_names_no_place_is_refused(url):
    with pytest.raises(ConfigError, match="`results` in the run config"):
        RunSettings.from_config({"results": url})


@pytest.mark.parametrize("results", ["", "/srv/results", "~/results", "s3://bucket/prefix"])
def test_results_that_may_be(results):
    assert RunSettings.from_config({"results": results}).results == results


@pytest.mark.parametrize(
    "address",
    [
        "store:9000",
        "ftp://store",
        "https://",
        "https://KEY:hunter2@store",
        "https://store:port",
        "https://store:99999",
        "https://store:+9",
        "https://st ore",
        "https://störe",
        "https://a%20b",
        "https://store\\x",
        "https://store/a b",
        "https://1.2.3.4.5",
        "https://[fe80::1%eth0]",
    ],
)
def test_an_address_that_cannot_be(environment, address):
    environment.setenv("AWS_ENDPOINT_URL", address)
    with pytest.raises(ConfigError) as raised:
        open_store("s3://bucket", BRIEF)
    assert "AWS_ENDPOINT_URL in the environment must be a URL such as https://" in str(raised.value)
    assert "hunter2" not in str(raised.value)


def test_http_stays_here_unless_allowed(environment):
    environment.setenv("AWS_ENDPOINT_URL", "http://store.example.org:9000")
    with pytest.raises(ConfigError, match="everybody on the way could read along"):
        open_store("s3://bucket", BRIEF)
    environment.setenv("AWS_ALLOW_HTTP", "true")
    assert open_store("s3://bucket", BRIEF).place == "s3://bucket"
    environment.delenv("AWS_ALLOW_HTTP")
    for host in ("127.0.0.1:1", "localhost", "[::1]:9000"):
        environment.setenv("AWS_ENDPOINT_URL", f"http://{host}")
        open_store("s3://bucket/x/", BRIEF)


def test_a_bundle_of_certificates_that_is_not_there(environment, tmp_path):
    environment.setenv("AWS_CA_BUNDLE", str(tmp_path / "ca.pem"))
    said = "No such file or directory: AWS_CA_BUNDLE in the environment names a file that cannot"
    with pytest.raises(ConfigError, match=said) as raised:
        open_store("s3://bucket", BRIEF)
    assert str(tmp_path) not in raised.value.message  # a node's may leave it
    assert str(tmp_path) in raised.value.detail


@pytest.mark.parametrize("content", [b"", b"hello", b"\xff\xfe", PRIVATE_KEY, NO_CERTIFICATE])
def test_a_bundle_without_certificates(environment, tmp_path, content):
    (tmp_path / "ca.pem").write_bytes(content)
    environment.setenv("AWS_CA_BUNDLE", str(tmp_path / "ca.pem"))
    with pytest.raises(ConfigError, match="AWS_CA_BUNDLE in the environment names a file that has"):
        open_store("s3://bucket", BRIEF)


def test_text_may_stand_between_certificates(environment, tmp_path, certificates):
    text = "# Universität\n".encode() + (certificates / "ca.crt").read_bytes()
    (tmp_path / "ca.pem").write_bytes(text)
    environment.setenv("AWS_CA_BUNDLE", str(tmp_path / "ca.pem"))
    open_store("s3://bucket", BRIEF)


@pytest.mark.parametrize("address", ["http://127.0.0.1:9", "https://[::1]:9", "https://10.0.0.1"])
def test_no_bucket_stands_before_an_ip_address(environment, address):
    environment.setenv("AWS_ENDPOINT_URL", address)
    environment.setenv("AWS_VIRTUAL_HOSTED_STYLE_REQUEST", "true")
    with pytest.raises(ConfigError, match="endpoint is an IP address, and the bucket"):
        open_store("s3://bucket", BRIEF)


@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_SESSION_TOKEN", "AWS_REGION"])
@pytest.mark.parametrize("text", ["KEY\nhunter3", "KEY ", "schlüssel"])
def test_what_no_header_takes_is_not_repeated(environment, name, text):
    environment.setenv(name, text)
    with pytest.raises(ConfigError, match="must be one word, without spaces") as raised:
        open_store("s3://bucket", BRIEF)
    assert text not in str(raised.value)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((302, {"location": "http://localhost:9/"}, b""), "a redirect to another host"),
        ((301, {}, b""), "the bucket is in another region"),
        ((200, {}, b"hello"), r"no answer of an S3 store\): check AWS_ENDPOINT_URL and"),
        (listing(("results/a//b", 1, "e")), r"cannot be read: it has an empty part \(`//`\)"),
    ],
)
def test_what_is_no_store_says_so(environment, answer, said):
    with odd_s3(lambda request: answer) as url:
        environment.setenv("AWS_ENDPOINT_URL", url)
        store = open_store("s3://bucket/results", Patience(1, 2, 1, 0))
        with pytest.raises(StoreError, match=said):
            store.folders()


def test_a_store_does_not_show_its_secret(environment):
    store = open_store("s3://bucket/x", BRIEF)
    assert "hunter2" not in repr(store) + str(vars(store))


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(StoreError, match="there is no folder"):
        open_store(str(tmp_path / "none"), BRIEF)
