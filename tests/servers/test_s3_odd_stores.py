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
from flame_flwr.s3.access import Access
from flame_flwr.s3.patience import Patience

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
                with pytest.raises(DataError, match="a redirect to another host"):
                    call()
    assert asked == []


def test_an_objects_redirect_is_not_followed():
    with odd_s3(lambda request: content(b"2")) as other:
        to = other.replace("127.0.0.1", "localhost")

        def answer(request):
            return listing(("a", 1, "e")) if is_listing(request) else (302, {"location": to}, b"")

        with odd_s3(answer) as url, pytest.raises(DataError, match="a redirect to another host"):
            source(url).read("s3", [])


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
def test_a_wrong_access_is_refused_at_once(access, change, said):
    with pytest.raises(ConfigError, match=said):
        replace(access, **change)


@pytest.mark.parametrize("etag", ["x&#10;y", "x&#13;y", "x\ty", ""])
def test_an_etag_for_no_header_is_none(etag, tmp_path):
    cache = Cache(tmp_path, 1e6)
    cache.check()

    def answer(request):
        return listing(("a", 1, etag)) if is_listing(request) else content(b"1")

    with odd_s3(answer) as url:
        made = S3Source("s3://bucket", "source", Access(url, "KEY", "hunter2"), cache)
        assert made.read("s3", []) == {"a": b"1"}
    assert not list((tmp_path / OBJECTS).iterdir())


def test_a_panic_of_the_library_has_words(capfd):
    """A text that no header can hold, past what the source checks."""
    made = source("http://127.0.0.1:9")
    with (
        pytest.raises(DataError, match="the library for object stores failed"),
        made._errors_in_words(),
    ):
        obstore.get(made._open(QUICK), "a", options={"if_match": "\n"})
    capfd.readouterr()


# ---- listings -------------------------------------------------------------------------------

ODD = ["p/a//b", "p/../x", "p/./x", "p/a&#9;b", "p/a&#10;b", "p/\x01", "p//"]


@pytest.mark.parametrize("key", ODD)
@pytest.mark.parametrize("prefix", ["", "p"])
def test_unreadable_keys_are_named_in_the_log_only(key, prefix):
    with odd_s3(lambda request: listing(("p/ok", 1, "e"), (key, 1, "e"))) as url:
        for call in (source(url, prefix).check, lambda: source(url, prefix).read("s3", [])):
            with pytest.raises(DataError, match="lists cannot be read: it has an empty") as raised:
                call()
            assert "p/" not in raised.value.message
            assert key[:4].rstrip("&#") in raised.value.detail


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b"hello", b"\xff\xfe\x00", b"<html><br>login</html>", listing(("a", -5, "e"))[2]],
)
def test_what_is_no_listing_is_no_silence(body):
    with odd_s3(lambda request: (200, {}, body)) as url:
        for call in (source(url).check, lambda: source(url).read("s3", [])):
            with pytest.raises(DataError, match="no answer of an S3 store"):
                call()


def test_a_listing_of_empty_pages_ends(monkeypatch):
    monkeypatch.setattr(s3_source, "LISTING_SECONDS", 0.2)
    with (
        odd_s3(lambda request: listing(token="again")) as url,
        pytest.raises(DataError, match="does not come to an end within 0 s"),
    ):
        source(url).read("s3", [])


def test_an_object_may_share_a_folders_name():
    objects = {"/bucket/a": b"1"}

    def answer(request):
        if is_listing(request):
            return listing(("a", 1, "e"), ("a/", 0, "f"))
        return content(objects[request.path])

    with odd_s3(answer) as url:
        assert source(url).read("s3", []) == {"a": b"1"}


# ---- answers --------------------------------------------------------------------------------

ONE = listing(("a", 1, "e"))
WRONG = [
    ((301, {}, b""), None, "the bucket is in another region"),  # as Amazon's answer is
    ((307, {}, b""), None, "check the endpoint and the region"),
    ((403, {}, b"<Code>RequestTimeTooSkewed</Code>"), None, "set the clock of this node's machine"),
    ((500, {}, b""), None, "the store has a trouble of its own (500); its log says which"),
    ((200, {}, b"<html><body>Log in</body></html>"), None, "or what answers is a web page"),
    (listing(("a", 1, "e"), token="again"), None, "the store's listing repeats itself without end"),
    (listing(("a", 0, "e"), ("b", 0, "e"), token="again"), None, "listing repeats itself without"),
    (listing(("/a", 1, "e"), ("a", 1, "f")), None, "differ in slashes at their ends only"),
    (listing(("/a", 1, "e")), (404, {}, b""), "lists is not there: it was removed just now"),
    (listing(("a", 2**62, "e")), content(b"1"), "an object is larger than this node's memory"),
    (listing(("a", 9, "e")), content(b"1", **{"content-length": "9"}), "was cut again and again"),
    (ONE, (200, {"etag": "\xe4"}, b"1"), "no answer of an S3 store"),  # has no length
]


@pytest.mark.parametrize(("listed", "object_", "said"), WRONG)
def test_a_wrong_answer_has_words(listed, object_, said):
    def answer(request):
        return listed if is_listing(request) else object_

    with odd_s3(answer) as url, pytest.raises(DataError) as raised:
        source(url).read("s3", [])
    assert said in raised.value.message
    assert "127.0.0.1" not in raised.value.message


# ---- objects --------------------------------------------------------------------------------


@pytest.mark.parametrize("then", ["another", "precondition"])
def test_a_cut_object_may_have_changed(then):
    """Neither the old nor the new state is whole, and both would have the right size."""

    def answer(request):
        if is_listing(request):
            return listing(("a", 1000, "e"))
        if request.command == "GET" and "range" not in request.headers:
            return content(bytes(500), **{"content-length": "1000"})
        if then == "precondition":
            return 412, {}, b""
        return content(bytes(500), "f", 206, **{"content-range": "bytes 500-999/1000"})

    with odd_s3(answer) as url, pytest.raises(DataError, match="an object changed while it was"):
        source(url).read("s3", [])


# ---- the cache ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer_of_an_object", "said"),
    [
        ((403, {}, b""), "or this key may not list and read there"),
        ((404, {}, b""), "lists is not there: it was"),
        (content(b"2", "f"), "an object changed while it was read"),
    ],
)
def test_the_store_allows_what_is_cached(tmp_path, answer_of_an_object, said):
    cache = Cache(tmp_path, 1e6)
    cache.check()
    answers = {"object": content(b"1")}
    asked = []

    def answer(request):
        asked.append(request.command)
        return listing(("a", 1, "e")) if is_listing(request) else answers["object"]

    with odd_s3(answer) as url:
        made = S3Source("s3://bucket", "source", Access(url, "KEY", "hunter2"), cache)
        for _ in range(2):
            assert made.read("s3", []) == {"a": b"1"}
        assert asked == ["GET", "GET", "GET", "HEAD"]
        [file] = (tmp_path / OBJECTS).glob("*.data")
        written = file.stat().st_ino
        assert made.read("s3", []) == {"a": b"1"}
        assert file.stat().st_ino == written
        answers["object"] = answer_of_an_object
        with pytest.raises(DataError, match=said):
            made.read("s3", [])
