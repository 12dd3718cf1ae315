"""Object stores that answer what they should not: redirects, listings that are none, cuts."""

import os
from dataclasses import replace

import obstore
import pytest
from odd_s3 import content, listing, odd_s3

from flame_flwr.data import s3_source
from flame_flwr.data.cache import OBJECTS, Cache
from flame_flwr.data.s3_source import S3Source
from flame_flwr.errors import ConfigError, DataError
from flame_flwr.s3 import Access, Patience

QUICK = Patience(connect=1, request=2, retry=1, retries=0)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(s3_source, "PATIENCE", QUICK)
    monkeypatch.setattr(s3_source, "BRIEF", QUICK)
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)


def source(endpoint, prefix="", **access):
    return S3Source(
        f"s3://bucket/{prefix}", "data source 1", Access(endpoint, "KEY", "hunter2", **access)
    )


def is_listing(request):
    return "list-type=2" in request.path


# ---- redirects ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "scheme"),
    [(301, "http"), (302, "https"), (303, "http"), (307, "http"), (308, "https")],
)
def test_a_redirect_to_another_host_is_not_followed(status, scheme):
    asked = []

    def elsewhere(request):
        asked.append(request.path)
        return listing(("a", 1, "e")) if is_listing(request) else content(b"1")

    with odd_s3(elsewhere) as other:
        to = other.replace("http", scheme).replace("127.0.0.1", "localhost")
        with odd_s3(lambda request: (status, {"location": to + request.path}, b"")) as url:
            for call in (
                source(url).check,
                lambda: source(url).read("s3", []),
                lambda: source(url).read("s3", ["a"]),
            ):
                with pytest.raises(DataError, match="sends this node to another host"):
                    call()
    assert asked == []


def test_a_redirect_of_an_object_alone_is_not_followed():
    with odd_s3(lambda request: content(b"2")) as other:
        to = other.replace("127.0.0.1", "localhost")

        def answer(request):
            return listing(("a", 1, "e")) if is_listing(request) else (302, {"location": to}, b"")

        with odd_s3(answer) as url, pytest.raises(DataError, match="to another host"):
            source(url).read("s3", [])


@pytest.mark.parametrize("status", [301, 307])
def test_amazons_answer_for_another_region_names_the_region(status):
    with (
        odd_s3(lambda request: (status, {}, b"")) as url,
        pytest.raises(DataError, match="the bucket is in another region"),
    ):
        source(url).check()


# ---- what the library would end the process for ---------------------------------------------


@pytest.mark.parametrize(
    "access",
    [
        Access("https://store", "KEY", "hunter2", region="eu"),
        Access("https://store", virtual_host=True),
    ],
)
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"key_id": "KEY\nx"}, "the key id of an object store must be one word"),
        ({"region": "eu\nx"}, "the region of an object store must be one word"),
        ({"endpoint": "http://127.0.0.1:9", "virtual_host": True}, "endpoint is an IP address"),
        ({"endpoint": "http://[::1]:9", "virtual_host": True}, "endpoint is an IP address"),
    ],
)
def test_an_access_that_cannot_be_is_an_error_before_any_request(access, change, said):
    with pytest.raises(ConfigError, match=said):
        replace(access, **change)


@pytest.mark.parametrize("etag", ["x&#10;y", "x&#13;y", "x\ty", ""])
def test_an_etag_that_no_request_can_hold_is_none(etag, tmp_path):
    cache = Cache(tmp_path, 1e6)
    cache.check()

    def answer(request):
        return listing(("a", 1, etag)) if is_listing(request) else content(b"1")

    with odd_s3(answer) as url:
        made = S3Source("s3://bucket", "source", Access(url, "KEY", "hunter2"), cache)
        assert made.read("s3", []) == {"a": b"1"}
    assert not list((tmp_path / OBJECTS).iterdir())


def test_a_failure_of_the_library_itself_is_an_error_in_words(capfd):
    """A text that no header can hold, past what the source checks."""
    made = source("http://127.0.0.1:9")
    with pytest.raises(DataError, match="the library for object stores failed"), made._asking():
        obstore.get(made._open(QUICK), "a", options={"if_match": "\n"})
    capfd.readouterr()
